//! The only file that turns a refusal into an HTTP status and a JSON-RPC error.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use super::body::SessionBody;
use super::edge::EdgeRefusal;
use super::failure::CallFailed;
use super::refused::mark;
use crate::protocol::codes::{self, error_message};
use crate::protocol::envelope::{EnvelopeError, Refused};
use crate::protocol::modern::Invalid;
use crate::store::Outcome;
use crate::tracker::{Refusal, causes};

/// A refused client should wait at least so many seconds.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Returns an HTTP answer that is a JSON-RPC error.
pub fn error_response<B>(
    status: StatusCode,
    id: Option<&str>,
    code: i64,
    message: &str,
) -> Response<SessionBody<B>> {
    json_response(status, error_message(id, code, message, None))
}

/// Returns an HTTP answer with a JSON body.
pub fn json_response<B>(status: StatusCode, body: String) -> Response<SessionBody<B>> {
    let mut response = Response::new(SessionBody::ours(Bytes::from(body)));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// Returns an error that is noted as a refusal.
fn refuse<B>(
    status: StatusCode,
    id: Option<&str>,
    code: i64,
    cause: &'static str,
    message: &str,
) -> Response<SessionBody<B>> {
    mark(error_response(status, id, code, message), cause, message)
}

pub(super) fn edge<B>(refusal: &EdgeRefusal) -> Response<SessionBody<B>> {
    let (status, cause) = match refusal {
        EdgeRefusal::Host | EdgeRefusal::Origin => {
            (StatusCode::FORBIDDEN, causes::HOST_NOT_ALLOWED)
        }
        EdgeRefusal::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, causes::BODY_REFUSED),
        EdgeRefusal::TooSlow => (StatusCode::REQUEST_TIMEOUT, causes::BODY_REFUSED),
        EdgeRefusal::Broken => (StatusCode::BAD_REQUEST, causes::BODY_REFUSED),
    };
    refuse(status, None, codes::REFUSED, cause, &refusal.to_string())
}

pub(super) fn method_not_allowed<B>(allowed: &'static str) -> Response<SessionBody<B>> {
    let message = format!("this endpoint takes {allowed}");
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut response = error_response(status, None, codes::INVALID_REQUEST, &message);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Answers a GET for which there is no stream. Clients take 405 for the end of their coming back, where an
/// empty stream would have them ask again.
pub(super) fn no_stream<B>(why: &str) -> Response<SessionBody<B>> {
    let mut response =
        error_response(StatusCode::METHOD_NOT_ALLOWED, None, codes::INVALID_REQUEST, why);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, DELETE"));
    response
}

pub(super) fn envelope<B>(Refused { error, id }: &Refused) -> Response<SessionBody<B>> {
    let code = match error {
        EnvelopeError::Parse(_) => codes::PARSE_ERROR,
        EnvelopeError::Invalid(_) => codes::INVALID_REQUEST,
    };
    tracing::warn!("request refused: {error}");
    let (status, message) = (StatusCode::BAD_REQUEST, error.to_string());
    refuse(status, id.as_deref(), code, causes::MALFORMED, &message)
}

/// MCP 2026-07-28, Transports: 400, and 404 for a method that is gone.
pub(super) fn modern<B>(id: Option<&str>, invalid: &Invalid) -> Response<SessionBody<B>> {
    let (status, code) = match invalid {
        Invalid::Header { .. } => (StatusCode::BAD_REQUEST, codes::HEADER_MISMATCH),
        Invalid::Meta(_) => (StatusCode::BAD_REQUEST, codes::INVALID_PARAMS),
        Invalid::Removed(_) => (StatusCode::NOT_FOUND, codes::METHOD_NOT_FOUND),
    };
    tracing::warn!("request refused: {invalid}");
    refuse(status, id, code, causes::MALFORMED, &invalid.to_string())
}

pub(super) fn batch<B>() -> Response<SessionBody<B>> {
    let message = "batches exist in protocol version 2025-03-26 only, and never hold initialize";
    refuse(StatusCode::BAD_REQUEST, None, codes::INVALID_REQUEST, causes::MALFORMED, message)
}

/// MCP 2025-11-25, Transports, Session Management: 400 without a handle, 404 for one that ended.
pub(super) fn admission<B>(id: Option<&str>, refusal: Refusal) -> Response<SessionBody<B>> {
    const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
    let (status, code, cause) = match refusal {
        Refusal::TooManyNew => return too_many(id, "new sessions from this address"),
        Refusal::NoHandle => (StatusCode::BAD_REQUEST, codes::NO_SESSION, causes::NO_SESSION),
        Refusal::UnknownHandle => {
            (StatusCode::NOT_FOUND, codes::NO_SESSION, causes::UNKNOWN_SESSION)
        }
        Refusal::StoreUnavailable => {
            (UNAVAILABLE, codes::SESSION_UNAVAILABLE, causes::STORE_UNAVAILABLE)
        }
        Refusal::Elsewhere(_) => {
            (StatusCode::MISDIRECTED_REQUEST, codes::SESSION_UNAVAILABLE, causes::UNREACHABLE)
        }
        Refusal::Unreachable => (UNAVAILABLE, codes::SESSION_UNAVAILABLE, causes::UNREACHABLE),
        Refusal::TooManySessions => {
            (UNAVAILABLE, codes::SESSION_UNAVAILABLE, causes::TOO_MANY_SESSIONS)
        }
    };
    let mut response = refuse(status, id, code, cause, &refusal.to_string());
    if status == UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
    }
    response
}

pub(super) fn too_many<B>(id: Option<&str>, what: &str) -> Response<SessionBody<B>> {
    tracing::warn!("request refused: too many {what}");
    let message = format!("too many {what}; wait a second and try again");
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut response = refuse(status, id, codes::TOO_MANY, causes::RATE_LIMITED, &message);
    response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
    response
}

/// Refuses a handshake whose params are too large to be kept.
pub(super) fn handshake_too_large<B>(id: Option<&str>, max: usize) -> Response<SessionBody<B>> {
    let message = format!("the params of initialize are larger than {max} bytes");
    let status = StatusCode::PAYLOAD_TOO_LARGE;
    refuse(status, id, codes::REFUSED, causes::BODY_REFUSED, &message)
}

/// Answers in the inner service's place. An error that answers a request comes with 200 like any answer;
/// what has no id (a notification, a GET) is refused by its status.
pub(super) fn failure<B>(id: Option<&str>, failed: &CallFailed) -> Response<SessionBody<B>> {
    let status = match (id, failed.outcome) {
        (Some(_), _) => failed.status,
        (None, Outcome::Timeout) => StatusCode::GATEWAY_TIMEOUT,
        (None, Outcome::Success | Outcome::Error) => StatusCode::BAD_GATEWAY,
    };
    json_response(status, failed.message_for(id))
}

//! Answers that the gateway writes itself: JSON, nothing, a refusal, the head of an event stream.

use std::time::Duration;

use archon_sessions::layer::CallFailed;
use archon_sessions::protocol::codes::{self, modern_status};
use archon_sessions::protocol::names::X_ACCEL_BUFFERING;
use archon_sessions::store::Outcome;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use super::{Answer, GatewayBody};

/// Proxies close a stream that is silent for a minute, some for half of one.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Returns an event stream with this body.
pub fn event_stream(body: GatewayBody) -> Answer {
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    answer
}

/// Returns a message as JSON.
pub fn json(status: StatusCode, message: Bytes) -> Answer {
    let length = HeaderValue::from(message.len());
    let mut answer = Response::new(GatewayBody::ours(message));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CONTENT_LENGTH, length);
    answer
}

/// Answers what wants no answer.
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(GatewayBody::ours(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// Refuses with a JSON-RPC error in an answer of this status; `id` is JSON text.
pub fn refused(status: StatusCode, id: Option<&str>, code: i64, message: &str) -> Answer {
    json(status, failure(code, message.to_owned()).message_for(id).into())
}

/// Returns a call's failure, for the layer to answer with.
pub fn failure(code: i64, message: String) -> CallFailed {
    let (status, outcome) = (StatusCode::OK, Outcome::Error);
    CallFailed { code, message, data: None, status, outcome, is_repeatable: false }
}

/// Returns the failure of a call whose headers do not mirror its arguments (MCP 2026-07-28, Transports).
pub fn mismatch(wrong: String) -> CallFailed {
    let status = modern_status(Some(codes::HEADER_MISMATCH));
    CallFailed { status, ..failure(codes::HEADER_MISMATCH, wrong) }
}

/// Returns the failure of a call that was not sent, since the upstream's command does not run.
pub fn not_running(message: String) -> CallFailed {
    failure(codes::UPSTREAM_UNREACHABLE, message)
}

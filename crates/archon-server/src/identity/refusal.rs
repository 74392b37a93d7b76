//! What a client is told that is not let in (RFC 6750, 3; RFC 9728, 5.1; MCP 2025-11-25, Authorization).

use archon_sessions::layer::{SessionBody, codes, error_response};
use archon_sessions::tracker::causes;
use http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};

use super::issuer::KeysUnavailable;
use super::token::Invalid;

/// An issuer that is away is asked about as often.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// It shows nothing.
    #[error("authentication is required; send a bearer token")]
    Missing,
    /// It shows something that is not clear.
    #[error(
        "the request's credentials cannot be read: send one Authorization header with one token"
    )]
    Unclear,
    /// It shows a key that we did not give out.
    #[error("the API key is unknown")]
    UnknownKey,
    /// It shows a token that is not good.
    #[error(transparent)]
    Token(#[from] Invalid),
    /// Nobody can say whether the token is good.
    #[error(transparent)]
    Unavailable(#[from] KeysUnavailable),
}

impl Denial {
    /// Returns the word for it, as it is stored and counted.
    pub fn cause(self) -> &'static str {
        match self {
            Self::Missing => causes::UNAUTHENTICATED,
            Self::Unclear | Self::UnknownKey | Self::Token(_) => causes::BAD_CREDENTIALS,
            Self::Unavailable(_) => causes::CREDENTIALS_UNCHECKED,
        }
    }

    /// Returns the answer; `metadata` is where a client finds out how to get a token, if it can get one.
    pub fn answer<B>(self, metadata: Option<&str>) -> Response<SessionBody<B>> {
        let (status, code, error) = match self {
            Self::Missing => (StatusCode::UNAUTHORIZED, codes::UNAUTHENTICATED, None),
            Self::UnknownKey | Self::Token(_) => {
                (StatusCode::UNAUTHORIZED, codes::UNAUTHENTICATED, Some("invalid_token"))
            }
            Self::Unclear => {
                (StatusCode::BAD_REQUEST, codes::UNAUTHENTICATED, Some("invalid_request"))
            }
            Self::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, codes::SESSION_UNAVAILABLE, None)
            }
        };
        match self {
            // The first request of a client that does not know yet that it has to authenticate.
            Self::Missing => tracing::debug!("request refused: {self}"),
            _ => tracing::warn!("request refused: {self}"),
        }
        let message = self.to_string();
        let mut response = error_response(status, None, code, &message);
        let headers = response.headers_mut();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_SECONDS);
        } else if let Ok(value) = HeaderValue::try_from(challenge(error, &message, metadata)) {
            headers.insert(WWW_AUTHENTICATE, value);
        }
        response
    }
}

/// RFC 6750, 3.1: who showed nothing is told of no error.
fn challenge(error: Option<&str>, message: &str, metadata: Option<&str>) -> String {
    let mut parameters = Vec::new();
    if let Some(error) = error {
        parameters.push(format!("error=\"{error}\", error_description=\"{message}\""));
    }
    match metadata {
        Some(url) => parameters.push(format!("resource_metadata=\"{url}\"")),
        None => parameters.insert(0, "realm=\"archon\"".to_owned()),
    }
    format!("Bearer {}", parameters.join(", "))
}

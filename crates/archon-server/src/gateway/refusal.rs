//! Looks whether an answer refuses its request, without taking anything from it.

use http_body_util::BodyExt;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Answer, GatewayBody};

/// A refusal is shorter than this; what is longer is an answer.
const READ_MAX: usize = 64 * 1024;

/// Returns whether the answer is an HTTP or JSON-RPC error, and the answer as it came. An event stream is
/// taken for an answer: who refuses a request does not open one.
pub async fn look(answer: Answer) -> (bool, Answer) {
    let (parts, mut body) = answer.into_parts();
    let kind = parts.headers.get(http::header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    if !kind.is_some_and(|kind| kind.starts_with(b"application/json")) {
        return (parts.status.is_client_error(), Answer::from_parts(parts, body));
    }
    let mut read = Vec::new();
    while read.len() < READ_MAX
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(data) = frame.into_data() {
            read.extend_from_slice(&data);
        }
    }
    let is_refused = parts.status.is_client_error() || is_error(&read);
    let body: GatewayBody = body.with_ahead(read.into());
    (is_refused, Answer::from_parts(parts, body))
}

fn is_error(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(rename = "error")]
        _error: IgnoredAny,
    }
    serde_json::from_slice::<Refusal>(json).is_ok()
}

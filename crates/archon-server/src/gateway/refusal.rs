//! Looks whether an answer refuses its request, without taking anything from it.

use archon_sessions::protocol::sse::is_event_stream;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Answer, GatewayBody};

/// A refusal is shorter than this; what is longer is an answer.
const READ_MAX: usize = 64 * 1024;

/// Returns whether the answer is an HTTP or JSON-RPC error, and the answer as it came.
pub async fn look(answer: Answer) -> (bool, Answer) {
    let (parts, mut body) = answer.into_parts();
    let is_sse = is_event_stream(&parts.headers);
    let mut read = Vec::new();
    let mut is_refused = None;
    while is_refused.is_none() && read.len() < READ_MAX {
        let Some(Ok(frame)) = body.frame().await else { break };
        let Ok(data) = frame.into_data() else { continue };
        read.extend_from_slice(&data);
        if is_sse {
            let whole = read.split_inclusive(|byte| *byte == b'\n').filter(|l| l.ends_with(b"\n"));
            is_refused = whole.filter_map(|line| line.strip_prefix(b"data:")).find_map(is_error);
        }
    }
    let is_refused = is_refused.or_else(|| is_error(&read)).unwrap_or(false);
    let is_refused = is_refused || parts.status.is_client_error();
    let body: GatewayBody = body.with_ahead(read.into());
    (is_refused, Answer::from_parts(parts, body))
}

/// Returns whether a message is an error; `None` if it is no answer.
fn is_error(json: &[u8]) -> Option<bool> {
    #[derive(Deserialize)]
    struct Message {
        result: Option<IgnoredAny>,
        error: Option<IgnoredAny>,
    }
    let message: Message = serde_json::from_slice(json).ok()?;
    match (message.result, message.error) {
        (_, Some(_)) => Some(true),
        (Some(_), None) => Some(false),
        (None, None) => None,
    }
}

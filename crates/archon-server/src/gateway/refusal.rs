//! Looks whether an answer refuses its request, without taking anything from it.

use archon_sessions::protocol::sse::is_event_stream;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Answer, GatewayBody};

/// A refusal is shorter than this; what is longer is an answer.
const READ_MAX: usize = 64 * 1024;

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Of the JSON-RPC error, if it is one.
    code: Option<i64>,
}

impl Refused {
    /// Returns whether it can only be of a server that knows no handshakes: they are no method of its, not its
    /// version, or lack headers that its own requests have.
    pub fn is_of_handshakes(self) -> bool {
        matches!(self.code, Some(-32601 | -32022 | -32020))
    }
}

/// Returns the HTTP or JSON-RPC error that the answer is, and the answer as it came.
pub async fn look(answer: Answer) -> (Option<Refused>, Answer) {
    let (parts, mut body) = answer.into_parts();
    let is_sse = is_event_stream(&parts.headers);
    let mut read = Vec::new();
    let mut error = None;
    while error.is_none() && read.len() < READ_MAX {
        let Some(Ok(frame)) = body.frame().await else { break };
        let Ok(data) = frame.into_data() else { continue };
        read.extend_from_slice(&data);
        if is_sse {
            let whole = read.split_inclusive(|byte| *byte == b'\n').filter(|l| l.ends_with(b"\n"));
            error = whole.filter_map(|line| line.strip_prefix(b"data:")).find_map(error_in);
        }
    }
    let error = error.or_else(|| error_in(&read)).flatten();
    let by_status = parts.status.is_client_error().then_some(Refused { code: None });
    let body: GatewayBody = body.with_ahead(read.into());
    (error.or(by_status), Answer::from_parts(parts, body))
}

/// Returns the error that a message is, or that it is none; `None` if it is no answer.
fn error_in(json: &[u8]) -> Option<Option<Refused>> {
    #[derive(Deserialize)]
    struct Message {
        result: Option<IgnoredAny>,
        error: Option<Error>,
    }
    #[derive(Deserialize)]
    struct Error {
        code: Option<i64>,
    }
    let message: Message = serde_json::from_slice(json).ok()?;
    match (message.result, message.error) {
        (_, Some(Error { code })) => Some(Some(Refused { code })),
        (Some(_), None) => Some(None),
        (None, None) => None,
    }
}

//! Looks whether an answer refuses its request, without taking anything from it.

use archon_sessions::protocol::codes::{HEADER_MISMATCH, METHOD_NOT_FOUND, UNSUPPORTED_VERSION};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::gateway::wire::Answer;
use crate::gateway::wire::incoming::Incoming;

/// What is read of an answer to find out. Instructions can be long, but what is longer is no refusal.
const READ_MAX: usize = 1024 * 1024;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// A refusal.
    Refused(Refused),
    /// The result that the request was answered with, as JSON text.
    Result(Box<str>),
    /// Something else: a stream that begins with other messages, or nothing that can be read.
    Other,
}

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
        matches!(self.code, Some(METHOD_NOT_FOUND | UNSUPPORTED_VERSION | HEADER_MISMATCH))
    }
}

/// Returns what the answer begins with, and the answer as it came. What comes before the answer on its stream is not
/// waited through: the server may wait for a reply to it.
pub async fn look(answer: Answer) -> (Look, Answer) {
    let (parts, body) = answer.into_parts();
    let mut incoming = Incoming::new(&parts, body);
    let (mut found, mut taken) = (Look::Other, Vec::new());
    while let Ok(Some(event)) = incoming.next_event(READ_MAX).await {
        taken.extend_from_slice(&event.raw);
        if let Some(data) = event.data.filter(|data| !data.trim_ascii().is_empty()) {
            found = Look::at(&data);
            break;
        }
    }
    if parts.status.is_client_error() && !matches!(found, Look::Refused(_)) {
        found = Look::Refused(Refused { code: None });
    }
    (found, Answer::from_parts(parts, incoming.rest().with_ahead(taken.into())))
}

impl Look {
    fn at(json: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Message<'a> {
            #[serde(borrow)]
            result: Option<&'a RawValue>,
            error: Option<Error>,
        }
        #[derive(Deserialize)]
        struct Error {
            code: Option<i64>,
        }
        match serde_json::from_slice(json) {
            Ok(Message { error: Some(Error { code }), .. }) => Self::Refused(Refused { code }),
            Ok(Message { result: Some(result), .. }) => Self::Result(result.get().into()),
            Ok(_) | Err(_) => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::header::{CONTENT_TYPE, HeaderValue};
    use http_body_util::BodyExt;

    use super::*;
    use crate::gateway::wire::GatewayBody;

    #[tokio::test]
    async fn an_answer_is_looked_at_and_stays_whole() {
        let refused = Look::Refused(Refused { code: Some(-32601) });
        for (kind, body, found) in [
            ("application/json", r#"{"error":{"code":-32601}}"#, refused),
            ("application/json", r#"{"id":1,"result":{"a":1}}"#, Look::Result("{\"a\":1}".into())),
            (
                "text/event-stream",
                "id: 0\ndata: \n\ndata: {\"id\":1,\rdata: \"result\":{}}\r\rmore",
                Look::Result("{}".into()),
            ),
            ("text/event-stream", "data: {\"id\":1,\"method\":\"ping\"}\n\nx", Look::Other),
            ("text/html", "<html>", Look::Other),
        ] {
            let mut answer = Answer::new(GatewayBody::ours(Bytes::from_static(body.as_bytes())));
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            let (look, answer) = look(answer).await;
            assert_eq!(look, found, "{body}");
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), body);
        }
    }
}

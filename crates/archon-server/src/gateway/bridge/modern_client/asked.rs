//! Answers of our own to what a legacy server asks when no client can be asked. Pure.

use archon_sessions::protocol::codes::{METHOD_NOT_FOUND, error_message};

use crate::gateway::wire::message::Message;

/// Returns the answer to a request of this id with this result; both are JSON text.
pub fn reply(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// Returns the answer to a server that asks what its client cannot do; `id` is JSON text.
pub fn cannot_be_asked(id: &str, why: &str) -> String {
    error_message(Some(id), METHOD_NOT_FOUND, why, None)
}

/// Returns the answer to what a server asks where no client can be asked: to a ping that we are here, to all else an
/// error that says so. `None` for what wants no answer.
pub fn unasked(message: &Message) -> Option<String> {
    let id = message.id.as_ref().map(|id| message.text(id))?;
    Some(match message.method.as_str() {
        "" => return None,
        "ping" => reply(id, "{}"),
        method => {
            let why = format!("no client can be asked `{method}` now: no call is in flight");
            cannot_be_asked(id, &why)
        }
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_ping_is_answered_and_a_question_refused() {
        let said = |json: &'static str| {
            unasked(&Message::read(Bytes::from_static(json.as_bytes())).unwrap())
        };
        let ping = said(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#);
        assert_eq!(ping.as_deref(), Some(r#"{"jsonrpc":"2.0","id":"p","result":{}}"#));
        let asked = said(r#"{"jsonrpc":"2.0","id":7,"method":"roots/list"}"#).unwrap();
        assert!(asked.contains(r#""id":7,"error":{"code":-32601"#), "{asked}");
        assert_eq!(said(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#), None);
        assert_eq!(said(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), None);
    }
}

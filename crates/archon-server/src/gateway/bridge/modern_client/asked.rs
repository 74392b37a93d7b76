//! Answers of our own to what a legacy server asks when no client can be asked. Pure.

use crate::gateway::wire::message::Message;
use crate::gateway::wire::object::text;

/// What a server is told that asks what its client cannot do: the member of a JSON-RPC answer.
pub const CANNOT_BE_ASKED: &str =
    r#""error":{"code":-32601,"message":"the client cannot be asked this"}"#;

/// Returns the answer to a request of this id (JSON text) with this member, `"result":…` or `"error":…`.
pub fn reply(id: &str, said: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},{said}}}"#)
}

/// Returns the answer to what a server asks where no client can be asked: to a ping that we are here, to all else an
/// error that says so. `None` for what wants no answer.
pub fn unasked(message: &Message) -> Option<String> {
    let id = message.id.as_ref().map(|id| message.text(id))?;
    Some(match message.method.as_str() {
        "" => return None,
        "ping" => reply(id, r#""result":{}"#),
        method => {
            let why = text(&format!("no client can be asked `{method}` now: no call is in flight"));
            reply(id, &format!(r#""error":{{"code":-32601,"message":{why}}}"#))
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

//! JSON-RPC messages: ours are built, theirs are read.

use rmcp::model::ErrorData;
use serde::Deserialize;
use serde_json::{Value, json};

/// A message of a server.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// An answer; without an id where the server could not read ours.
    Answer { id: Option<Value>, outcome: Result<Value, ErrorData> },
    /// A question.
    Request { id: Value, method: String, params: Value },
    /// Something that it says.
    Notification { method: String, params: Value },
}

impl Incoming {
    /// Reads a message; `None` if it is none.
    pub fn parse(text: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Message {
            #[serde(default)]
            id: Option<Value>,
            #[serde(default)]
            method: Option<String>,
            #[serde(default)]
            params: Value,
            // Present and null is an answer, too.
            #[serde(default, deserialize_with = "present")]
            result: Option<Value>,
            #[serde(default)]
            error: Option<ErrorData>,
        }
        fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
            Value::deserialize(from).map(Some)
        }
        let Message { id, method, params, result, error } = serde_json::from_slice(text).ok()?;
        Some(match (id, method, result, error) {
            (Some(id), Some(method), None, None) => Self::Request { id, method, params },
            (None, Some(method), None, None) => Self::Notification { method, params },
            (id, None, Some(result), None) => Self::Answer { id, outcome: Ok(result) },
            (id, None, _, Some(error)) => Self::Answer { id, outcome: Err(error) },
            _ => return None,
        })
    }
}

/// Returns a request as text.
pub(crate) fn request(id: u64, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

/// Returns a notification as text.
pub(crate) fn notification(method: &str, params: &Value) -> String {
    match params {
        Value::Null => json!({ "jsonrpc": "2.0", "method": method }),
        params => json!({ "jsonrpc": "2.0", "method": method, "params": params }),
    }
    .to_string()
}

/// Returns an answer to a server's question as text.
pub(crate) fn answer(id: &Value, outcome: Result<Value, ErrorData>) -> String {
    match outcome {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    }
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let of = |text: &str| Incoming::parse(text.as_bytes());
        assert!(matches!(
            of(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
            Some(Incoming::Answer { outcome: Ok(_), .. })
        ));
        assert!(matches!(
            of(r#"{"id":1,"result":null}"#),
            Some(Incoming::Answer { outcome: Ok(Value::Null), .. })
        ));
        let refused = of(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-31006,"message":"x"}}"#);
        assert!(matches!(refused, Some(Incoming::Answer { id: None, outcome: Err(_) })));
        assert!(matches!(of(r#"{"id":"a","method":"ping"}"#), Some(Incoming::Request { .. })));
        assert!(matches!(
            of(r#"{"method":"notifications/x"}"#),
            Some(Incoming::Notification { .. })
        ));
        assert!(of("{}").is_none() && of("<html>").is_none() && of("[]").is_none());
    }
}

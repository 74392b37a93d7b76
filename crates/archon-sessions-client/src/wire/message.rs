//! JSON-RPC messages: ours are built, theirs are read.

use rmcp::model::{ErrorCode, ErrorData};
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
    /// Reads the messages in a text: one, several of a batch, or none. A byte order mark, bytes that are not UTF-8 and
    /// raw control characters do not hide what is around them.
    pub fn all(text: &[u8]) -> Vec<Self> {
        let text = String::from_utf8_lossy(text);
        let text = text.trim_start_matches('\u{feff}');
        let value = serde_json::from_str(text).or_else(|_| serde_json::from_str(&escaped(text)));
        match value {
            Ok(Value::Array(batch)) => batch.into_iter().filter_map(Self::of).collect(),
            Ok(value) => Self::of(value).into_iter().collect(),
            Err(_) => Vec::new(),
        }
    }

    /// Reads a message that is alone in its text; `None` if it is none.
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::all(text).into_iter().next()
    }

    fn of(value: Value) -> Option<Self> {
        let Value::Object(mut message) = value else { return None };
        let id = message.remove("id").filter(|id| !id.is_null());
        let params = message.remove("params").unwrap_or_default();
        let error = message.remove("error").filter(|error| !error.is_null());
        Some(match (message.remove("method"), error, message.remove("result")) {
            (Some(Value::String(method)), ..) => match id {
                Some(id) => Self::Request { id, method, params },
                None => Self::Notification { method, params },
            },
            (None, Some(error), _) => Self::Answer { id, outcome: Err(read_error(error)) },
            // Present and null is an answer, too.
            (None, None, Some(result)) => Self::Answer { id, outcome: Ok(result) },
            _ => return None,
        })
    }
}

/// Reads an error, however badly it is formed: what is none of the protocol is the text of one.
fn read_error(error: Value) -> ErrorData {
    let internal = ErrorCode::INTERNAL_ERROR;
    let Value::Object(mut error) = error else {
        let text = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
        return ErrorData::new(internal, text, None);
    };
    let code = match error.get("code") {
        Some(Value::Number(code)) => code.as_f64(),
        Some(Value::String(code)) => code.trim().parse().ok(),
        _ => None,
    };
    let in_range = |code: &f64| (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(code);
    #[allow(clippy::cast_possible_truncation)] // It is in range, and codes are whole.
    let code = code.filter(in_range).map_or(internal, |code| ErrorCode(code as i32));
    let message = match error.remove("message") {
        Some(Value::String(message)) => message,
        Some(other) if !other.is_null() => other.to_string(),
        _ => "the server returned an error without a message".to_owned(),
    };
    ErrorData::new(code, message, error.remove("data"))
}

/// Escapes control characters that stand in strings as they are.
fn escaped(text: &str) -> String {
    let mut is_string = false;
    let mut after_backslash = false;
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_string && character < ' ' {
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
            after_backslash = false;
            continue;
        }
        is_string ^= character == '"' && !after_backslash;
        after_backslash = is_string && character == '\\' && !after_backslash;
        escaped.push(character);
    }
    escaped
}

/// Returns whether an id is this number, as a number or as text.
pub(crate) fn names(answered: &Value, id: u64) -> bool {
    match answered {
        Value::String(text) => text.strip_suffix(".0").unwrap_or(text) == id.to_string(),
        // Our ids stay below 2^53.
        #[allow(clippy::cast_precision_loss)]
        Value::Number(number) => number.as_f64() == Some(id as f64),
        _ => false,
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
    fn ids_are_known_again_however_a_server_writes_numbers() {
        // As large as ours get: a reader of floats that rounds twice misses one in three of them.
        for id in [7, 6_810_016_952_083_415, (1 << 53) - 1] {
            for written in
                [format!("{id}"), format!("{id}.0"), format!("\"{id}\""), format!("\"{id}.0\"")]
            {
                assert!(names(&serde_json::from_str(&written).unwrap(), id), "{written}");
            }
            assert!(!names(&json!(id - 1), id));
        }
    }

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
        assert!(of(r#"{"id":1}"#).is_none() && of("7").is_none() && of("[1,null]").is_none());
    }

    #[test]
    fn what_is_written_badly_is_read_where_it_can_mean_one_thing() {
        let text = |text: &[u8]| match Incoming::parse(text) {
            Some(Incoming::Answer { outcome: Ok(result), .. }) => {
                result.as_str().map(str::to_owned)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(text("\u{feff}\n{\"result\":\"a\"}".as_bytes()).as_deref(), Some("a"));
        assert_eq!(text(b"{\"result\":\"a\xffb\"}").as_deref(), Some("a\u{fffd}b"));
        assert_eq!(text(b"{\n\"result\":\"a\nb\\\"c\td\"\n}").as_deref(), Some("a\nb\"c\td"));
        assert_eq!(text(br#"{"result":"a","error":null}"#).as_deref(), Some("a"));
        let batch = br#"[{"method":"notifications/x"},{"id":1,"result":"a"},7]"#;
        assert_eq!(Incoming::all(batch).len(), 2);
    }

    #[test]
    fn an_id_is_a_number_or_its_text() {
        let id = 1 << 52;
        for (text, expected) in [
            ("4503599627370496", true),
            ("4503599627370496.0", true),
            ("\"4503599627370496\"", true),
            ("\"4503599627370496.0\"", true),
            ("4503599627370497", false),
            ("\"04503599627370496\"", false),
            ("true", false),
            ("null", false),
        ] {
            assert_eq!(names(&serde_json::from_str(text).unwrap(), id), expected, "{text}");
        }
    }

    #[test]
    fn an_error_is_one_however_badly_it_is_formed() {
        let of = |error: &str| match Incoming::parse(format!("{{\"error\":{error}}}").as_bytes()) {
            Some(Incoming::Answer { outcome: Err(error), .. }) => {
                (error.code.0, error.message.to_string())
            }
            other => panic!("{other:?}"),
        };
        let boom = |code| (code, "boom".to_owned());
        assert_eq!(of(r#""boom""#), boom(-32603));
        assert_eq!(of(r#"{"message":"boom"}"#), boom(-32603));
        assert_eq!(of(r#"{"code":"-32001","message":"boom"}"#), boom(-32001));
        assert_eq!(of(r#"{"code":1.0,"message":"boom"}"#), boom(1));
        assert_eq!(of(r#"{"code":1e30,"message":"boom"}"#), boom(-32603));
        assert_eq!(of(r#"["boom"]"#).1, r#"["boom"]"#);
    }
}

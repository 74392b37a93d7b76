//! The shape of a server's message: what JSON-RPC requires, and the SDKs' clients drop a message without.
//!
//! | a server writes | becomes |
//! |---|---|
//! | no `jsonrpc`, or another | `"jsonrpc":"2.0"` |
//! | `"result": null` | `{}`: some languages write an empty object so |
//! | a result that is not an object | an error; its `data` has the result |
//! | an error beside a result | the error, unless it says that there is none |
//! | an error that is text, or has no code, a code that is text, no message | an error with all of them |
//! | an id that is neither text nor a number | `null` |
//! | a member twice | the last of them, as in JavaScript and Python |

use archon_sessions::protocol::codes::INTERNAL_ERROR;

use super::object::{Object, text};

/// Servers' messages have five members. One with more than this is not taken apart.
const MEMBERS_MAX: usize = 64;

/// Returns a message in the shape that clients read; `None` if it is not a message.
pub fn shaped(json: &str) -> Option<String> {
    let read = Object::read(json)?;
    if read.members().count() > MEMBERS_MAX {
        return None;
    }
    let mut message = Object::default();
    for (name, value) in read.members() {
        message.remove(|known| known == name);
        message.add(name.to_owned(), value.to_owned());
    }
    message.set("jsonrpc", "\"2.0\"");
    if message.get("method") == Some("null") {
        message.remove(|name| name == "method");
    }
    if message.text("method").is_some() {
        return Some(message.to_string());
    }
    let result = message.get("result").map(str::to_owned);
    let said_null = result.as_deref() == Some("null");
    let error = message.get("error").map(str::to_owned);
    let says_none = |error: &str| matches!(error, "null" | "false" | "\"\"" | "{}" | "[]");
    let error = error.filter(|error| !(says_none(error) && result.is_some()));
    let error = error.filter(|error| error != "null");
    let error = error.map(|error| shaped_error(&error)).or_else(|| {
        let result = result.as_deref().filter(|result| !said_null && !result.starts_with('{'))?;
        Some(format!(
            r#"{{"code":{INTERNAL_ERROR},"message":"the server's result is not an object","data":{{"ran":"yes","result":{result}}}}}"#
        ))
    });
    match error {
        Some(error) => {
            message.remove(|name| name == "result");
            message.set("error", error);
        }
        None if result.is_some() => {
            message.remove(|name| name == "error");
            if said_null {
                message.set("result", "{}");
            }
        }
        None => return None,
    }
    let is_id = |id: &str| id == "null" || id.starts_with(['"', '-']) || starts_with_digit(id);
    if !message.get("id").is_some_and(is_id) {
        message.set("id", "null");
    }
    Some(message.to_string())
}

/// Returns whether an error has all that clients want of it.
pub fn is_error_sound(error: &str) -> bool {
    let Some(error) = Object::read(error) else { return false };
    let code = error.get("code").and_then(|code| code.parse::<i64>().ok());
    code.is_some() && error.text("message").is_some()
}

fn shaped_error(json: &str) -> String {
    let Some(mut error) = Object::read(json) else {
        let message = serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned());
        return format!(r#"{{"code":{INTERNAL_ERROR},"message":{}}}"#, text(&message));
    };
    let said = error.get("code").map(str::to_owned);
    let code = said.as_deref().and_then(code_of);
    if let Some(said) = said.filter(|_| code.is_none())
        && error.get("data").is_none()
    {
        error.set("data", format!(r#"{{"code":{said}}}"#));
    }
    error.set("code", code.unwrap_or(INTERNAL_ERROR).to_string());
    if error.text("message").is_none() {
        let message = text(error.get("message").filter(|said| *said != "null").unwrap_or(json));
        error.set("message", message);
    }
    error.to_string()
}

/// Returns a code that was written as another kind of number, or as text.
fn code_of(json: &str) -> Option<i64> {
    let text = serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned());
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        // Codes beyond 32 bits are not codes.
        let is_whole = number.fract() == 0.0 && number.abs() <= f64::from(i32::MAX);
        is_whole.then(|| format!("{number:.0}").parse().ok())?
    })
}

fn starts_with_digit(json: &str) -> bool {
    json.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_get_the_shape_that_clients_read() {
        let internal = r#""code":-32603"#;
        for (said, meant) in [
            (
                r#"{"id":1,"result":{"x" : 1.0}}"#,
                r#"{"id":1,"result":{"x" : 1.0},"jsonrpc":"2.0"}"#.to_owned(),
            ),
            (
                r#"{"jsonrpc":"1.0","id":1,"result":null,"error":null}"#,
                r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned(),
            ),
            (
                r#"{"jsonrpc":2.0,"id":1,"result":{},"error":""}"#,
                r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned(),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":-1,"message":"m"}}"#,
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"m"}}"#.to_owned(),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":"no"}"#,
                format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{{internal},"message":"no"}}}}"#),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"message":"no","data":7}}"#,
                format!(
                    r#"{{"jsonrpc":"2.0","id":1,"error":{{"message":"no","data":7,{internal}}}}}"#
                ),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":"E1","message":"no"}}"#,
                format!(
                    r#"{{"jsonrpc":"2.0","id":1,"error":{{{internal},"message":"no","data":{{"code":"E1"}}}}}}"#
                ),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":"-32601","message":"no"}}"#,
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#.to_owned(),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601.0,"message":"no"}}"#,
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#.to_owned(),
            ),
            (
                r#"{"jsonrpc":"2.0","id":[1],"error":{"code":-1}}"#,
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"{\"code\":-1}"}}"#
                    .to_owned(),
            ),
            (
                r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"no"}}"#,
                r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"no"},"id":null}"#.to_owned(),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"id":2,"result":{}}"#,
                r#"{"jsonrpc":"2.0","id":2,"result":{}}"#.to_owned(),
            ),
            (
                r#"{"id":1,"method":null,"result":{}}"#,
                r#"{"id":1,"result":{},"jsonrpc":"2.0"}"#.to_owned(),
            ),
            (
                r#"{"id":1,"method":"roots/list","params":{"result":null}}"#,
                r#"{"id":1,"method":"roots/list","params":{"result":null},"jsonrpc":"2.0"}"#
                    .to_owned(),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":"done"}"#,
                format!(
                    r#"{{"jsonrpc":"2.0","id":1,"error":{{{internal},"message":"the server's result is not an object","data":{{"ran":"yes","result":"done"}}}}}}"#
                ),
            ),
        ] {
            assert_eq!(shaped(said).as_deref(), Some(&*meant), "{said}");
        }
    }

    #[test]
    fn what_is_not_a_message_has_no_shape() {
        for said in [
            "",
            "7",
            "[]",
            "{}",
            r#"{"id":1}"#,
            r#"{"level":"info","msg":"hello"}"#,
            r#"{"id":1,"error":null}"#,
        ] {
            assert_eq!(shaped(said), None, "{said}");
        }
    }
}

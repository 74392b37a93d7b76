//! What a modern server says, as a legacy client expects it. Pure.

use archon_sessions::protocol::{codes, legacy};
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::gateway::bridge::META_PREFIX;
use crate::gateway::wire::object::{Object, text};

/// What an answer is to the call.
#[derive(Debug, PartialEq, Eq)]
pub enum Answered {
    /// The answer, for the client.
    Whole(Bytes),
    /// The server wants to know something first.
    Asks(Asked),
    /// A header does not mirror its argument: the tools are not those that we know. It did not run.
    Mismatch,
    /// The server does not speak the modern era, or not any more. It did not run.
    Stranger,
}

/// What a server wants to know (MCP 2026-07-28, Multi Round-Trip Requests).
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// By their keys: each a method, and params as JSON text if it has any.
    pub questions: Vec<(String, Question)>,
    /// What to repeat the call with, as JSON text.
    pub state: Option<String>,
}

/// A question for the client.
#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub method: String,
    /// JSON text.
    pub params: Option<String>,
}

/// Returns what an answer to a call of `method` is; `id` is what the client knows the call by (JSON text).
pub fn answered(message: &[u8], id: &str, method: &str) -> Answered {
    let whole = std::str::from_utf8(message).ok().and_then(Object::read).unwrap_or_default();
    let Some(result) = whole.get("result").and_then(Object::read) else {
        let error = whole.get("error").and_then(Object::read);
        return match error.as_ref().and_then(code_of) {
            Some(codes::HEADER_MISMATCH) => Answered::Mismatch,
            Some(codes::UNSUPPORTED_VERSION) => Answered::Stranger,
            _ => Answered::Whole(error_of(whole, id, method)),
        };
    };
    match result.text("resultType").as_deref() {
        None | Some("complete") => Answered::Whole(success(whole.clone(), result, id, method)),
        Some("input_required") => Answered::Asks(asked(&result)),
        Some(other) => {
            let message = format!(
                "the server answered with a result of type {other:?}, which your protocol version lacks"
            );
            Answered::Whole(failed(id, codes::INTERNAL_ERROR, &message))
        }
    }
}

/// Returns a JSON-RPC error of ours.
pub fn failed(id: &str, code: i64, message: &str) -> Bytes {
    codes::error_message(Some(id), code, message, None).into()
}

fn code_of(error: &Object<'_>) -> Option<i64> {
    error.get("code")?.parse().ok()
}

/// Returns an error of a server's for the client.
pub fn error(message: &[u8], id: &str, method: &str) -> Bytes {
    let whole = std::str::from_utf8(message).ok().and_then(Object::read).unwrap_or_default();
    error_of(whole, id, method)
}

fn error_of(mut whole: Object<'_>, id: &str, method: &str) -> Bytes {
    whole.set("id", id.to_owned());
    let mut error = whole.get("error").and_then(Object::read).unwrap_or_default();
    let is_about_a_uri = || {
        let data = error.get("data").and_then(Object::read);
        data.is_some_and(|data| data.get("uri").is_some())
    };
    // A resource that is not found has a code of its own until 2025-11-25 (Resources, Error Handling).
    let is_invalid = code_of(&error) == Some(codes::INVALID_PARAMS);
    if method == "resources/read" && is_invalid && is_about_a_uri() {
        error.set("code", codes::RESOURCE_NOT_FOUND.to_string());
    }
    let error = error.to_string();
    whole.set("error", error);
    whole.to_string().into()
}

fn success(mut whole: Object<'_>, mut result: Object<'_>, id: &str, method: &str) -> Bytes {
    result.remove(|name| matches!(name, "resultType" | "ttlMs" | "cacheScope"));
    let meta = result.get("_meta").map(without_ours);
    match meta {
        Some(Some(meta)) => result.set("_meta", meta),
        Some(None) => result.remove(|name| name == "_meta"),
        None => {}
    }
    // Until 2025-11-25 it is an object (Tools, Structured Content); the text beside it says the same.
    let structured = result.get("structuredContent");
    if structured.is_some_and(|json| Object::read(json).is_none()) {
        result.remove(|name| name == "structuredContent");
    }
    if method == "tools/list"
        && let Some(tools) = result.get("tools").and_then(legacy_tools)
    {
        result.set("tools", tools);
    }
    whole.set("id", id.to_owned());
    let result = result.to_string();
    whole.set("result", result);
    whole.to_string().into()
}

/// Returns a list of tools without output schemas that describe no object: legacy clients take those for wrong.
/// `None` if there are none of those.
fn legacy_tools(tools: &str) -> Option<String> {
    let tools: Vec<&RawValue> = serde_json::from_str(tools).ok()?;
    let is_odd = |tool: &Object<'_>| {
        let schema = tool.get("outputSchema").and_then(Object::read);
        schema.is_some_and(|schema| schema.get("type") != Some("\"object\""))
    };
    let mut tools: Vec<Object<'_>> = tools.iter().filter_map(|t| Object::read(t.get())).collect();
    if !tools.iter().any(is_odd) {
        return None;
    }
    for tool in tools.iter_mut().filter(|tool| is_odd(tool)) {
        tool.remove(|name| name == "outputSchema");
    }
    let tools: Vec<String> = tools.iter().map(Object::to_string).collect();
    Some(format!("[{}]", tools.join(",")))
}

/// Returns `_meta` without what only the modern era has in it; `None` if nothing is left.
fn without_ours(meta: &str) -> Option<String> {
    let mut meta = Object::read(meta)?;
    meta.remove(|name| name.starts_with(META_PREFIX));
    (!meta.is_empty()).then(|| meta.to_string())
}

fn asked(result: &Object<'_>) -> Asked {
    let requests = result.get("inputRequests").and_then(Object::read).unwrap_or_default();
    let question = |(key, request): (&str, &str)| {
        let request = Object::read(request)?;
        let params = request.get("params").map(str::to_owned);
        Some((key.to_owned(), Question { method: request.text("method")?, params }))
    };
    Asked {
        questions: requests.members().filter_map(question).collect(),
        state: result.get("requestState").map(str::to_owned),
    }
}

/// Returns a notification without what ties it to a stream of the modern era.
pub fn news(message: &Bytes) -> Bytes {
    let json = std::str::from_utf8(message).unwrap_or_default();
    if !json.contains(META_PREFIX) {
        return message.clone();
    }
    let Some(mut whole) = Object::read(json) else { return message.clone() };
    let Some(mut params) = whole.get("params").and_then(Object::read) else {
        return message.clone();
    };
    match params.get("_meta").map(without_ours) {
        Some(Some(meta)) => params.set("_meta", meta),
        Some(None) => params.remove(|name| name == "_meta"),
        None => {}
    }
    if params.is_empty() {
        whole.remove(|name| name == "params");
    } else {
        let params = params.to_string();
        whole.set("params", params);
    }
    whole.to_string().into()
}

/// Returns the version to speak with a client that asked for this one (MCP 2025-11-25, Lifecycle, Version
/// Negotiation).
pub fn negotiated(asked: &str) -> &'static str {
    let known = legacy::VERSIONS.iter().find(|version| **version == asked);
    known.copied().unwrap_or(legacy::VERSIONS[0])
}

/// Returns the result of `initialize` that says what the result of `server/discover` said; `None` if that was none.
pub fn initialized(discovered: &str, version: &str, upstream: &str) -> Option<String> {
    let discovered = Object::read(discovered)?;
    let mut capabilities = discovered.get("capabilities").and_then(Object::read)?;
    // The eras' tasks are two protocols, and extensions are of the modern one.
    capabilities.remove(|name| matches!(name, "tasks" | "extensions"));
    let meta = discovered.get("_meta").and_then(Object::read).unwrap_or_default();
    let info = meta.get("io.modelcontextprotocol/serverInfo").or(discovered.get("serverInfo"));
    let nameless = || format!(r#"{{"name":{},"version":"unknown"}}"#, text(upstream));
    let mut result = Object::default();
    result.set("protocolVersion", text(version));
    result.set("capabilities", capabilities.to_string());
    result.set("serverInfo", info.map_or_else(nameless, str::to_owned));
    if let Some(instructions) = discovered.get("instructions") {
        result.set("instructions", instructions);
    }
    Some(result.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(message: &str, method: &str) -> String {
        match answered(message.as_bytes(), "7", method) {
            Answered::Whole(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn results_lose_what_only_the_modern_era_has() {
        let modern = r#"{"jsonrpc":"2.0","id":"x","result":{"resultType":"complete","tools":[{"name" : "a"}],"ttlMs":0,
            "cacheScope":"private","own":50.0,"_meta":{"io.modelcontextprotocol/serverInfo":{},"k":1}}}"#;
        let legacy = r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name" : "a"}],"own":50.0,"_meta":{"k":1}}}"#;
        assert_eq!(whole(modern, "tools/list"), legacy);
        let modern = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":[1],"_meta":{"io.modelcontextprotocol/a":1}}}"#;
        assert_eq!(
            whole(modern, "tools/call"),
            r#"{"jsonrpc":"2.0","id":7,"result":{"content":[]}}"#
        );
        let modern = r#"{"id":1,"result":{"tools":[{"name":"a","outputSchema":{"type":"array"}},{"name":"b","outputSchema":{"type":"object"}}]}}"#;
        let legacy = r#"{"id":7,"result":{"tools":[{"name":"a"},{"name":"b","outputSchema":{"type":"object"}}]}}"#;
        assert_eq!(whole(modern, "tools/list"), legacy);
    }

    #[test]
    fn errors_keep_what_they_say() {
        let modern = r#"{"id":1,"error":{"code":-32602,"message":"no","data":{"uri":"a:b"}}}"#;
        let legacy = r#"{"id":7,"error":{"code":-32002,"message":"no","data":{"uri":"a:b"}}}"#;
        assert_eq!(whole(modern, "resources/read"), legacy);
        assert_eq!(whole(modern, "tools/call"), modern.replace("\"id\":1", "\"id\":7"));
        let of = |code: i64| {
            let error = format!(r#"{{"id":1,"error":{{"code":{code},"message":""}}}}"#);
            answered(error.as_bytes(), "1", "tools/call")
        };
        assert_eq!(of(-32020), Answered::Mismatch);
        assert_eq!(of(-32022), Answered::Stranger);
        assert!(matches!(of(-32021), Answered::Whole(_)));
        let task = r#"{"id":1,"result":{"resultType":"task","taskId":"t"}}"#;
        assert!(whole(task, "tools/call").contains("-32603"));
    }

    #[test]
    fn questions_are_read() {
        let asks = r#"{"id":1,"result":{"resultType":"input_required","requestState":"s",
            "inputRequests":{"who":{"method":"elicitation/create","params":{"x" : 1}},"roots":{"method":"roots/list"}}}}"#;
        let Answered::Asks(asked) = answered(asks.as_bytes(), "1", "tools/call") else { panic!() };
        assert_eq!(asked.state.as_deref(), Some("\"s\""));
        let (elicit, roots) = (&asked.questions[0], &asked.questions[1]);
        assert_eq!((&*elicit.0, &*elicit.1.method), ("who", "elicitation/create"));
        assert_eq!(elicit.1.params.as_deref(), Some(r#"{"x" : 1}"#));
        assert_eq!((&*roots.1.method, &roots.1.params), ("roots/list", &None));
    }

    #[test]
    fn a_handshake_is_answered_from_what_was_discovered() {
        let discovered = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"instructions":"do",
            "capabilities":{"tools":{"listChanged":true},"extensions":{"x":{}},"logging":{}},
            "_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}"#;
        let expected = r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true},"logging":{}},"serverInfo":{"name":"s","version":"1"},"instructions":"do"}"#;
        assert_eq!(initialized(discovered, "2025-06-18", "up").as_deref(), Some(expected));
        let nameless = initialized(r#"{"capabilities":{}}"#, "2025-06-18", "up").unwrap();
        assert!(nameless.contains(r#""name":"up""#), "{nameless}");
        assert_eq!(initialized("{}", "2025-06-18", "up"), None);
        for (asked, spoken) in [
            ("2025-03-26", "2025-03-26"),
            ("2026-07-28", "2025-11-25"),
            ("1999-01-01", "2025-11-25"),
        ] {
            assert_eq!(negotiated(asked), spoken);
        }
    }

    #[test]
    fn news_lose_their_subscription() {
        let modern = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:b","_meta":{"io.modelcontextprotocol/subscriptionId":"1"}}}"#;
        let legacy = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:b"}}"#;
        assert_eq!(news(&Bytes::from(modern)), legacy);
        let modern =
            r#"{"method":"n","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"1"}}}"#;
        assert_eq!(news(&Bytes::from(modern)), r#"{"method":"n"}"#);
        let other = r#"{"method":"n","params":{ "_meta":{"a":1}}}"#;
        assert_eq!(news(&Bytes::from(other)), other);
    }
}

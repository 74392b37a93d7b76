//! What a legacy server says, as a modern client expects it. Pure.

use archon_sessions::protocol::codes;
use archon_sessions::session::Era;
use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use serde_json::value::to_raw_value;

use crate::gateway::wire::object::{Object, text};

/// The `_meta` key that says which server answered.
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// The `_meta` key that ties a message to its subscription.
const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// Returns the result of `server/discover` that says what the result of `initialize` said.
pub fn discovered(initialized: &str) -> String {
    let initialized = Object::read(initialized).unwrap_or_default();
    let capabilities = initialized.get("capabilities").and_then(Object::read);
    let mut capabilities = capabilities.unwrap_or_default();
    capabilities.remove(|name| name == "tasks");
    let mut result = Object::default();
    result.set("resultType", "\"complete\"");
    result.set("supportedVersions", format!("[{}]", text(Era::MODERN_SINCE)));
    result.set("capabilities", capabilities.to_string());
    if let Some(instructions) = initialized.get("instructions") {
        result.set("instructions", instructions);
    }
    not_cached(&mut result);
    if let Some(info) = initialized.get("serverInfo") {
        let mut meta = Object::default();
        meta.set(SERVER_INFO, info);
        result.set("_meta", meta.to_string());
    }
    result.to_string()
}

/// Returns an answer for the client, and the HTTP status that it has; `id` is what the client knows the call by (JSON
/// text), `initialized` the server's handshake.
pub fn answer(message: &[u8], id: &str, method: &str, initialized: &str) -> (StatusCode, Bytes) {
    let mut whole = std::str::from_utf8(message).ok().and_then(Object::read).unwrap_or_default();
    whole.set("id", id.to_owned());
    let Some(mut result) = whole.get("result").and_then(Object::read) else {
        return error(whole);
    };
    if result.get("resultType").is_none() {
        result.set("resultType", "\"complete\"");
    }
    if is_cacheable(method) {
        not_cached(&mut result);
    }
    let mut meta = result.get("_meta").and_then(Object::read).unwrap_or_default();
    let initialized = Object::read(initialized).unwrap_or_default();
    if let Some(info) = initialized.get("serverInfo") {
        meta.set(SERVER_INFO, info);
    }
    if !meta.is_empty() {
        let meta = meta.to_string();
        result.set("_meta", meta);
    }
    let result = result.to_string();
    whole.set("result", result);
    (StatusCode::OK, whole.to_string().into())
}

fn error(mut whole: Object<'_>) -> (StatusCode, Bytes) {
    let mut error = whole.get("error").and_then(Object::read).unwrap_or_default();
    // A resource that is not found has no code of its own any more (MCP 2026-07-28, Resources).
    let code = error.get("code").and_then(|code| code.parse().ok());
    if code == Some(codes::RESOURCE_NOT_FOUND) {
        error.set("code", codes::INVALID_PARAMS.to_string());
    }
    let error = error.to_string();
    whole.set("error", error);
    (codes::modern_status(code), whole.to_string().into())
}

/// Returns the answer that asks the client something: `requests` is JSON text.
pub fn input_required(id: &str, requests: &str, state: &str) -> Bytes {
    let state = text(state);
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"input_required","inputRequests":{requests},"requestState":{state}}}}}"#
    )
    .into()
}

/// Returns the error for a client that cannot be asked this , and its status.
pub fn missing_capability(id: &str, capability: &str) -> (StatusCode, Bytes) {
    let message = format!("the server asked for `{capability}`, which the client did not declare");
    let data = to_raw_value(&json!({ "requiredCapabilities": { (capability): {} } })).ok();
    let code = codes::MISSING_CAPABILITY;
    let error = codes::error_message(Some(id), code, &message, data.as_deref());
    (codes::modern_status(Some(code)), error.into())
}

/// Returns the capability that a client must have to be asked something; `None` for what clients are not asked.
pub fn capability_for(method: &str) -> Option<&'static str> {
    match method {
        "elicitation/create" => Some("elicitation"),
        "sampling/createMessage" => Some("sampling"),
        "roots/list" => Some("roots"),
        _ => None,
    }
}

/// Returns whether a call of this method may ask something (MCP 2026-07-28, Multi Round-Trip Requests).
pub fn may_ask(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}

/// Returns a notification with its subscription's id (JSON text).
pub fn news(message: &[u8], subscription: &str) -> Bytes {
    let mut whole = std::str::from_utf8(message).ok().and_then(Object::read).unwrap_or_default();
    let mut params = whole.get("params").and_then(Object::read).unwrap_or_default();
    let mut meta = params.get("_meta").and_then(Object::read).unwrap_or_default();
    meta.set(SUBSCRIPTION_ID, subscription.to_owned());
    let meta = meta.to_string();
    params.set("_meta", meta);
    let params = params.to_string();
    whole.set("params", params);
    whole.to_string().into()
}

/// Returns the first message on a subscription: what of it is told of (JSON text).
pub fn acknowledged(filter: &str, subscription: &str) -> Bytes {
    let whole = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"notifications":{filter}}}}}"#
    );
    news(whole.as_bytes(), subscription)
}

/// Results that say for how long they are good (MCP 2026-07-28, Caching).
fn is_cacheable(method: &str) -> bool {
    matches!(
        method,
        "tools/list"
            | "prompts/list"
            | "resources/list"
            | "resources/templates/list"
            | "resources/read"
    )
}

/// A legacy server does not say for how long what it says is good.
fn not_cached(result: &mut Object<'_>) {
    for (name, json) in [("ttlMs", "0"), ("cacheScope", "\"private\"")] {
        if result.get(name).is_none() {
            result.set(name, json);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIALIZED: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"tasks":{}},"serverInfo":{"name":"s","version":"1"},"instructions":"do"}"#;

    #[test]
    fn results_say_what_the_modern_era_requires() {
        let legacy =
            r#"{"jsonrpc":"2.0","id":"w","result":{"tools":[{"x" : 1.0}],"_meta":{"a":1}}}"#;
        let modern = r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"x" : 1.0}],"_meta":{"a":1,"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}},"resultType":"complete","ttlMs":0,"cacheScope":"private"}}"#;
        assert_eq!(
            answer(legacy.as_bytes(), "7", "tools/list", INITIALIZED),
            (StatusCode::OK, Bytes::from(modern))
        );
        let (_, called) = answer(br#"{"id":1,"result":{}}"#, "7", "tools/call", "{}");
        assert_eq!(called, r#"{"id":7,"result":{"resultType":"complete"}}"#);
        let discovered = discovered(INITIALIZED);
        assert_eq!(
            discovered,
            r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}},"instructions":"do","ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}"#
        );
    }

    #[test]
    fn errors_have_the_modern_eras_codes_and_statuses() {
        for (legacy, modern, status) in
            [(-32002, -32602, 200), (-32601, -32601, 404), (-32021, -32021, 400), (-1, -1, 200)]
        {
            let error = format!(r#"{{"id":1,"error":{{"code":{legacy},"message":"m"}}}}"#);
            let (given, error) = answer(error.as_bytes(), "7", "tools/call", INITIALIZED);
            assert_eq!(error, format!(r#"{{"id":7,"error":{{"code":{modern},"message":"m"}}}}"#));
            assert_eq!(given, status);
        }
    }

    #[test]
    fn news_belong_to_their_subscription() {
        let legacy = br#"{"method":"notifications/resources/updated","params":{"uri":"a:b"}}"#;
        let modern = r#"{"method":"notifications/resources/updated","params":{"uri":"a:b","_meta":{"io.modelcontextprotocol/subscriptionId":7}}}"#;
        assert_eq!(news(legacy, "7"), modern);
        assert!(acknowledged("{}", "\"x\"").ends_with(
            br#"{"notifications":{},"_meta":{"io.modelcontextprotocol/subscriptionId":"x"}}}"#
        ));
    }
}

//! The headers that a modern request repeats its body in (MCP 2026-07-28, Transports).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(crate) const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const X_ARCHON_SESSION_ID: HeaderName = HeaderName::from_static("x-archon-session-id");
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const PARAM: &str = "mcp-param-";

/// Adds what repeats a request: its method, what it names, and the arguments that its tool's schema names headers for.
pub(crate) fn mirror(
    headers: &mut HeaderMap,
    method: &str,
    params: &Value,
    schema: Option<&Map<String, Value>>,
) {
    insert(headers, METHOD, method);
    let named = match method {
        "tools/call" | "prompts/get" => params.get("name"),
        "resources/read" => params.get("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => params.get("taskId"),
        _ => None,
    };
    if let Some(Value::String(named)) = named {
        insert(headers, NAME, named);
    }
    if let (Some(schema), Some(arguments)) = (schema, params.get("arguments")) {
        mirror_properties(headers, schema.get("properties"), arguments);
    }
}

/// Annotations count where they are reached through `properties` only.
fn mirror_properties(headers: &mut HeaderMap, properties: Option<&Value>, arguments: &Value) {
    let Some(Value::Object(properties)) = properties else { return };
    for (name, schema) in properties {
        let Some(value) = arguments.get(name) else { continue };
        if let Some(Value::String(header)) = schema.get("x-mcp-header")
            && let Ok(header) = HeaderName::try_from(format!("{PARAM}{header}"))
        {
            match value {
                Value::String(text) => insert(headers, header, text),
                Value::Bool(_) | Value::Number(_) => insert(headers, header, &value.to_string()),
                Value::Null | Value::Array(_) | Value::Object(_) => {}
            }
        }
        mirror_properties(headers, schema.get("properties"), value);
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::try_from(encode(text)) {
        headers.insert(name, value);
    }
}

/// Text that could not cross as it is crosses as `=?base64?…?=`.
fn encode(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) && text.trim() == text;
    let looks_encoded = text.starts_with("=?base64?") && text.ends_with("?=");
    match is_plain && !looks_encoded {
        true => text.to_owned(),
        false => format!("=?base64?{}?=", BASE64_STANDARD.encode(text)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_repeats_its_method_name_and_marked_arguments() {
        let schema = json!({ "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "priority": { "type": "integer", "x-mcp-header": "Priority" },
            "dry": { "type": "boolean", "x-mcp-header": "Dry" },
            "absent": { "type": "string", "x-mcp-header": "Absent" },
            "nothing": { "type": "string", "x-mcp-header": "Nothing" },
            "place": { "properties": { "city": { "type": "string", "x-mcp-header": "City" } } },
            "secret": { "type": "string" },
        } });
        let params = json!({ "name": "deploy", "arguments": {
            "region": "eu", "priority": 3, "dry": false, "nothing": null, "place": { "city": "Köln" }, "secret": "s",
        } });
        let mut headers = HeaderMap::new();
        mirror(&mut headers, "tools/call", &params, schema.as_object());
        let mut seen: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        seen.sort();
        assert_eq!(
            seen,
            [
                "mcp-method: tools/call",
                "mcp-name: deploy",
                "mcp-param-city: =?base64?S8O2bG4=?=",
                "mcp-param-dry: false",
                "mcp-param-priority: 3",
                "mcp-param-region: eu",
            ]
        );
    }

    #[test]
    fn only_what_could_be_misread_is_encoded() {
        assert_eq!(encode("a b"), "a b");
        assert_eq!(encode(""), "");
        for odd in [" a", "a ", "a\nb", "ä", "=?base64?YQ==?="] {
            assert!(encode(odd).starts_with("=?base64?"), "{odd:?}");
        }
    }
}

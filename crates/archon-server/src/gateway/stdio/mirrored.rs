//! `Mcp-Param-*`: headers that mirror a tool's arguments, as its schema wants (MCP 2026-07-28, Transports,
//! Custom Headers). A server over HTTP checks them; one on stdio never sees them, so that is done here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Tools whose arguments are mirrored; servers have tens of tools.
const TOOLS_MAX: usize = 10_000;
/// Schemas nest a few levels; JSON that nests deeper than this was refused before.
const DEPTH_MAX: usize = 128;

/// What is known of an upstream's tools.
#[derive(Debug, Default)]
pub struct Mirrored {
    /// `None` until they were listed. Held for single operations, never across an await.
    tools: Mutex<Option<HashMap<String, Vec<Mirror>>>>,
}

/// An argument and the header that mirrors it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mirror {
    header: HeaderName,
    path: Vec<String>,
}

/// A page of `tools/list`.
#[derive(Deserialize)]
struct Page {
    result: Tools,
}

#[derive(Deserialize)]
struct Tools {
    tools: Vec<Tool>,
    #[serde(rename = "nextCursor")]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Tool {
    name: String,
    #[serde(rename = "inputSchema", default)]
    input_schema: Map<String, Value>,
}

/// What a call says of itself.
#[derive(Deserialize)]
struct Call {
    name: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

impl Mirrored {
    /// Returns whether the tools were listed.
    pub fn is_known(&self) -> bool {
        self.tools().is_some()
    }

    /// Learns from a page of `tools/list`; returns the cursor of the next one.
    pub fn learn(&self, answer: &[u8]) -> Option<String> {
        let Page { result } = serde_json::from_slice(answer).ok()?;
        let mut tools = self.tools();
        let known = tools.get_or_insert_default();
        for Tool { name, input_schema } in result.tools {
            let mirrors = mirrors(&input_schema);
            if mirrors.is_empty() {
                known.remove(&name);
            } else if known.len() < TOOLS_MAX {
                known.insert(name, mirrors);
            }
        }
        result.next_cursor
    }

    /// Notes that the tools could not be listed, so that this is not tried with every call.
    pub fn give_up(&self) {
        self.tools().get_or_insert_default();
    }

    /// Checks the headers of a call against its `params`.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn check(&self, headers: &HeaderMap, params: &str) -> Result<(), String> {
        let tools = self.tools();
        let Some(tools) = tools.as_ref().filter(|tools| !tools.is_empty()) else { return Ok(()) };
        let Ok(call) = serde_json::from_str::<Call>(params) else { return Ok(()) };
        for mirror in tools.get(&call.name).into_iter().flatten() {
            let value = value_at(&call.arguments, &mirror.path);
            if !mirror.agrees(headers, value) {
                let path = mirror.path.join(".");
                return Err(format!(
                    "header `{}` is missing or does not match `params.arguments.{path}` in the body",
                    mirror.header
                ));
            }
        }
        Ok(())
    }

    /// Returns the headers that mirror the arguments of a call with these `params`.
    pub fn headers(&self, params: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let tools = self.tools();
        let Some(tools) = tools.as_ref().filter(|tools| !tools.is_empty()) else { return headers };
        let Ok(call) = serde_json::from_str::<Call>(params) else { return headers };
        for mirror in tools.get(&call.name).into_iter().flatten() {
            let value = match value_at(&call.arguments, &mirror.path) {
                Some(Value::String(value)) => header_value(value),
                Some(Value::Bool(value)) => header_value(&value.to_string()),
                Some(Value::Number(value)) => header_value(&value.to_string()),
                Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => None,
            };
            if let Some(value) = value {
                headers.insert(mirror.header.clone(), value);
            }
        }
        headers
    }

    fn tools(&self) -> MutexGuard<'_, Option<HashMap<String, Vec<Mirror>>>> {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mirror {
    fn agrees(&self, headers: &HeaderMap, value: Option<&Value>) -> bool {
        let mut sent = headers.get_all(&self.header).iter();
        let (first, second) = (sent.next(), sent.next());
        let (Some(first), None) = (first, second) else {
            // Omitted, and rightly so if there is nothing to mirror; or there twice.
            return first.is_none() && !is_mirrored(value);
        };
        let Some(text) = first.to_str().ok().and_then(decoded) else { return false };
        match value {
            Some(Value::String(value)) => text == *value,
            Some(Value::Bool(value)) => text == value.to_string(),
            Some(Value::Number(value)) => {
                // By value, since a client may write 7 as 7.0 in one place.
                let sent: Option<serde_json::Number> = text.parse().ok();
                sent.is_some_and(|sent| sent == *value || sent.as_f64() == value.as_f64())
            }
            Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => false,
        }
    }
}

fn is_mirrored(value: Option<&Value>) -> bool {
    matches!(value, Some(Value::String(_) | Value::Bool(_) | Value::Number(_)))
}

/// Returns a text as the value of a header that mirrors it: `=?base64?…?=` where it would be unsafe as it is.
pub fn header_value(text: &str) -> Option<HeaderValue> {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && text.trim() == text
        && !(text.starts_with("=?base64?") && text.ends_with("?="));
    let encoded = || format!("=?base64?{}?=", BASE64_STANDARD.encode(text));
    if is_plain { HeaderValue::from_str(text) } else { HeaderValue::try_from(encoded()) }.ok()
}

/// Decodes `=?base64?…?=`, the form of values that are unsafe in a header; `None` if it is not well formed.
fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(inner) => String::from_utf8(BASE64_STANDARD.decode(inner).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

fn value_at<'a>(arguments: &'a Map<String, Value>, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(arguments.get(first)?, |value, key| value.get(key))
}

/// Finds annotations that are reachable through `properties` only; others have no meaning.
fn mirrors(schema: &Map<String, Value>) -> Vec<Mirror> {
    let (mut found, mut next) = (Vec::new(), vec![(Vec::new(), schema)]);
    while let Some((path, schema)) = next.pop() {
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let Some(property) = property.as_object() else { continue };
            let path = [path.as_slice(), std::slice::from_ref(name)].concat();
            let header = property.get("x-mcp-header").and_then(Value::as_str);
            let header = header.and_then(|header| format!("mcp-param-{header}").parse().ok());
            if let Some(header) = header {
                found.push(Mirror { header, path: path.clone() });
            }
            if path.len() < DEPTH_MAX {
                next.push((path, property));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned() -> Mirrored {
        let mirrored = Mirrored::default();
        let page = r#"{"id":1,"result":{"nextCursor":"c","tools":[{"name":"plain"},{"name":"t","inputSchema":
            {"properties":{"region":{"type":"string","x-mcp-header":"Region"},
            "deep":{"properties":{"n":{"type":"integer","x-mcp-header":"N"}}},
            "off":{"items":{"x-mcp-header":"Off"}}}}}]}}"#;
        assert_eq!(mirrored.learn(page.as_bytes()).as_deref(), Some("c"));
        mirrored
    }

    fn check(headers: &[(&'static str, &str)], arguments: &str) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let params = format!(r#"{{"name":"t","arguments":{arguments}}}"#);
        learned().check(&headers, &params).is_ok()
    }

    #[test]
    fn headers_that_we_make_mirror_arguments() {
        for arguments in [
            r#"{"region":"eu"}"#,
            r#"{"region":"grüß"}"#,
            r#"{"region":" eu"}"#,
            r#"{"region":"=?base64?x?="}"#,
            r#"{"region":"","deep":{"n":7}}"#,
            r#"{"region":null,"other":"x"}"#,
        ] {
            let params = format!(r#"{{"name":"t","arguments":{arguments}}}"#);
            let headers = learned().headers(&params);
            assert!(learned().check(&headers, &params).is_ok(), "{headers:?} {arguments}");
        }
        assert_eq!(header_value("a b").unwrap(), "a b");
        assert_eq!(header_value("grüß").unwrap(), "=?base64?Z3LDvMOf?=");
    }

    #[test]
    fn headers_must_mirror_arguments() {
        let region = ("mcp-param-region", "eu");
        assert!(check(&[], "{}"));
        assert!(check(&[], r#"{"region":null}"#));
        assert!(check(&[region], r#"{"region":"eu"}"#));
        assert!(check(&[("mcp-param-region", "=?base64?Z3LDvMOf?=")], r#"{"region":"grüß"}"#));
        assert!(check(&[("mcp-param-n", "7")], r#"{"deep":{"n":7}}"#));
        assert!(check(&[("mcp-param-off", "x"), ("mcp-param-other", "x")], "{}"));
        for (headers, arguments) in [
            (vec![], r#"{"region":"eu"}"#),
            (vec![region], "{}"),
            (vec![region], r#"{"region":"us"}"#),
            (vec![region, region], r#"{"region":"eu"}"#),
            (vec![("mcp-param-region", "=?base64?!?=")], r#"{"region":"eu"}"#),
            (vec![("mcp-param-n", "x")], r#"{"deep":{"n":7}}"#),
        ] {
            assert!(!check(&headers, arguments), "{headers:?} {arguments}");
        }
    }

    #[test]
    fn a_tool_may_change_its_mind() {
        let mirrored = learned();
        let headers = HeaderMap::new();
        let call = r#"{"name":"t","arguments":{"region":"eu"}}"#;
        assert!(mirrored.check(&headers, call).is_err());
        mirrored.learn(br#"{"id":1,"result":{"tools":[{"name":"t","inputSchema":{}}]}}"#);
        assert!(mirrored.check(&headers, call).is_ok());
        assert!(Mirrored::default().check(&headers, call).is_ok());
    }
}

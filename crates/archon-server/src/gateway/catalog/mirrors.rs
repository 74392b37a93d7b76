//! `Mcp-Param-*`: headers that mirror a tool's arguments, as its schema wants (MCP 2026-07-28, Transports,
//! Custom Headers). A server over HTTP checks them; one on stdio never sees them, so that is done here.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Schemas nest a few levels; JSON that nests deeper than this was refused before.
const DEPTH_MAX: usize = 128;

/// An argument and the header that mirrors it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    header: HeaderName,
    path: Vec<String>,
}

/// What a call says of its arguments.
#[derive(Default, Deserialize)]
struct Call {
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// Checks the headers of a call against its `params` (JSON text).
///
/// # Errors
/// With what is wrong.
pub fn check(mirrors: &[Mirror], headers: &HeaderMap, params: &str) -> Result<(), String> {
    let Ok(call) = serde_json::from_str::<Call>(params) else { return Ok(()) };
    for mirror in mirrors {
        if !mirror.agrees(headers, value_at(&call.arguments, &mirror.path)) {
            let path = mirror.path.join(".");
            return Err(format!(
                "header `{}` is missing or does not match `params.arguments.{path}` in the body",
                mirror.header
            ));
        }
    }
    Ok(())
}

/// Returns the headers that mirror the arguments of a call with these `params` (JSON text).
pub fn headers(mirrors: &[Mirror], params: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Ok(call) = serde_json::from_str::<Call>(params) else { return headers };
    for mirror in mirrors {
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

/// Returns what an `inputSchema` (JSON text) wants mirrored: annotations that are reachable through `properties` only;
/// others have no meaning.
pub fn of_schema(schema: &str) -> Vec<Mirror> {
    // Most schemas have none, and need not be taken apart.
    if !schema.contains("x-mcp-header") {
        return Vec::new();
    }
    let Ok(schema) = serde_json::from_str::<Map<String, Value>>(schema) else { return Vec::new() };
    let (mut found, mut next) = (Vec::new(), vec![(Vec::new(), &schema)]);
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

    fn mirrors() -> Vec<Mirror> {
        of_schema(
            r#"{"properties":{"region":{"type":"string","x-mcp-header":"Region"},
            "deep":{"properties":{"n":{"type":"integer","x-mcp-header":"N"}}},
            "off":{"items":{"x-mcp-header":"Off"}}}}"#,
        )
    }

    fn agrees(sent: &[(&'static str, &str)], arguments: &str) -> bool {
        let sent = sent
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let params = format!(r#"{{"name":"t","arguments":{arguments}}}"#);
        check(&mirrors(), &sent, &params).is_ok()
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
            let made = headers(&mirrors(), &params);
            assert!(check(&mirrors(), &made, &params).is_ok(), "{made:?} {arguments}");
        }
        assert_eq!(header_value("a b").unwrap(), "a b");
        assert_eq!(header_value("grüß").unwrap(), "=?base64?Z3LDvMOf?=");
    }

    #[test]
    fn headers_must_mirror_arguments() {
        let region = ("mcp-param-region", "eu");
        assert!(agrees(&[], "{}"));
        assert!(agrees(&[], r#"{"region":null}"#));
        assert!(agrees(&[region], r#"{"region":"eu"}"#));
        assert!(agrees(&[("mcp-param-region", "=?base64?Z3LDvMOf?=")], r#"{"region":"grüß"}"#));
        assert!(agrees(&[("mcp-param-n", "7")], r#"{"deep":{"n":7}}"#));
        assert!(agrees(&[("mcp-param-off", "x"), ("mcp-param-other", "x")], "{}"));
        for (sent, arguments) in [
            (vec![], r#"{"region":"eu"}"#),
            (vec![region], "{}"),
            (vec![region], r#"{"region":"us"}"#),
            (vec![region, region], r#"{"region":"eu"}"#),
            (vec![("mcp-param-region", "=?base64?!?=")], r#"{"region":"eu"}"#),
            (vec![("mcp-param-n", "x")], r#"{"deep":{"n":7}}"#),
        ] {
            assert!(!agrees(&sent, arguments), "{sent:?} {arguments}");
        }
    }
}

//! What is particular to the modern era, 2026-07-28 and later: requests that describe themselves.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::HeaderName;

use super::envelope::Envelope;
use super::names::{MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION, meta};

/// Why a modern request is refused before it goes anywhere (MCP 2026-07-28, Transports).
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A header is missing or unlike the body: -32020.
    #[error("header `{header}` is missing or does not match `{field}` in the body")]
    Header {
        /// The header, in its usual spelling.
        header: &'static str,
        /// What it mirrors.
        field: &'static str,
    },
    /// A method that the era removed: -32601, as for one that never was.
    #[error("method `{0}` does not exist in this protocol version")]
    Removed(&'static str),
    /// A required `_meta` key is missing: -32602.
    #[error("`params._meta` lacks the required key `{0}`")]
    Meta(&'static str),
}

/// Checks the mirrored headers against the body, and that the required `_meta` is there.
///
/// `Mcp-Param-*` mirror a tool's arguments by the tool's own schema; who knows the schema checks them.
///
/// # Errors
/// See [`Invalid`].
pub fn validate(headers: &HeaderMap, envelope: &Envelope) -> Result<(), Invalid> {
    let is_request = envelope.request_id().is_some();
    match &envelope.meta.protocol_version {
        Some(version) => mirrors(
            headers,
            &MCP_PROTOCOL_VERSION,
            ("MCP-Protocol-Version", "_meta protocolVersion"),
            version,
        )?,
        None if is_request => return Err(Invalid::Meta(meta::PROTOCOL_VERSION)),
        None => {}
    }
    if is_request && envelope.meta.client_capabilities.is_none() {
        return Err(Invalid::Meta(meta::CLIENT_CAPABILITIES));
    }
    // A server of both eras could take this one for a handshake, and make a session that nobody has.
    if &*envelope.method == "initialize" {
        return Err(Invalid::Removed("initialize"));
    }
    mirrors(headers, &MCP_METHOD, ("Mcp-Method", "method"), &envelope.method)?;
    if let Some(target) = mirrored_target(envelope) {
        let field = match &*envelope.method {
            "resources/read" => "params.uri",
            "tools/call" | "prompts/get" => "params.name",
            _ => "params.taskId",
        };
        mirrors(headers, &MCP_NAME, ("Mcp-Name", field), target)?;
    }
    Ok(())
}

/// `Mcp-Name` mirrors the target of these methods only.
fn mirrored_target(envelope: &Envelope) -> Option<&str> {
    match &*envelope.method {
        "tools/call" | "prompts/get" | "resources/read" | "tasks/get" | "tasks/update"
        | "tasks/cancel" => envelope.target.as_deref(),
        _ => None,
    }
}

fn mirrors(
    headers: &HeaderMap,
    name: &HeaderName,
    (header, field): (&'static str, &'static str),
    body: &str,
) -> Result<(), Invalid> {
    let mut values = headers.get_all(name).iter();
    let is_same = match (values.next(), values.next()) {
        (Some(value), None) => {
            value.as_bytes().trim_ascii() == body.as_bytes()
                || decoded(value.as_bytes()).is_some_and(|text| text == body.as_bytes())
        }
        _ => false,
    };
    if is_same { Ok(()) } else { Err(Invalid::Header { header, field }) }
}

/// Decodes `=?base64?…?=`, the form of values that are unsafe in a header.
fn decoded(value: &[u8]) -> Option<Vec<u8>> {
    let inner = value.trim_ascii().strip_prefix(b"=?base64?")?.strip_suffix(b"?=")?;
    BASE64_STANDARD.decode(inner).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;

    use super::*;
    use crate::protocol::Message;

    fn check(headers: &[(&'static str, &str)], body: &str) -> Result<(), Invalid> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_str(v).unwrap()))
            .collect();
        let message = Message::parse(&Bytes::copy_from_slice(body.as_bytes())).unwrap();
        validate(&headers, &message.envelopes()[0])
    }

    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"grüß",
        "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
        "io.modelcontextprotocol/clientCapabilities":{}}}}"#;

    #[test]
    fn headers_must_say_what_the_body_says() {
        let version = ("mcp-protocol-version", "2026-07-28");
        let method = ("mcp-method", "tools/call");
        let name = ("mcp-name", "=?base64?Z3LDvMOf?=");
        assert_eq!(check(&[version, method, name], CALL), Ok(()));
        for headers in [
            vec![method, name],
            vec![version, name],
            vec![version, method],
            vec![version, ("mcp-method", "tools/list"), name],
            vec![version, method, ("mcp-name", "=?base64?!?=")],
            vec![("mcp-protocol-version", "2025-11-25"), method, name],
        ] {
            assert!(matches!(check(&headers, CALL), Err(Invalid::Header { .. })), "{headers:?}");
        }
    }

    #[test]
    fn required_meta_must_be_there() {
        let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")];
        let bare = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        assert_eq!(check(&headers, bare), Err(Invalid::Meta(meta::PROTOCOL_VERSION)));
    }
}

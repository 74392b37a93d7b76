//! A modern client's request, as a legacy server wants it. Pure.

use archon_sessions::protocol::{Envelope, legacy};
use sha2::{Digest, Sha256};

use crate::gateway::bridge::META_PREFIX;
use crate::gateway::wire::object::{Object, text};

/// What a client is called that did not say.
const NAMELESS: &str = r#"{"name":"unknown","version":"0"}"#;

/// Returns the handshake of a client that describes itself like this.
pub fn initialize(envelope: &Envelope) -> String {
    let capabilities = envelope.meta.client_capabilities.as_deref().and_then(Object::read);
    let mut capabilities = capabilities.unwrap_or_default();
    // The eras' tasks are two protocols, and extensions are of the modern one.
    capabilities.remove(|name| matches!(name, "tasks" | "extensions"));
    let info = envelope.meta.client_info.as_deref().unwrap_or(NAMELESS);
    let version = legacy::VERSIONS[0];
    format!(
        r#"{{"jsonrpc":"2.0","id":"archon-initialize","method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{capabilities},"clientInfo":{info}}}}}"#
    )
}

/// Returns the body of a request: the client's params without what only the modern era has. `id` is JSON text, and is
/// the progress token as well if the client wants to be told.
pub fn body(envelope: &Envelope, id: &str) -> String {
    let mut params = envelope.params.as_deref().and_then(Object::read).unwrap_or_default();
    params.remove(|name| matches!(name, "inputResponses" | "requestState"));
    if let Some(mut meta) = params.get("_meta").and_then(Object::read) {
        let wants_progress = meta.get("progressToken").is_some();
        meta.remove(|name| name.starts_with(META_PREFIX));
        if wants_progress {
            meta.set("progressToken", id.to_owned());
        }
        let meta = (!meta.is_empty()).then(|| meta.to_string());
        match meta {
            Some(meta) => params.set("_meta", meta),
            None => params.remove(|name| name == "_meta"),
        }
    }
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":{},"params":{params}}}"#,
        text(&envelope.method)
    )
}

/// Returns what tells one call from another: its method and params, but for what a repetition of it changes.
pub fn digest(envelope: &Envelope) -> [u8; 32] {
    let params = envelope.params.as_deref().and_then(Object::read).unwrap_or_default();
    let is_same = |name: &str| !matches!(name, "inputResponses" | "requestState" | "_meta");
    let mut members: Vec<(&str, &str)> =
        params.members().filter(|(name, _)| is_same(name)).collect();
    members.sort_unstable();
    let mut digest = Sha256::new();
    digest.update(text(&envelope.method));
    for (name, value) in members {
        digest.update(text(name));
        digest.update((value.len() as u64).to_le_bytes());
        digest.update(value);
    }
    digest.finalize().into()
}

/// What a request says besides what is asked of the server.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The least severe log messages it wants, if it wants any.
    pub level: Option<String>,
    /// What its progress is told with, as JSON text.
    pub token: Option<String>,
    /// The state of a call that it goes on with.
    pub state: Option<String>,
    /// Its answers, as JSON text.
    pub responses: Option<String>,
}

impl Wishes {
    /// Reads a request.
    pub fn of(envelope: &Envelope) -> Self {
        let params = envelope.params.as_deref().and_then(Object::read).unwrap_or_default();
        let meta = envelope.meta.source.as_deref().and_then(Object::read).unwrap_or_default();
        Self {
            level: meta.text("io.modelcontextprotocol/logLevel"),
            token: meta.get("progressToken").map(str::to_owned),
            state: params.text("requestState"),
            responses: params.get("inputResponses").map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use archon_sessions::protocol::Message;
    use bytes::Bytes;

    use super::*;

    fn envelope(params: &str) -> Envelope {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t",{params}"_meta":{{"a":1,
            "io.modelcontextprotocol/protocolVersion":"2026-07-28","progressToken":"p",
            "io.modelcontextprotocol/logLevel":"info",
            "io.modelcontextprotocol/clientInfo":{{"name":"c","version":"1.0"}},
            "io.modelcontextprotocol/clientCapabilities":{{"sampling":{{}},"extensions":{{}}}}}}}}}}"#
        );
        match Message::parse(&Bytes::from(body)).unwrap() {
            Message::Single(envelope) => envelope,
            Message::Batch(_) => panic!("a batch"),
        }
    }

    #[test]
    fn requests_lose_what_only_the_modern_era_has() {
        let call = envelope(r#""arguments":{"x" : 50.0},"requestState":"s","inputResponses":{},"#);
        let expected = r#"{"jsonrpc":"2.0","id":"w","method":"tools/call","params":{"name":"t","arguments":{"x" : 50.0},"_meta":{"a":1,"progressToken":"w"}}}"#;
        assert_eq!(body(&call, "\"w\""), expected);
        let expected = r#""params":{"protocolVersion":"2025-11-25","capabilities":{"sampling":{}},"clientInfo":{"name":"c","version":"1.0"}}}"#;
        assert!(initialize(&call).ends_with(expected), "{}", initialize(&call));
        let wishes = Wishes::of(&call);
        assert_eq!(wishes.level.as_deref(), Some("info"));
        assert_eq!(wishes.token.as_deref(), Some("\"p\""));
        assert_eq!(wishes.state.as_deref(), Some("s"));
        assert_eq!(wishes.responses.as_deref(), Some("{}"));
    }

    #[test]
    fn a_repetition_is_the_same_call() {
        let first = digest(&envelope(r#""arguments":{"x":1},"#));
        let again =
            envelope(r#""requestState":"s","arguments":{"x":1},"inputResponses":{"a":{}},"#);
        assert_eq!(digest(&again), first);
        assert_ne!(digest(&envelope(r#""arguments":{"x":2},"#)), first);
        assert_ne!(digest(&envelope("")), first);
    }
}

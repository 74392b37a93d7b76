//! What a legacy client said of itself in its handshake, and each request to a modern server says again.

use archon_sessions::session::Era;

use crate::gateway::bridge::META_PREFIX;
use crate::gateway::wire::object::{Object, text};

/// What a client is called that did not say.
const NAMELESS: &str = r#"{"name":"unknown","version":"0"}"#;

/// See the module. JSON texts.
#[derive(Clone, Debug)]
pub struct Meta {
    client_info: String,
    client_capabilities: String,
}

impl Meta {
    /// Reads the params of `initialize`.
    pub fn of_handshake(params: &Object<'_>) -> Self {
        let capabilities = params.get("capabilities").and_then(Object::read);
        let mut capabilities = capabilities.unwrap_or_default();
        // The two eras' tasks are not one protocol, and a connection has no tasks of the modern era.
        capabilities.remove(|name| matches!(name, "tasks" | "extensions"));
        Self {
            client_info: params.get("clientInfo").unwrap_or(NAMELESS).to_owned(),
            client_capabilities: capabilities.to_string(),
        }
    }

    /// Returns a request's `_meta` with what the modern era requires; the rest is as it was (JSON text).
    pub fn describe(&self, meta: Option<&str>, level: Option<&str>) -> String {
        let mut meta = meta.and_then(Object::read).unwrap_or_default();
        meta.remove(|name| name.starts_with(META_PREFIX));
        let mut add = |name: &str, json: String| meta.add(format!("{META_PREFIX}{name}"), json);
        add("protocolVersion", text(Era::MODERN_SINCE));
        add("clientInfo", self.client_info.clone());
        add("clientCapabilities", self.client_capabilities.clone());
        if let Some(level) = level {
            add("logLevel", text(level));
        }
        meta.to_string()
    }
}

//! What a client must keep to go on in its session from another process.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::session::Era;

/// A text that opens doors: shown to nobody who does not ask for it by name.
///
/// It is written out when it is serialized, for that is what a [`SavedState`] is for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// What [`Client::save`](crate::Client::save) returns and [`ClientBuilder::state`](crate::ClientBuilder::state) takes.
///
/// Whoever has it has the session: keep it as you would keep a password. One process at a time should use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedState {
    /// The protocol's era.
    pub era: Era,
    /// The protocol version that was agreed on.
    pub protocol_version: String,
    /// The gateway's session: `X-Archon-Session-Id`. `None` where there is no gateway.
    #[serde(default)]
    pub session_id: Option<Uuid>,
    /// The legacy connection's handle: `Mcp-Session-Id`.
    #[serde(default)]
    pub mcp_session_id: Option<Secret>,
    /// The cookies of the server, as the header `Cookie` has them.
    #[serde(default)]
    pub cookies: Option<Secret>,
    /// What proves that the session is this client's where nothing else does. It works once, for 15 minutes unless
    /// the gateway is configured otherwise.
    #[serde(default)]
    pub reconnect_token: Option<Secret>,
    /// How often the session was taken back, as far as this client knows.
    #[serde(default)]
    pub reconnect_count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_state_opens_no_door() {
        let state = SavedState {
            era: Era::Legacy,
            protocol_version: "2025-11-25".to_owned(),
            session_id: None,
            mcp_session_id: Some("the-handle".into()),
            cookies: Some("archon_session=the-cookie".into()),
            reconnect_token: Some("the-token".into()),
            reconnect_count: 2,
        };
        let shown = format!("{state:?}");
        assert!(!shown.contains("the-"), "{shown}");
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<SavedState>(&text).unwrap(), state);
    }

    #[test]
    fn an_id_and_a_token_are_enough() {
        let text = r#"{"era":"modern","protocol_version":"2026-07-28",
            "session_id":"6f1c1c52-2a0e-4b8a-9e0c-7c3a4f1d2b11","reconnect_token":"t"}"#;
        let state: SavedState = serde_json::from_str(text).unwrap();
        assert!(state.mcp_session_id.is_none() && state.reconnect_token.is_some());
    }
}

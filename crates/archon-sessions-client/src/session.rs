//! Which session a client is in, and what happens to it.

use rmcp::model::Implementation;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::state::Secret;

/// The two eras of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Era {
    /// 2024-11-05 to 2025-11-25: a handshake, then `Mcp-Session-Id`.
    Legacy,
    /// 2026-07-28 and later: each request describes itself.
    Modern,
}

/// Which era to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EraChoice {
    /// Modern where the server speaks it, else legacy. Costs one request more with servers that do not.
    #[default]
    Auto,
    /// This one, and no other.
    Only(Era),
}

impl From<Era> for EraChoice {
    fn from(era: Era) -> Self {
        Self::Only(era)
    }
}

/// Which session a client is in, at the moment when it was asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Session {
    /// The gateway's session: a row of `archon_mcp_sessions`. `None` where there is no gateway of ours.
    pub id: Option<Uuid>,
    /// The legacy connection's handle; `None` in the modern era, and for servers that give none.
    pub mcp_session_id: Option<Secret>,
    /// The era that was agreed on.
    pub era: Era,
    /// The protocol version that was agreed on.
    pub protocol_version: String,
    /// How often the session was taken back with a token, as far as this client knows.
    pub reconnect_count: u64,
    /// What the server calls itself.
    pub server: Option<Implementation>,
    /// What the server says about its use.
    pub instructions: Option<String>,
}

/// A client is in another session than before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionChange {
    /// The session that it was in.
    pub from: Option<Uuid>,
    /// The session that it is in now.
    pub to: Option<Uuid>,
    /// Why.
    pub cause: ChangeCause,
}

/// Why a client is in another session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeCause {
    /// The old one ended, by its silence for example; the gateway went on in a new one, and said so.
    Continued,
    /// The server did not know the handle any more, because an operator ended the session, for example. This client
    /// made a new handshake.
    Renewed,
    /// [`Client::reconnect`](crate::Client::reconnect) took a session back.
    Reconnected,
}

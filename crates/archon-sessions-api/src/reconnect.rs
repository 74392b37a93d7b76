//! Signs of life and reconnect tokens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Time;

/// `POST /api/mcp/sessions/{id}/heartbeat`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Heartbeat {
    /// Always true.
    pub success: bool,
    /// Which session.
    pub session_id: Uuid,
    /// Now.
    #[schema(value_type = String, format = DateTime)]
    pub last_activity: Time,
    /// When it ends if nothing more is heard of it.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Time,
}

/// `GET /api/mcp/sessions/{id}/token`
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Which session.
    pub session_id: Uuid,
    /// The token; it works once.
    pub reconnect_token: String,
    /// For how long it works.
    pub expires_in_minutes: i64,
}

/// `POST /api/mcp/sessions/{id}/reconnect`
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reconnect {
    /// The token.
    #[schema(max_length = 4096)]
    pub token: String,
}

/// An attempt to take a session back: a row of `archon_mcp_reconnect_attempts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Time,
    /// How it ended: `reconnected`, `token_expired`, `invalid_token`, `session_id_mismatch`, `token_mismatch`,
    /// `session_not_found`, `session_already_disconnected` or `rate_limited`.
    pub result: String,
    /// Who tried: `issuer#subject`, or `anonymous`.
    pub principal: String,
    /// From which address, where that is known.
    pub peer: Option<String>,
}

/// The answer to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reconnected {
    /// Always true.
    pub success: bool,
    /// Which session.
    pub session_id: Uuid,
    /// What happened, for people.
    pub message: String,
    /// How often this session was reconnected.
    pub reconnect_count: i64,
    /// The next token.
    pub reconnect_token: String,
}

//! `GET /api/mcp/refusals`: requests that were turned away before they had a place in a session.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Time;

/// Requests that were turned away, the latest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusals {
    /// A row for each cause, upstream and address in a minute.
    pub refusals: Vec<Refusal>,
}

/// Requests of one minute that were turned away for one cause: a row of `archon_mcp_refusals`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// When that minute began.
    #[schema(value_type = String, format = DateTime)]
    pub minute: Time,
    /// When the last of them came.
    #[schema(value_type = String, format = DateTime)]
    pub last_at: Time,
    /// Why: `handshake_refused`, `unknown_session`, `bad_credentials` or `rate_limited`, for example.
    pub cause: String,
    /// What the first of them was told.
    pub detail: String,
    /// How many there were.
    pub count: u64,
    /// Where they came to; `null` for the API's port.
    pub upstream: Option<String>,
    /// From which address, where that is known; an IPv6 address stands for the 64 bits of its network.
    pub peer: Option<String>,
    /// What the sender of the first calls itself: its client's name, or its user agent.
    pub client: Option<String>,
    /// Who sent the first of them: `issuer#subject`, or `anonymous`.
    pub principal: String,
}

//! Requests that were turned away, as they are shown.

use crate::session::Timestamp;

/// A row of `archon_mcp_refusals`: requests of one minute that were turned away for one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalRecord {
    /// When that minute began.
    pub minute: Timestamp,
    /// When the last of them came.
    pub last_at: Timestamp,
    /// Why, in one word.
    pub cause: String,
    /// Where; `None` for the API's port.
    pub upstream: Option<String>,
    /// From where, where that is known.
    pub peer: Option<String>,
    /// Who sent the first of them: `issuer#subject`, or `anonymous`.
    pub principal: String,
    /// What its sender calls itself.
    pub client: Option<String>,
    /// What it was told.
    pub detail: String,
    /// How many there were.
    pub count: u64,
}

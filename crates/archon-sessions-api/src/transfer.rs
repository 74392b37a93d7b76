//! What became of an import.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /api/mcp/sessions/import`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// Always true: what fails is answered with an error.
    pub success: bool,
    /// Sessions that are new.
    pub sessions: u64,
    /// Sessions that were there, and stay as they are.
    pub known_sessions: u64,
    /// Requests that are new.
    pub requests: u64,
    /// Requests that were there.
    pub known_requests: u64,
    /// Requests that were left out, since their session is neither there nor in the file before them.
    pub requests_without_session: u64,
    /// Prices that are new or have changed.
    pub prices: u64,
}

//! `GET /api/mcp/errors`: requests that went wrong.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Time;
use crate::logs::LogEntry;

/// Requests that went wrong, the latest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Errors {
    /// One page of those that were asked for.
    pub errors: Vec<LogEntry>,
    /// All failures of the session that was asked for, or of all, whatever the severity.
    pub summary: ErrorSummary,
    /// How many there are of those that were asked for.
    pub total: u64,
    /// False where there are more than `total` says: it was not worth counting on.
    pub total_is_exact: bool,
    /// What to send as `cursor` for earlier ones; `null` on the last page.
    pub next_cursor: Option<String>,
}

/// How much goes wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ErrorSummary {
    /// Answered with an error.
    pub error_count: i64,
    /// Not answered in time.
    pub timeout_count: i64,
    /// When that happened last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_error_at: Option<Time>,
    /// Both, of all requests, two decimals.
    pub error_rate_percent: f64,
}

//! `GET /api/mcp/errors`: requests that went wrong.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Time;
use crate::requests::Request;

/// Requests that went wrong, the latest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Errors {
    /// One page of those that were asked for.
    pub errors: Vec<Request>,
    /// All that is kept, whatever the severity.
    pub summary: ErrorSummary,
    /// How many there are of those that were asked for.
    pub total: u64,
    /// What to send as `cursor` for earlier ones; `null` on the last page.
    pub next_cursor: Option<String>,
}

/// How much goes wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ErrorSummary {
    /// Answered with an error.
    pub error_count: u64,
    /// Not answered in time.
    pub timeout_count: u64,
    /// When that happened last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_error_at: Option<Time>,
    /// Both, of all requests, two decimals.
    pub error_rate_percent: f64,
}

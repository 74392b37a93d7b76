//! `GET /api/mcp/logs`: tracked requests as lines of a log.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Time;
use crate::requests::Request;

/// A page of it, the latest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Logs {
    /// The lines.
    pub logs: Vec<LogEntry>,
    /// Where this page is.
    pub pagination: Pagination,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A request that was answered with a result.
    Info,
    /// One that was not answered in time.
    Warning,
    /// One that was answered with an error.
    Error,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// The request.
    #[serde(flatten)]
    pub request: Request,
    /// The type of its client.
    pub client_type: Option<String>,
    /// How much it matters.
    pub level: Level,
    /// What happened, for people.
    pub message: String,
}

/// Where a page is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pagination {
    /// Lines in all.
    pub total: u64,
    /// Lines of a page.
    pub limit: u32,
    /// Lines before this page.
    pub offset: u64,
    /// Whether there are more.
    pub has_more: bool,
    /// False where there are more than `total` says: it was not worth counting on.
    pub total_is_exact: bool,
    /// What to send as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
    /// How far back was looked when time was up before the page was full: `next_cursor` goes on there. `null` where the
    /// page is full, or all was looked at.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub searched_back_to: Option<Time>,
}

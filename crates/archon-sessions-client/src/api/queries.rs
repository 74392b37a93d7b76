//! What can be asked of the API's lists. Everything may be left out.

use serde::Serialize;
use uuid::Uuid;

/// `GET /api/mcp/clients`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClientsQuery {
    /// `active`, `idle` or `all`.
    pub status_filter: Option<String>,
    /// The page: `next_cursor` of the one before.
    pub cursor: Option<String>,
    /// Clients of a page, up to 1000.
    pub limit: Option<u32>,
}

/// `GET /api/mcp/sessions`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SessionsQuery {
    /// `active`, `disconnected`, `expired` or `all`.
    pub status: Option<String>,
    /// A client's known product name.
    pub client_type: Option<String>,
    /// Whose clients.
    pub user_id: Option<String>,
    /// A part of a client's or user's name, or the beginning of an id.
    pub q: Option<String>,
    /// `last_activity` or `connected_at`.
    pub sort: Option<String>,
    /// `desc` or `asc`.
    pub order: Option<String>,
    /// The page: `next_cursor` of the one before.
    pub cursor: Option<String>,
    /// Sessions of a page, up to 1000.
    pub limit: Option<u32>,
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PageQuery {
    /// The page: `next_cursor` of the one before.
    pub cursor: Option<String>,
    /// Entries of a page, up to 1000.
    pub limit: Option<u32>,
}

/// `GET /api/mcp/sessions/disconnected`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DisconnectedQuery {
    /// Up to now.
    pub days: Option<u32>,
    /// Sessions to return, up to 1000.
    pub limit: Option<u32>,
}

/// `GET /api/mcp/usage/summary`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UsageQuery {
    /// From this day or moment on.
    pub start_date: Option<String>,
    /// Up to this one.
    pub end_date: Option<String>,
    /// Instead: so many days up to now.
    pub days: Option<u32>,
}

/// `GET /api/mcp/analytics`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AnalyticsQuery {
    /// From this day or moment on.
    pub start_date: Option<String>,
    /// Up to this one.
    pub end_date: Option<String>,
    /// Instead: so many days up to now.
    pub days: Option<u32>,
    /// Whether to compare with the period before.
    pub compare: Option<bool>,
}

/// `GET /api/mcp/errors`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ErrorsQuery {
    /// `error`, `timeout` or `all`.
    pub severity: Option<String>,
    /// Only this session's.
    pub session_id: Option<Uuid>,
    /// The page: `next_cursor` of the one before.
    pub cursor: Option<String>,
    /// Errors of a page, up to 1000.
    pub limit: Option<u32>,
}

/// `GET /api/mcp/logs`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogsQuery {
    /// `info`, `warning` or `error`.
    pub level: Option<String>,
    /// A part of what they say.
    pub search: Option<String>,
    /// Only this session's.
    pub session_id: Option<Uuid>,
    /// The page: `next_cursor` of the one before.
    pub cursor: Option<String>,
    /// Lines of a page, up to 1000.
    pub limit: Option<u32>,
    /// Lines to leave out first, instead of a cursor.
    pub offset: Option<u64>,
}

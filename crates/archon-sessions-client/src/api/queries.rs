//! What can be asked of the API's lists. Everything may be left out.

use archon_sessions_api::logs::Level;
use serde::Serialize;
use uuid::Uuid;

/// Which clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientFilter {
    /// Those that were active within the last minute.
    Active,
    /// Those that were silent for longer.
    Idle,
    /// All, as when left out.
    All,
}

/// Which sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionFilter {
    /// Those whose clients are here.
    Active,
    /// Those that have ended.
    Disconnected,
    /// Those that ended in an older system.
    Expired,
    /// All, as when left out.
    All,
}

/// What sessions are ordered by. Where more than 5000 are active, only the latest 5000 of them take part in an order by
/// what they used or by how long they lasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionOrder {
    /// The latest sign of life, as when left out.
    LastActivity,
    /// When they began.
    ConnectedAt,
    /// How many requests they made.
    TotalRequests,
    /// How many of those went wrong.
    TotalErrors,
    /// What they cost.
    TotalCost,
    /// How long they lasted.
    Duration,
    /// Their clients' types.
    ClientType,
}

/// Which way a list goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The largest or latest first, as when left out.
    Desc,
    /// The smallest or earliest first.
    Asc,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Answered with an error.
    Error,
    /// Not answered in time.
    Timeout,
    /// Both, as when left out.
    All,
}

/// `GET /api/mcp/clients`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClientsQuery {
    /// Only these.
    pub status_filter: Option<ClientFilter>,
    /// The page: `next_cursor` of the one before.
    pub cursor: Option<String>,
    /// Clients of a page, up to 1000.
    pub limit: Option<u32>,
}

/// `GET /api/mcp/sessions`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SessionsQuery {
    /// Only these.
    pub status: Option<SessionFilter>,
    /// Only clients of this type, in just these letters.
    pub client_type: Option<String>,
    /// Only this user's.
    pub user_id: Option<String>,
    /// Only those whose client or user is named like this, or whose id begins so.
    pub q: Option<String>,
    /// What they are ordered by.
    pub sort: Option<SessionOrder>,
    /// Which way.
    pub order: Option<Direction>,
    /// The page: `next_cursor` of the one before, asked for with the same order.
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
    /// Those of the last so many days; 7 if left out.
    pub days: Option<u32>,
    /// How many are listed, up to 1000; 50 if left out.
    pub limit: Option<u32>,
}

/// `GET /api/mcp/usage/summary`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UsageQuery {
    /// The first day, in UTC: `2026-01-11`.
    pub start_date: Option<String>,
    /// The last day, in UTC; today if left out.
    pub end_date: Option<String>,
    /// How many days, where no first day is named; 30 if left out.
    pub days: Option<u32>,
}

/// `GET /api/mcp/analytics`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AnalyticsQuery {
    /// The first day, in UTC: `2026-01-11`.
    pub start_date: Option<String>,
    /// The last day, in UTC; today if left out.
    pub end_date: Option<String>,
    /// How many days, where no first day is named; 30 if left out.
    pub days: Option<u32>,
    /// Whether to compare them with as many days before; so it is if left out.
    pub compare: Option<bool>,
}

/// `GET /api/mcp/errors`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ErrorsQuery {
    /// Only these.
    pub severity: Option<Severity>,
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
    /// Only lines that matter so much.
    pub level: Option<Level>,
    /// Only lines whose method, tool or error contains this.
    pub search: Option<String>,
    /// Only this session's.
    pub session_id: Option<Uuid>,
    /// The page: `next_cursor` of the one before.
    pub cursor: Option<String>,
    /// Lines of a page, up to 1000.
    pub limit: Option<u32>,
    /// Lines to leave out first, up to 10,000. A cursor is the way to go far back.
    pub offset: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_not_asked_for() {
        let query = SessionsQuery {
            status: Some(SessionFilter::Active),
            sort: Some(SessionOrder::TotalCost),
            order: Some(Direction::Asc),
            q: Some("a b".to_owned()),
            ..SessionsQuery::default()
        };
        let request =
            reqwest::Client::new().get("http://127.0.0.1/").query(&query).build().unwrap();
        assert_eq!(request.url().query(), Some("status=active&q=a+b&sort=total_cost&order=asc"));
        let query = LogsQuery { level: Some(Level::Warning), ..LogsQuery::default() };
        let request =
            reqwest::Client::new().get("http://127.0.0.1/").query(&query).build().unwrap();
        assert_eq!(request.url().query(), Some("level=warning"));
    }
}

//! Lists of sessions, and how sessions are as a whole.

use std::sync::Arc;
use std::time::Duration;

use archon_sessions::session::{self, Timestamp};
use archon_sessions::store::reports::{self, Order, SessionHealth, SessionQuery, SessionSort};
use archon_sessions::tracker::Tracker;
use archon_sessions_api::health::{
    AgeDistribution, ConnectionHealth, RecentActivity, SessionsHealth, StatusBreakdown,
};
use archon_sessions_api::sessions::{DisconnectStatistics, Disconnected, Period, Sessions};
use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::params::{Cursor, NoParams, Query, Text, Whole};
use super::problem::ApiError;
use super::{Api, wire};
use crate::overview::Overview;

/// Rows of a page, unless more or fewer are asked for.
const PAGE: u64 = 100;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the routes.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(health)).routes(routes!(disconnected))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Listed {
    /// Only sessions of this status.
    #[param(inline)]
    status: Option<StatusFilter>,
    /// Only clients of this type, in just these letters.
    #[param(value_type = Option<String>, max_length = 200)]
    client_type: Option<Text<200>>,
    /// Only this user's.
    #[param(value_type = Option<String>, max_length = 200)]
    user_id: Option<Text<200>>,
    /// Only sessions whose client or user is named like this, or whose id begins so.
    #[param(value_type = Option<String>, max_length = 200)]
    q: Option<Text<200>>,
    /// What they are ordered by. Where more than 5000 are active, the latest 5000 of them take part in an order by
    /// what they used or by `duration`, and in one of active sessions by `client_type`.
    #[param(inline)]
    sort: Option<Sort>,
    /// Which way.
    #[param(inline)]
    order: Option<Direction>,
    /// The `next_cursor` of the page before, asked for with the same order.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]{33}[AQgw]$")]
    cursor: Option<Cursor>,
    /// Rows of a page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<Whole<1, 1000>>,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StatusFilter {
    Active,
    Disconnected,
    Expired,
    All,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Sort {
    LastActivity,
    ConnectedAt,
    TotalRequests,
    TotalErrors,
    TotalCost,
    Duration,
    ClientType,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Direction {
    Desc,
    Asc,
}

/// Lists sessions.
#[utoipa::path(
    get, path = "/api/mcp/sessions", operation_id = "list_sessions", tag = "sessions", params(Listed),
    responses((status = 200, body = Sessions, description = "A page of sessions"))
)]
async fn list(
    State(overview): State<Arc<Overview>>,
    Query(asked): Query<Listed>,
) -> Result<Answer<Sessions>, ApiError> {
    let mut query = SessionQuery {
        status: asked.status.and_then(status),
        client_type: asked.client_type.and_then(Text::meant),
        user: asked.user_id.and_then(Text::meant),
        text: asked.q.and_then(Text::meant),
        sort: match asked.sort {
            None | Some(Sort::LastActivity) => SessionSort::LastActivity,
            Some(Sort::ConnectedAt) => SessionSort::ConnectedAt,
            Some(Sort::TotalRequests) => SessionSort::Requests,
            Some(Sort::TotalErrors) => SessionSort::Errors,
            Some(Sort::TotalCost) => SessionSort::Cost,
            Some(Sort::Duration) => SessionSort::Duration { now: Timestamp::now() },
            Some(Sort::ClientType) => SessionSort::ClientType,
        },
        order: match asked.order {
            None | Some(Direction::Desc) => Order::Descending,
            Some(Direction::Asc) => Order::Ascending,
        },
        limit: rows(asked.limit),
        ..SessionQuery::default()
    };
    if let Some(cursor) = asked.cursor {
        query.continue_at(cursor.as_str()).map_err(bad_cursor)?;
    }
    let page = overview.reports.sessions(&query).await.map_err(super::store_failed)?;
    let tracker = &overview.tracker;
    Ok(Answer(Sessions {
        sessions: page.rows.into_iter().map(|row| wire::stored_session(row, tracker)).collect(),
        active_sessions: tracker.active_sessions() as u64,
        session_timeout: tracker.settings().idle_timeout.as_secs(),
        server_uptime_seconds: overview.started.elapsed().as_secs(),
        total: page.total.count,
        total_is_exact: page.total.is_exact,
        next_cursor: page.next,
    }))
}

fn status(filter: StatusFilter) -> Option<session::Status> {
    match filter {
        StatusFilter::Active => Some(session::Status::Active),
        StatusFilter::Disconnected => Some(session::Status::Disconnected),
        StatusFilter::Expired => Some(session::Status::Expired),
        StatusFilter::All => None,
    }
}

/// Returns how many rows a page has.
pub fn rows(limit: Option<Whole<1, 1000>>) -> usize {
    usize::try_from(limit.map_or(PAGE, Whole::get)).unwrap_or(reports::PAGE_MAX)
}

/// Returns what is answered to a cursor that came with another list, or with another order of this one.
pub fn bad_cursor(_: reports::BadCursor) -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "cursor_of_another_list",
        "parameter `cursor` is not of this list in this order",
        "send it with the parameters that it came with, or leave it out to begin with the first page",
    )
}

/// Says how sessions are as a whole.
#[utoipa::path(
    get, path = "/api/mcp/sessions/health", operation_id = "get_session_health", tag = "sessions",
    responses((status = 200, body = SessionsHealth, description = "How sessions are"))
)]
async fn health(
    State(overview): State<Arc<Overview>>,
    _: NoParams,
) -> Result<Answer<SessionsHealth>, ApiError> {
    let now = Timestamp::now();
    let health = overview.reports.session_health(now).await.map_err(super::store_failed)?;
    Ok(Answer(describe(health, &overview.tracker, now)))
}

/// Returns how sessions are, in the API's words.
pub fn describe(health: SessionHealth, tracker: &Tracker, now: Timestamp) -> SessionsHealth {
    let SessionHealth { active, ended, ages, last_day, recent } = health;
    let recent_activity = recent.into_iter().map(|record| {
        let until = record.session.end.map_or(now, |end| end.at);
        RecentActivity {
            session_id: record.session.id.as_uuid(),
            status: wire::status(record.session.status()),
            age_minutes: minutes(now.since(wire::last_activity(&record.session, tracker))),
            uptime_minutes: minutes(until.since(record.session.connected_at)),
            client_type: record.client_type,
        }
    });
    let mean = wire::mean(last_day.duration_seconds, last_day.sessions);
    let ended_percent = wire::mean(100 * last_day.ended, last_day.sessions);
    SessionsHealth {
        status_breakdown: StatusBreakdown { active, disconnected: ended, total: active + ended },
        age_distribution: AgeDistribution {
            healthy: ages.healthy,
            aging: ages.aging,
            stale: ages.stale,
        },
        connection_health: ConnectionHealth {
            avg_duration_seconds: mean.round() as i64,
            sessions_per_hour: wire::rounded(last_day.sessions as f64 / 24.0, 2),
            disconnect_rate_percent: wire::rounded(ended_percent, 1),
            total_sessions_24h: last_day.sessions,
        },
        recent_activity: recent_activity.collect(),
        timestamp: now.to_string(),
    }
}

fn minutes(duration: Duration) -> i64 {
    wire::whole(duration.as_secs() / 60)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Ended {
    /// Those of the last so many days; 7 if left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 3650)]
    days: Option<Whole<1, 3650>>,
    /// How many are listed; 50 if left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<Whole<1, 1000>>,
}

/// Lists the latest sessions that ended, and says what they have in common.
#[utoipa::path(
    get, path = "/api/mcp/sessions/disconnected", operation_id = "list_disconnected_sessions",
    tag = "sessions", params(Ended),
    responses((status = 200, body = Disconnected, description = "Sessions that ended"))
)]
async fn disconnected(
    State(overview): State<Arc<Overview>>,
    Query(asked): Query<Ended>,
) -> Result<Answer<Disconnected>, ApiError> {
    let now = Timestamp::now();
    let days = asked.days.map_or(7, Whole::small);
    let since = now.minus(DAY * days);
    let limit = asked.limit.map_or(50, Whole::small) as usize;
    let found = overview.reports.disconnected(since, limit).await.map_err(super::store_failed)?;
    let sessions =
        found.sessions.into_iter().map(|record| wire::stored_session(record, &overview.tracker));
    let mean = wire::mean(found.duration_seconds, found.total);
    Ok(Answer(Disconnected {
        sessions: sessions.collect(),
        statistics: DisconnectStatistics {
            total_disconnected: found.total,
            disconnect_reasons: found.reasons.into_iter().collect(),
            avg_duration_seconds: mean.round() as i64,
            max_duration_seconds: found.max_duration_seconds.unwrap_or(0),
            min_duration_seconds: found.min_duration_seconds.unwrap_or(0),
        },
        period: Period { start_date: since.to_string(), end_date: now.to_string(), days },
    }))
}

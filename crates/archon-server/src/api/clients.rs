//! `GET /api/mcp/clients`: who is here.

use std::sync::Arc;
use std::time::Duration;

use archon_sessions::session::{Status, Timestamp};
use archon_sessions::store::reports::{SessionQuery, SessionRecord};
use archon_sessions::tracker::Tracker;
use archon_sessions_api::sessions::{Client, ClientStatus, Clients};
use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::params::{Cursor, Query, Whole};
use super::problem::ApiError;
use super::sessions::{bad_cursor, rows};
use super::{Api, wire};
use crate::overview::Overview;

/// A client that was silent for longer is idle. An agent that works calls more often.
const ACTIVE_WITHIN: Duration = Duration::from_secs(60);

/// Returns the route.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Those active within the last minute, those silent for longer, or all, as when left out.
    #[param(inline)]
    status_filter: Option<Filter>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]{33}[AQgw]$")]
    cursor: Option<Cursor>,
    /// Rows of a page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<Whole<1, 1000>>,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Filter {
    Active,
    Idle,
    All,
}

/// Lists the clients that are here, the latest active first.
#[utoipa::path(
    get, path = "/api/mcp/clients", operation_id = "list_clients", tag = "sessions", params(Asked),
    responses((status = 200, body = Clients, description = "Who is here"))
)]
async fn list(
    State(overview): State<Arc<Overview>>,
    Query(asked): Query<Asked>,
) -> Result<Answer<Clients>, ApiError> {
    let now = Timestamp::now();
    let line = now.minus(ACTIVE_WITHIN);
    let (active_from, active_until) = match asked.status_filter {
        Some(Filter::Active) => (Some(line), None),
        Some(Filter::Idle) => (None, Some(line)),
        Some(Filter::All) | None => (None, None),
    };
    let mut query = SessionQuery {
        status: Some(Status::Active),
        active_from,
        active_until,
        limit: rows(asked.limit),
        ..SessionQuery::default()
    };
    if let Some(cursor) = asked.cursor {
        query.continue_at(cursor.as_str()).map_err(bad_cursor)?;
    }
    let page = overview.reports.sessions(&query).await.map_err(super::store_failed)?;
    let clients = page.rows.into_iter().map(|row| client(row, &overview.tracker, now));
    Ok(Answer(Clients {
        clients: clients.collect(),
        total: page.total.count,
        next_cursor: page.next,
    }))
}

fn client(record: SessionRecord, tracker: &Tracker, now: Timestamp) -> Client {
    let SessionRecord { session, client_type, totals, upstreams, .. } = record;
    let used = wire::summary(totals);
    let last_activity = wire::last_activity(&session, tracker);
    let silence = now.since(last_activity);
    Client {
        session_id: session.id.as_uuid(),
        client_type,
        client_name: session.client.name.map(String::from),
        client_version: session.client.version.map(String::from),
        status: if silence < ACTIVE_WITHIN { ClientStatus::Active } else { ClientStatus::Idle },
        connected_at: session.connected_at.to_string(),
        last_activity: last_activity.to_string(),
        idle_seconds: wire::whole(silence.as_secs()),
        user_id: wire::of_user(session.user.as_deref(), |user| &user.id),
        era: session.era.as_str().to_owned(),
        total_requests: used.total_requests,
        total_errors: used.total_errors,
        total_prompt_tokens: used.total_prompt_tokens,
        total_completion_tokens: used.total_completion_tokens,
        total_cost: used.total_cost,
        upstreams,
    }
}

//! `GET /api/mcp/logs`: tracked requests as lines of a log.

use std::sync::Arc;

use archon_sessions::session::SessionId;
use archon_sessions::store::Outcome;
use archon_sessions::store::reports::{Found, RequestQuery, search};
use archon_sessions_api::logs::{Logs, Pagination};
use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::params::{Cursor, Query, Text, Whole};
use super::problem::ApiError;
use super::sessions::{bad_cursor, rows};
use super::{Api, wire};
use crate::overview::Overview;

/// Returns the route.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Only lines that matter so much; all if left out.
    #[param(inline)]
    level: Option<LevelFilter>,
    /// Only lines whose method, tool or error contains this.
    #[param(value_type = Option<String>, max_length = 200)]
    search: Option<Text<200>>,
    /// Only this session's.
    session_id: Option<Uuid>,
    /// The `next_cursor` of the page before: the way to go far back.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]{33}[AQgw]$")]
    cursor: Option<Cursor>,
    /// Lines of a page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<Whole<1, 1000>>,
    /// Lines to leave out.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 10000)]
    offset: Option<Whole<0, 10000>>,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum LevelFilter {
    Info,
    Warning,
    Error,
    All,
}

/// Lists tracked requests as lines of a log, the latest first.
#[utoipa::path(
    get, path = "/api/mcp/logs", operation_id = "list_logs", tag = "reports", params(Asked),
    responses((status = 200, body = Logs, description = "A page of the log"))
)]
async fn list(
    State(overview): State<Arc<Overview>>,
    Query(asked): Query<Asked>,
) -> Result<Answer<Logs>, ApiError> {
    let (limit, offset) = (rows(asked.limit), asked.offset.map_or(0, Whole::small));
    let mut query = RequestQuery {
        session: asked.session_id.map(SessionId::from_uuid),
        outcomes: match asked.level {
            Some(LevelFilter::Info) => vec![Outcome::Success],
            Some(LevelFilter::Warning) => vec![Outcome::Timeout],
            Some(LevelFilter::Error) => vec![Outcome::Error],
            Some(LevelFilter::All) | None => Vec::new(),
        },
        text: asked.search.and_then(Text::meant),
        offset: offset as usize,
        limit,
        ..RequestQuery::default()
    };
    if let Some(cursor) = asked.cursor {
        query.continue_at(cursor.as_str()).map_err(bad_cursor)?;
    }
    let found = search(&*overview.reports, &query, super::SEARCH_LIMIT).await;
    let Found { page, back_to } = found.map_err(super::store_failed)?;
    Ok(Answer(Logs {
        logs: page.rows.into_iter().map(wire::log_entry).collect(),
        pagination: Pagination {
            total: page.total.count,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            offset: u64::from(offset),
            has_more: page.next.is_some(),
            total_is_exact: page.total.is_exact,
            next_cursor: page.next,
            searched_back_to: back_to.map(|at| at.to_string()),
        },
    }))
}

//! `GET /api/mcp/errors`: requests that went wrong.

use std::sync::Arc;

use archon_sessions::session::SessionId;
use archon_sessions::store::Outcome;
use archon_sessions::store::reports::{RequestQuery, search};
use archon_sessions_api::errors::{ErrorSummary, Errors};
use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::params::{Cursor, Query, Whole};
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
    /// Only requests that failed, only those not answered in time, or both, as when left out.
    #[param(inline)]
    severity: Option<Severity>,
    /// Only this session's.
    session_id: Option<Uuid>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]{33}[AQgw]$")]
    cursor: Option<Cursor>,
    /// Rows of a page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<Whole<1, 1000>>,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Severity {
    Error,
    Timeout,
    All,
}

/// Lists requests that went wrong, the latest first.
#[utoipa::path(
    get, path = "/api/mcp/errors", operation_id = "list_errors", tag = "reports", params(Asked),
    responses((status = 200, body = Errors, description = "What went wrong"))
)]
async fn list(
    State(overview): State<Arc<Overview>>,
    Query(asked): Query<Asked>,
) -> Result<Answer<Errors>, ApiError> {
    let session = asked.session_id.map(SessionId::from_uuid);
    let outcomes = match asked.severity {
        Some(Severity::Error) => vec![Outcome::Error],
        Some(Severity::Timeout) => vec![Outcome::Timeout],
        Some(Severity::All) | None => vec![Outcome::Error, Outcome::Timeout],
    };
    let mut query =
        RequestQuery { session, outcomes, limit: rows(asked.limit), ..RequestQuery::default() };
    if let Some(cursor) = asked.cursor {
        query.continue_at(cursor.as_str()).map_err(bad_cursor)?;
    }
    let reports = &overview.reports;
    let found = search(&**reports, &query, super::SEARCH_LIMIT).await;
    let page = found.map_err(super::store_failed)?.page;
    let failures = reports.failures(session).await.map_err(super::store_failed)?;
    Ok(Answer(Errors {
        errors: page.rows.into_iter().map(wire::log_entry).collect(),
        summary: ErrorSummary {
            error_count: failures.errors,
            timeout_count: failures.timeouts,
            last_error_at: failures.last_at.map(|at| at.to_string()),
            error_rate_percent: wire::percent(
                failures.errors + failures.timeouts,
                failures.requests,
            ),
        },
        total: page.total.count,
        total_is_exact: page.total.is_exact,
        next_cursor: page.next,
    }))
}

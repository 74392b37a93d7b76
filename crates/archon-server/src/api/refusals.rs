//! `GET /api/mcp/refusals`: requests that were turned away before they had a place in a session.

use std::sync::Arc;

use archon_sessions_api::refusals::Refusals;
use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::params::{Query, Whole};
use super::problem::ApiError;
use super::sessions::rows;
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
    /// Rows at most; 100 if left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<Whole<1, 1000>>,
}

/// Lists requests that were turned away, the latest first: failed handshakes, unknown handles, bad credentials, what was
/// too much. Those of one cause, upstream and address are counted together, minute by minute.
#[utoipa::path(
    get, path = "/api/mcp/refusals", operation_id = "list_refusals", tag = "reports", params(Asked),
    responses((status = 200, body = Refusals, description = "Who was turned away, and why"))
)]
async fn list(
    State(overview): State<Arc<Overview>>,
    Query(asked): Query<Asked>,
) -> Result<Answer<Refusals>, ApiError> {
    let found = overview.reports.refusals(rows(asked.limit)).await.map_err(super::store_failed)?;
    Ok(Answer(Refusals { refusals: found.into_iter().map(wire::refusal).collect() }))
}

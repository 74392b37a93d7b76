//! One session: its page, its end by hand, its heartbeat.

use std::sync::Arc;

use archon_sessions::session::{DisconnectReason, SessionId, Timestamp};
use archon_sessions::store::reports::RequestQuery;
use archon_sessions_api::reconnect::Heartbeat;
use archon_sessions_api::sessions::{Disconnect, EndReason, Ended, SessionPage};
use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{Anybody, Operator};
use super::body::Json;
use super::params::{Cursor, NoParams, Query, SessionPath, Whole};
use super::problem::ApiError;
use super::proof::check_proof;
use super::sessions::{bad_cursor, rows};
use super::{Api, find, wire};
use crate::overview::Overview;

/// Returns the routes that need a role.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show, delete)).routes(routes!(disconnect))
}

/// Returns the route that a session's own client may use.
pub fn own_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(heartbeat))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Shown {
    /// The `next_cursor` of the page before, for earlier requests.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]{33}[AQgw]$")]
    cursor: Option<Cursor>,
    /// Requests of a page; 100 if left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<Whole<1, 1000>>,
}

/// Shows a session with its requests.
#[utoipa::path(
    get, path = "/api/mcp/sessions/{session_id}", operation_id = "get_session", tag = "sessions",
    params(("session_id" = uuid::Uuid, Path, description = "Which session"), Shown),
    responses((status = 200, body = SessionPage, description = "The session"))
)]
async fn show(
    State(overview): State<Arc<Overview>>,
    SessionPath(id): SessionPath,
    Query(asked): Query<Shown>,
) -> Result<Answer<SessionPage>, ApiError> {
    let mut query =
        RequestQuery { session: Some(id), limit: rows(asked.limit), ..RequestQuery::default() };
    if let Some(cursor) = asked.cursor {
        query.continue_at(cursor.as_str()).map_err(bad_cursor)?;
    }
    let reports = &overview.reports;
    let record = reports.session_record(id).await.map_err(super::store_failed)?;
    let mut record = record.ok_or_else(|| find::unknown(id))?;
    let page = reports.requests(&query).await.map_err(super::store_failed)?;
    let chain = reports.chain(id).await.map_err(super::store_failed)?;
    let attempts = reports.attempts(id).await.map_err(super::store_failed)?;
    let presence = overview.tracker.presence(id);
    let requests = page.rows.into_iter().map(|record| wire::request(Some(record.id), record.row));
    Ok(Answer(SessionPage {
        requests: requests.collect(),
        next_cursor: page.next,
        summary: wire::summary(record.totals),
        loses_state: presence.is_some_and(|presence| presence.loses_state()),
        continues: record.session.continues.map(SessionId::as_uuid),
        continued_by: chain.after.first().map(|next| next.id.as_uuid()),
        chain: wire::chain(chain),
        reconnect_attempts: attempts.into_iter().map(wire::attempt).collect(),
        upstreams: std::mem::take(&mut record.upstreams),
        session: wire::session(record, &overview.tracker),
    }))
}

/// Ends a session. When this is answered the end is durable.
#[utoipa::path(
    delete, path = "/api/mcp/sessions/{session_id}", operation_id = "end_session", tag = "sessions",
    params(("session_id" = uuid::Uuid, Path, description = "Which session")),
    responses((status = 200, body = Ended, description = "It has ended"))
)]
async fn delete(
    _: Operator,
    State(overview): State<Arc<Overview>>,
    SessionPath(id): SessionPath,
    _: NoParams,
) -> Result<Answer<Ended>, ApiError> {
    end(&overview, id, DisconnectReason::Operator).await
}

/// Ends a session for a reason. When this is answered the end is durable.
#[utoipa::path(
    post, path = "/api/mcp/sessions/{session_id}/disconnect", operation_id = "disconnect_session", tag = "sessions",
    params(("session_id" = uuid::Uuid, Path, description = "Which session")),
    request_body = Disconnect,
    responses((status = 200, body = Ended, description = "It has ended"))
)]
async fn disconnect(
    _: Operator,
    State(overview): State<Arc<Overview>>,
    SessionPath(id): SessionPath,
    _: NoParams,
    Json(Disconnect { reason }): Json<Disconnect>,
) -> Result<Answer<Ended>, ApiError> {
    let reason = match reason {
        None | Some(EndReason::Operator) => DisconnectReason::Operator,
        Some(EndReason::ClientDisconnect) => DisconnectReason::ClientDisconnect,
        Some(EndReason::Error) => DisconnectReason::Error,
        Some(EndReason::ServerShutdown) => DisconnectReason::ServerShutdown,
    };
    end(&overview, id, reason).await
}

async fn end(
    overview: &Overview,
    id: SessionId,
    reason: DisconnectReason,
) -> Result<Answer<Ended>, ApiError> {
    let now = Timestamp::now();
    let presence = find::active(overview, id, now, find::already_ended).await?;
    // Somebody else may have ended it in between.
    let durable =
        overview.tracker.end(&presence, reason, now).ok_or_else(|| find::already_ended(id))?;
    if !durable.wait().await {
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_durable",
            format!("session {id} has ended, but that could not be stored yet"),
            "it is tried again; a crash before that would bring the session back",
        )
        .retry_after(1));
    }
    Ok(Answer(Ended {
        success: true,
        session_id: id.as_uuid(),
        message: format!("session {id} has ended"),
        disconnect_reason: reason.as_str().to_owned(),
        disconnected_at: now.to_string(),
        total_duration: presence.session().total_duration().unwrap_or(0),
    }))
}

/// A sign of life of a session. For its own client, which shows its `X-Archon-Session-Id`, and for operators.
#[utoipa::path(
    post, path = "/api/mcp/sessions/{session_id}/heartbeat", operation_id = "touch_session", tag = "sessions",
    params(("session_id" = uuid::Uuid, Path, description = "Which session")),
    responses((status = 200, body = Heartbeat, description = "It lives"))
)]
async fn heartbeat(
    State(overview): State<Arc<Overview>>,
    SessionPath(id): SessionPath,
    Anybody(user): Anybody,
    headers: HeaderMap,
    _: NoParams,
) -> Result<Answer<Heartbeat>, ApiError> {
    let proof = check_proof(id, &headers, user.as_ref())?;
    let now = Timestamp::now();
    let presence = find::active(&overview, id, now, find::not_active).await?;
    proof.is_good_for_heartbeat(&presence)?;
    overview.tracker.heartbeat(&presence, now);
    Ok(Answer(Heartbeat {
        success: true,
        session_id: id.as_uuid(),
        last_activity: presence.last_activity().to_string(),
        expires_at: presence.expires_at().to_string(),
    }))
}

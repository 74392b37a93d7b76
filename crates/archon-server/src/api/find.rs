//! The session that a request is about, or why there is none.

use std::sync::Arc;

use archon_sessions::session::{SessionId, Timestamp};
use archon_sessions::tracker::{NotActive, Presence};
use axum::http::StatusCode;

use super::problem::ApiError;
use crate::overview::Overview;

/// Returns an active session; `ended` says what is answered for one that has ended.
///
/// # Errors
/// That, or 404 if there is none of this id, or 503 if nobody can say.
pub async fn active(
    overview: &Overview,
    id: SessionId,
    now: Timestamp,
    ended: fn(SessionId) -> ApiError,
) -> Result<Arc<Presence>, ApiError> {
    overview.tracker.find(id, now).await.map_err(|missing| match missing {
        NotActive::Unknown => unknown(id),
        NotActive::Ended(_) => ended(id),
        NotActive::StoreUnavailable => ApiError::store(),
    })
}

/// Returns 404.
pub fn unknown(id: SessionId) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "session_not_found",
        format!("there is no session {id}"),
        "GET /api/mcp/sessions lists those there are",
    )
}

/// Returns 409 for what only an active session can do.
pub fn not_active(id: SessionId) -> ApiError {
    of_ended(StatusCode::CONFLICT, id)
}

/// Returns 400 for a token of an ended session: the contract says so.
pub fn no_token(id: SessionId) -> ApiError {
    of_ended(StatusCode::BAD_REQUEST, id)
}

fn of_ended(status: StatusCode, id: SessionId) -> ApiError {
    let detail = format!("session {id} has ended");
    let hint = "its client begins a new one with its next request";
    ApiError::new(status, "session_not_active", detail, hint)
}

/// Returns 409 for a second end.
pub fn already_ended(id: SessionId) -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "session_already_ended",
        format!("session {id} has ended already"),
        "nothing is left to do",
    )
}

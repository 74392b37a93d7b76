//! The session that a request is about, or why there is none.

use std::sync::Arc;

use archon_sessions::session::{SessionId, Timestamp};
use archon_sessions::tracker::{NotActive, Presence};
use axum::http::StatusCode;

use super::problem::ApiError;
use crate::server::Overview;

/// Returns an active session.
///
/// # Errors
/// 404 if there is none of this id, 400 if it has ended.
pub async fn active(
    overview: &Overview,
    id: SessionId,
    now: Timestamp,
) -> Result<Arc<Presence>, ApiError> {
    overview.tracker.find(id, now).await.map_err(|missing| match missing {
        NotActive::Unknown => unknown(id),
        NotActive::Ended(_) => ApiError::new(
            StatusCode::BAD_REQUEST,
            "session_not_active",
            format!("session {id} has ended"),
            "its client begins a new one with its next request",
        ),
        NotActive::StoreUnavailable => ApiError::store(),
    })
}

/// Returns an active session that is to end.
///
/// # Errors
/// 404 if there is none of this id, 409 if it has ended already.
pub async fn for_end(
    overview: &Overview,
    id: SessionId,
    now: Timestamp,
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

/// Returns 409.
pub fn ended(id: SessionId) -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "session_already_ended",
        format!("session {id} has ended already"),
        "nothing is left to do",
    )
}

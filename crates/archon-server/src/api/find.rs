//! The session that a request is about, or why there is none.

use std::sync::Arc;

use archon_sessions::session::{SessionId, Timestamp};
use archon_sessions::tracker::Presence;
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
    find(overview, id, now).await.map_err(|missing| match missing {
        Missing::Unknown => unknown(id),
        Missing::Ended => ApiError::new(
            StatusCode::BAD_REQUEST,
            "session_not_active",
            format!("session {id} has ended"),
            "its client begins a new one with its next request",
        ),
        Missing::Store => ApiError::store(),
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
    find(overview, id, now).await.map_err(|missing| match missing {
        Missing::Unknown => unknown(id),
        Missing::Ended => ended(id),
        Missing::Store => ApiError::store(),
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

enum Missing {
    Unknown,
    Ended,
    Store,
}

async fn find(
    overview: &Overview,
    id: SessionId,
    _now: Timestamp,
) -> Result<Arc<Presence>, Missing> {
    if let Some(presence) = overview.tracker.presence(id) {
        return Ok(presence);
    }
    match overview.tracker.store().session(id).await {
        Ok(Some(_)) => Err(Missing::Ended),
        Ok(None) => Err(Missing::Unknown),
        Err(_) => Err(Missing::Store),
    }
}

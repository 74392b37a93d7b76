//! How a client takes its session back: a token now, for a session later.

use std::sync::Arc;

use archon_sessions::session::{Principal, Timestamp};
use archon_sessions::tracker::{Caller, ReconnectRefusal};
use archon_sessions_api::reconnect::{Reconnect, Reconnected, Token};
use axum::Json as Answer;
use axum::extract::State;
use axum::http::header::USER_AGENT;
use axum::http::{Extensions, HeaderMap, StatusCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{Anybody, peer_of};
use super::body::Json;
use super::params::{NoParams, SessionPath};
use super::problem::ApiError;
use super::proof::check_proof;
use super::{Api, find, wire};
use crate::overview::Overview;

/// Characters of a reconnect token; ours have a few hundred.
const TOKEN_CHARS_MAX: usize = 4096;

/// Returns the routes. They are open: each asks for a proof of its own.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(token)).routes(routes!(reconnect))
}

/// Issues a reconnect token. For the session's own client, which shows its
/// `X-Archon-Session-Id` and its cookie or client key, and for operators.
#[utoipa::path(
    get, path = "/api/mcp/sessions/{session_id}/token", operation_id = "get_reconnect_token", tag = "sessions",
    params(("session_id" = uuid::Uuid, Path, description = "Which session")),
    responses((status = 200, body = Token, description = "A token that works once"))
)]
async fn token(
    State(overview): State<Arc<Overview>>,
    SessionPath(id): SessionPath,
    Anybody(user): Anybody,
    headers: HeaderMap,
    _: NoParams,
) -> Result<Answer<Token>, ApiError> {
    let proof = check_proof(id, &headers, user.as_ref())?;
    let now = Timestamp::now();
    let presence = find::active(&overview, id, now, find::no_token).await?;
    proof.is_good_for_token(&presence, &headers, &overview.tracker)?;
    let issued = overview.tracker.issue_token(&presence, now).await.map_err(super::store_failed)?;
    let seconds = issued.expires_at.since(now).as_secs_f64();
    Ok(Answer(Token {
        session_id: id.as_uuid(),
        reconnect_token: issued.token.reveal().to_owned(),
        expires_in_minutes: wire::whole((seconds / 60.0).round() as u64),
    }))
}

/// Gives a session back to who shows its token. The token is the proof: no API token is needed.
#[utoipa::path(
    post, path = "/api/mcp/sessions/{session_id}/reconnect", operation_id = "reconnect_session", tag = "sessions",
    params(("session_id" = uuid::Uuid, Path, description = "Which session")),
    request_body = Reconnect,
    responses((status = 200, body = Reconnected, description = "The session, and the next token"))
)]
async fn reconnect(
    State(overview): State<Arc<Overview>>,
    SessionPath(id): SessionPath,
    extensions: Extensions,
    headers: HeaderMap,
    _: NoParams,
    Json(Reconnect { token }): Json<Reconnect>,
) -> Result<Answer<Reconnected>, ApiError> {
    if token.chars().count() > TOKEN_CHARS_MAX {
        return Err(ApiError::body(&format!("token: longer than {TOKEN_CHARS_MAX} characters")));
    }
    let caller = Caller {
        // Who authenticated on the MCP port takes its session back there, with the gateway's own tool.
        principal: Principal::Anonymous,
        user: None,
        peer: peer_of(&extensions),
        user_agent: headers.get(USER_AGENT).cloned(),
        is_forwarded: false,
    };
    let outcome = overview.tracker.reconnect(id, &token, &caller, Timestamp::now()).await;
    let reconnected = outcome.map_err(refused)?;
    Ok(Answer(Reconnected {
        success: true,
        session_id: id.as_uuid(),
        message: format!("session {id} is yours again; send it as X-Archon-Session-Id"),
        reconnect_count: reconnected.reconnect_count,
        reconnect_token: reconnected.next.token.reveal().to_owned(),
    }))
}

fn refused(refusal: ReconnectRefusal) -> ApiError {
    let hint = match refusal {
        ReconnectRefusal::RateLimited { retry_after } => {
            let (detail, hint) = ("too many tries", "try again when Retry-After says");
            return ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail, hint)
                .retry_after(retry_after.as_secs() + 1);
        }
        ReconnectRefusal::StoreUnavailable => return ApiError::store(),
        ReconnectRefusal::SessionNotFound | ReconnectRefusal::SessionAlreadyDisconnected => {
            "begin a new session: send initialize, or any request of the modern protocol"
        }
        ReconnectRefusal::InvalidToken | ReconnectRefusal::SessionIdMismatch => {
            "send the token that was issued for this session"
        }
        ReconnectRefusal::TokenExpired | ReconnectRefusal::TokenMismatch => {
            "only the latest token works, once and in time; ask for another, or begin a new session"
        }
    };
    let reason = refusal.as_str();
    ApiError::new(StatusCode::UNAUTHORIZED, reason, format!("Reconnection failed: {reason}"), hint)
}

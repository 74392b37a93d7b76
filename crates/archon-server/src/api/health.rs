//! `GET /health`, on both ports: whether this process, its store and its upstreams are well.

use std::sync::Arc;

use archon_sessions::layer::{SessionBody, json_response};
use archon_sessions::session::Timestamp;
use archon_sessions::tracker::WriterHealth;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::gateway::{GatewayBody, Upstream};
use crate::server::Overview;

/// How long the store may take to say that it is there.
const STORE_LIMIT: std::time::Duration = std::time::Duration::from_secs(2);

/// What there is to say.
struct Health {
    is_well: bool,
    body: Value,
}

/// Answers on the MCP port: 200 as long as calls are relayed, which needs no store.
pub async fn mcp(overview: &Overview) -> http::Response<SessionBody<GatewayBody>> {
    let health = look(overview).await;
    let status = if health.is_well { "healthy" } else { "degraded" };
    let body = json!({
        "success": true,
        "status": status,
        "uptime_seconds": overview.started.elapsed().as_secs(),
        "health": health.body,
        "timestamp": Timestamp::now().to_string(),
    });
    json_response(StatusCode::OK, body.to_string())
}

/// Answers on the API's port: 503 if the store is gone, with the reason.
pub async fn api(State(overview): State<Arc<Overview>>) -> Response {
    let health = look(&overview).await;
    if health.is_well {
        return Json(json!({ "status": "healthy", "service": "mcp" })).into_response();
    }
    let body = json!({
        "status": "unhealthy",
        "service": "mcp",
        "reason": health.body["store"]["reason"],
    });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

async fn look(overview: &Overview) -> Health {
    let WriterHealth { is_writing, queued, dropped, last_error } = overview.tracker.writer_health();
    let reason = match tokio::time::timeout(STORE_LIMIT, overview.tracker.store().check()).await {
        _ if !is_writing => last_error,
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the store does not answer".to_owned()),
    };
    let is_well = reason.is_none();
    let status = if is_well { "healthy" } else { "unhealthy" };
    let store = json!({
        "status": status, "reason": reason, "queued_rows": queued, "dropped_rows": dropped,
    });
    let upstreams: Map<String, Value> = overview
        .upstreams
        .iter()
        .map(|upstream| (upstream.name().to_owned(), state_of(upstream)))
        .collect();
    let sessions = overview.tracker.active_sessions();
    let body = json!({
        "status": status, "store": store, "upstreams": upstreams, "active_sessions": sessions,
    });
    Health { is_well, body }
}

fn state_of(upstream: &Upstream) -> Value {
    let mut state = json!({ "status": upstream.state() });
    if let Some(children) = upstream.children() {
        state["children"] = children.into();
    }
    state
}

//! `GET /health`, on both ports: whether this process, its store and its upstreams are well.

use std::sync::Arc;

use archon_sessions::layer::{SessionBody, json_response};
use archon_sessions::session::Timestamp;
use archon_sessions::store::StoreError;
use archon_sessions::tracker::WriterHealth;
use archon_sessions_api::health::Health as ShownHealth;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::params::NoParams;
use crate::gateway::{GatewayBody, Upstream};
use crate::overview::Overview;

/// How long the store may take to say that it is there.
const STORE_LIMIT: std::time::Duration = std::time::Duration::from_secs(2);

/// What waits to be written, which is nothing to worry about while it is.
const QUEUED: &str = "queued_rows";

/// What there is to say.
struct Health {
    store: StoreHealth,
    upstreams: Map<String, Value>,
    /// The names of those that do not answer.
    down: Vec<String>,
    active_sessions: usize,
}

/// What there is to say of the store.
pub struct StoreHealth {
    /// Why it is not well; `None` if it is.
    pub reason: Option<String>,
    /// What waits to be written, could not wait any longer, or was in a file that is gone.
    rows: [(&'static str, u64); 3],
    /// Rows that people wrote and nobody can read.
    unreadable: u64,
}

/// Answers on the MCP port: 200 as long as calls are relayed, which needs no store.
pub async fn mcp(overview: &Overview) -> http::Response<SessionBody<GatewayBody>> {
    let health = look(overview).await;
    let part = if health.store.reason.is_none() { "healthy" } else { "unhealthy" };
    let is_well = health.store.reason.is_none() && health.down.is_empty();
    let whole = if is_well { "healthy" } else { "degraded" };
    let mut store = json!({ "status": part, "reason": health.store.reason });
    health.store.add_rows(&mut store);
    let body = json!({
        "success": true,
        "status": whole,
        "uptime_seconds": overview.started.elapsed().as_secs(),
        "health": {
            "status": part,
            "store": store,
            "upstreams": health.upstreams,
            "upstreams_down": health.down,
            "active_sessions": health.active_sessions,
        },
        "timestamp": Timestamp::now().to_string(),
    });
    json_response(StatusCode::OK, body.to_string())
}

/// Returns the routes; they are open to everybody, under each name that somebody may ask.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(api))
        .route("/health", get(api))
        .route("/api/health", get(api))
}

/// Says whether the service is well: 503 if its store is gone, with the reason.
#[utoipa::path(
    get, path = "/api/mcp/health", operation_id = "get_health", tag = "service",
    responses(
        (status = 200, body = ShownHealth, description = "It is well"),
        (status = 503, body = ShownHealth, description = "Its store is gone; calls go on"),
    )
)]
async fn api(State(overview): State<Arc<Overview>>, _: NoParams) -> Response {
    let store = look_at_store(&overview).await;
    // As long as all has gone well there is nothing to count.
    let is_counted = store.reason.is_some() || store.has_cost_rows();
    let [queued, dropped, lost] = store.counts().map(|count| is_counted.then_some(count));
    let (code, status) = match store.reason {
        None => (StatusCode::OK, "healthy"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
    };
    let health = ShownHealth {
        status: status.to_owned(),
        service: "mcp".to_owned(),
        reason: store.reason,
        upstreams_down: down(&overview),
        queued_rows: queued,
        dropped_rows: dropped,
        lost_rows: lost,
        unreadable_rows: Some(store.unreadable).filter(|rows| *rows > 0),
    };
    (code, Json(health)).into_response()
}

impl StoreHealth {
    /// Returns what waits to be written, could not wait any longer, and was in a file that is gone.
    pub fn counts(&self) -> [u64; 3] {
        self.rows.map(|(_, count)| count)
    }

    fn has_cost_rows(&self) -> bool {
        self.rows.iter().any(|(name, count)| *name != QUEUED && *count > 0)
    }

    fn add_rows(&self, to: &mut Value) {
        for (name, count) in self.rows {
            to[name] = count.into();
        }
        if self.unreadable > 0 {
            to["unreadable_rows"] = self.unreadable.into();
        }
    }
}

async fn look(overview: &Overview) -> Health {
    let upstreams = overview.upstreams.iter().map(|of| (of.name().to_owned(), state_of(of)));
    Health {
        store: look_at_store(overview).await,
        upstreams: upstreams.collect(),
        down: down(overview),
        active_sessions: overview.tracker.active_sessions(),
    }
}

/// Asks the store whether it is there, and the writer how it goes.
pub async fn look_at_store(overview: &Overview) -> StoreHealth {
    let WriterHealth { is_writing, queued, dropped, lost, last_error } =
        overview.tracker.writer_health();
    let reason = match tokio::time::timeout(STORE_LIMIT, overview.tracker.store().check()).await {
        _ if !is_writing => last_error,
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(in_full(&error)),
        Err(_) => Some("the store does not answer".to_owned()),
    };
    let queued = u64::try_from(queued).unwrap_or(u64::MAX);
    let rows = [(QUEUED, queued), ("dropped_rows", dropped), ("lost_rows", lost)];
    StoreHealth { reason, rows, unreadable: overview.tracker.store().unreadable() }
}

/// An error and its cause, for an operator.
fn in_full(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Returns the names of the upstreams that did not answer last.
fn down(overview: &Overview) -> Vec<String> {
    let down = overview.upstreams.iter().filter(|upstream| upstream.state() == "down");
    down.map(|upstream| upstream.name().to_owned()).collect()
}

fn state_of(upstream: &Upstream) -> Value {
    let mut state = json!({ "status": upstream.state() });
    if let Some(children) = upstream.children() {
        state["children"] = children.into();
    }
    state
}

//! The API on its own port: one resource a file.

pub mod health;

use std::sync::Arc;

use archon_sessions::layer::AllowedHosts;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::dashboard;
use crate::server::Overview;

/// Returns the router of the API.
pub fn router(overview: Arc<Overview>, hosts: &AllowedHosts) -> Router {
    Router::new()
        .route("/health", get(health::api))
        .route("/api/health", get(health::api))
        .route("/api/mcp/health", get(health::api))
        .merge(dashboard::router())
        .fallback(async || problem(StatusCode::NOT_FOUND, "not_found", "nothing here"))
        // Before anything else: a page that rebound its name to us learns nothing.
        .layer(middleware::from_fn_with_state(hosts.clone(), check_host))
        .with_state(overview)
}

async fn check_host(State(hosts): State<AllowedHosts>, request: Request, next: Next) -> Response {
    match hosts.check(request.headers(), request.uri()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => problem(StatusCode::FORBIDDEN, "host_not_allowed", &refusal.to_string()),
    }
}

/// An error in the API's form.
fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    (status, Json(serde_json::json!({ "detail": detail, "code": code }))).into_response()
}

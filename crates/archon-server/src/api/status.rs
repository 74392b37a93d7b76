//! This process: how it runs and how it is configured.

use std::sync::Arc;

use archon_sessions_api::status::{
    ServiceConfig, ServiceStatus, StoreStatus, UpstreamConfig as ShownUpstream, UpstreamStatus,
};
use axum::Json as Answer;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::params::NoParams;
use super::{Api, health};
use crate::config::{Config, Database, Reached};
use crate::logging;
use crate::overview::Overview;

/// Returns the routes.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(status)).routes(routes!(config))
}

/// Says how this process runs.
#[utoipa::path(
    get, path = "/api/mcp/status", operation_id = "get_status", tag = "service",
    responses((status = 200, body = ServiceStatus, description = "How it runs"))
)]
async fn status(State(overview): State<Arc<Overview>>, _: NoParams) -> Answer<ServiceStatus> {
    let store = health::look_at_store(&overview).await;
    let [queued_rows, dropped_rows, lost_rows] = store.counts();
    let upstreams = overview.upstreams.iter().map(|upstream| {
        let status = UpstreamStatus {
            status: upstream.state().to_owned(),
            children: upstream.children().map(|count| count as u64),
        };
        (upstream.name().to_owned(), status)
    });
    Answer(ServiceStatus {
        status: "running".to_owned(),
        uptime: overview.started.elapsed().as_secs(),
        logs: logging::latest(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        active_sessions: overview.tracker.active_sessions() as u64,
        store: StoreStatus {
            status: if store.reason.is_none() { "healthy" } else { "unhealthy" }.to_owned(),
            reason: store.reason,
            queued_rows,
            dropped_rows,
            lost_rows,
        },
        upstreams: upstreams.collect(),
    })
}

/// Shows how this process is configured. It holds no secret, and no address of an upstream, which may hold one.
#[utoipa::path(
    get, path = "/api/mcp/config", operation_id = "get_config", tag = "service",
    responses((status = 200, body = ServiceConfig, description = "How it is configured"))
)]
async fn config(State(config): State<Arc<ServiceConfig>>, _: NoParams) -> Answer<ServiceConfig> {
    Answer((*config).clone())
}

/// Returns what is shown of a configuration.
pub fn shown(config: &Config, mcp_port: u16, api_port: u16) -> ServiceConfig {
    let upstream = |name: &str, kind: &str| ShownUpstream {
        name: name.to_owned(),
        path: format!("/mcp/{name}"),
        kind: kind.to_owned(),
    };
    let upstreams = config.upstreams.iter().map(|configured| match configured.reached {
        Reached::Http(_) => upstream(&configured.name, "http"),
        Reached::Stdio(_) => upstream(&configured.name, "stdio"),
    });
    let mut upstreams: Vec<ShownUpstream> = upstreams.collect();
    if upstreams.is_empty() {
        upstreams.push(upstream("demo", "demo"));
    }
    let sessions = &config.sessions;
    ServiceConfig {
        host: config.host.clone(),
        port: mcp_port,
        transport: "streamable-http".to_owned(),
        path: "/mcp".to_owned(),
        api_port,
        upstreams,
        database: match config.database {
            Database::Sqlite(_) => "sqlite",
            Database::Postgres(_) => "postgres",
            Database::Memory => "memory",
        }
        .to_owned(),
        durability: if sessions.durability.is_strict() { "strict" } else { "relaxed" }.to_owned(),
        session_timeout: sessions.idle_timeout.as_secs(),
        reap_every_seconds: sessions.reap_every.as_secs(),
        resume_window_seconds: sessions.resume_window.as_secs(),
        call_timeout_seconds: sessions.call_timeout.as_secs(),
        auth_required: !config.api.tokens.is_empty(),
        pricing_model: sessions.pricing_model.as_deref().map(String::from),
    }
}

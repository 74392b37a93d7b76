//! The API on its own port: one resource a file.

mod access;
mod analytics;
mod body;
mod clients;
mod docs;
mod errors;
mod find;
mod guard;
pub mod health;
mod logs;
mod metrics;
mod params;
mod pricing;
mod problem;
mod proof;
mod reconnect;
mod refusals;
mod session;
mod sessions;
mod status;
mod transfer;
mod usage;
mod wire;
pub mod ws;

use std::sync::Arc;

use archon_sessions::store::StoreError;
use archon_sessions_api::status::ServiceConfig;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::routing::get;
use axum::{Router, middleware};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::config::Config;
use crate::dashboard;
use crate::overview::Overview;
use access::Access;
use guard::Guard;
use problem::ApiError;
use transfer::Transfers;
use ws::Feed;

/// How long a call may look for requests before it says how far it came: people wait for it.
const SEARCH_LIMIT: std::time::Duration = std::time::Duration::from_secs(2);

/// What handlers are given.
#[derive(Clone)]
pub struct Api {
    overview: Arc<Overview>,
    access: Arc<Access>,
    config: Arc<ServiceConfig>,
    /// `None` where nothing is stored.
    transfers: Option<Arc<Transfers>>,
}

impl FromRef<Api> for Option<Arc<Transfers>> {
    fn from_ref(api: &Api) -> Self {
        api.transfers.clone()
    }
}

impl FromRef<Api> for Arc<Overview> {
    fn from_ref(api: &Api) -> Self {
        api.overview.clone()
    }
}

impl FromRef<Api> for Arc<Access> {
    fn from_ref(api: &Api) -> Self {
        api.access.clone()
    }
}

impl FromRef<Api> for Arc<ServiceConfig> {
    fn from_ref(api: &Api) -> Self {
        api.config.clone()
    }
}

/// Where the two ports are.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// The MCP endpoint's.
    pub mcp: u16,
    /// The API's.
    pub api: u16,
}

/// Returns the router of the API.
pub fn router(overview: Arc<Overview>, config: &Config, ports: Ports, feed: Arc<Feed>) -> Router {
    let tracker = overview.tracker.clone();
    let access = Arc::new(Access::new(config.api.clone(), Some(tracker)));
    let hosts = config.limits.hosts.clone();
    let guard = Guard::new(hosts, &config.api.cors_origins, access.clone());
    let shown = Arc::new(status::shown(config, ports.mcp, ports.api));
    let transfers = overview.transfer.clone().map(|store| Arc::new(Transfers::new(store)));
    let api = Api { overview, access: access.clone(), config: shown, transfers };

    let (for_viewers, openapi) = for_viewers().split_for_parts();
    let (for_all, open) = for_all().split_for_parts();
    let viewers_only = middleware::from_fn_with_state(access.clone(), access::require_viewer);
    let router = Router::new()
        .merge(for_viewers.route("/metrics", get(metrics::show)).route_layer(viewers_only.clone()))
        .merge(for_all)
        .with_state(api)
        .merge(ws::routes(feed).route_layer(viewers_only))
        .merge(docs::router(described(openapi, open)))
        .merge(dashboard::router())
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(body::BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(access, access::identify));
    let router = match guard.cors() {
        // Asks for leave come without a token.
        Some(cors) => router.layer(cors),
        None => router,
    };
    // Before anything else: where a request comes from.
    router
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .layer(middleware::from_fn(guard::protect))
}

/// What needs a role: a viewer's at least, and some of it an operator's.
fn for_viewers() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(sessions::routes())
        .merge(session::routes())
        .merge(transfer::routes())
        .merge(clients::routes())
        .merge(usage::routes())
        .merge(pricing::routes())
        .merge(errors::routes())
        .merge(refusals::routes())
        .merge(analytics::routes())
        .merge(logs::routes())
        .merge(status::routes())
}

/// What everybody may ask, or checks by itself who asks.
fn for_all() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(health::routes())
        .merge(access::routes())
        .merge(session::own_routes())
        .merge(reconnect::routes())
}

/// Returns the API's description.
pub fn description() -> utoipa::openapi::OpenApi {
    described(for_viewers().into_openapi(), for_all().into_openapi())
}

fn described(
    for_viewers: utoipa::openapi::OpenApi,
    for_all: utoipa::openapi::OpenApi,
) -> utoipa::openapi::OpenApi {
    let mut whole = docs::Description::openapi();
    whole.merge(for_viewers);
    whole.merge(for_all);
    docs::complete(&mut whole);
    whole
}

/// Returns what is answered where the store failed; the failure itself is for the log.
fn store_failed(error: StoreError) -> ApiError {
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    tracing::warn!("could not answer a request to the API: {error}: {cause}");
    ApiError::store()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_description_is_that_of_the_code() {
        let made = description().to_pretty_json().unwrap();
        let committed = include_str!("../openapi.json");
        assert!(
            committed.trim() == made.trim(),
            "openapi.json is not what the code says; make it again with \
             `cargo run -p archon-server -- openapi > crates/archon-server/openapi.json`"
        );
    }
    /// Clients that are made from the description name their functions by them.
    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let made = serde_json::to_value(description()).unwrap();
        let paths = made["paths"].as_object().unwrap();
        let operations = paths.values().filter_map(|path| path.as_object()).flatten();
        let mut names: Vec<_> =
            operations.map(|(_, operation)| operation["operationId"].as_str().unwrap()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert!(all > 20 && names.len() == all, "{names:?}");
    }
}

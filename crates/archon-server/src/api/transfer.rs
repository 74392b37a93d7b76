//! All sessions and requests as JSON Lines: out of one gateway, into another, whatever database either has.

mod export;
mod import;
mod line;

use std::sync::Arc;

use archon_sessions::store::transfer::Transfer;
use axum::extract::State;
use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::problem::ApiError;

/// Exports at a time. Each reads everything there is, with readers that the rest of the API needs as well.
const EXPORTS_MAX: usize = 2;
/// Imports at a time: they share the one connection that writes.
const IMPORTS_MAX: usize = 1;

/// What takes rows in and gives them out, and how much of that is going on.
pub struct Transfers {
    store: Arc<dyn Transfer>,
    exports: Arc<Semaphore>,
    imports: Arc<Semaphore>,
}

impl Transfers {
    /// Returns what moves the rows of this store.
    pub fn new(store: Arc<dyn Transfer>) -> Self {
        Self {
            store,
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            imports: Arc::new(Semaphore::new(IMPORTS_MAX)),
        }
    }
}

/// Returns the routes.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(export::export)).routes(routes!(import::import))
}

/// What takes rows in and gives them out; `None` where nothing is stored.
type Stored = State<Option<Arc<Transfers>>>;

fn stored(State(transfers): Stored) -> Result<Arc<Transfers>, ApiError> {
    transfers.ok_or_else(|| {
        ApiError::new(
            StatusCode::CONFLICT,
            "nothing_stored",
            "this gateway keeps its sessions in memory only",
            "start it with a database: --db data/archon.db",
        )
    })
}

fn turn(of: &Arc<Semaphore>, what: &str) -> Result<OwnedSemaphorePermit, ApiError> {
    of.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("another {what} is running");
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail, "try again when it is over")
            .retry_after(5)
    })
}

//! What the endpoints and the API show of this process.

use std::sync::Arc;
use std::time::Instant;

use archon_sessions::store::Reports;
use archon_sessions::store::transfer::Transfer;
use archon_sessions::tracker::Tracker;
use tokio_util::task::TaskTracker;

use crate::gateway::Upstream;
use crate::telemetry::Telemetry;

/// See the module.
pub struct Overview {
    /// When it started.
    pub started: Instant,
    /// Its sessions.
    pub tracker: Tracker,
    /// What the API asks the store.
    pub reports: Arc<dyn Reports>,
    /// What gives rows out and takes them in; `None` where nothing is stored.
    pub transfer: Option<Arc<dyn Transfer>>,
    /// Its upstreams, the default one first.
    pub upstreams: Vec<Upstream>,
    /// Its open connections.
    pub open: OpenConnections,
    /// What it counts.
    pub telemetry: Arc<Telemetry>,
}

/// The open connections of each port.
#[derive(Debug, Default)]
pub struct OpenConnections {
    /// Of the MCP endpoint.
    pub mcp: TaskTracker,
    /// Of the API.
    pub api: TaskTracker,
    /// Of the port for other nodes.
    pub nodes: TaskTracker,
}

impl Overview {
    /// Returns all metrics as Prometheus reads them.
    pub fn metrics(&self) -> String {
        let open = [("mcp", self.open.mcp.len()), ("api", self.open.api.len())];
        self.telemetry.render(&self.tracker, &self.upstreams, open)
    }
}

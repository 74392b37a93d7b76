//! What operators' own tools see of this process: metrics for Prometheus, and traces for an OpenTelemetry collector.
//!
//! The tracker tells what happens ([`Observer`]); nothing here stands between a client and its answer.

mod described;
mod gauges;
mod labels;
mod metrics;

use std::sync::Arc;
use std::time::Duration;

use archon_sessions::session::Session;
use archon_sessions::store::RequestRow;
use archon_sessions::tracker::{EndedRequest, Observer};

use crate::server::Overview;
use metrics::Metrics;

/// See the module.
#[derive(Debug)]
pub struct Telemetry {
    metrics: Metrics,
}

impl Telemetry {
    /// Starts counting.
    ///
    /// # Errors
    /// If the exporter cannot be set up.
    pub fn start() -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self { metrics: Metrics::new()? }))
    }

    /// Returns all metrics as Prometheus reads them; what is a state and not a count is asked for now.
    pub fn render(&self, overview: &Overview) -> String {
        gauges::read(&self.metrics, overview);
        self.metrics.render()
    }
}

impl Observer for Telemetry {
    fn session_began(&self, client_type: &str, session: &Session) {
        self.metrics.session_began(client_type, session);
    }

    fn session_ended(&self, client_type: &str, session: &Session) {
        self.metrics.session_ended(client_type, session);
    }

    fn request_ended(&self, request: &EndedRequest<'_>) {
        self.metrics.request_ended(request);
    }

    fn request_counted(&self, row: &RequestRow) {
        self.metrics.request_counted(row);
    }

    fn batch_written(&self, rows: usize, took: Duration) {
        self.metrics.batch_written(rows, took);
    }

    fn store_failed(&self) {
        self.metrics.add(described::STORE_ERRORS, 1);
    }

    fn recovered(&self, active: usize, timed_out: usize) {
        self.metrics.add(described::RECOVERED, active as u64);
        self.metrics.add(described::TIMED_OUT_BEFORE, timed_out as u64);
    }

    fn interrupted(&self, calls: usize) {
        self.metrics.add(described::INTERRUPTED, calls as u64);
    }

    fn reaped(&self, ended: usize) {
        self.metrics.add(described::SWEEPS, 1);
        self.metrics.add(described::REAPED, ended as u64);
    }

    fn wants_trace_context(&self) -> bool {
        false
    }
}

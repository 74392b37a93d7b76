//! What operators' own tools see of this process: metrics for Prometheus, and traces for an OpenTelemetry collector.
//!
//! The tracker tells what happens ([`Observer`]); nothing here stands between a client and its answer.

mod described;
mod export;
mod gauges;
mod labels;
mod metrics;
mod spans;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use archon_sessions::session::Session;
use archon_sessions::store::RequestRow;
use archon_sessions::tracker::{EndedRequest, Observer, Tracker};

use crate::config::TelemetryConfig;
use crate::gateway::Upstream;
use export::Endpoint;
use metrics::Metrics;
use spans::Spans;

/// See the module.
pub struct Telemetry {
    metrics: Metrics,
    /// Only where there is a collector.
    spans: Option<Spans>,
}

impl Telemetry {
    /// Starts counting, and sending traces where it is known to whom.
    ///
    /// # Errors
    /// If the environment names a collector in a way that is not usable.
    pub fn start(config: &TelemetryConfig) -> anyhow::Result<Arc<Self>> {
        let configured = config.otlp_endpoint.as_deref();
        let endpoint = Endpoint::chosen(configured, |name| std::env::var(name).ok());
        let spans = endpoint.as_ref().map(Spans::to).transpose()?;
        if spans.is_some() {
            tracing::info!("requests are traced");
        }
        Ok(Arc::new(Self { metrics: Metrics::new()?, spans }))
    }

    /// Sends what waits to be sent. Call when nothing happens any more.
    pub async fn stop(&self) {
        if let Some(spans) = &self.spans {
            spans.stop().await;
        }
    }

    /// Returns all metrics as Prometheus reads them; what is a state and not a count is asked for now.
    /// `open` holds the number of open connections of each port.
    pub fn render(
        &self,
        tracker: &Tracker,
        upstreams: &[Upstream],
        open: [(&str, usize); 2],
    ) -> String {
        gauges::read(&self.metrics, tracker, upstreams, open);
        if let Some(spans) = &self.spans {
            gauges::read_spans(&self.metrics, &spans.counts);
        }
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
        if let Some(spans) = &self.spans {
            spans.request_ended(request);
        }
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

    fn state_lost(&self, upstream: &str, _session: &Session) {
        self.metrics.counter(described::STATE_LOST, &[("upstream", upstream)]).increment(1);
    }

    fn refused(&self, upstream: &str, cause: &'static str) {
        let labels = [("cause", cause), ("upstream", upstream)];
        self.metrics.counter(described::REFUSALS, &labels).increment(1);
    }

    fn wants_trace_context(&self) -> bool {
        self.spans.is_some()
    }
}

// What sends spans holds the headers that let it.
impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Telemetry")
    }
}

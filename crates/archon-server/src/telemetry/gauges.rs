//! States, read when somebody asks: each costs the same with one session and with a million.

use std::sync::atomic::Ordering::Relaxed;

use archon_sessions::tracker::{Tracker, WriterHealth};

use super::described;
use super::export::Counts;
use super::metrics::Metrics;
use crate::gateway::Upstream;

/// Reads them all.
pub fn read(
    metrics: &Metrics,
    tracker: &Tracker,
    upstreams: &[Upstream],
    open: [(&str, usize); 2],
) {
    for (client_type, active) in tracker.active_by_client_type() {
        let labels = [("client_type", &*client_type), ("status", "active")];
        metrics.gauge(described::SESSIONS_ACTIVE, &labels).set(active as f64);
    }
    let WriterHealth { is_writing, queued, dropped, lost, .. } = tracker.writer_health();
    metrics.gauge(described::ROWS_QUEUED, &[]).set(queued as f64);
    metrics.gauge(described::STORE_UP, &[]).set(f64::from(u8::from(is_writing)));
    metrics.gauge(described::EVENT_BYTES, &[]).set(tracker.logged_bytes() as f64);
    metrics.counter(described::ROWS_DROPPED, &[]).absolute(dropped);
    metrics.counter(described::ROWS_LOST, &[]).absolute(lost);
    upstreams.iter().for_each(|upstream| read_upstream(metrics, upstream));
    for (port, connections) in open {
        metrics.gauge(described::CONNECTIONS, &[("port", port)]).set(connections as f64);
    }
    read_process(metrics);
}

/// Reads what became of spans.
pub fn read_spans(metrics: &Metrics, counts: &Counts) {
    for (result, count) in
        [("exported", &counts.exported), ("failed", &counts.failed), ("dropped", &counts.dropped)]
    {
        metrics.counter(described::SPANS, &[("result", result)]).absolute(count.load(Relaxed));
    }
}

fn read_upstream(metrics: &Metrics, upstream: &Upstream) {
    let labels = [("upstream", upstream.name())];
    let is_up = match upstream.state() {
        "up" => Some(1.0),
        "down" => Some(0.0),
        // Nobody has called it yet: neither.
        _ => None,
    };
    if let Some(is_up) = is_up {
        metrics.gauge(described::UPSTREAM_UP, &labels).set(is_up);
    }
    if let Some(children) = upstream.children() {
        metrics.gauge(described::CHILDREN, &labels).set(children as f64);
    }
}

fn read_process(metrics: &Metrics) {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    metrics.gauge(described::BUILD_INFO, &version).set(1.0);
    if let Some(bytes) = resident_memory() {
        metrics.gauge(described::MEMORY, &[]).set(bytes as f64);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        metrics.gauge(described::OPEN_FILES, &[]).set(files.count() as f64);
    }
}

/// Reads `/proc/self/statm`; `None` on systems that have none.
fn resident_memory() -> Option<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: usize = pages.split_whitespace().nth(1)?.parse().ok()?;
    Some(resident * rustix::param::page_size())
}

//! Spans on their way to a collector: in batches, by a thread of their own, from a bounded queue. A collector that is
//! away costs a counter and one line in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, Span, SpanData, SpanExporter,
    SpanProcessor,
};

/// Spans that wait to be sent, about a kilobyte each; then the newest are dropped and counted.
const WAITING_MAX: usize = 4096;

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// What the standard variables `OTEL_EXPORTER_OTLP_*` say.
    Environment,
    /// A collector's address, without the path for traces.
    Base(String),
}

impl Endpoint {
    /// Returns where spans go, if anywhere: the environment wins over the configuration, and can switch it off.
    pub fn chosen(
        configured: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Option<Self> {
        let is = |name, word: &str| variable(name).is_some_and(|v| v.eq_ignore_ascii_case(word));
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return None;
        }
        let names = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
        if names.into_iter().any(|name| variable(name).is_some_and(|value| !value.is_empty())) {
            return Some(Self::Environment);
        }
        configured.map(|base| Self::Base(base.to_owned()))
    }
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct Counts {
    /// Taken by the collector.
    pub exported: AtomicU64,
    /// Refused by it, or not sent because it was away.
    pub failed: AtomicU64,
    /// Not kept because too many waited.
    pub dropped: AtomicU64,
    waiting: AtomicUsize,
    is_failing: AtomicBool,
}

impl Counts {
    /// Takes a place in the queue.
    fn enter(&self) -> bool {
        let has_room = self.waiting.fetch_add(1, Relaxed) < WAITING_MAX;
        if !has_room {
            self.waiting.fetch_sub(1, Relaxed);
            self.dropped.fetch_add(1, Relaxed);
        }
        has_room
    }

    fn sent(&self, spans: usize, result: &OTelSdkResult) {
        match result {
            Ok(()) => {
                self.exported.fetch_add(spans as u64, Relaxed);
                if self.is_failing.swap(false, Relaxed) {
                    tracing::info!("the collector takes spans again");
                }
            }
            Err(error) => {
                self.failed.fetch_add(spans as u64, Relaxed);
                if !self.is_failing.swap(true, Relaxed) {
                    tracing::warn!("could not send spans to the collector, calls go on: {error}");
                }
            }
        }
    }
}

/// Returns what makes spans and sends them.
///
/// # Errors
/// If what the environment says of the exporter is not usable.
pub fn provider(endpoint: &Endpoint, counts: Arc<Counts>) -> anyhow::Result<SdkTracerProvider> {
    let builder = OtlpExporter::builder().with_http();
    let builder = match endpoint {
        Endpoint::Environment => builder,
        Endpoint::Base(base) => {
            builder.with_endpoint(format!("{}/v1/traces", base.trim_end_matches('/')))
        }
    };
    let exporter = builder.build().context("could not set up the export of traces")?;
    let exporter = Counted { exporter, counts: counts.clone() };
    // Ours is the smaller queue, so that what is dropped is counted.
    let config = BatchConfigBuilder::default().with_max_queue_size(2 * WAITING_MAX).build();
    let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    Ok(SdkTracerProvider::builder()
        .with_resource(resource())
        .with_span_processor(Bounded { batches, counts })
        .build())
}

/// Who we are: what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, else `archon`.
fn resource() -> Resource {
    let found = Resource::builder().build();
    let name = found.get(&Key::from_static_str("service.name")).map(|name| name.to_string());
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_attribute(version);
    match name.filter(|name| !name.starts_with("unknown_service")) {
        Some(_) => resource.build(),
        None => resource.with_service_name("archon").build(),
    }
}

/// Keeps the queue within its bound.
#[derive(Debug)]
struct Bounded {
    batches: BatchSpanProcessor,
    counts: Arc<Counts>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.counts.enter() {
            self.batches.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Counts what an exporter sends.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    counts: Arc<Counts>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.counts.waiting.fetch_sub(spans, Relaxed);
        self.counts.sent(spans, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(configured: Option<&str>, set: &[(&str, &str)]) -> Option<Endpoint> {
        let value = |name: &str| set.iter().find(|(of, _)| *of == name).map(|(_, v)| v.to_string());
        Endpoint::chosen(configured, value)
    }

    #[test]
    fn the_environment_wins_and_can_switch_it_off() {
        let (standard, signal) =
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let base = Some("http://a:4318");
        assert_eq!(chosen(None, &[]), None);
        assert_eq!(chosen(base, &[]), Some(Endpoint::Base("http://a:4318".into())));
        assert_eq!(chosen(base, &[(standard, "http://b")]), Some(Endpoint::Environment));
        assert_eq!(chosen(None, &[(signal, "http://b")]), Some(Endpoint::Environment));
        assert_eq!(chosen(None, &[(standard, "")]), None);
        for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(chosen(base, &[off, (standard, "http://b")]), None);
        }
    }

    #[test]
    fn what_exceeds_the_queue_is_dropped_and_counted() {
        let counts = Counts::default();
        let kept = (0..WAITING_MAX + 7).filter(|_| counts.enter()).count();
        assert_eq!((kept, counts.dropped.load(Relaxed)), (WAITING_MAX, 7));
    }
}

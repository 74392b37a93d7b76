//! Counters and histograms, kept up as things happen; states are read when they are asked for (`gauges.rs`).

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use archon_sessions::session::{DisconnectReason, Session};
use archon_sessions::store::{Outcome, RequestRow};
use archon_sessions::tracker::EndedRequest;
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use parking_lot::{Mutex, MutexGuard};

use super::described::{self, Described};
use super::labels::{Labels, Proof};

/// Tools of one upstream that are told apart; the largest servers have some dozens.
const TOOLS_MAX: u16 = 200;
/// Methods of one upstream; the protocol has about thirty.
const METHODS_MAX: u16 = 64;
/// Kinds of error of one upstream: codes that it chooses.
const ERRORS_MAX: u16 = 20;
/// Protocol versions; there are six.
const VERSIONS_MAX: u16 = 16;
/// Combinations of all these; beyond them only upstream and status are told apart. A histogram of each is
/// seventeen lines for whoever reads them all.
const SERIES_MAX: usize = 2000;
/// Durations that may wait to be put into their buckets, 24 bytes each.
const SAMPLES_MAX: usize = 10_000;

/// What stands for a value without a place; the conventions name the one for errors.
const OTHER: &str = "other";
const OTHER_ERROR: &str = "_OTHER";

const METADATA: Metadata<'static> = Metadata::new("archon", Level::INFO, None);

/// A label's name and value; one without a value is left out.
type Pair<'a> = (&'static str, &'a str);

/// See the module.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    /// Taken by the writer's thread, and nearly never by another.
    requests: Mutex<Requests>,
}

/// What is known of requests' labels, so that counting one looks its series up and builds nothing.
struct Requests {
    upstreams: HashMap<Box<str>, Names>,
    versions: Labels,
    series: HashMap<SeriesKey, Series>,
    usage: HashMap<UsageKey, Usage>,
    samples: usize,
}

struct Names {
    index: u16,
    methods: Labels,
    tools: Labels,
    errors: Labels,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct UsageKey {
    upstream: u16,
    method: u16,
    /// `None` where no tool was called.
    tool: Option<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct SeriesKey {
    target: UsageKey,
    status: &'static str,
    error: Option<u16>,
    version: u16,
}

struct Series {
    requests: Counter,
    duration: Histogram,
}

struct Usage {
    request_bytes: Counter,
    response_bytes: Counter,
    prompt_tokens: Counter,
    completion_tokens: Counter,
    cost: Counter,
}

impl Metrics {
    /// Returns metrics that have counted nothing.
    ///
    /// # Errors
    /// If the buckets are none.
    pub fn new() -> anyhow::Result<Self> {
        let mut builder = PrometheusBuilder::new();
        for ((name, _), buckets) in described::HISTOGRAMS {
            builder = builder
                .set_buckets_for_metric(Matcher::Full((*name).to_owned()), buckets)
                .with_context(|| format!("could not set up the metric {name}"))?;
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        let requests = Mutex::new(Requests {
            upstreams: HashMap::new(),
            versions: Labels::proven_up_to(VERSIONS_MAX, OTHER),
            series: HashMap::new(),
            usage: HashMap::new(),
            samples: 0,
        });
        let metrics = Self { recorder, handle, requests };
        metrics.describe();
        let started = UNIX_EPOCH.elapsed().unwrap_or_default();
        metrics.gauge(described::START_TIME, &[]).set(started.as_secs_f64());
        Ok(metrics)
    }

    /// Returns all of it as Prometheus reads it.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Adds to a counter without labels.
    pub fn add(&self, name: &'static str, count: u64) {
        self.counter(name, &[]).increment(count);
    }

    pub fn counter(&self, name: &'static str, labels: &[Pair<'_>]) -> Counter {
        self.recorder.register_counter(&key(name, labels), &METADATA)
    }

    pub fn gauge(&self, name: &'static str, labels: &[Pair<'_>]) -> Gauge {
        self.recorder.register_gauge(&key(name, labels), &METADATA)
    }

    fn histogram(&self, name: &'static str, labels: &[Pair<'_>]) -> Histogram {
        self.recorder.register_histogram(&key(name, labels), &METADATA)
    }

    pub fn session_began(&self, client_type: &str, session: &Session) {
        let labels = [("client_type", client_type), ("era", session.era.as_str())];
        self.counter(described::SESSIONS_STARTED, &labels).increment(1);
    }

    pub fn session_ended(&self, client_type: &str, session: &Session) {
        let Some(end) = session.end else { return };
        let reason = end.reason.map_or("", DisconnectReason::as_str);
        let labels = [("client_type", client_type), ("reason", reason)];
        self.counter(described::SESSIONS_ENDED, &labels).increment(1);
        let (version, failed) = {
            let mut requests = self.requests();
            self.sampled(&mut requests, 1);
            let index = requests.versions.index(&session.protocol_version, Proof::None);
            let failed = end.reason == Some(DisconnectReason::Error);
            (requests.versions.name(index).to_owned(), failed)
        };
        let labels = [
            ("mcp_protocol_version", &*version),
            ("network_transport", "tcp"),
            ("error_type", if failed { OTHER_ERROR } else { "" }),
        ];
        let lasted = end.at.since(session.connected_at);
        self.histogram(described::SESSION_DURATION, &labels).record(lasted);
    }

    pub fn request_ended(&self, request: &EndedRequest<'_>) {
        let mut requests = self.requests();
        let requests = &mut *requests;
        let target =
            requests.target(request.upstream, request.method, request.tool, proof(request.outcome));
        let names = requests.upstreams.get_mut(request.upstream);
        let error = request
            .error
            .zip(names)
            .map(|(error, names)| names.errors.index(&error.to_string(), Proof::None));
        let version = requests.versions.index(request.protocol_version, proof(request.outcome));
        let status = request.outcome.as_str();
        let mut key = SeriesKey { target, status, error, version };
        if !requests.series.contains_key(&key) {
            if requests.series.len() >= SERIES_MAX {
                key = key.folded();
            }
            let series = self.series(requests, request.upstream, key);
            requests.series.entry(key).or_insert(series);
        }
        if let Some(series) = requests.series.get(&key) {
            series.requests.increment(1);
            series.duration.record(request.took);
        }
        let usage = requests.usage(self, request.upstream, target);
        usage.request_bytes.increment(request.request_bytes);
        usage.response_bytes.increment(request.response_bytes);
        self.sampled(requests, 1);
    }

    pub fn request_counted(&self, row: &RequestRow) {
        let mut requests = self.requests();
        let target =
            requests.target(&row.upstream, &row.method, row.tool.as_deref(), proof(row.outcome));
        let usage = requests.usage(self, &row.upstream, target);
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        usage.prompt_tokens.increment(count(row.prompt_tokens));
        usage.completion_tokens.increment(count(row.completion_tokens));
        usage.cost.increment(count(row.cost_micros));
    }

    pub fn batch_written(&self, rows: usize, took: Duration) {
        self.histogram(described::COMMIT_DURATION, &[]).record(took);
        self.histogram(described::BATCH_ROWS, &[]).record(rows as f64);
        self.sampled(&mut self.requests(), 2);
    }

    /// Puts durations into their buckets when many wait: nobody may ever ask for them.
    fn sampled(&self, requests: &mut Requests, count: usize) {
        requests.samples += count;
        if requests.samples >= SAMPLES_MAX {
            requests.samples = 0;
            self.handle.run_upkeep();
        }
    }

    fn describe(&self) {
        let described = |(_, text): &Described| (*text).into();
        for metric in described::COUNTERS {
            self.recorder.describe_counter(metric.0.into(), None, described(metric));
            self.add(metric.0, 0);
        }
        for metric in described::LABELLED_COUNTERS {
            self.recorder.describe_counter(metric.0.into(), None, described(metric));
        }
        for metric in described::GAUGES {
            self.recorder.describe_gauge(metric.0.into(), None, described(metric));
        }
        for (metric, _) in described::HISTOGRAMS {
            self.recorder.describe_histogram(metric.0.into(), None, described(metric));
        }
    }

    fn series(&self, requests: &Requests, upstream: &str, key: SeriesKey) -> Series {
        let (method, tool) = requests.named(upstream, key.target);
        let names = requests.upstreams.get(upstream);
        let error = names.zip(key.error).map_or("", |(names, error)| names.errors.name(error));
        let counted =
            [("upstream", upstream), ("method", method), ("tool", tool), ("status", key.status)];
        let measured = [
            ("upstream", upstream),
            ("mcp_method_name", method),
            ("gen_ai_tool_name", tool),
            ("error_type", error),
            ("mcp_protocol_version", requests.versions.name(key.version)),
            ("network_transport", "tcp"),
        ];
        Series {
            requests: self.counter(described::REQUESTS, &counted),
            duration: self.histogram(described::OPERATION_DURATION, &measured),
        }
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock()
    }
}

impl Requests {
    fn target(
        &mut self,
        upstream: &str,
        method: &str,
        tool: Option<&str>,
        proof: Proof,
    ) -> UsageKey {
        if !self.upstreams.contains_key(upstream) {
            // As many as are configured.
            let names = Names {
                index: u16::try_from(self.upstreams.len()).unwrap_or(u16::MAX),
                methods: Labels::proven_up_to(METHODS_MAX, OTHER),
                tools: Labels::proven_up_to(TOOLS_MAX, OTHER),
                errors: Labels::up_to(ERRORS_MAX, OTHER_ERROR),
            };
            self.upstreams.insert(upstream.into(), names);
        }
        match self.upstreams.get_mut(upstream) {
            Some(names) => UsageKey {
                upstream: names.index,
                method: names.methods.index(method, proof),
                tool: tool.map(|tool| names.tools.index(tool, proof)),
            },
            None => UsageKey { upstream: u16::MAX, method: 0, tool: None },
        }
    }

    /// Returns the method and the tool of a target.
    fn named(&self, upstream: &str, target: UsageKey) -> (&str, &str) {
        let Some(names) = self.upstreams.get(upstream) else { return (OTHER, "") };
        let tool = target.tool.map_or("", |tool| names.tools.name(tool));
        (names.methods.name(target.method), tool)
    }

    fn usage(&mut self, metrics: &Metrics, upstream: &str, target: UsageKey) -> &Usage {
        if !self.usage.contains_key(&target) {
            let (method, tool) = self.named(upstream, target);
            let labels = [("upstream", upstream), ("method", method), ("tool", tool)];
            let tokens = |kind| {
                let labels = [labels[0], labels[1], labels[2], ("kind", kind)];
                metrics.counter(described::TOKENS, &labels)
            };
            let usage = Usage {
                request_bytes: metrics.counter(described::REQUEST_BYTES, &labels),
                response_bytes: metrics.counter(described::RESPONSE_BYTES, &labels),
                prompt_tokens: tokens("prompt"),
                completion_tokens: tokens("completion"),
                cost: metrics.counter(described::COST, &labels),
            };
            self.usage.insert(target, usage);
        }
        &self.usage[&target]
    }
}

impl SeriesKey {
    /// Returns the series of all that have none of their own.
    fn folded(self) -> Self {
        let target = UsageKey { method: 0, tool: self.target.tool.map(|_| 0), ..self.target };
        Self { target, error: self.error.map(|_| 0), version: 0, ..self }
    }
}

/// A name that was answered with success means something to its upstream.
fn proof(outcome: Outcome) -> Proof {
    match outcome {
        Outcome::Success => Proof::Success,
        Outcome::Error | Outcome::Timeout => Proof::None,
    }
}

fn key(name: &'static str, labels: &[Pair<'_>]) -> Key {
    let given = labels.iter().filter(|(_, value)| !value.is_empty());
    let labels: Vec<Label> =
        given.map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(name, labels)
}

#[cfg(test)]
mod tests {
    use archon_sessions::session::{SessionId, Timestamp};
    use archon_sessions::tracker::ErrorType;

    use super::*;

    fn ended<'a>(method: &'a str, tool: &'a str, error: Option<ErrorType>) -> EndedRequest<'a> {
        EndedRequest {
            session: SessionId::random(),
            handle: None,
            id: "1",
            method,
            tool: Some(tool),
            upstream: "demo",
            protocol_version: "2025-11-25",
            started: Timestamp::from_micros(0),
            took: Duration::from_millis(3),
            outcome: if error.is_some() { Outcome::Error } else { Outcome::Success },
            error,
            error_message: None,
            request_bytes: 1,
            response_bytes: 1,
            carried: None,
        }
    }

    fn sum(rendered: &str, name: &str) -> u64 {
        let lines = rendered.lines().filter(|line| line.starts_with(name));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    #[test]
    fn combinations_are_bounded_and_each_request_counts_somewhere() {
        let metrics = Metrics::new().unwrap();
        let mut all = 0;
        for tool in 0..150 {
            let tool = format!("tool-{tool}");
            metrics.request_ended(&ended("tools/call", &tool, None));
            for code in 0..40 {
                metrics.request_ended(&ended("tools/call", &tool, Some(ErrorType::Code(code))));
            }
            all += 41;
        }
        let rendered = metrics.render();
        let series = format!("{}_count{{", described::OPERATION_DURATION);
        let count = rendered.lines().filter(|line| line.starts_with(&series)).count();
        assert!((SERIES_MAX..SERIES_MAX + 10).contains(&count), "{count}");
        assert_eq!(sum(&rendered, &series), all);
        assert_eq!(sum(&rendered, described::REQUESTS), all);
        assert_eq!(sum(&rendered, described::REQUEST_BYTES), all);
        assert!(
            rendered.contains(r#"error_type="_OTHER""#) && rendered.contains(r#"tool="other""#)
        );
    }
}

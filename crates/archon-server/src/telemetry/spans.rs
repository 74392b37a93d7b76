//! A span for each request, by OpenTelemetry's conventions for MCP: made when the request has ended, from what is
//! known of it then, with its own times.
//!
//! Its parent is the client's span that the message names. Messages pass through unchanged, so an upstream that
//! traces as well names the same parent: its spans stand beside ours, not below them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use archon_sessions::protocol::trace_context::{TraceContext, TraceParent};
use archon_sessions::tracker::{Carried, EndedRequest, ErrorType};
use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt,
    TraceFlags, TraceId, TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::export::{self, Counts, Endpoint};

/// How long the way out waits for spans that were not sent yet. The last batch takes milliseconds, and a collector
/// that is away is not worth more.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Makes spans and sends them.
pub struct Spans {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    /// What became of them.
    pub counts: Arc<Counts>,
}

impl Spans {
    /// Starts to send to a collector.
    ///
    /// # Errors
    /// If what the environment says of it is not usable.
    pub fn to(endpoint: &Endpoint) -> anyhow::Result<Self> {
        let counts = Arc::<Counts>::default();
        let provider = export::provider(endpoint, counts.clone())?;
        let tracer = provider.tracer("archon");
        Ok(Self { provider, tracer, counts })
    }

    /// Makes the span of a request.
    pub fn request_ended(&self, request: &EndedRequest<'_>) {
        let started = time(request.started.as_micros());
        let carried = request.carried;
        let (parent, link) = stands_in(carried);
        let builder = SpanBuilder::from_name(name(request))
            .with_kind(SpanKind::Server)
            .with_start_time(started)
            .with_attributes(attributes(request))
            .with_links(link.into_iter().map(|link| Link::new(link, Vec::new(), 0)).collect());
        let parent = parent
            .map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let mut span = self.tracer.build_with_context(builder, &parent);
        if request.error.is_some() {
            let message = request.error_message.unwrap_or_default().to_owned();
            span.set_status(Status::error(message));
        }
        span.end_with_timestamp(started + request.took);
    }

    /// Sends what waits, and stops.
    pub async fn stop(&self) {
        let provider = self.provider.clone();
        // It blocks. What fails now was said before, or is lost with a collector that is away.
        let stop = move || provider.shutdown_with_timeout(STOP_LIMIT);
        let _ = tokio::task::spawn_blocking(stop).await;
    }
}

/// Returns the parent of a request's span, and what it is linked with: the HTTP request's span is the parent only
/// where the message itself names none.
fn stands_in(carried: Option<&Carried>) -> (Option<SpanContext>, Option<SpanContext>) {
    let Some(Carried { context, http_parent, .. }) = carried else { return (None, None) };
    let http = http_parent.map(|parent| span_context(parent, None));
    match context {
        Some(TraceContext { parent, state }) => {
            let is_other = *http_parent != Some(*parent);
            (Some(span_context(*parent, state.as_deref())), http.filter(|_| is_other))
        }
        None => (http, None),
    }
}

fn span_context(parent: TraceParent, state: Option<&str>) -> SpanContext {
    let state = state.and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
    SpanContext::new(
        TraceId::from_bytes(parent.trace_id),
        SpanId::from_bytes(parent.span_id),
        TraceFlags::new(parent.flags),
        true,
        state,
    )
}

/// A method, and the tool or prompt it is about; a resource's URI would make a name of each.
fn name(request: &EndedRequest<'_>) -> String {
    match request.tool.or_else(|| prompt(request)) {
        Some(target) => format!("{} {target}", request.method),
        None => request.method.to_owned(),
    }
}

fn attributes(request: &EndedRequest<'_>) -> Vec<KeyValue> {
    let text = |key: &'static str, value: &str| KeyValue::new(key, value.to_owned());
    let mut attributes = vec![
        text("mcp.method.name", request.method),
        text("jsonrpc.request.id", &unquoted(request.id)),
        text("archon.session.id", &request.session.to_string()),
        text("archon.upstream", request.upstream),
        text("network.transport", "tcp"),
        text("network.protocol.name", "http"),
    ];
    if !request.protocol_version.is_empty() {
        attributes.push(text("mcp.protocol.version", request.protocol_version));
    }
    if let Some(handle) = request.handle {
        attributes.push(text("mcp.session.id", &handle.to_string()));
    }
    if let Some(tool) = request.tool {
        attributes.push(text("gen_ai.tool.name", tool));
        attributes.push(text("gen_ai.operation.name", "execute_tool"));
    }
    if let Some(prompt) = prompt(request) {
        attributes.push(text("gen_ai.prompt.name", prompt));
    }
    if let Some(uri) = target(request).filter(|_| request.method.starts_with("resources/")) {
        attributes.push(text("mcp.resource.uri", uri));
    }
    if let Some(error) = request.error {
        attributes.push(text("error.type", &error.to_string()));
        if let ErrorType::Code(code) = error {
            attributes.push(text("rpc.response.status_code", &code.to_string()));
        }
    }
    attributes
}

fn prompt<'a>(request: &EndedRequest<'a>) -> Option<&'a str> {
    target(request).filter(|_| request.method == "prompts/get")
}

fn target<'a>(request: &EndedRequest<'a>) -> Option<&'a str> {
    request.carried?.target.as_deref()
}

/// An id is a number or a string, as JSON text.
fn unquoted(id: &str) -> String {
    serde_json::from_str::<String>(id).unwrap_or_else(|_| id.to_owned())
}

fn time(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: TraceParent = TraceParent { trace_id: [1; 16], span_id: [2; 8], flags: 1 };
    const HTTP: TraceParent = TraceParent { trace_id: [3; 16], span_id: [4; 8], flags: 1 };

    fn carried(message: Option<TraceParent>, http_parent: Option<TraceParent>) -> Carried {
        let context = message.map(|parent| TraceContext { parent, state: Some("a=b".into()) });
        Carried { context, http_parent, target: None }
    }

    #[test]
    fn the_message_says_the_parent_and_http_only_in_its_place() {
        let spans = |message, http| {
            let (parent, link) = stands_in(Some(&carried(message, http)));
            let span = |context: SpanContext| context.span_id().to_bytes()[0];
            (parent.map(span), link.map(span))
        };
        assert_eq!(spans(Some(MESSAGE), Some(HTTP)), (Some(2), Some(4)));
        assert_eq!(spans(Some(MESSAGE), Some(MESSAGE)), (Some(2), None));
        assert_eq!(spans(Some(MESSAGE), None), (Some(2), None));
        assert_eq!(spans(None, Some(HTTP)), (Some(4), None));
        assert_eq!(spans(None, None), (None, None));
        let (parent, _) = stands_in(Some(&carried(Some(MESSAGE), None)));
        assert_eq!(parent.unwrap().trace_state().get("a"), Some("b"));
    }
}

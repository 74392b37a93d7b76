//! Our own tools, beside the upstream's: `health_check`, `heartbeat`, `session_info`, and the two that give a
//! client its session back.
//!
//! They are spliced into the answer to `tools/list` and answered here. An upstream's tool of the same
//! name wins, and ours is called `archon_…` then.

mod reconnect;
mod tools;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use archon_sessions::layer::{BoxError, CallFailed, Exchange, InnerRequest};
use archon_sessions::protocol::Envelope;
use archon_sessions::protocol::sse::is_event_stream;
use archon_sessions::tracker::Tracker;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http_body_util::BodyExt;
use tower::{Layer, Service, layer::layer_fn};

use super::catalog::{Catalog, Page};
use super::wire::event::Event;
use super::wire::incoming::{Incoming, TooLarge};
use super::wire::object::Object;
use super::wire::{Answer, Answering, GatewayBody, Relay, answer, message, written};
use tools::Tool;

/// A page larger than this is passed on as it is.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Puts our tools before an upstream, and learns of the upstream's own from what passes.
#[derive(Clone)]
pub struct Builtin<U> {
    upstream: U,
    shared: Arc<Shared>,
}

struct Shared {
    /// The upstream's name.
    name: Arc<str>,
    tracker: Tracker,
    /// When the gateway did.
    started: Instant,
    catalog: Arc<Catalog>,
    is_on: bool,
}

impl<U> Builtin<U> {
    /// Returns the layer; with `is_on` false it adds nothing.
    pub fn layer(
        name: Arc<str>,
        (tracker, started): (Tracker, Instant),
        catalog: Arc<Catalog>,
        is_on: bool,
    ) -> impl Layer<U, Service = Builtin<U>> {
        let shared = Arc::new(Shared { name, tracker, started, catalog, is_on });
        layer_fn(move |upstream| Builtin { upstream, shared: shared.clone() })
    }
}

/// What a request is to our tools.
enum Interest {
    None,
    List,
    Call(Tool),
}

impl<U: Relay> Service<InnerRequest> for Builtin<U> {
    type Response = Answer;
    type Error = CallFailed;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), CallFailed>> {
        self.upstream.poll_ready(context)
    }

    fn call(&mut self, request: InnerRequest) -> Self::Future {
        match interest(&request) {
            Interest::List => Box::pin(self.clone().list(request)),
            Interest::Call(tool) if self.shared.is_on => {
                Box::pin(self.clone().call_tool(tool, request))
            }
            Interest::None | Interest::Call(_) => self.upstream.call(request),
        }
    }
}

fn interest(request: &InnerRequest) -> Interest {
    let Some(envelope) = message(request) else { return Interest::None };
    if envelope.request_id().is_none() {
        return Interest::None;
    }
    match &*envelope.method {
        "tools/list" => Interest::List,
        "tools/call" => {
            let named = envelope.tool().and_then(|name| Tool::named(name));
            named.map_or(Interest::None, Interest::Call)
        }
        _ => Interest::None,
    }
}

impl<U: Relay> Builtin<U> {
    /// Adds our tools to the last page of the upstream's. What comes before the page on its stream goes on at once: the
    /// server may wait for an answer to it.
    async fn list(mut self, request: InnerRequest) -> Result<Answer, CallFailed> {
        let again = request.clone();
        let answer = self.upstream.call(request).await?;
        if !answer.status().is_success() {
            return Ok(answer);
        }
        let (mut parts, body) = answer.into_parts();
        let mut incoming = Incoming::new(&parts, body);
        if is_event_stream(&parts.headers) {
            parts.headers.remove(CONTENT_LENGTH);
            let body = written::body(|out| self.write_list(incoming, again, out));
            return Ok(Answer::from_parts(parts, body));
        }
        match incoming.next_event(PAGE_BYTES_MAX).await {
            Ok(Some(whole)) => {
                let body = match self.spliced(&whole, &again).await {
                    Listed::Longer(json) => json.into(),
                    Listed::Same | Listed::Other => whole.raw,
                };
                if parts.headers.contains_key(CONTENT_LENGTH) {
                    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
                }
                Ok(Answer::from_parts(parts, GatewayBody::ours(body)))
            }
            Ok(None) => Ok(Answer::from_parts(parts, incoming.rest())),
            Err(error) if error.is::<TooLarge>() => Ok(Answer::from_parts(parts, incoming.rest())),
            Err(_) => Err(CallFailed::lost(&self.shared.name)),
        }
    }

    /// Passes a stream on, event by event, until the page has come; then as it comes.
    async fn write_list(
        mut self,
        mut incoming: Incoming,
        request: InnerRequest,
        out: written::Out,
    ) -> Result<(), BoxError> {
        loop {
            let event = match incoming.next_event(PAGE_BYTES_MAX).await {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) if error.is::<TooLarge>() => break,
                Err(error) => return Err(error),
            };
            match self.spliced(&event, &request).await {
                Listed::Other => out.pass(event.raw).await,
                Listed::Same => {
                    out.pass(event.raw).await;
                    break;
                }
                Listed::Longer(json) => {
                    out.pass(event.with_data(&json)).await;
                    break;
                }
            }
        }
        let mut rest = incoming.rest();
        while let Some(frame) = rest.frame().await {
            if let Ok(bytes) = frame?.into_data() {
                out.pass(bytes).await;
            }
        }
        Ok(())
    }

    /// Learns from a page, and returns what the client is to see of it.
    async fn spliced(&mut self, event: &Event, request: &InnerRequest) -> Listed {
        let read = event.data.as_ref().and_then(|data| Some((data, Page::read(data)?)));
        let Some((data, page)) = read else { return Listed::Other };
        let shared = self.shared.clone();
        let is_first = !has_cursor(request);
        shared.catalog.learn(&page, is_first);
        if page.next.is_some() || !shared.is_on {
            return Listed::Same;
        }
        if !is_first {
            shared.catalog.ask(&mut self.upstream, request).await;
        }
        let taken = self.taken();
        let added: Vec<String> = Tool::ALL.iter().map(|tool| tool.definition(&taken)).collect();
        Listed::Longer(page.with(data, &added))
    }

    /// Answers a call of one of our names, unless the upstream uses it itself.
    async fn call_tool(mut self, tool: Tool, request: InnerRequest) -> Result<Answer, CallFailed> {
        let catalog = self.shared.catalog.clone();
        catalog.ask(&mut self.upstream, &request).await;
        let taken = self.taken();
        let called = message(&request).and_then(Envelope::tool).map(|name| name.to_string());
        if called.as_deref() != Some(&*tool.name(&taken)) {
            return self.upstream.call(request).await;
        }
        let Some(exchange) = request.extensions().get::<Exchange>() else {
            return self.upstream.call(request).await;
        };
        let id = message(&request).and_then(Envelope::request_id).map_or("null", |id| id);
        let outcome =
            tool.run(&request, exchange, (&self.shared.tracker, self.shared.started)).await;
        let mut answer = answer::json(StatusCode::OK, outcome.message(id, exchange.era).into());
        if let Some(rebound) = outcome.rebound {
            answer.extensions_mut().insert(rebound);
        }
        Ok(answer)
    }

    /// Returns those of our tools whose names the upstream uses itself.
    fn taken(&self) -> Vec<Tool> {
        Tool::taken_by(|name| self.shared.catalog.has(name))
    }
}

/// What the client is to see of an event.
enum Listed {
    /// It is not a page: as it is.
    Other,
    /// A page without ours: as it is.
    Same,
    /// A page with ours, as JSON text.
    Longer(Vec<u8>),
}

/// Returns true if this `tools/list` asks for a page that is not the first.
fn has_cursor(request: &InnerRequest) -> bool {
    let params = message(request).and_then(|envelope| envelope.params.as_deref());
    let cursor =
        params.and_then(Object::read).and_then(|params| params.get("cursor").map(str::to_owned));
    cursor.is_some_and(|cursor| cursor != "null")
}

//! Our own tools, beside the upstream's: `health_check`, `heartbeat`, `session_info`, and the two that give a
//! client its session back.
//!
//! They are spliced into the answer to `tools/list` and answered here. An upstream's tool of the same
//! name wins, and ours is called `archon_…` then.

mod reconnect;
mod tools;

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use archon_sessions::layer::{CallFailed, Exchange, InnerRequest};
use archon_sessions::protocol::Envelope;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use tower::{Layer, Service, layer::layer_fn};

use super::{Answer, Answering, GatewayBody, Relay, listing, message};
use crate::server::Overview;
use tools::Tool;

/// Puts our tools before an upstream.
#[derive(Clone)]
pub struct Builtin<U> {
    upstream: U,
    shared: Arc<Shared>,
}

struct Shared {
    /// The upstream's name.
    name: Arc<str>,
    overview: Arc<Overview>,
    is_on: bool,
    /// Which of our names the upstream uses itself; `None` until its tools were listed.
    taken: Mutex<Option<Vec<Tool>>>,
}

impl<U> Builtin<U> {
    /// Returns the layer; with `is_on` false it lets everything pass.
    pub fn layer(
        name: Arc<str>,
        overview: Arc<Overview>,
        is_on: bool,
    ) -> impl Layer<U, Service = Builtin<U>> {
        layer_fn(move |upstream| Builtin {
            upstream,
            shared: Arc::new(Shared {
                name: name.clone(),
                overview: overview.clone(),
                is_on,
                taken: Mutex::default(),
            }),
        })
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
        let interest = if self.shared.is_on { interest(&request) } else { Interest::None };
        match interest {
            Interest::None => self.upstream.call(request),
            Interest::List => Box::pin(self.clone().list(request)),
            Interest::Call(tool) => Box::pin(self.clone().call_tool(tool, request)),
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
    /// Adds our tools to the last page of the upstream's.
    async fn list(mut self, request: InnerRequest) -> Result<Answer, CallFailed> {
        let has_cursor = listing::has_cursor(&request);
        let again = request.clone();
        let answer = self.upstream.call(request).await?;
        let Some(page) = listing::read(answer).await else {
            return Err(CallFailed::lost(&self.shared.name));
        };
        let page = match page {
            listing::Read::Page(page) => page,
            listing::Read::Other(answer) => return Ok(answer),
        };
        if page.has_more() {
            return Ok(page.unchanged());
        }
        if has_cursor {
            self.learn_taken(&again).await;
        } else {
            self.set_taken(Tool::taken_by(page.names()));
        }
        let taken = self.taken().unwrap_or_default();
        let added: Vec<String> = Tool::ALL.iter().map(|tool| tool.definition(&taken)).collect();
        Ok(page.with(&added))
    }

    /// Answers a call of one of our names, unless the upstream uses it itself.
    async fn call_tool(mut self, tool: Tool, request: InnerRequest) -> Result<Answer, CallFailed> {
        if self.taken().is_none() {
            self.learn_taken(&request).await;
        }
        let taken = self.taken().unwrap_or_default();
        let called = message(&request).and_then(Envelope::tool).map(|name| name.to_string());
        if called.as_deref() != Some(&*tool.name(&taken)) {
            return self.upstream.call(request).await;
        }
        let Some(exchange) = request.extensions().get::<Exchange>() else {
            return self.upstream.call(request).await;
        };
        let id = message(&request).and_then(Envelope::request_id).map_or("null", |id| id);
        let outcome = tool.run(&request, exchange, &self.shared.overview).await;
        let mut answer = json(outcome.message(id, exchange.era));
        if let Some(rebound) = outcome.rebound {
            answer.extensions_mut().insert(rebound);
        }
        Ok(answer)
    }

    /// Lists the upstream's tools on the client's own connection, to know their names.
    async fn learn_taken(&mut self, like: &InnerRequest) {
        let mut cursor = None;
        let mut taken = Vec::new();
        for _ in 0..listing::PAGES_MAX {
            let request = listing::request(like, cursor.as_deref());
            let Ok(answer) = self.upstream.call(request).await else { return };
            let Some(listing::Read::Page(page)) = listing::read(answer).await else { return };
            taken.extend(Tool::taken_by(page.names()));
            cursor = page.next();
            if cursor.is_none() {
                break;
            }
        }
        self.set_taken(taken);
    }

    fn taken(&self) -> Option<Vec<Tool>> {
        self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_taken(&self, taken: Vec<Tool>) {
        *self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
    }
}

/// Returns a JSON answer of ours.
fn json(body: String) -> Answer {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(GatewayBody::ours(Bytes::from(body)));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, length);
    response
}

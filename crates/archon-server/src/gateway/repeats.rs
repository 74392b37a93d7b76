//! Marks calls that may be sent again, where the operator trusts an upstream's word for it: the tool only
//! reads, or is idempotent (MCP 2025-11-25, Tools, ToolAnnotations; "clients MUST consider tool annotations
//! to be untrusted unless they come from trusted servers").

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use archon_sessions::layer::{CallFailed, InnerRequest, Repeatable, codes};
use archon_sessions::protocol::Envelope;
use tower::{Layer, Service, layer::layer_fn};

use super::{Answer, Answering, Relay, listing, message};

/// Names kept; an upstream with more tools has the others' calls sent once.
const NAMES_MAX: usize = 10_000;

/// See the module.
#[derive(Clone)]
pub struct Repeats<U> {
    upstream: U,
    /// `None` where the upstream's word is not trusted: then everything passes.
    trusted: Option<Arc<Trusted>>,
}

struct Trusted {
    /// The upstream's name.
    name: Arc<str>,
    /// Tools that may be called again; `None` until they were listed. Held for single operations.
    tools: Mutex<Option<HashSet<String>>>,
}

impl<U> Repeats<U> {
    /// Returns the layer for the upstream of this name.
    pub fn layer(name: Arc<str>, is_trusted: bool) -> impl Layer<U, Service = Repeats<U>> {
        layer_fn(move |upstream| {
            let trusted = Trusted { name: name.clone(), tools: Mutex::default() };
            Repeats { upstream, trusted: is_trusted.then(|| Arc::new(trusted)) }
        })
    }
}

impl<U: Relay> Service<InnerRequest> for Repeats<U> {
    type Response = Answer;
    type Error = CallFailed;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), CallFailed>> {
        self.upstream.poll_ready(context)
    }

    fn call(&mut self, request: InnerRequest) -> Answering {
        let Some(trusted) = self.trusted.clone() else { return self.upstream.call(request) };
        match message(&request).map(|envelope| &*envelope.method) {
            Some("tools/list") => Box::pin(trusted.list(self.upstream.clone(), request)),
            Some("tools/call") => Box::pin(trusted.call(self.upstream.clone(), request)),
            _ => self.upstream.call(request),
        }
    }
}

impl Trusted {
    /// Passes a list on, and notes what it says.
    async fn list<U: Relay>(
        self: Arc<Self>,
        mut upstream: U,
        request: InnerRequest,
    ) -> Result<Answer, CallFailed> {
        let is_first = !listing::has_cursor(&request);
        match listing::read(upstream.call(request).await?).await {
            None => Err(CallFailed::lost(&self.name)),
            Some(listing::Read::Other(answer)) => Ok(answer),
            Some(listing::Read::Page(page)) => {
                self.note(is_first, page.repeatable());
                Ok(page.unchanged())
            }
        }
    }

    /// Passes a call on, and says of its answer, or of its failure, that it may be repeated.
    async fn call<U: Relay>(
        self: Arc<Self>,
        mut upstream: U,
        request: InnerRequest,
    ) -> Result<Answer, CallFailed> {
        if self.tools().is_none() {
            self.learn(&mut upstream, &request).await;
        }
        let called = message(&request).and_then(Envelope::tool);
        let is_repeatable = match (called, &*self.tools()) {
            (Some(called), Some(tools)) => tools.contains(&**called),
            _ => false,
        };
        match upstream.call(request).await {
            Ok(mut answer) if is_repeatable => {
                answer.extensions_mut().insert(Repeatable);
                Ok(answer)
            }
            Err(failed) if failed.code == codes::OUTCOME_UNKNOWN => {
                Err(CallFailed { is_repeatable, ..failed })
            }
            answered => answered,
        }
    }

    /// Lists the upstream's tools on the client's own connection.
    async fn learn<U: Relay>(&self, upstream: &mut U, like: &InnerRequest) {
        let mut cursor = None;
        for page in 0..listing::PAGES_MAX {
            let request = listing::request(like, cursor.as_deref());
            let Ok(answer) = upstream.call(request).await else { return };
            let Some(listing::Read::Page(read)) = listing::read(answer).await else { return };
            self.note(page == 0, read.repeatable());
            cursor = read.next();
            if cursor.is_none() {
                return;
            }
        }
    }

    fn note<'a>(&self, is_first: bool, names: impl Iterator<Item = &'a str>) {
        let mut tools = self.tools();
        let tools = tools.get_or_insert_default();
        if is_first {
            tools.clear();
        }
        let room = NAMES_MAX.saturating_sub(tools.len());
        tools.extend(names.take(room).map(str::to_owned));
    }

    fn tools(&self) -> std::sync::MutexGuard<'_, Option<HashSet<String>>> {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

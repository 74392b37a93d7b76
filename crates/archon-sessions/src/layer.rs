//! All of it around a tower service: the layer gives each client of the service behind it a durable,
//! tracked session. That service may be an embedded MCP server or a gateway to one; the layer cannot
//! tell.
//!
//! A request passes, in this order: `edge` (may it be here at all), `protocol` (what does it say),
//! `tracker` (whose is it), the service, and `body`, which watches the answer go by.

mod accept;
mod ahead;
mod answer;
mod body;
mod cancel;
mod current;
mod detach;
mod early;
mod edge;
mod elsewhere;
mod exchange;
mod failure;
mod flow;
mod handshake;
mod legacy;
mod modern;
mod refused;
mod reject;
mod renew;
mod request;
mod restore;
mod standing;
mod whole;

pub use crate::protocol::codes;
pub use body::SessionBody;
pub use current::{Annotate, CurrentSession};
pub use edge::{AllowedHosts, Limits, PeerAddress};
pub use elsewhere::{Forwarded, MayHaveRun};
pub use exchange::{Exchange, Rebound, Repeatable};
pub use failure::{BoxError, CallFailed};
pub use flow::{InnerRequest, InnerService};
pub use reject::{error_response, json_response};

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body;
use tower::{Layer, Service};

use crate::protocol::Message;
use crate::session::Era;
use crate::tracker::Tracker;
use accept::Accepts;
use detach::Detachable;
use flow::{Answer, Flow, Shared};

/// Wraps a service in sessions.
#[derive(Clone)]
pub struct SessionLayer {
    shared: Arc<Shared>,
}

impl SessionLayer {
    /// Returns a layer for the service named `upstream`: the name that rows and connections carry.
    pub fn new(tracker: Tracker, upstream: impl Into<Arc<str>>) -> Self {
        Self::with_limits(tracker, upstream, Limits::default())
    }

    /// As [`SessionLayer::new`], with limits of your own.
    pub fn with_limits(tracker: Tracker, upstream: impl Into<Arc<str>>, limits: Limits) -> Self {
        let shared = Shared { tracker, upstream: upstream.into(), limits };
        Self { shared: Arc::new(shared) }
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService { shared: self.shared.clone(), inner }
    }
}

/// The service that [`SessionLayer`] makes.
#[derive(Clone)]
pub struct SessionService<S> {
    shared: Arc<Shared>,
    inner: S,
}

impl<S, B> Service<Request<B>> for SessionService<S>
where
    S: InnerService,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<SessionBody<S::Answer>>;
    type Error = std::convert::Infallible;
    type Future = Detachable<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Each call makes its own clone of the inner service ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let must_finish = Arc::new(AtomicBool::new(false));
        let flow = Flow {
            shared: self.shared.clone(),
            inner: self.inner.clone(),
            must_finish: must_finish.clone(),
            accepts: Accepts::of(request.headers()),
        };
        let tracker = self.shared.tracker.clone();
        Detachable::new(Box::pin(flow.run(request)), must_finish, tracker)
    }
}

impl<S: InnerService> Flow<S> {
    async fn run<B>(self, request: Request<B>) -> Answer<S>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        let (sender, shared) = (refused::Sender::of(&parts), self.shared.clone());
        let mut answer = self.answer_to(parts, body).await;
        sender.note(&mut answer, &shared.tracker, &shared.upstream);
        answer
    }

    async fn answer_to<B>(self, parts: Parts, body: B) -> Answer<S>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if let Err(refusal) = self.shared.limits.hosts.check(&parts.headers, &parts.uri) {
            refusal.log(&parts);
            return reject::edge(&refusal);
        }
        match parts.method {
            Method::POST => match edge::collect(body, &self.shared.limits).await {
                Ok(body) if self.accepts == Accepts::JsonOnly => {
                    whole::as_json(self.post(parts, body).await).await
                }
                Ok(body) => self.post(parts, body).await,
                Err(refusal) => {
                    refusal.log(&parts);
                    reject::edge(&refusal)
                }
            },
            Method::GET => self.legacy_stream(parts).await,
            Method::DELETE => self.legacy_delete(parts).await,
            _ => reject::method_not_allowed("POST, GET, DELETE"),
        }
    }

    /// Takes a POST of either era: what it says is decided here, once.
    async fn post(self, parts: Parts, body: Bytes) -> Answer<S> {
        let arrival = self.shared.arrival(&parts);
        let (body, message) = match Message::read(body) {
            Ok((body, message)) => (body, Arc::new(message)),
            Err(refused) => return reject::envelope(&refused),
        };
        let mut answer = match request::era_of(&parts, &message) {
            Era::Modern => self.modern(parts, body, message.clone(), arrival).await,
            Era::Legacy if message.envelopes().iter().any(request::is_initialize) => {
                match &*message {
                    Message::Single(envelope) => {
                        self.initialize(parts, body, envelope.clone(), arrival).await
                    }
                    Message::Batch(_) => reject::batch(),
                }
            }
            Era::Legacy => self.legacy(parts, body, message.clone(), arrival).await,
        };
        refused::name_client(&mut answer, &message);
        answer
    }
}

//! All of it around a tower service: the layer gives each client of the service behind it a durable,
//! tracked session. That service may be an embedded MCP server or a gateway to one; the layer cannot
//! tell.
//!
//! A request passes, in this order: `edge` (may it be here at all), `protocol` (what does it say),
//! `tracker` (whose is it), the service, and `body`, which watches the answer go by.

mod accept;
mod ahead;
mod body;
mod cancel;
mod current;
mod detach;
mod early;
mod edge;
mod exchange;
mod failure;
mod handshake;
mod legacy;
mod modern;
mod refused;
mod reject;
mod renew;
mod restore;
mod standing;
mod whole;

pub use body::SessionBody;
pub use current::{Annotate, Session};
pub use edge::{AllowedHosts, PeerAddress};
pub use exchange::{Exchange, Rebound, Repeatable};
pub use failure::{CallFailed, codes};
pub use reject::{error_response, json_response};

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::{Layer, Service};

use crate::tracker::Tracker;
use accept::Accepts;
use detach::Detachable;

/// An error of any kind, as tower has it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the layer hands to the service behind it.
pub type InnerRequest = Request<Full<Bytes>>;

/// Where the layer draws its lines.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one request body; 4 MiB holds any message but a file that should be a resource.
    pub body_bytes_max: usize,
    /// How long a client may take to send a body.
    pub body_time_max: Duration,
    /// `Host` and `Origin` values that are let in.
    pub hosts: AllowedHosts,
    /// How long a call to this service may go without a sign of its answer; the tracker's setting if
    /// it has none of its own.
    pub call_timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 4 * 1024 * 1024,
            body_time_max: Duration::from_secs(30),
            hosts: AllowedHosts::loopback(),
            call_timeout: None,
        }
    }
}

/// Wraps a service in sessions.
#[derive(Clone)]
pub struct SessionLayer {
    shared: Arc<Shared>,
}

struct Shared {
    tracker: Tracker,
    upstream: Arc<str>,
    limits: Limits,
}

impl Shared {
    fn call_timeout(&self) -> Duration {
        self.limits.call_timeout.unwrap_or(self.tracker.settings().call_timeout)
    }
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

/// What the layer needs of the service behind it.
pub trait Inner:
    Service<InnerRequest, Response = Response<Self::Answer>, Error: Into<CallFailed>, Future: Send>
    + Clone
    + Send
    + 'static
{
    /// The body of its answers.
    type Answer: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;
}

impl<S, B> Inner for S
where
    S: Service<InnerRequest, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<CallFailed>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Answer = B;
}

impl<S, B> Service<Request<B>> for SessionService<S>
where
    S: Inner,
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

/// One request on its way through the layer.
#[derive(Clone)]
struct Flow<S> {
    shared: Arc<Shared>,
    inner: S,
    /// Set once the request must run to its end even if its client leaves.
    must_finish: Arc<AtomicBool>,
    accepts: Accepts,
}

type Answer<S> = Response<SessionBody<<S as Inner>::Answer>>;

impl<S: Inner> Flow<S> {
    async fn run<B>(self, request: Request<B>) -> Answer<S>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        let (sender, shared) = (refused::Sender::of(&parts), self.shared.clone());
        let mut answer = self.answer_to(parts, body).await;
        sender.note(&mut answer, &shared);
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

    /// Makes the inner service ready and calls it.
    async fn call_inner(
        &mut self,
        request: InnerRequest,
    ) -> Result<Response<S::Answer>, CallFailed> {
        std::future::poll_fn(|context| self.inner.poll_ready(context)).await.map_err(Into::into)?;
        let limit = self.shared.call_timeout();
        match tokio::time::timeout(limit, self.inner.call(request)).await {
            Ok(Ok(mut answer)) => {
                // One of ours among them would put the client into a session of the server's choice.
                answer.headers_mut().remove(SET_COOKIE);
                Ok(answer)
            }
            Ok(Err(failed)) => Err(failed.into()),
            Err(_) => Err(CallFailed::timed_out(limit)),
        }
    }
}

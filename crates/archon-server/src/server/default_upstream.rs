//! What `/mcp` leads to: the default upstream, or the one that the client's handle was given out for.
//!
//! The default may change while clients are connected: another is named, or one is added before it in the file. A client that
//! shakes hands afterwards comes to the new one. One that has shaken hands stays with the server that it knows.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use archon_sessions::protocol::Presented;
use archon_sessions::tracker::Tracker;
use futures_util::future::Either;
use http::{Request, Response};
use tower::Service;

type Looking<T> = Pin<Box<dyn Future<Output = Result<T, Infallible>> + Send>>;

/// See the module. It stands behind the gate, so that strangers have nothing looked up.
#[derive(Clone)]
pub struct DefaultUpstream<S> {
    /// By name, the default one first.
    services: Arc<[(Arc<str>, S)]>,
    tracker: Tracker,
}

impl<S: Clone> DefaultUpstream<S> {
    /// Returns the service in front of these; the first is the default, and there is one at least.
    pub fn new(services: Vec<(Arc<str>, S)>, tracker: Tracker) -> Self {
        Self { services: services.into(), tracker }
    }

    /// Returns the one of this name, or the default.
    fn named(services: &[(Arc<str>, S)], name: Option<&str>) -> S {
        let named = services.iter().find(|(own, _)| Some(&**own) == name);
        named.unwrap_or(&services[0]).1.clone()
    }
}

impl<S, A, B> Service<Request<A>> for DefaultUpstream<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    A: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Either<S::Future, Looking<Response<B>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let handle = match &*self.services {
            [_] => None,
            _ => Presented::read(request.headers()).connection.sent(),
        };
        let Some(handle) = handle else {
            return Either::Left(Self::named(&self.services, None).call(request));
        };
        if let Some(upstream) = self.tracker.upstream_of(handle) {
            return Either::Left(Self::named(&self.services, Some(&upstream)).call(request));
        }
        // After a pause, or at another node, only the store knows it.
        let (services, tracker) = (self.services.clone(), self.tracker.clone());
        Either::Right(Box::pin(async move {
            let upstream = tracker.stored_upstream_of(handle).await;
            Self::named(&services, upstream.as_deref()).call(request).await
        }))
    }
}

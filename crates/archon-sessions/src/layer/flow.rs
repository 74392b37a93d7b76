//! A request on its way through the layer, and the service that it goes to.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::Service;

use super::accept::Accepts;
use super::body::SessionBody;
use super::edge::Limits;
use super::failure::{BoxError, CallFailed};
use crate::tracker::Tracker;

/// What the layer hands to the service behind it.
pub type InnerRequest = Request<Full<Bytes>>;

/// What the layer needs of the service behind it.
pub trait InnerService:
    Service<InnerRequest, Response = Response<Self::Answer>, Error: Into<CallFailed>, Future: Send>
    + Clone
    + Send
    + 'static
{
    /// The body of its answers.
    type Answer: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;
}

impl<S, B> InnerService for S
where
    S: Service<InnerRequest, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<CallFailed>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Answer = B;
}

/// What all requests of one layer share.
pub(super) struct Shared {
    pub(super) tracker: Tracker,
    pub(super) upstream: Arc<str>,
    pub(super) limits: Limits,
}

impl Shared {
    pub(super) fn call_timeout(&self) -> Duration {
        self.limits.call_timeout.unwrap_or(self.tracker.settings().call_timeout)
    }
}

/// One request on its way through the layer.
#[derive(Clone)]
pub(super) struct Flow<S> {
    pub(super) shared: Arc<Shared>,
    pub(super) inner: S,
    /// Set once the request must run to its end even if its client leaves.
    pub(super) must_finish: Arc<AtomicBool>,
    pub(super) accepts: Accepts,
}

pub(super) type Answer<S> = Response<SessionBody<<S as InnerService>::Answer>>;

impl<S: InnerService> Flow<S> {
    /// Makes the inner service ready and calls it.
    pub(super) async fn call_inner(
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

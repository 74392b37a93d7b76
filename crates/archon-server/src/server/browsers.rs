//! Pages in browsers, in front of the whole MCP port: they may use it from the origins that are let in, and may read
//! every answer, refusals included.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use archon_sessions::layer::{AllowedHosts, SessionBody, codes, error_response};
use archon_sessions::protocol::names::{MCP_PROTOCOL_VERSION, MCP_SESSION_ID, X_ARCHON_SESSION_ID};
use futures_util::future::Either;
use http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tower_http::cors::{
    AllowHeaders, AllowOrigin, AllowPrivateNetwork, Cors, CorsLayer, ResponseFuture,
};

/// A browser need not ask again for this long; none remembers it for longer than two hours.
const REMEMBERED: Duration = Duration::from_secs(2 * 60 * 60);

/// Stands before a service and speaks with browsers (Fetch Standard, 3.3: HTTP CORS protocol).
#[derive(Clone)]
pub struct Browsers<S> {
    hosts: AllowedHosts,
    inner: Cors<Own<S>>,
}

impl<S> Browsers<S> {
    /// Returns the service for pages whose origins are among these.
    pub fn new(inner: S, hosts: &AllowedHosts) -> Self {
        let lets_in = {
            let hosts = hosts.clone();
            move |origin: &HeaderValue, _: &http::request::Parts| hosts.lets_in_origin(origin)
        };
        let cors = CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(lets_in.clone()))
            .allow_methods([Method::POST, Method::GET, Method::DELETE])
            // The protocol's own, a tool's `Mcp-Param-*`, credentials, what a proxy in between asks for: a page that
            // is let in may send what any other client may.
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers([
                MCP_SESSION_ID,
                MCP_PROTOCOL_VERSION,
                X_ARCHON_SESSION_ID,
                WWW_AUTHENTICATE,
                RETRY_AFTER,
            ])
            // A page on the open network that asks for a server on this machine.
            .allow_private_network(AllowPrivateNetwork::predicate(lets_in))
            .max_age(REMEMBERED);
        Self { hosts: hosts.clone(), inner: cors.layer(Own(inner)) }
    }
}

/// An OPTIONS that asks what a page may send.
fn is_preflight<A>(request: &Request<A>) -> bool {
    let headers = request.headers();
    headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

type Refused<B> = std::future::Ready<Result<Response<SessionBody<B>>, Infallible>>;

impl<S, A, B> Service<Request<A>> for Browsers<S>
where
    S: Service<Request<A>, Response = Response<SessionBody<B>>, Error = Infallible>,
{
    type Response = Response<SessionBody<B>>;
    type Error = Infallible;
    type Future =
        Either<ResponseFuture<Answering<S::Future>>, Either<Answering<S::Future>, Refused<B>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        if request.method() != Method::OPTIONS {
            return Either::Left(self.inner.call(request));
        }
        if !is_preflight(&request) {
            return Either::Right(Either::Left(self.inner.get_mut().call(request)));
        }
        if let Err(refusal) = self.hosts.check(request.headers(), request.uri()) {
            let (status, code) = (StatusCode::FORBIDDEN, codes::REFUSED);
            let refused = error_response(status, None, code, &refusal.to_string());
            return Either::Right(Either::Right(std::future::ready(Ok(refused))));
        }
        Either::Left(self.inner.call(request))
    }
}

/// Takes out of answers what an upstream tells browsers: it does not know which pages are let in here.
#[derive(Clone)]
pub struct Own<S>(S);

impl<S, A, B> Service<Request<A>> for Own<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        Answering { answer: self.0.call(request) }
    }
}

pin_project! {
    /// An answer on its way.
    pub struct Answering<F> {
        #[pin]
        answer: F,
    }
}

impl<F, B, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = ready!(self.project().answer.poll(context))?;
        forget_cors(response.headers_mut());
        Poll::Ready(Ok(response))
    }
}

fn forget_cors(headers: &mut HeaderMap) {
    let is_cors = |name: &HeaderName| name.as_str().starts_with("access-control-");
    // Nearly always there are none.
    if headers.keys().any(is_cors) {
        let names: Vec<HeaderName> = headers.keys().filter(|name| is_cors(name)).cloned().collect();
        names.iter().for_each(|name| drop(headers.remove(name)));
    }
}

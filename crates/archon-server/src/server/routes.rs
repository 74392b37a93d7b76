//! Which path leads where: `/mcp`, `/mcp/{upstream}`, `/health`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use archon_sessions::layer::{
    AllowedHosts, SessionBody, SessionService, codes, error_response, json_response,
};
use futures_util::future::Either;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tower::Service;

use super::Overview;
use super::unread::Lent;
use crate::api::health;
use crate::gateway::{Builtin, GatewayBody, Repeats, Unbatched, Upstream};
use crate::identity::{Identify, Identities, described_by};

type Sessions = Identify<SessionService<Unbatched<Builtin<Repeats<Upstream>>>>>;
type Answer = Response<SessionBody<GatewayBody>>;
type Routed = Either<
    <Sessions as Service<Request<Lent<Incoming>>>>::Future,
    Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>,
>;

/// An upstream with all that stands before it.
#[derive(Clone)]
pub struct Endpoint {
    /// Its name in the path.
    pub name: Arc<str>,
    /// What answers.
    pub service: Sessions,
}

/// Returns the paths at which an endpoint is.
pub fn paths(name: &str, is_default: bool) -> Vec<String> {
    let own = format!("/mcp/{name}");
    if is_default { vec!["/mcp".to_owned(), own] } else { vec![own] }
}

/// The router of the MCP port. Hand-made: three kinds of paths, on the path of every call.
#[derive(Clone)]
pub struct Routes {
    endpoints: Arc<[Endpoint]>,
    overview: Arc<Overview>,
    /// `None` where everybody is anonymous.
    identities: Option<Arc<Identities>>,
    hosts: AllowedHosts,
}

impl Routes {
    /// Returns the router; the first endpoint is the default one.
    pub fn new(
        endpoints: Vec<Endpoint>,
        overview: Arc<Overview>,
        identities: Option<Arc<Identities>>,
        hosts: AllowedHosts,
    ) -> Self {
        Self { endpoints: endpoints.into(), overview, identities, hosts }
    }

    fn endpoint(&self, path: &str) -> Option<Sessions> {
        let rest = path.strip_prefix("/mcp")?;
        let endpoint = match rest.trim_end_matches('/') {
            "" => self.endpoints.first()?,
            rest => {
                let name = rest.strip_prefix('/')?;
                self.endpoints.iter().find(|endpoint| *endpoint.name == *name)?
            }
        };
        Some(endpoint.service.clone())
    }

    /// Returns what a resource of ours says of itself, where this is the path for it.
    fn metadata(&self, request: &Request<Lent<Incoming>>) -> Option<Answer> {
        let path = described_by(request.uri().path())?;
        if !path.is_empty() && self.endpoint(path).is_none() {
            return None;
        }
        let document = self.identities.as_ref()?.metadata(request.headers(), path)?;
        if request.method() != Method::GET {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Some(error_response(status, None, codes::REFUSED, "this takes GET"));
        }
        Some(json_response(StatusCode::OK, document))
    }

    fn not_found(&self, path: &str) -> Answer {
        let names: Vec<String> =
            self.endpoints.iter().map(|endpoint| format!("/mcp/{}", endpoint.name)).collect();
        let message = if path.starts_with("/mcp/") {
            format!("no such upstream; there are: {}", names.join(", "))
        } else {
            "nothing here; the MCP endpoint is at /mcp".to_owned()
        };
        error_response(StatusCode::NOT_FOUND, None, codes::REFUSED, &message)
    }
}

impl Service<Request<Lent<Incoming>>> for Routes {
    type Response = Answer;
    type Error = Infallible;
    type Future = Routed;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Lent<Incoming>>) -> Self::Future {
        let path = request.uri().path();
        if let Some(mut endpoint) = self.endpoint(path) {
            return Either::Left(endpoint.call(request));
        }
        // An endpoint's own layer checks this; nothing else here tells a foreign page anything either.
        if let Err(refusal) = self.hosts.check(request.headers(), request.uri()) {
            let status = StatusCode::FORBIDDEN;
            let refused = error_response(status, None, codes::REFUSED, &refusal.to_string());
            return Either::Right(Box::pin(std::future::ready(Ok(refused))));
        }
        if path == "/health" && request.method() == Method::GET {
            let overview = self.overview.clone();
            return Either::Right(Box::pin(async move { Ok(health::mcp(&overview).await) }));
        }
        let answer = self.metadata(&request).unwrap_or_else(|| self.not_found(path));
        Either::Right(Box::pin(std::future::ready(Ok(answer))))
    }
}

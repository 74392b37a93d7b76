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
use super::default_upstream::DefaultUpstream;
use super::unread::Lent;
use crate::api::health;
use crate::gateway::{Builtin, GatewayBody, Repeats, Unbatched, Upstream};
use crate::identity::{Gate, Identify, Identities, described_by};

/// What is behind the gate of an upstream.
pub type Sessions = SessionService<Unbatched<Builtin<Repeats<Upstream>>>>;
type AtUpstream = Identify<Sessions>;
type AtDefault = Identify<DefaultUpstream<Sessions>>;
type FutureOf<S> = <S as Service<Request<Lent<Incoming>>>>::Future;
type Answer = Response<SessionBody<GatewayBody>>;
type Routed = Either<
    Either<FutureOf<AtUpstream>, FutureOf<AtDefault>>,
    Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>,
>;

/// An upstream with all that stands before it.
#[derive(Clone)]
pub struct Endpoint {
    /// Its name in the path.
    pub name: Arc<str>,
    /// What answers.
    pub sessions: Sessions,
    /// What lets requests in; `None` where everybody is anonymous.
    pub gate: Option<Arc<Gate>>,
}

/// What is at a path.
enum Found {
    Upstream(AtUpstream),
    Default(AtDefault),
}

/// Returns the paths at which an endpoint is.
pub fn paths(name: &str, is_default: bool) -> Vec<String> {
    let own = format!("/mcp/{name}");
    if is_default { vec!["/mcp".to_owned(), own] } else { vec![own] }
}

/// The router of the MCP port. Hand-made: three kinds of paths, on the path of every call.
#[derive(Clone)]
pub struct Routes {
    endpoints: Arc<[(Arc<str>, AtUpstream)]>,
    default: Option<AtDefault>,
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
        let all =
            endpoints.iter().map(|endpoint| (endpoint.name.clone(), endpoint.sessions.clone()));
        let all: Vec<_> = all.collect();
        let default = endpoints.first().map(|first| {
            let leads_on = DefaultUpstream::new(all, overview.tracker.clone());
            Identify::new(leads_on, first.gate.clone())
        });
        let own = endpoints.into_iter().map(|Endpoint { name, sessions, gate }| {
            let gated = Identify::new(sessions, gate);
            (name, gated)
        });
        Self { endpoints: own.collect(), default, overview, identities, hosts }
    }

    fn at(&self, path: &str) -> Option<Found> {
        let rest = path.strip_prefix("/mcp")?;
        match rest.trim_end_matches('/') {
            "" => self.default.clone().map(Found::Default),
            rest => {
                let name = rest.strip_prefix('/')?;
                let found = self.endpoints.iter().find(|(own, _)| **own == *name)?;
                Some(Found::Upstream(found.1.clone()))
            }
        }
    }

    /// Returns what a resource of ours says of itself, where this is the path for it.
    fn metadata(&self, request: &Request<Lent<Incoming>>) -> Option<Answer> {
        let path = described_by(request.uri().path())?;
        if !path.is_empty() && self.at(path).is_none() {
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
            self.endpoints.iter().map(|(name, _)| format!("/mcp/{name}")).collect();
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
        match self.at(path) {
            Some(Found::Upstream(mut upstream)) => {
                return Either::Left(Either::Left(upstream.call(request)));
            }
            Some(Found::Default(mut default)) => {
                return Either::Left(Either::Right(default.call(request)));
            }
            None => {}
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

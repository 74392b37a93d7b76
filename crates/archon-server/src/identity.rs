//! Who the clients of the MCP endpoint are: tokens of an issuer, keys that we gave out, or nobody.
//!
//! [`Identify`] stands before the sessions. It puts an [`Identity`] into each request that shows who sends it,
//! and refuses the others where that is asked for. A token is checked once: a call costs a look-up.

mod api_keys;
mod credentials;
mod issuer;
mod keys;
mod refusal;
mod resource;
mod token;
mod tokens;

pub use refusal::Denial;
pub use resource::{Origins, described_by};

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use archon_sessions::layer::{AllowedHosts, PeerAddress, SessionBody, codes, error_response};
use archon_sessions::session::{Identity, Principal, Timestamp};
use archon_sessions::tracker::{Refused, Tracker, causes};
use bytes::Bytes;
use futures_util::future::Either;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use tower::Service;

use crate::config::{AuthConfig, X_API_KEY};
use api_keys::ApiKeys;
use credentials::{Shown, shown};
use token::{Checked, Invalid};
use tokens::Tokens;

/// All that can be known of clients; one for the whole server.
#[derive(Debug)]
pub struct Identities {
    api_keys: ApiKeys,
    tokens: Option<Tokens>,
    is_required: bool,
    origins: Origins,
}

impl Identities {
    /// Returns what is configured, for a server that listens there. Must be called on a runtime.
    ///
    /// # Errors
    /// If the issuer cannot be asked at all.
    pub fn open(config: &AuthConfig, address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            api_keys: ApiKeys::of(&config.api_keys),
            tokens: config.issuer.as_ref().map(Tokens::of).transpose()?,
            is_required: config.is_required,
            origins: Origins::new(config.public_url.as_deref(), address),
        })
    }

    /// Returns what the resource at this path says of itself; `None` where clients cannot get tokens by themselves.
    pub fn metadata(&self, headers: &HeaderMap, path: &str) -> Option<String> {
        let issuer = &self.tokens.as_ref()?.issuer().name;
        Some(self.origins.metadata(headers, path, issuer))
    }
}

/// What lets requests in at one endpoint.
pub struct Gate {
    identities: Arc<Identities>,
    hosts: AllowedHosts,
    /// To whom tokens are made out.
    audiences: Vec<String>,
    /// Where it is noted who was not let in.
    tracker: Tracker,
    upstream: Arc<str>,
}

/// A request that was judged without asking anybody.
enum Judged {
    /// It goes on, as its sender or as nobody.
    In(Option<Identity>),
    /// Its token is not known yet.
    New(String),
}

impl Gate {
    /// Returns the gate of the endpoint at these paths, which leads to an upstream.
    pub fn new(
        identities: Arc<Identities>,
        hosts: AllowedHosts,
        paths: &[String],
        (tracker, upstream): (Tracker, Arc<str>),
    ) -> Self {
        let configured = identities.tokens.as_ref().map(|tokens| &tokens.issuer().audiences);
        let audiences = match configured {
            Some(audiences) if !audiences.is_empty() => audiences.clone(),
            _ => identities.origins.audiences(paths),
        };
        Self { identities, hosts, audiences, tracker, upstream }
    }

    fn judge(&self, headers: &mut HeaderMap, now: Timestamp) -> Result<Judged, Denial> {
        let Identities { api_keys, tokens, is_required, .. } = &*self.identities;
        let (found, used) = match shown(headers, !api_keys.is_empty()) {
            Shown::Nothing if *is_required => return Err(Denial::Missing),
            Shown::Nothing => return Ok(Judged::In(None)),
            // Whoever shows something is not let in as nobody: he would lose his session without a word.
            Shown::Unclear => return Err(Denial::Unclear),
            Shown::ApiKey(key) => (api_keys.find(key), X_API_KEY),
            Shown::Bearer(token) => match (api_keys.find(token), tokens) {
                (None, Some(tokens)) => {
                    return match tokens.known(token, now) {
                        Some(checked) => self.is_for_us(&checked).map(|who| Judged::In(Some(who))),
                        None => Ok(Judged::New(token.to_owned())),
                    };
                }
                (found, _) => (found, AUTHORIZATION),
            },
        };
        let identity = found.cloned().ok_or(Denial::UnknownKey)?;
        // A key of ours is of no use to anybody else, and goes to nobody.
        headers.remove(used);
        Ok(Judged::In(Some(identity)))
    }

    async fn check(&self, token: &str) -> Result<Identity, Denial> {
        let Some(tokens) = &self.identities.tokens else { return Err(Denial::UnknownKey) };
        let checked = tokens.check(token, Timestamp::now()).await?;
        self.is_for_us(&checked)
    }

    /// RFC 8707 and MCP, Authorization, Token Handling: a token for somebody else is not taken.
    fn is_for_us(&self, token: &Checked) -> Result<Identity, Denial> {
        let is_ours = token.audiences.iter().any(|audience| self.audiences.contains(audience));
        if is_ours { Ok(token.identity.clone()) } else { Err(Invalid::Audience.into()) }
    }

    fn refuse<A, B>(&self, denial: Denial, request: &Request<A>) -> Response<SessionBody<B>> {
        self.note(denial.cause(), &denial.to_string(), request);
        let origins = &self.identities.origins;
        let metadata = || origins.metadata_url(request.headers(), request.uri().path());
        denial.answer(self.identities.tokens.is_some().then(metadata).as_deref())
    }

    fn note<A>(&self, cause: &'static str, detail: &str, request: &Request<A>) {
        let peer = request.extensions().get::<PeerAddress>();
        let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        let refused = Refused {
            cause,
            upstream: &self.upstream,
            peer: peer.map(|peer| peer.0.ip()),
            principal: &Principal::Anonymous,
            client: agent,
            detail,
        };
        self.tracker.note_refusal(&refused, Timestamp::now());
    }
}

/// The service's own answer, or what takes longer.
type Answering<F, T> = Either<F, Pin<Box<dyn Future<Output = Result<T, Infallible>> + Send>>>;

/// Stands before a service and says who sends its requests.
#[derive(Clone)]
pub struct Identify<S> {
    inner: S,
    /// `None` where everybody is anonymous.
    gate: Option<Arc<Gate>>,
}

impl<S> Identify<S> {
    /// Returns the service behind a gate.
    pub fn new(inner: S, gate: Option<Arc<Gate>>) -> Self {
        Self { inner, gate }
    }
}

impl<S, A, B> Service<Request<A>> for Identify<S>
where
    S: Service<Request<A>, Response = Response<SessionBody<B>>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    A: Body<Data = Bytes> + Send + 'static,
    A::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = Answering<S::Future, S::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let Some(gate) = self.gate.clone() else { return Either::Left(self.inner.call(request)) };
        // Before anything else: a page that rebound its name to us learns nothing.
        if let Err(refusal) = gate.hosts.check(request.headers(), request.uri()) {
            tracing::warn!("request refused: {refusal}");
            let (status, code, why) = (StatusCode::FORBIDDEN, codes::REFUSED, refusal.to_string());
            gate.note(causes::HOST_NOT_ALLOWED, &why, &request);
            return now(error_response(status, None, code, &why));
        }
        let token = match gate.judge(request.headers_mut(), Timestamp::now()) {
            Ok(Judged::In(identity)) => {
                identity.map(|identity| request.extensions_mut().insert(identity));
                return Either::Left(self.inner.call(request));
            }
            Ok(Judged::New(token)) => token,
            Err(denial) => return now(gate.refuse(denial, &request)),
        };
        let mut inner = self.inner.clone();
        Either::Right(Box::pin(async move {
            match gate.check(&token).await {
                Ok(identity) => {
                    request.extensions_mut().insert(identity);
                    inner.call(request).await
                }
                Err(denial) => Ok(gate.refuse(denial, &request)),
            }
        }))
    }
}

fn now<F, T: Send + 'static>(answer: T) -> Answering<F, T> {
    Either::Right(Box::pin(std::future::ready(Ok(answer))))
}

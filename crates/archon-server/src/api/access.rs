//! Who may use the API: open to this machine by default, and to whoever shows a token once one is configured.

mod logins;
mod sign_in;

pub use sign_in::routes;

use std::net::IpAddr;
use std::sync::Arc;

use archon_sessions::layer::PeerAddress;
use archon_sessions::session::{Network, Principal, Timestamp};
use archon_sessions::tracker::{KeyedRate, Refused, Tracker};
use archon_sessions_api::access::Role;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN, UPGRADE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::ApiError;
use crate::config::{ApiConfig, SecretDigest};
use logins::{COOKIE_NAME, Logins};

/// Characters of a token; ours have 43.
const TOKEN_CHARS_MAX: usize = 1024;
/// Wrong tokens of one address a minute: a person mistypes a few times.
const FAILURES_MAX: u32 = 20;

/// Decides who may use the API.
pub struct Access {
    config: ApiConfig,
    logins: Logins,
    /// Wrong tokens by address. Programs of this machine are limited too: they are told that they fail, and lose nothing by
    /// it.
    failures: KeyedRate<Option<Network>>,
    /// Where it is noted who may not.
    tracker: Option<Tracker>,
}

/// Somebody who may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiUser {
    /// What they may do.
    pub role: Role,
    /// The name of their token; `None` where none is asked for.
    pub name: Option<Arc<str>>,
}

/// What showed who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown<'a> {
    Nothing,
    Token(&'a [u8]),
    Cookie(&'a [u8]),
}

impl Access {
    /// Returns what decides by this configuration, and tells the tracker who was turned away.
    pub fn new(config: ApiConfig, tracker: Option<Tracker>) -> Self {
        let failures = KeyedRate::per_minute(FAILURES_MAX);
        Self { config, logins: Logins::default(), failures, tracker }
    }

    /// Notes that a request was turned away: in the log, and in the record of refusals.
    pub fn turned_away(&self, headers: &HeaderMap, extensions: &Extensions, refusal: &ApiError) {
        let peer = peer_of(extensions);
        let (status, code) = (refusal.status().as_u16(), refusal.code());
        let from = peer.map_or_else(|| "an unknown address".to_owned(), |peer| peer.to_string());
        tracing::warn!(
            peer = from,
            status,
            code,
            "a request to the API from {from} was turned away: {code}"
        );
        if let Some(tracker) = &self.tracker {
            let refused = Refused {
                cause: refusal.code(),
                upstream: "",
                peer,
                principal: &Principal::Anonymous,
                client: headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()),
                detail: refusal.detail(),
            };
            tracker.note_refusal(&refused, Timestamp::now());
        }
    }

    /// Returns true if nobody is let in without a token.
    pub fn is_required(&self) -> bool {
        !self.config.tokens.is_empty()
    }

    /// Returns who sends this request; `None` if it shows nothing where something is needed.
    ///
    /// # Errors
    /// If what it shows is no good.
    fn user(
        &self,
        method: &Method,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Option<ApiUser>, ApiError> {
        if !self.is_required() {
            return Ok(Some(ApiUser { role: Role::Operator, name: None }));
        }
        match shown(headers) {
            Shown::Nothing => Ok(None),
            Shown::Token(token) => self.by_token(token, peer).map(Some),
            Shown::Cookie(cookie) => {
                let Some(user) = self.logins.user(cookie) else { return Ok(None) };
                // A WebSocket is opened with a GET, and unlike other answers pages elsewhere could read it.
                let is_guarded = !method.is_safe() || headers.contains_key(UPGRADE);
                if is_guarded && !is_own_page(headers) {
                    return Err(ApiError::new(
                        StatusCode::FORBIDDEN,
                        "cross_site",
                        "what a cookie lets in must come from this server's own page",
                        "send the token as Authorization: Bearer instead of the cookie",
                    ));
                }
                Ok(Some(user))
            }
        }
    }

    /// Returns whose token it is. Every configured one is compared, each in constant time. A good one is good whatever
    /// else its address has sent: what is limited is failing.
    fn by_token(&self, token: &[u8], peer: Option<IpAddr>) -> Result<ApiUser, ApiError> {
        let digest = SecretDigest::of(token);
        let found =
            self.config.tokens.iter().fold(None, |found, known| {
                if known.digest == digest { Some(known) } else { found }
            });
        let Some(known) = found else {
            if let Err(wait) = self.failures.take(&peer.map(Network::of)) {
                return Err(ApiError::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "rate_limited",
                    "too many wrong tokens from this address",
                    "send the right one, or try again when Retry-After says",
                )
                .retry_after(wait.as_secs() + 1));
            }
            return Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                "this API token is not known here",
                "check the token; `archon token` makes one",
            ));
        };
        Ok(ApiUser { role: known.role, name: Some(known.name.clone()) })
    }
}

/// Somebody who may do what operators do.
#[derive(Clone, Debug)]
pub struct Operator;

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match user_of(&parts.extensions) {
            Some(user) if user.role >= Role::Operator => Ok(Self),
            Some(_) => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "operator_needed",
                "this needs the role operator, and your token has the role viewer",
                "use an operator's token",
            )),
            None => Err(unauthorized()),
        }
    }
}

/// Whoever sends the request, who may be nobody.
#[derive(Clone, Debug)]
pub struct Anybody(pub Option<ApiUser>);

impl<S: Send + Sync> FromRequestParts<S> for Anybody {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(user_of(&parts.extensions).cloned()))
    }
}

fn user_of(extensions: &Extensions) -> Option<&ApiUser> {
    extensions.get::<ApiUser>()
}

/// Finds out who sends a request, for all that comes after it. What shows nothing goes on as nobody.
pub async fn identify(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = peer_of(request.extensions());
    match access.user(request.method(), request.headers(), peer) {
        Ok(user) => {
            if let Some(user) = user {
                request.extensions_mut().insert(user);
            }
            next.run(request).await
        }
        Err(refusal) => {
            access.turned_away(request.headers(), request.extensions(), &refusal);
            refusal.into_response()
        }
    }
}

/// Lets in who may look.
pub async fn require_viewer(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    if user_of(request.extensions()).is_some() {
        return next.run(request).await;
    }
    let refusal = unauthorized();
    access.turned_away(request.headers(), request.extensions(), &refusal);
    refusal.into_response()
}

fn unauthorized() -> ApiError {
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "this API requires a token",
        "send Authorization: Bearer with an API token, or log in with POST /api/mcp/login",
    )
}

/// Returns the address that a request came from.
pub fn peer_of(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<PeerAddress>().map(|PeerAddress(peer)| peer.ip().to_canonical())
}

fn shown(headers: &HeaderMap) -> Shown<'_> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let value = value.as_bytes();
        let is_bearer = value.get(..7).is_some_and(|word| word.eq_ignore_ascii_case(b"bearer "));
        return Shown::Token(if is_bearer { value[7..].trim_ascii() } else { value });
    }
    let cookies =
        headers.get_all(COOKIE).iter().flat_map(|all| all.as_bytes().split(|b| *b == b';'));
    let own = cookies.filter_map(|cookie| {
        cookie.trim_ascii().strip_prefix(COOKIE_NAME.as_bytes())?.strip_prefix(b"=")
    });
    own.into_iter().next().map_or(Shown::Nothing, Shown::Cookie)
}

/// Returns true for what only a page of this server, or no page at all, can have sent: browsers say where a
/// request comes from, and without that a form of another page cannot declare JSON.
fn is_own_page(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        return media_type.to_ascii_lowercase().starts_with(b"application/json");
    };
    let origin = origin.as_bytes();
    let host = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
    let own = headers.get(HOST).map(HeaderValue::as_bytes);
    host.zip(own).is_some_and(|(host, own)| host.eq_ignore_ascii_case(own))
}

#[cfg(test)]
mod tests;

//! What every request to the API meets first, and what every answer carries.

use std::sync::Arc;

use archon_sessions::layer::AllowedHosts;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, ORIGIN,
    REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::cors::CorsLayer;

use super::access::Access;
use super::problem::ApiError;

/// Data is no page: a browser that is made to show it runs and loads nothing.
const CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);
const SESSION_HEADER: HeaderName = HeaderName::from_static("x-archon-session-id");

/// Which hosts and origins are let in.
#[derive(Clone)]
pub struct Guard {
    hosts: AllowedHosts,
    cors_origins: Arc<[Box<str>]>,
    access: Arc<Access>,
}

impl Guard {
    /// Returns a guard for these.
    pub fn new(hosts: AllowedHosts, cors_origins: &[Box<str>], access: Arc<Access>) -> Self {
        Self { hosts, cors_origins: cors_origins.into(), access }
    }

    /// Returns what tells browsers about pages elsewhere; `None` where none may use the API.
    pub fn cors(&self) -> Option<CorsLayer> {
        let origins = self.cors_origins.iter().filter_map(|o| HeaderValue::from_str(o).ok());
        let origins: Vec<HeaderValue> = origins.collect();
        // Cookies are for our own page: pages elsewhere send a token.
        (!origins.is_empty()).then(|| {
            CorsLayer::new()
                .allow_origin(origins)
                .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
                .allow_headers([AUTHORIZATION, CONTENT_TYPE, SESSION_HEADER])
                .expose_headers([RETRY_AFTER])
        })
    }

    fn check(&self, request: &Request) -> Result<(), String> {
        let headers = request.headers();
        let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
        let is_listed = origin.is_some_and(|origin| {
            self.cors_origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin))
        });
        let checked = if is_listed {
            let mut others = headers.clone();
            others.remove(ORIGIN);
            self.hosts.check(&others, request.uri())
        } else {
            self.hosts.check(headers, request.uri())
        };
        checked.map_err(|refusal| refusal.to_string())
    }
}

/// Turns away what a page elsewhere sent: one that rebound its name to us learns nothing.
pub async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.check(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            let refusal = ApiError::new(
                StatusCode::FORBIDDEN,
                "host_not_allowed",
                refusal,
                "use this machine's own name, or add yours to `allowed_hosts` or `api.cors_origins`",
            );
            guard.access.turned_away(request.headers(), request.extensions(), &refusal);
            refusal.into_response()
        }
    }
}

/// Adds what protects browsers, where an answer does not say it otherwise.
pub async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, CSP),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ] {
        headers.entry(name).or_insert(value);
    }
    response
}

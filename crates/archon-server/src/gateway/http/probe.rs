//! Finds out which versions an upstream speaks. One that does not answer is taken for a legacy server, and not asked
//! again with each request: the request at hand was not sent meanwhile, and goes on.

use std::time::Duration;

use archon_sessions::layer::{CallFailed, InnerRequest};
use archon_sessions::session::Era;
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::Full;

use super::{HttpUpstream, Unanswered, headers, principal};
use crate::gateway::eras::{DISCOVER, Speaks, discovered, legacy_versions};
use crate::gateway::wire::incoming::Incoming;

/// The answer to a probe is quick.
pub const PROBE_LIMIT: Duration = Duration::from_secs(10);
/// A server that closes the connection is asked once more: it may have been restarting.
const TRIES_MAX: u32 = 2;

/// What came of asking.
enum Heard {
    /// It said so.
    Said(Speaks),
    /// It speaks of something else: it does not let whoever sent that in, or a proxy does not reach it.
    Untold,
    /// It does not know the question, which only the modern era has, and shows that in this way.
    Unknown(String),
}

impl HttpUpstream {
    /// Returns which versions the upstream speaks, asking it in this request's name if need be; `None` if it
    /// does not tell whoever sent that, or not now.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub async fn speaks(&self, like: &InnerRequest) -> Result<Option<Speaks>, CallFailed> {
        let eras = self.eras();
        if let Some(known) = eras.get() {
            return Ok(Some(known));
        }
        let _turn = eras.asking.lock().await;
        if let Some(known) = eras.get() {
            return Ok(Some(known));
        }
        let (name, legacy) = (self.name(), Speaks::LegacyOnly(legacy_versions()));
        let Ok(heard) = tokio::time::timeout(self.shared.probe_limit, self.ask(like)).await else {
            self.tell_legacy(&format!("it did not answer within {:?}", self.shared.probe_limit));
            eras.guess_from_silence(legacy.clone());
            return Ok(Some(legacy));
        };
        match heard.map_err(|unanswered| self.failed(&unanswered))? {
            Heard::Said(speaks) => {
                tracing::info!(upstream = name, "upstream {name} speaks {}", speaks.versions());
                eras.set(speaks.clone());
                Ok(Some(speaks))
            }
            Heard::Unknown(how) => {
                self.tell_legacy(&how);
                eras.set(legacy.clone());
                Ok(Some(legacy))
            }
            Heard::Untold => Ok(None),
        }
    }

    fn tell_legacy(&self, how: &str) {
        let name = self.name();
        tracing::info!(
            upstream = name,
            "upstream {name} is taken for a legacy server: asked for its versions with server/discover, {how}"
        );
    }

    async fn ask(&self, like: &InnerRequest) -> Result<Heard, Unanswered> {
        let mut tries = 0;
        let response = loop {
            tries += 1;
            match self.send(self.probe(like), None).await {
                Ok((_, response)) => break response,
                Err(Unanswered::Lost) if tries < TRIES_MAX => {}
                Err(Unanswered::Lost) => {
                    return Ok(Heard::Unknown("it closed the connection".into()));
                }
                Err(unanswered) => return Err(unanswered),
            }
        };
        let status = response.status();
        // A proxy that does not reach the server says nothing of its era; a server that breaks does.
        let is_untold = matches!(
            status,
            StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::PROXY_AUTHENTICATION_REQUIRED
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        if is_untold {
            return Ok(Heard::Untold);
        }
        let Ok(answer) = self.read(&Method::POST, response).await else {
            return Ok(Heard::Unknown("its answer cannot be read".into()));
        };
        let (parts, body) = answer.into_parts();
        let answer = Incoming::new(&parts, body).answer(self.name()).await.ok();
        let said = answer.as_ref().and_then(|answer| discovered(&answer.bytes));
        Ok(said.map_or_else(
            || Heard::Unknown(format!("it answered HTTP {} and no versions", status.as_u16())),
            Heard::Said,
        ))
    }

    fn probe(&self, like: &InnerRequest) -> InnerRequest {
        let mut request = Request::new(Full::new(Bytes::from_static(DISCOVER.as_bytes())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = like.uri().clone();
        let principal = principal(like.extensions());
        *request.headers_mut() =
            headers::of_the_caller(like.headers(), &self.shared.forwarding, principal);
        let headers = request.headers_mut();
        for (name, value) in [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", Era::MODERN_SINCE),
            ("mcp-method", "server/discover"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        request
    }
}

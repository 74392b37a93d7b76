//! A Streamable HTTP server as upstream: requests go on with the same bytes, answers stream back.

mod cookies;
mod decoded;
mod headers;
mod old_sse;
mod probe;
mod query;
mod redirect;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use archon_sessions::layer::{CallFailed, Exchange, InnerRequest, codes};
use archon_sessions::protocol::names::MCP_SESSION_ID;
use archon_sessions::protocol::sse::is_event_stream;
use archon_sessions::session::{Era, Principal};
use archon_sessions::tracker::Affinity;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt;

use super::catalog::{Catalog, Changes};
use super::condition::Condition;
use super::eras::Knowledge;
use super::pool::{Failed, Pool, PooledBody, Way};
use super::wire::answer::{failure, not_running};
use super::wire::message::Message;
use super::wire::{Answer, GatewayBody, Look};
use crate::config::{Forwarding, HttpConfig};
use cookies::{COOKIE, Jar};
use old_sse::{Asked, OldSse};
use redirect::{FOLLOWED_MAX, Step};

/// How long we wait for the text of a refusal, to tell it in the log.
const TEXT_LIMIT: Duration = Duration::from_secs(1);

/// See the module. Clones are one upstream.
#[derive(Clone)]
pub struct HttpUpstream {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    url: Uri,
    /// `Host`, that nothing shall be coded, and what is configured.
    headers: HeaderMap,
    forwarding: Forwarding,
    pool: Pool,
    eras: Knowledge,
    /// What is known of its tools, dropped when it says that they have changed.
    catalog: Arc<Catalog>,
    condition: Condition,
    old: OldSse,
    probe_limit: Duration,
}

/// Why a request has no answer.
enum Unanswered {
    /// It was not sent.
    Unreachable,
    /// It was, and then the connection broke.
    Lost,
    /// It was sent elsewhere, and we do not follow: for this reason.
    Redirected(&'static str),
}

impl HttpUpstream {
    /// Returns an upstream; nothing is sent to it yet.
    ///
    /// # Errors
    /// If its certificates cannot be read, or the environment names a proxy that is none.
    pub fn new(name: &str, config: &HttpConfig, catalog: Arc<Catalog>) -> anyhow::Result<Self> {
        if config.forwarding.authorization && config.forwarding.keeps_api_key {
            tracing::warn!(
                upstream = name,
                "upstream {name} gets its clients' tokens, which are issued for this server as well"
            );
        }
        let url = config.url.0.clone();
        let way = Way::from_env(name, &url, config.connect_timeout)?;
        let tls = crate::tls::client(config.tls_ca_file.as_deref())?;
        let mut headers = config.headers.clone();
        if let Some(authority) = url.authority() {
            headers.insert(header::HOST, HeaderValue::from_str(authority.as_str())?);
        }
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let shared = Shared {
            name: name.to_owned(),
            pool: Pool::new(way, tls, url.clone(), config.connect_timeout, config.restart_grace),
            url,
            headers,
            forwarding: config.forwarding.clone(),
            eras: Knowledge::default(),
            catalog,
            condition: Condition::of(name),
            old: OldSse::default(),
            probe_limit: probe::PROBE_LIMIT,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Returns what its last answer, or the lack of one, said.
    pub fn state(&self) -> &'static str {
        self.shared.condition.word()
    }

    /// Returns what is known of the eras that it speaks.
    pub fn eras(&self) -> &Knowledge {
        &self.shared.eras
    }

    /// Sends a request on.
    pub async fn call(self, request: InnerRequest) -> Result<Answer, CallFailed> {
        let (mut parts, body) = request.into_parts();
        headers::forward(&mut parts.headers, &self.shared.forwarding, principal(&parts.extensions));
        let exchange = parts.extensions.remove::<Exchange>();
        let affinity = parts.extensions.remove::<Affinity>();
        let affinity = affinity.or_else(|| affinity_of(exchange.as_ref()?, &parts.headers));
        parts.extensions = http::Extensions::new();
        let request = Request::from_parts(parts, body);
        if let Some(link) = old_sse::link_of(request.headers()) {
            return self.call_old(link, Asked { request, exchange, affinity }).await;
        }
        let is_legacy = exchange.as_ref().is_some_and(|exchange| exchange.era == Era::Legacy);
        if is_legacy && let Some(handshake) = old_sse::handshake(&request).await {
            return self.open(Asked { request, exchange, affinity }, &handshake).await;
        }
        let method = request.method().clone();
        let sent = self.send(request, affinity.as_ref()).await;
        let (_, response) = sent.map_err(|unanswered| self.failed(&unanswered))?;
        self.read(&method, response).await
    }

    /// Passes a handshake on, by the transport that the server speaks.
    async fn open(&self, asked: Asked, handshake: &Message) -> Result<Answer, CallFailed> {
        let again = asked.clone();
        if self.shared.old.is_found()
            && let Some(opened) = self.open_old(again.clone(), handshake).await?
        {
            return Ok(opened);
        }
        let sent = self.send(asked.request, asked.affinity.as_ref()).await;
        let (_, response) = sent.map_err(|unanswered| self.failed(&unanswered))?;
        let refused = self.read(&Method::POST, response).await?;
        if !old_sse::may_mean_old(refused.status()) {
            return Ok(refused);
        }
        Ok(self.open_old(again, handshake).await?.unwrap_or(refused))
    }

    /// Looks whether it is there, with a request that changes nothing, unless it answered within this time.
    pub async fn look(&self, answered_within: Duration) {
        let condition = &self.shared.condition;
        if condition.has_answered_within(answered_within, Instant::now()) {
            return;
        }
        let mut request = InnerRequest::default();
        // RFC 9110, 9.3.7: it is safe; whoever does not know it says so, which is an answer.
        *request.method_mut() = Method::OPTIONS;
        let limit = self.shared.probe_limit;
        if tokio::time::timeout(limit, self.send(request, None)).await.is_err() {
            self.shared.condition.failed(&format!("it did not answer within {limit:?}"));
        }
    }

    /// Returns why it is down, if it is.
    pub fn why_down(&self) -> Option<String> {
        self.shared.condition.why_down()
    }

    /// Ends what it runs by itself.
    pub async fn stop(&self) {
        self.shared.old.stop().await;
    }

    /// Makes the upstream's answer ours: without what is between it and us.
    async fn read(
        &self,
        method: &Method,
        response: Response<PooledBody>,
    ) -> Result<Answer, CallFailed> {
        let (mut parts, body) = response.into_parts();
        headers::strip_hop_by_hop(&mut parts.headers);
        parts.extensions = http::Extensions::new();
        let look = is_event_stream(&parts.headers).then(|| {
            let mut changes = Changes::of(self.shared.catalog.clone());
            Box::new(move |bytes: &[u8]| changes.saw(bytes)) as Look
        });
        let body = match decoded::codings(&parts.headers) {
            Ok(codings) if codings.is_empty() => GatewayBody::http(body, look),
            Ok(codings) => decoded::decode(&mut parts.headers, &codings, body, look),
            Err(coding) => {
                let message = format!(
                    "upstream {:?} coded its answer in a way that it was not asked for and that is not \
                     read here ({coding:?}); the call may have run, check before you call again",
                    self.name()
                );
                return Err(failure(codes::OUTCOME_UNKNOWN, message));
            }
        };
        let answer = Response::from_parts(parts, body);
        Ok(self.tell_refusal(method, answer).await)
    }

    /// Tells in the log what the upstream said, where it refused a request.
    async fn tell_refusal(&self, method: &Method, answer: Answer) -> Answer {
        let status = answer.status();
        // A server without a stream of its own, or without sessions to end, says so in this way.
        let says_no_such_thing = *method != Method::POST
            && matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
        if status.is_success() || says_no_such_thing {
            return answer;
        }
        let (parts, mut body) = answer.into_parts();
        // Nothing is lost when the time is up.
        let read = tokio::time::timeout(TEXT_LIMIT, body.frame()).await;
        let text = read.ok().flatten().and_then(Result::ok).and_then(|f| f.into_data().ok());
        let text = text.unwrap_or_default();
        self.shared.condition.refused(method.as_str(), status, &text);
        let body = if text.is_empty() { body } else { body.with_ahead(text) };
        Response::from_parts(parts, body)
    }

    /// Sends a request, whose URL counts for its query only, to the upstream's URL.
    async fn send(
        &self,
        request: InnerRequest,
        affinity: Option<&Affinity>,
    ) -> Result<(Uri, Response<PooledBody>), Unanswered> {
        let url = &self.shared.url;
        let to = query::with_clients(url, request.uri().query()).unwrap_or_else(|| url.clone());
        self.send_from(to, request, affinity).await
    }

    /// Sends a request there, and on to where the upstream redirects it within its origin. Returns where that was.
    async fn send_from(
        &self,
        mut to: Uri,
        request: InnerRequest,
        affinity: Option<&Affinity>,
    ) -> Result<(Uri, Response<PooledBody>), Unanswered> {
        for _ in 0..=FOLLOWED_MAX {
            let response = self.send_to(&to, request.clone(), affinity).await?;
            match redirect::step(request.method(), &to, response.status(), response.headers()) {
                Step::Answer => return Ok((to, response)),
                Step::Follow(target) => to = target,
                Step::Refuse(why) => return Err(self.redirected(why)),
            }
        }
        Err(self.redirected("it redirects in a circle"))
    }

    async fn send_to(
        &self,
        to: &Uri,
        mut request: InnerRequest,
        affinity: Option<&Affinity>,
    ) -> Result<Response<PooledBody>, Unanswered> {
        let shared = &self.shared;
        *request.version_mut() = Version::HTTP_11;
        *request.uri_mut() = to.clone();
        for (name, value) in &shared.headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        let now = seconds_since_1970();
        let jar = affinity.map(Affinity::text).filter(|text| !text.is_empty());
        if let Some(text) = jar {
            let cookies = Jar::read(&text).header(to, shared.headers.get(COOKIE), now);
            cookies.map(|cookies| request.headers_mut().insert(COOKIE, cookies));
        }
        match shared.pool.send(request).await {
            Ok(mut response) => {
                match response.status() {
                    StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT => {
                        // What is in front of it says that it is not there.
                        self.shared
                            .condition
                            .failed(&format!("it answered HTTP {}", response.status().as_u16()));
                    }
                    _ => self.shared.condition.answered(),
                }
                if response.headers().contains_key(header::SET_COOKIE) {
                    if let Some(affinity) = affinity {
                        affinity.change(|text| Jar::learn(text, response.headers(), to, now));
                    }
                    // They are between the upstream and us.
                    response.headers_mut().remove(header::SET_COOKIE);
                }
                Ok(response)
            }
            Err(failed) => Err(self.has_failed(failed)),
        }
    }

    fn has_failed(&self, failed: Failed) -> Unanswered {
        let (cause, unanswered) = match failed {
            Failed::Connect(error) => {
                // What we knew of it may no longer be true when it is back.
                self.shared.eras.forget();
                self.shared.catalog.forget();
                (root_cause(&*error), Unanswered::Unreachable)
            }
            Failed::Lost(error) => {
                self.shared.eras.doubt();
                self.shared.catalog.forget();
                (root_cause(&error), Unanswered::Lost)
            }
        };
        self.shared.condition.failed(&cause);
        unanswered
    }

    fn redirected(&self, why: &'static str) -> Unanswered {
        self.shared.condition.failed(why);
        Unanswered::Redirected(why)
    }

    /// Returns what is told of a request without an answer.
    fn failed(&self, unanswered: &Unanswered) -> CallFailed {
        let name = self.name();
        self.shared.condition.count_failed_call();
        match unanswered {
            Unanswered::Unreachable => CallFailed::unreachable(name),
            Unanswered::Lost => CallFailed::lost(name),
            Unanswered::Redirected(why) => not_running(format!(
                "upstream {name:?} did not take the call: {why}; it did not run"
            )),
        }
    }
}

/// Returns who sent a request, as the layer says.
fn principal(extensions: &http::Extensions) -> &Principal {
    extensions.get::<Exchange>().map_or(&Principal::Anonymous, |exchange| &exchange.principal)
}

/// Returns what goes with the link that a request of the gateway's own is sent on.
fn affinity_of(exchange: &Exchange, headers: &HeaderMap) -> Option<Affinity> {
    let connection = exchange.connection.as_ref()?;
    let link = connection.link();
    (link.as_ref() == headers.get(MCP_SESSION_ID)).then(|| connection.affinity())
}

fn seconds_since_1970() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The cause at the bottom says what happened; those above say that something did.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;

//! A Streamable HTTP server as upstream: requests go on with the same bytes, answers stream back.

mod headers;
mod tls;

pub use headers::is_of_one_hop;
pub use tls::client as tls_client;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use archon_sessions::layer::{CallFailed, Exchange, InnerRequest};
use archon_sessions::protocol::sse::is_event_stream;
use archon_sessions::session::{Era, Principal};
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;

use super::catalog::{Catalog, Changes};
use super::eras::{DISCOVER, Knowledge, Speaks, read_discovery};
use super::pool::{Failed, Pool, PooledBody};
use super::wire::{Answer, GatewayBody, Look};
use crate::config::{Forwarding, HttpConfig};

/// The answer to a probe is small, and quick.
const PROBE_BYTES_MAX: usize = 1024 * 1024;
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// See the module. Clones are one upstream.
#[derive(Clone)]
pub struct HttpUpstream {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    /// The target of each request: its path.
    target: Uri,
    /// `Host`, and what is configured.
    headers: HeaderMap,
    forwarding: Forwarding,
    pool: Pool,
    eras: Knowledge,
    /// What is known of its tools, dropped when it says that they have changed.
    catalog: Arc<Catalog>,
    state: AtomicU8,
}

const UNKNOWN: u8 = 0;
const UP: u8 = 1;
const DOWN: u8 = 2;

impl HttpUpstream {
    /// Returns an upstream; nothing is sent to it yet.
    ///
    /// # Errors
    /// If its certificates cannot be read.
    pub fn new(name: &str, config: &HttpConfig, catalog: Arc<Catalog>) -> anyhow::Result<Self> {
        if config.forwarding.authorization && config.forwarding.keeps_api_key {
            tracing::warn!(
                upstream = name,
                "upstream {name} gets its clients' tokens, which are made out to this server as well"
            );
        }
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(config.connect_timeout));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client(config.tls_ca_file.as_deref())?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let uri = config.url.0.clone();
        let mut headers = config.headers.clone();
        if let Some(authority) = uri.authority() {
            headers.insert(header::HOST, HeaderValue::from_str(authority.as_str())?);
        }
        let target = uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
        let shared = Shared {
            name: name.to_owned(),
            target,
            headers,
            forwarding: config.forwarding.clone(),
            pool: Pool::new(connector, uri, config.restart_grace),
            eras: Knowledge::default(),
            catalog,
            state: AtomicU8::new(UNKNOWN),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Returns what its last answer, or the lack of one, said.
    pub fn state(&self) -> &'static str {
        match self.shared.state.load(Relaxed) {
            UP => "up",
            DOWN => "down",
            _ => "unknown",
        }
    }

    /// Returns what is known of the eras that it speaks.
    pub fn eras(&self) -> &Knowledge {
        &self.shared.eras
    }

    /// Sends a request on.
    pub async fn call(self, request: InnerRequest) -> Result<Answer, CallFailed> {
        let (mut parts, body) = request.into_parts();
        headers::forward(&mut parts.headers, &self.shared.forwarding, principal(&parts.extensions));
        parts.extensions = http::Extensions::new();
        let response = self.send(Request::from_parts(parts, body)).await?;
        let (mut parts, body) = response.into_parts();
        headers::strip_hop_by_hop(&mut parts.headers);
        parts.extensions = http::Extensions::new();
        let look = is_event_stream(&parts.headers).then(|| {
            let mut changes = Changes::of(self.shared.catalog.clone());
            Box::new(move |bytes: &[u8]| changes.saw(bytes)) as Look
        });
        Ok(Response::from_parts(parts, GatewayBody::http(body, look)))
    }

    async fn send(&self, mut request: InnerRequest) -> Result<Response<PooledBody>, CallFailed> {
        *request.version_mut() = Version::HTTP_11;
        *request.uri_mut() = self.shared.target.clone();
        for (name, value) in &self.shared.headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        let failed = match self.shared.pool.send(request).await {
            Ok(response) => {
                self.shared.state.store(UP, Relaxed);
                return Ok(response);
            }
            Err(failed) => failed,
        };
        // What we knew of it may no longer be true when it is back.
        self.shared.eras.forget();
        self.shared.catalog.forget();
        let name = self.name();
        let (cause, failed) = match failed {
            Failed::Connect(error) => (root_cause(&*error), CallFailed::unreachable(name)),
            Failed::Lost(error) => (root_cause(&error), CallFailed::lost(name)),
        };
        if self.shared.state.swap(DOWN, Relaxed) != DOWN {
            tracing::warn!(upstream = name, "upstream {name} failed: {cause}");
        }
        Err(failed)
    }

    /// Returns which versions the upstream speaks, asking it in this request's name if need be; `None` if it
    /// does not tell whoever sent that, or not now.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub async fn speaks(&self, like: &InnerRequest) -> Result<Option<Speaks>, CallFailed> {
        if let Some(known) = self.shared.eras.get() {
            return Ok(Some(known));
        }
        let _turn = self.shared.eras.asking.lock().await;
        if let Some(known) = self.shared.eras.get() {
            return Ok(Some(known));
        }
        let probe = async {
            let response = self.send(self.probe(like)).await?;
            let status = response.status();
            let is_untold = matches!(
                status,
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
            );
            // A server that is broken, or behind a proxy that does not reach it, says nothing of its era.
            if is_untold || status.is_server_error() {
                return Ok(None);
            }
            let is_sse = is_event_stream(response.headers());
            let body = Limited::new(response.into_body(), PROBE_BYTES_MAX).collect().await;
            let body = body.map_err(|_| CallFailed::lost(self.name()))?.to_bytes();
            let answer = if is_sse { last_data(&body) } else { &body };
            Ok::<_, CallFailed>(Some(read_discovery(answer)))
        };
        let speaks = match tokio::time::timeout(PROBE_LIMIT, probe).await {
            Ok(speaks) => speaks?,
            Err(_) => return Err(CallFailed::timed_out(PROBE_LIMIT)),
        };
        let Some(speaks) = speaks else { return Ok(None) };
        tracing::info!(upstream = self.name(), "upstream {} speaks {speaks:?}", self.name());
        self.shared.eras.set(speaks.clone());
        Ok(Some(speaks))
    }

    fn probe(&self, like: &InnerRequest) -> InnerRequest {
        let mut request = Request::new(Full::new(Bytes::from_static(DISCOVER.as_bytes())));
        *request.method_mut() = Method::POST;
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

/// Returns who sent a request, as the layer says.
fn principal(extensions: &http::Extensions) -> &Principal {
    extensions.get::<Exchange>().map_or(&Principal::Anonymous, |exchange| &exchange.principal)
}

/// Returns the data of the last event that has any.
fn last_data(stream: &[u8]) -> &[u8] {
    let lines = stream.split(|byte| *byte == b'\n');
    let mut data =
        lines.filter_map(|line| line.strip_prefix(b"data:")).map(|data| data.trim_ascii());
    data.rfind(|data| !data.is_empty()).unwrap_or_default()
}

/// The cause at the bottom says what happened; those above say that something did.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

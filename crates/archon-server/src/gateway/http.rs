//! A Streamable HTTP server as upstream: requests go on with the same bytes, answers stream back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context;
use archon_sessions::layer::{BoxError, CallFailed, InnerRequest};
use archon_sessions::protocol::Envelope;
use archon_sessions::session::Era;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::eras::{Knowledge, Speaks, read_discovery};
use super::{Answer, GatewayBody, bridge};
use crate::config::UpstreamConfig;

/// An idle connection is closed before the upstream may close it: Node's servers do after 5 s, and a
/// request sent into a closing connection has an unknown outcome.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// Idle connections kept to one upstream.
const IDLE_COUNT_MAX: usize = 1024;
/// The answer to a probe is small, and quick.
const PROBE_BYTES_MAX: usize = 1024 * 1024;
const PROBE_LIMIT: Duration = Duration::from_secs(10);

const PROBE: &str = r#"{"jsonrpc":"2.0","id":"archon-probe","method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"archon","version":"0"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;

/// See the module. Clones share one pool of connections.
#[derive(Clone)]
pub struct HttpUpstream {
    shared: Arc<Shared>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

struct Shared {
    name: String,
    uri: Uri,
    headers: HeaderMap,
    eras: Knowledge,
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
    pub fn new(config: &UpstreamConfig) -> anyhow::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(config.connect_timeout));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(config)?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_COUNT_MAX)
            .build(connector);
        let shared = Shared {
            name: config.name.clone(),
            uri: config.url.0.clone(),
            headers: config.headers.clone(),
            eras: Knowledge::default(),
            state: AtomicU8::new(UNKNOWN),
        };
        Ok(Self { shared: Arc::new(shared), client })
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

    /// Sends a request on.
    pub async fn call(self, request: InnerRequest) -> Result<Answer, CallFailed> {
        let Some((era, _)) = bridge::opening(&request) else {
            return self.relay(request).await;
        };
        match era {
            Era::Modern if self.shared.eras.is_modern() => self.relay(request).await,
            Era::Modern => {
                let speaks = self.speaks().await?;
                match (speaks, bridge::opening(&request)) {
                    (Speaks::LegacyOnly(versions), Some((_, envelope))) => {
                        Err(bridge::refuse_modern(self.name(), envelope, &versions))
                    }
                    _ => self.relay(request).await,
                }
            }
            Era::Legacy => self.initialize(request).await,
        }
    }

    /// Sends a handshake on; a refusal by an upstream of the modern era is explained.
    async fn initialize(self, request: InnerRequest) -> Result<Answer, CallFailed> {
        let again = request.clone();
        let answer = self.relay(request).await?;
        let is_refusal = matches!(
            answer.status(),
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
        );
        if !is_refusal {
            return Ok(answer);
        }
        let envelope: Option<&Envelope> = bridge::opening(&again).map(|(_, envelope)| envelope);
        match (self.speaks().await, envelope) {
            (Ok(Speaks::Modern(versions)), Some(envelope)) => {
                Err(bridge::refuse_legacy(self.name(), envelope, &versions))
            }
            _ => Ok(answer),
        }
    }

    async fn relay(&self, request: InnerRequest) -> Result<Answer, CallFailed> {
        let (mut parts, body) = request.into_parts();
        parts.uri = self.shared.uri.clone();
        parts.extensions = http::Extensions::new();
        forward_headers(&mut parts.headers);
        for (name, value) in &self.shared.headers {
            parts.headers.insert(name.clone(), value.clone());
        }
        let response = self.send(Request::from_parts(parts, body)).await?;
        let (mut parts, body) = response.into_parts();
        strip_hop_by_hop(&mut parts.headers);
        parts.extensions = http::Extensions::new();
        Ok(Response::from_parts(parts, GatewayBody::http(body)))
    }

    async fn send(&self, mut request: InnerRequest) -> Result<Response<Incoming>, CallFailed> {
        *request.version_mut() = http::Version::HTTP_11;
        match self.client.request(request).await {
            Ok(response) => {
                self.shared.state.store(UP, Relaxed);
                Ok(response)
            }
            Err(error) => {
                let name = self.name();
                let cause = root_cause(&error);
                // What we knew of it may no longer be true when it is back.
                self.shared.eras.forget();
                let was = self.shared.state.swap(DOWN, Relaxed);
                if was != DOWN {
                    tracing::warn!(upstream = name, "upstream {name} failed: {error}: {cause}");
                }
                if error.is_connect() {
                    Err(CallFailed::unreachable(name))
                } else {
                    Err(CallFailed::lost(name))
                }
            }
        }
    }

    /// Returns which versions the upstream speaks, asking it if need be.
    async fn speaks(&self) -> Result<Speaks, CallFailed> {
        if let Some(known) = self.shared.eras.get() {
            return Ok(known);
        }
        let _turn = self.shared.eras.asking.lock().await;
        if let Some(known) = self.shared.eras.get() {
            return Ok(known);
        }
        let probe = async {
            let response = self.send(self.probe()).await?;
            let is_sse = response
                .headers()
                .get(header::CONTENT_TYPE)
                .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
            let body = Limited::new(response.into_body(), PROBE_BYTES_MAX).collect().await;
            let body = body.map_err(|_| CallFailed::lost(self.name()))?.to_bytes();
            Ok::<Speaks, CallFailed>(read_discovery(if is_sse { last_data(&body) } else { &body }))
        };
        let speaks = match tokio::time::timeout(PROBE_LIMIT, probe).await {
            Ok(speaks) => speaks?,
            Err(_) => return Err(CallFailed::timed_out(PROBE_LIMIT)),
        };
        tracing::info!(upstream = self.name(), "upstream {} speaks {speaks:?}", self.name());
        self.shared.eras.set(speaks.clone());
        Ok(speaks)
    }

    fn probe(&self) -> InnerRequest {
        let mut request = Request::new(Full::new(Bytes::from_static(PROBE.as_bytes())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.shared.uri.clone();
        let headers = request.headers_mut();
        for (name, value) in [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", Era::MODERN_SINCE),
            ("mcp-method", "server/discover"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers.extend(self.shared.headers.clone());
        request
    }
}

/// Returns the data of the last event that has any.
fn last_data(stream: &[u8]) -> &[u8] {
    let lines = stream.split(|byte| *byte == b'\n');
    let data = lines.filter_map(|line| line.strip_prefix(b"data:")).map(|data| data.trim_ascii());
    data.filter(|data| !data.is_empty()).next_back().unwrap_or_default()
}

/// The cause at the bottom says what happened; those above say that something did.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Headers that belong to one hop (RFC 9110, 7.6.1), or that speak of the client to us only. What a
/// client authenticates with is for us: it is not passed on (MCP, Security Best Practices, Token
/// Passthrough). And an answer must come uncompressed, or nobody could track it.
const NOT_FORWARDED: [HeaderName; 7] = [
    header::HOST,
    header::CONNECTION,
    header::TE,
    header::COOKIE,
    header::AUTHORIZATION,
    header::ORIGIN,
    header::ACCEPT_ENCODING,
];

fn forward_headers(headers: &mut HeaderMap) {
    strip_named_by_connection(headers);
    for name in &NOT_FORWARDED {
        headers.remove(name);
    }
    strip_hop_by_hop(headers);
    if !headers.keys().any(|name| name.as_str().starts_with("x-archon-")) {
        return;
    }
    let ours: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("x-archon-")).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
}

/// `Connection` names further headers of its hop.
fn strip_named_by_connection(headers: &mut HeaderMap) {
    let Some(connection) = headers.remove(header::CONNECTION) else { return };
    for name in connection.to_str().unwrap_or_default().split(',') {
        headers.remove(name.trim());
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    strip_named_by_connection(headers);
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::UPGRADE);
    headers.remove(header::TRAILER);
    headers.remove(header::PROXY_AUTHENTICATE);
    headers.remove(header::PROXY_AUTHORIZATION);
    headers.remove("keep-alive");
}

/// Trusts the system's certificates, or only those of a file.
fn tls(config: &UpstreamConfig) -> anyhow::Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS is not usable")?;
    let mut roots = rustls::RootCertStore::empty();
    match &config.tls_ca_file {
        Some(file) => {
            let what = || format!("could not read certificates from {}", file.display());
            for certificate in CertificateDer::pem_file_iter(file).with_context(what)? {
                roots.add(certificate.with_context(what)?).with_context(what)?;
            }
            anyhow::ensure!(!roots.is_empty(), "{} holds no certificates", file.display());
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// So that the layer can hold bodies of upstreams and tell their errors.
const _: fn(hyper::Error) -> BoxError = Into::into;

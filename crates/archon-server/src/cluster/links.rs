//! Connections to the other nodes.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use archon_sessions::layer::{MayHaveRun, PeerAddress};
use archon_sessions::tracker::{PeerBody, Peers, Question, Unreached};
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::proxy::matcher::Matcher;
use parking_lot::Mutex;

use super::{CLIENT_ADDRESS, MAY_HAVE_RUN, NODE_KEY};
use crate::config::is_of_one_hop;
use crate::gateway::{Failed, Pool, Way};

/// Nodes are near: one that does not take a connection by then cannot be reached.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long a node may take for an answer of one word.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// `true` or `false`, or an error.
const ANSWER_BYTES_MAX: usize = 4096;
/// Nodes to which connections are kept; addresses change with restarts.
const NODES_MAX: usize = 256;

/// See the module.
pub struct Links {
    key: HeaderValue,
    tls: rustls::ClientConfig,
    /// By address. Held for single operations.
    pools: Mutex<HashMap<Arc<str>, Pool>>,
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Links")
    }
}

impl Links {
    /// Returns no connections yet, for a node with this key.
    ///
    /// # Errors
    /// If the key is not a header's value.
    pub fn new(key: &str) -> anyhow::Result<Self> {
        let mut key = HeaderValue::from_str(key)?;
        key.set_sensitive(true);
        Ok(Self { key, tls: crate::tls::client(None)?, pools: Mutex::default() })
    }

    fn pool(&self, address: &str) -> Result<Pool, Unreached> {
        let mut pools = self.pools.lock();
        if let Some(pool) = pools.get(address) {
            return Ok(pool.clone());
        }
        if pools.len() >= NODES_MAX {
            pools.clear();
        }
        let uri: Uri = format!("http://{address}/").parse().map_err(|_| Unreached::NotSent)?;
        // Whatever proxies the environment names, they are for others.
        let way = Way::of(&uri, &Matcher::builder().build(), CONNECT_LIMIT);
        let way = way.map_err(|_| Unreached::NotSent)?;
        let pool = Pool::new(way, self.tls.clone(), uri, CONNECT_LIMIT, Duration::ZERO);
        pools.insert(address.into(), pool.clone());
        Ok(pool)
    }

    async fn send(
        &self,
        address: &str,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<PeerBody>, Unreached> {
        request.headers_mut().insert(NODE_KEY, self.key.clone());
        let sent = self.pool(address)?.send(request).await;
        let mut response = sent.map_err(|failed| match failed {
            Failed::Connect(error) => {
                tracing::debug!(address, "a node could not be reached: {error}");
                Unreached::NotSent
            }
            Failed::Lost(error) => {
                tracing::debug!(address, "a node was lost: {error}");
                Unreached::Lost
            }
        })?;
        without_one_hop(response.headers_mut());
        Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
    }
}

#[async_trait]
impl Peers for Links {
    async fn forward(
        &self,
        address: &str,
        request: Request<Bytes>,
    ) -> Result<Response<PeerBody>, Unreached> {
        let mut request = request.map(Full::new);
        let client = request.extensions().get::<PeerAddress>().map(|peer| peer.0.to_string());
        let may_have_run = request.extensions().get::<MayHaveRun>().is_some();
        let headers = request.headers_mut();
        without_one_hop(headers);
        // What nodes say to each other is no client's to say.
        headers.remove(MAY_HAVE_RUN);
        headers.remove(CLIENT_ADDRESS);
        if may_have_run {
            headers.insert(MAY_HAVE_RUN, HeaderValue::from_static("1"));
        }
        headers.remove(CONTENT_LENGTH);
        if let Some(client) = client.and_then(|client| HeaderValue::try_from(client).ok()) {
            headers.insert(CLIENT_ADDRESS, client);
        }
        self.send(address, request).await
    }

    async fn ask(&self, address: &str, question: Question) -> Option<bool> {
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = super::path(&question).parse().ok()?;
        request.headers_mut().insert(HOST, HeaderValue::from_str(address).ok()?);
        let asked = async {
            let response = self.send(address, request).await.ok()?;
            if response.status() != StatusCode::OK {
                return None;
            }
            word(response.into_body()).await
        };
        tokio::time::timeout(ANSWER_LIMIT, asked).await.ok()?
    }
}

/// Reads an answer of one word.
async fn word(mut body: PeerBody) -> Option<bool> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        read.extend_from_slice(frame.ok()?.data_ref()?);
        if read.len() > ANSWER_BYTES_MAX {
            return None;
        }
    }
    serde_json::from_slice(&read).ok()
}

/// Takes out what is for one connection only.
fn without_one_hop(headers: &mut HeaderMap) {
    let of_one_hop: Vec<_> = headers.keys().filter(|name| is_of_one_hop(name)).cloned().collect();
    for name in of_one_hop {
        headers.remove(name);
    }
}

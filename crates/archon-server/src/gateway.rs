//! The gateway: upstreams as tower services, and our own tools beside theirs.

mod batch;
mod body;
mod bridge;
mod builtin;
mod demo;
mod eras;
mod http;
mod listing;
mod plain;
mod refusal;
mod repeats;
mod stdio;

pub use batch::{FromBatch, Unbatched};
pub use body::GatewayBody;
pub use builtin::Builtin;
pub use http::{is_of_one_hop, tls_client};
pub use repeats::Repeats;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::Context as _;
use archon_sessions::layer::{CallFailed, Exchange, InnerRequest};
use archon_sessions::protocol::{Envelope, Message};
use archon_sessions::store::sqlite::SqliteStore;
use tower::Service;

use crate::config::{Reached, UpstreamConfig};
use bridge::Bridge;
use demo::DemoServer;
use http::HttpUpstream;
use plain::Plain;
use stdio::StdioUpstream;

/// The name of the built-in demo server.
const DEMO: &str = "demo";

/// An MCP server that we stand in front of, for clients of both eras.
#[derive(Clone)]
pub struct Upstream {
    plain: Plain,
    /// `None` where the server is known to speak both eras itself.
    bridge: Option<Arc<Bridge>>,
}

/// What an upstream answers.
pub type Answer = ::http::Response<GatewayBody>;

/// An answer on its way. One box for all services of the gateway: what passes a request on passes the
/// future on as well.
pub type Answering = Pin<Box<dyn Future<Output = Result<Answer, CallFailed>> + Send>>;

/// What passes requests on: an upstream, or a service in front of one.
pub trait Relay:
    Service<InnerRequest, Response = Answer, Error = CallFailed, Future = Answering>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Relay for S where
    S: Service<InnerRequest, Response = Answer, Error = CallFailed, Future = Answering>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Returns the client's message in a request, where it is a single one.
fn message(request: &InnerRequest) -> Option<&Envelope> {
    match request.extensions().get::<Exchange>()?.message.as_deref()? {
        Message::Single(envelope) => Some(envelope),
        Message::Batch(_) => None,
    }
}

impl Upstream {
    /// Returns an upstream as it is configured; must be called on a runtime.
    ///
    /// # Errors
    /// If its TLS configuration is not usable.
    pub fn open(config: &UpstreamConfig) -> anyhow::Result<Self> {
        let plain = match &config.reached {
            Reached::Http(http) => Plain::Http(HttpUpstream::new(&config.name, http)?),
            Reached::Stdio(stdio) => Plain::Stdio(StdioUpstream::new(&config.name, stdio)),
        };
        let bridge = Some(Bridge::new(plain.clone()));
        Ok(Self { plain, bridge })
    }

    /// Returns the demo server, in the gateway's own SQLite file or in memory.
    ///
    /// # Errors
    /// If its tables cannot be made.
    pub async fn demo(database: Option<&SqliteStore>) -> anyhow::Result<Self> {
        let readers = match database {
            Some(store) => {
                store.also_create(demo::TABLES).await.context("could not open the demo server")?;
                store.readers()
            }
            None => sqlx::sqlite::SqlitePoolOptions::new()
                .max_connections(1)
                .idle_timeout(None)
                .max_lifetime(None)
                .connect("sqlite::memory:")
                .await
                .context("could not open a database in memory")?
                .into(),
        };
        let server = DemoServer::open(readers).await.context("could not open the demo server")?;
        Ok(Self { plain: Plain::Demo(server.service()), bridge: None })
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        self.plain.name()
    }

    /// Returns what is known of its state, in a word.
    pub fn state(&self) -> &'static str {
        self.plain.state()
    }

    /// Returns how many processes it runs, if it is one that does.
    pub fn children(&self) -> Option<usize> {
        self.plain.children()
    }

    /// Ends what it runs. Call when no call needs it any more.
    pub async fn stop(&self) {
        if let Some(bridge) = &self.bridge {
            bridge.stop().await;
        }
        self.plain.stop().await;
    }
}

impl Service<InnerRequest> for Upstream {
    type Response = Answer;
    type Error = CallFailed;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallFailed>> {
        // None keeps a queue here: each connects or starts as it needs, and the demo server is ready always.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: InnerRequest) -> Self::Future {
        match &self.bridge {
            Some(bridge) => bridge.call(request),
            None => self.plain.call(request),
        }
    }
}

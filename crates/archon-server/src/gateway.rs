//! The gateway: upstreams as tower services, and our own tools beside theirs.

mod batch;
mod body;
mod bridge;
mod builtin;
mod demo;
mod eras;
mod http;
mod listing;
mod refusal;
mod repeats;
mod stdio;

pub use batch::{FromBatch, Unbatched};
pub use body::GatewayBody;
pub use builtin::Builtin;
pub use http::{is_of_one_hop, tls_client};
pub use repeats::Repeats;

use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Context as _;
use archon_sessions::layer::{CallFailed, Exchange, InnerRequest};
use archon_sessions::protocol::{Envelope, Message};
use archon_sessions::store::sqlite::SqliteStore;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use tower::Service;

use crate::config::{Reached, UpstreamConfig};
use demo::DemoServer;
use http::HttpUpstream;
use stdio::StdioUpstream;

/// The name of the built-in demo server.
const DEMO: &str = "demo";

/// An MCP server that we stand in front of.
#[derive(Clone)]
pub enum Upstream {
    /// A Streamable HTTP server.
    Http(HttpUpstream),
    /// A command that speaks MCP on standard input and output.
    Stdio(StdioUpstream),
    /// The built-in demo server.
    Demo(StreamableHttpService<DemoServer, LocalSessionManager>),
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
        match &config.reached {
            Reached::Http(http) => HttpUpstream::new(&config.name, http).map(Self::Http),
            Reached::Stdio(stdio) => Ok(Self::Stdio(StdioUpstream::new(&config.name, stdio))),
        }
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
        Ok(Self::Demo(server.service()))
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Http(http) => http.name(),
            Self::Stdio(stdio) => stdio.name(),
            Self::Demo(_) => DEMO,
        }
    }

    /// Returns what is known of its state, in a word.
    pub fn state(&self) -> &'static str {
        match self {
            Self::Http(http) => http.state(),
            Self::Stdio(stdio) => stdio.state(),
            Self::Demo(_) => "up",
        }
    }

    /// Returns how many processes it runs, if it is one that does.
    pub fn children(&self) -> Option<usize> {
        match self {
            Self::Stdio(stdio) => Some(stdio.children()),
            Self::Http(_) | Self::Demo(_) => None,
        }
    }

    /// Ends what it runs. Call when no call needs it any more.
    pub async fn stop(&self) {
        match self {
            Self::Stdio(stdio) => stdio.stop().await,
            Self::Http(_) | Self::Demo(_) => {}
        }
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
        match self {
            Self::Http(http) => Box::pin(http.clone().call(request)),
            Self::Stdio(stdio) => Box::pin(stdio.clone().call(request)),
            Self::Demo(demo) => {
                let answer = demo.call(request);
                Box::pin(async move {
                    let answer = answer.await.map_err(CallFailed::from)?;
                    Ok(answer.map(GatewayBody::demo))
                })
            }
        }
    }
}

//! An upstream as it is: what answers only in the eras that its server speaks.

use archon_sessions::layer::{CallFailed, InnerRequest};
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use tower::Service;

use super::demo::DemoServer;
use super::eras::{Knowledge, Speaks};
use super::http::HttpUpstream;
use super::stdio::StdioUpstream;
use super::wire::{Answering, GatewayBody};

/// The name of the built-in demo server.
const DEMO: &str = "demo";

/// See the module. Clones are one upstream.
#[derive(Clone)]
pub enum Plain {
    /// A Streamable HTTP server.
    Http(HttpUpstream),
    /// A command that speaks MCP on standard input and output.
    Stdio(StdioUpstream),
    /// The built-in demo server.
    Demo(StreamableHttpService<DemoServer, LocalSessionManager>),
}

impl Plain {
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

    /// Ends what it runs.
    pub async fn stop(&self) {
        match self {
            Self::Stdio(stdio) => stdio.stop().await,
            Self::Http(http) => http.stop().await,
            Self::Demo(_) => {}
        }
    }

    /// Returns what is known of the eras that it speaks; `None` if it speaks both.
    pub fn eras(&self) -> Option<&Knowledge> {
        match self {
            Self::Http(http) => Some(http.eras()),
            Self::Stdio(stdio) => Some(stdio.eras()),
            Self::Demo(_) => None,
        }
    }

    /// Returns which versions it speaks, asking it in this request's name if need be; `None` if it does not tell.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub async fn speaks(&self, like: &InnerRequest) -> Result<Option<Speaks>, CallFailed> {
        match self {
            Self::Http(http) => http.speaks(like).await,
            Self::Stdio(stdio) => stdio.speaks().await.map(Some),
            Self::Demo(_) => Ok(None),
        }
    }

    /// Answers a request, in the request's own era.
    pub fn call(&self, request: InnerRequest) -> Answering {
        match self {
            Self::Http(http) => Box::pin(http.clone().call(request)),
            Self::Stdio(stdio) => Box::pin(stdio.clone().call(request)),
            Self::Demo(demo) => {
                let answer = demo.clone().call(request);
                Box::pin(async move {
                    let answer = answer.await.map_err(CallFailed::from)?;
                    Ok(answer.map(GatewayBody::demo))
                })
            }
        }
    }
}

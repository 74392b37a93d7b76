//! An upstream: the server as it is, and the bridge to it for clients of the other era.

mod handover;

use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use archon_sessions::layer::{CallFailed, InnerRequest};
use sqlx::sqlite::SqliteConnectOptions;
use tower::Service;

use super::bridge::Bridge;
use super::catalog::Catalog;
use super::demo::{self, DemoServer};
use super::http::HttpUpstream;
use super::plain::Plain;
use super::stdio::StdioUpstream;
use super::succession::Peers;
use super::wire::{Answer, Answering};
use crate::config::{Reached, UpstreamConfig};

/// An MCP server that we stand in front of, for clients of both eras.
#[derive(Clone)]
pub struct Upstream {
    plain: Plain,
    /// What is known of its tools.
    catalog: Arc<Catalog>,
    /// `None` where the server is known to speak both eras itself.
    bridge: Option<Arc<Bridge>>,
    /// The other processes of this gateway, during an upgrade.
    peers: Arc<Peers>,
}

impl Upstream {
    /// Returns an upstream as it is configured; must be called on a runtime.
    ///
    /// # Errors
    /// If its TLS configuration is not usable.
    pub fn open(config: &UpstreamConfig) -> anyhow::Result<Self> {
        let (name, catalog) = (&config.name, Arc::<Catalog>::default());
        let peers = Arc::<Peers>::default();
        let plain = match &config.reached {
            Reached::Http(http) => Plain::Http(HttpUpstream::new(name, http, catalog.clone())?),
            Reached::Stdio(stdio) => {
                Plain::Stdio(StdioUpstream::new(name, stdio, catalog.clone(), peers.clone()))
            }
        };
        let bridge =
            Some(Bridge::new(plain.clone(), config.crossing, catalog.clone(), peers.clone()));
        Ok(Self { plain, catalog, bridge, peers })
    }

    /// Returns the demo server, in the gateway's own SQLite file or in memory.
    ///
    /// # Errors
    /// If its tables cannot be made.
    pub async fn demo(database: Option<&Path>) -> anyhow::Result<Self> {
        let store = match database {
            Some(path) => demo::Store::File(SqliteConnectOptions::new().filename(path).into()),
            None => {
                demo::Store::in_memory().await.context("could not open a database in memory")?
            }
        };
        let server = DemoServer::open(store).await.context("could not open the demo server")?;
        let catalog = Arc::default();
        let plain = Plain::Demo(server.service());
        Ok(Self { plain, catalog, bridge: None, peers: Arc::default() })
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        self.plain.name()
    }

    /// Returns what is known of its tools.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.clone()
    }

    /// Returns what is known of its state, in a word.
    pub fn state(&self) -> &'static str {
        self.plain.state()
    }

    /// Looks whether it is there, unless it answered within this time. A command is not started for that.
    pub async fn look(&self, answered_within: Duration) {
        match &self.plain {
            Plain::Http(http) => http.look(answered_within).await,
            Plain::Stdio(_) | Plain::Demo(_) => {}
        }
    }

    /// Tries it out: a server over HTTP answers, a command starts and answers.
    ///
    /// # Errors
    /// With what is wrong, for people.
    pub async fn try_out(&self) -> Result<(), String> {
        match &self.plain {
            Plain::Http(http) => {
                http.look(Duration::ZERO).await;
                http.why_down().map_or(Ok(()), Err)
            }
            Plain::Stdio(stdio) => stdio.speaks().await.map(drop).map_err(|failed| failed.message),
            Plain::Demo(_) => Ok(()),
        }
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

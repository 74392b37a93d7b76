//! The whole stack on one screen: store, tracker, upstreams, endpoints, listeners; and the way out.

mod listen;
mod routes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use archon_sessions::layer::{Limits, SessionLayer};
use archon_sessions::store::SessionStore;
use archon_sessions::store::memory::MemoryStore;
use archon_sessions::store::sqlite::SqliteStore;
use archon_sessions::tracker::Tracker;
use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;

use crate::api;
use crate::config::{Config, Database};
use crate::gateway::{Builtin, Unbatched, Upstream};
use routes::{Endpoint, Routes};

/// Calls in flight get this long to end when the server is told to stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// What the endpoints and the API show of this process.
pub struct Overview {
    /// When it started.
    pub started: Instant,
    /// Its sessions.
    pub tracker: Tracker,
    /// Its upstreams, the default one first.
    pub upstreams: Vec<Upstream>,
}

/// Runs the server until it is told to stop.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let (store, sqlite) = open_store(&config.database).await?;
    let tracker = Tracker::start(store, config.sessions.clone())
        .await
        .context("could not recover the stored sessions")?;
    let upstreams = open_upstreams(&config, sqlite.as_ref()).await?;
    let overview =
        Arc::new(Overview { started: Instant::now(), tracker: tracker.clone(), upstreams });

    // As a request meets them: sessions, single messages, our own tools, the upstream.
    let endpoints = overview.upstreams.iter().map(|upstream| {
        let name: Arc<str> = upstream.name().into();
        let configured = config.upstreams.iter().find(|configured| *configured.name == *name);
        let call_timeout = configured.and_then(|configured| configured.call_timeout);
        let limits = Limits { call_timeout, ..config.limits.clone() };
        let sessions = SessionLayer::with_limits(tracker.clone(), name.clone(), limits);
        let tools = Builtin::layer(name.clone(), overview.clone(), config.inject_tools);
        let service = ServiceBuilder::new()
            .layer(sessions)
            .layer_fn(Unbatched::new)
            .layer(tools)
            .service(upstream.clone());
        Endpoint { name, service }
    });
    let routes = Routes::new(endpoints.collect(), overview.clone(), config.limits.hosts.clone());

    let mcp = bind(&config.host, config.mcp_port).await?;
    let server = bind(&config.host, config.server_port).await?;
    announce(&config, &overview, &mcp, &server)?;
    let stop = CancellationToken::new();
    let mcp = tokio::spawn(listen::serve_mcp(mcp, routes, config.listen, stop.clone()));
    let api = api::router(overview.clone(), &config.limits.hosts);
    let server = tokio::spawn(listen::serve_api(server, api, config.listen, stop.clone()));

    told_to_stop().await;
    tracing::info!("stopping: no new connections, calls in flight may end");
    stop.cancel();
    tracker.close_streams();
    let drained = async { tokio::join!(mcp, server) };
    if tokio::time::timeout(DRAIN_LIMIT, drained).await.is_err() {
        tracing::warn!("some calls did not end in time and were cut off");
    }
    tracker.shutdown(DRAIN_LIMIT).await;
    // All at once: each has limits of its own.
    join_all(overview.upstreams.iter().map(Upstream::stop)).await;
    if let Some(sqlite) = sqlite {
        sqlite.close().await;
    }
    Ok(())
}

async fn open_store(
    database: &Database,
) -> anyhow::Result<(Arc<dyn SessionStore>, Option<SqliteStore>)> {
    match database {
        Database::Memory => Ok((Arc::new(MemoryStore::new()), None)),
        Database::Sqlite(path) => {
            let store = SqliteStore::open(path)
                .await
                .with_context(|| format!("could not open the database {}", path.display()))?;
            Ok((Arc::new(store.clone()), Some(store)))
        }
    }
}

async fn open_upstreams(
    config: &Config,
    sqlite: Option<&SqliteStore>,
) -> anyhow::Result<Vec<Upstream>> {
    if config.upstreams.is_empty() {
        return Ok(vec![Upstream::demo(sqlite.map(SqliteStore::pool)).await?]);
    }
    config.upstreams.iter().map(Upstream::open).collect()
}

async fn bind(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    TcpListener::bind((host, port))
        .await
        .with_context(|| format!("could not listen on {host} port {port}; is it in use?"))
}

/// Says on standard output where we are and what to paste into a client.
fn announce(
    config: &Config,
    overview: &Overview,
    mcp: &TcpListener,
    server: &TcpListener,
) -> anyhow::Result<()> {
    let (mcp, server) = (mcp.local_addr()?, server.local_addr()?);
    let names: Vec<&str> = overview.upstreams.iter().map(Upstream::name).collect();
    println!("archon {}", env!("CARGO_PKG_VERSION"));
    println!("  MCP endpoint: http://{mcp}/mcp");
    for name in &names {
        println!("  upstream:     {name} at http://{mcp}/mcp/{name}");
    }
    println!("  health:       http://{server}/health");
    match &config.database {
        Database::Sqlite(path) => println!("  database:     {}", path.display()),
        Database::Memory => println!("  database:     none, sessions end with this process"),
    }
    println!("\nPaste into your client's MCP configuration:");
    println!(
        "  {{\"mcpServers\": {{\"archon\": {{\"type\": \"http\", \"url\": \"http://{mcp}/mcp\"}}}}}}"
    );
    println!("or, for Claude Code:\n  claude mcp add --transport http archon http://{mcp}/mcp");
    Ok(())
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        // Either way we stop: the other signal has nothing to add.
        Ok(mut terminate) => tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        },
        Err(_) => drop(interrupt.await),
    }
}

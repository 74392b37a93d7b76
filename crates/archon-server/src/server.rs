//! The whole stack on one screen: store, tracker, upstreams, endpoints, listeners; and the way out.

mod browsers;
mod default_upstream;
mod descriptors;
mod drain;
mod init;
mod lease;
mod listen;
mod nodes;
mod peers;
mod pid_file;
mod routes;
mod service_manager;
mod signals;
mod sockets;
mod storage;
mod unread;
mod upgrade;

pub use init::Init;
pub use lease::{files_of, last_holder};
pub use pid_file::{Outcome, PidFile};
pub use sockets::Inherited;
pub use storage::Storage;
pub use upgrade::{READY_LIMIT, predecessors};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use archon_sessions::layer::{Limits, SessionLayer};
use archon_sessions::session::Timestamp;
use archon_sessions::store::NodeRow;
use archon_sessions::tracker::{Settings, Tracker};
use futures_util::future::{OptionFuture, join_all};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceBuilder;

use crate::api;
use crate::api::ws::Feed;
use crate::cluster::{Links, key_of};
use crate::config::{AuthConfig, Config, Database, NAMELESS_NODE};
use crate::gateway::{Builtin, Looks, Repeats, Succession, Unbatched, Upstream};
use crate::identity::{Gate, Identities};
use crate::overview::{OpenConnections, Overview};
use crate::telemetry::Telemetry;
use browsers::Browsers;
use drain::{Drain, Ending, Patience};
use lease::{Claim, Holder};
use nodes::Nodes;
use routes::{Endpoint, Routes};
use signals::{Signals, Upgrades};
use sockets::Sockets;
use upgrade::{Handover, Held};

/// Characters that tell the places of processes apart in their names.
const PLACE_CHARS: usize = 8;

/// Runs the server until it is told to stop, or a successor has taken over.
pub async fn run(config: Config, inherited: Inherited) -> anyhow::Result<()> {
    let upgrades = Upgrades::listen()?;
    signals::survive_file_limit()?;
    descriptors::raise(config.listen.connections_max);
    if let Some(pid) = predecessors().first() {
        tracing::info!(pid, "taking over from process {pid}");
    }
    let claim = Claim::begin(&config, inherited.predecessor())?;
    let mut sockets = Sockets::open(inherited, &config).await?;
    let (mcp_address, api_address) =
        (sockets.mcp.listener.local_addr()?, sockets.api.listener.local_addr()?);
    // A socket that we inherited may be reached from elsewhere, whatever the configuration says.
    config
        .api
        .check_reach(&api_address.to_string(), api_address.ip().to_canonical().is_loopback())?;
    let lease = match claim {
        Some(claim) => Some(Arc::new(claim.wait().await?)),
        None => None,
    };
    let storage = Storage::open(&config.database).await?;
    let node = node_name(&config, &sockets)?;
    let (own, port) = self::own_node(&config, &node, &storage).await?;
    let telemetry = Telemetry::start(&config.telemetry)?;
    let settings = Settings { observer: Some(telemetry.clone()), ..own };
    let tracker = Tracker::start(storage.store(), settings)
        .await
        .context("could not recover the stored sessions")?;
    let upstreams = open_upstreams(&config).await?;
    let overview = Arc::new(Overview {
        started: Instant::now(),
        tracker: tracker.clone(),
        reports: storage.reports(),
        transfer: storage.transfer(),
        upstreams,
        open: OpenConnections::default(),
        telemetry,
    });

    let identities = config.auth.as_ref().map(|auth| Identities::open(auth, mcp_address));
    let identities = identities.transpose()?.map(Arc::new);
    let endpoints = endpoints(&config, &overview, identities.as_ref());
    let hosts = config.limits.hosts.clone();
    let routes = Routes::new(endpoints, overview.clone(), identities, hosts.clone());
    let port =
        port.map(|(listener, key)| (listener, Nodes::new(&key, routes.clone(), tracker.clone())));
    let routes = Browsers::new(routes, &hosts);

    let pid_file =
        config.database.files(config.node.as_deref()).map(|files| PidFile::beside(&files));
    let holder = holder(&overview, mcp_address, api_address);
    let held = Held { lease: lease.clone(), holder };
    let succession = Succession::new(tracker.clone(), overview.upstreams.clone());
    let mut handover = Handover::prepare(&sockets, pid_file.clone(), held, succession.clone())?;
    let mut signals = Signals::listen(upgrades)?;
    let kept = sockets.keep(config.keep_port);
    tracker.greet().await;
    announce(&config, &overview, &sockets)?;
    handover.say_ready(sockets.predecessor, kept);
    let drain = Drain::default();
    let open = &overview.open;
    let shared = (drain.clone(), open.mcp.clone());
    let mcp = listen::serve_mcp(sockets.mcp.listener, routes, config.listen, shared);
    let feed = Feed::new(overview.clone(), config.feed);
    let ports = api::Ports { mcp: mcp_address.port(), api: api_address.port() };
    let api = api::router(overview.clone(), &config, ports, feed.clone());
    let shared = (drain.clone(), open.api.clone());
    let api = listen::serve_api(sockets.api.listener, api, config.listen, shared);
    let (mcp, api) = (tokio::spawn(mcp), tokio::spawn(api));
    let shared = (drain.clone(), open.nodes.clone());
    let nodes = port.map(|(listener, nodes)| {
        tokio::spawn(listen::serve_nodes(listener, nodes, config.listen, shared))
    });
    // Nothing is lost with it but a count.
    let _told = AbortOnDropHandle::new(tokio::spawn(crate::logging::tell_withheld()));
    let looks = Looks::start(&overview.upstreams, config.probe_every);

    let ending = handover.until_over(&mut signals).await;
    drain.begin(ending).await;
    handover.over();
    // A successor has it now, and only until its own end.
    let lease = lease.filter(|_| ending == Ending::Stopped);
    let patience = Patience::new(ending, call_time_max(&config), signals);
    let connections = async {
        let _ = tokio::join!(feed.close(), mcp, api, OptionFuture::from(nodes));
        succession.finish().await;
    };
    drain.leave(patience, &tracker, connections).await;
    looks.stop().await;
    // All at once: each has limits of its own.
    join_all(overview.upstreams.iter().map(Upstream::stop)).await;
    overview.telemetry.stop().await;
    storage.close().await;
    if let Some(pid_file) = pid_file {
        pid_file.release();
    }
    drop(lease);
    Ok(())
}

/// Returns the upstreams with all that stands before them. As a request meets it: who sends it, sessions, single
/// messages, our own tools, what may be repeated, the upstream.
fn endpoints(
    config: &Config,
    overview: &Arc<Overview>,
    identities: Option<&Arc<Identities>>,
) -> Vec<Endpoint> {
    let endpoint = |(place, upstream): (usize, &Upstream)| {
        let name: Arc<str> = upstream.name().into();
        let configured = config.upstreams.iter().find(|configured| *configured.name == *name);
        let call_timeout = configured.and_then(|configured| configured.call_timeout);
        let limits = Limits { call_timeout, ..config.limits.clone() };
        let (hosts, paths) = (limits.hosts.clone(), routes::paths(&name, place == 0));
        let told = (overview.tracker.clone(), name.clone());
        let gate = identities.map(|all| Arc::new(Gate::new(all.clone(), hosts, &paths, told)));
        let sessions = SessionLayer::with_limits(overview.tracker.clone(), name.clone(), limits);
        let catalog = upstream.catalog();
        let process = (overview.tracker.clone(), overview.started);
        let tools = Builtin::layer(name.clone(), process, catalog.clone(), config.inject_tools);
        let is_trusted = configured.is_some_and(|configured| configured.trust_annotations);
        let repeats = Repeats::layer(catalog, is_trusted);
        let sessions = ServiceBuilder::new()
            .layer(sessions)
            .layer_fn(Unbatched::new)
            .layer(tools)
            .layer(repeats)
            .service(upstream.clone());
        Endpoint { name, sessions, gate }
    };
    overview.upstreams.iter().enumerate().map(endpoint).collect()
}

/// Returns what others are told of this process while it is there.
fn holder(overview: &Overview, mcp: SocketAddr, api: SocketAddr) -> Holder {
    let default = overview.upstreams.first().map(|upstream| upstream.name().to_owned());
    let this = Holder::this_process();
    Holder { mcp: Some(mcp), api: Some(api), default_upstream: default, ..this }
}

/// Returns how a process of ours signs what it has in flight. Where others share the database, numbers of processes alone
/// would not tell those of two containers apart.
fn process_name(node: &str, pid: u32, place: Option<&str>) -> Arc<str> {
    match place {
        Some(place) => {
            let mark: String = key_of(place).chars().take(PLACE_CHARS).collect();
            format!("{node}#{pid}.{mark}").into()
        }
        None => format!("{node}#{pid}").into(),
    }
}

/// Returns what the tracker is told of this node, and, where others share the database, the port for them with what they
/// must show there.
async fn own_node(
    config: &Config,
    node: &str,
    storage: &Storage,
) -> anyhow::Result<(Settings, Option<(TcpListener, String)>)> {
    let (standard, pid) = (config.sessions.clone(), std::process::id());
    let former = |place: Option<&str>| {
        predecessors().iter().map(|pid| process_name(node, *pid, place)).collect::<Vec<_>>()
    };
    let Some(address) = &config.node_address else {
        let name = process_name(node, pid, None);
        return Ok((Settings { node: name, predecessors: former(None), ..standard }, None));
    };
    let (listener, address) = nodes::open(address).await?;
    let (place, now, store) = (nodes::place(), Timestamp::now(), storage.store());
    let key = key_of(&store.token_secret().await?);
    let own = NodeRow {
        node: process_name(node, pid, Some(&place)),
        address: Some(address.clone()),
        place: Some(place.clone()),
        heard_at: now,
        expected_until: now,
    };
    let predecessors = former(Some(&place));
    nodes::claim_name(&*store, &own, &predecessors, standard.lease).await?;
    let settings = Settings {
        node: own.node,
        predecessors,
        peers: Some(Arc::new(Links::new(&key)?)),
        address: Some(address),
        place: Some(place),
        ..standard
    };
    Ok((settings, Some((listener, key))))
}

/// Returns the name of this node among those that use the database: the same after a restart, and another one than
/// theirs. A file is one gateway's, unless its operator says otherwise.
fn node_name(config: &Config, sockets: &Sockets) -> anyhow::Result<String> {
    match (&config.node, &config.database) {
        (Some(name), _) => Ok(name.clone()),
        (None, Database::Sqlite(_) | Database::Memory) => Ok(NAMELESS_NODE.to_owned()),
        (None, Database::Postgres(_)) => {
            let port = sockets.mcp.listener.local_addr()?.port();
            Ok(format!("{}:{port}", lease::host()))
        }
    }
}

/// Returns how long the most patient upstream's calls may take.
fn call_time_max(config: &Config) -> Duration {
    let own = config.upstreams.iter().filter_map(|upstream| upstream.call_timeout);
    own.fold(config.sessions.call_timeout, Duration::max)
}

async fn open_upstreams(config: &Config) -> anyhow::Result<Vec<Upstream>> {
    if config.upstreams.is_empty() {
        let file = match &config.database {
            Database::Sqlite(path) => Some(&**path),
            Database::Memory | Database::Postgres(_) => None,
        };
        return Ok(vec![Upstream::demo(file).await?]);
    }
    config.upstreams.iter().map(Upstream::open).collect()
}

/// Says on standard output where we are and what to paste into a client.
fn announce(config: &Config, overview: &Overview, sockets: &Sockets) -> anyhow::Result<()> {
    let (mcp, api) = (sockets.mcp.listener.local_addr()?, sockets.api.listener.local_addr()?);
    let names: Vec<&str> = overview.upstreams.iter().map(Upstream::name).collect();
    println!("archon {}", env!("CARGO_PKG_VERSION"));
    println!("  MCP endpoint: http://{mcp}/mcp{}", sockets.mcp.origin());
    for name in &names {
        println!("  upstream:     {name} at http://{mcp}/mcp/{name}");
    }
    println!("  dashboard:    http://{api}/");
    println!("  health:       http://{api}/health{}", sockets.api.origin());
    println!(
        "  clients:      {}",
        config.auth.as_ref().map_or("anybody".into(), AuthConfig::to_string)
    );
    println!("  database:     {}", config.database);
    println!("\nPaste into your client's MCP configuration:");
    println!(
        "  {{\"mcpServers\": {{\"archon\": {{\"type\": \"http\", \"url\": \"http://{mcp}/mcp\"}}}}}}"
    );
    println!("or, for Claude Code:\n  claude mcp add --transport http archon http://{mcp}/mcp");
    Ok(())
}

//! This process as a node: its name, which is its own; its place; the port on which other nodes speak to it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use archon_sessions::layer::{
    Forwarded, MayHaveRun, PeerAddress, SessionBody, codes, error_response, json_response,
};
use archon_sessions::session::Timestamp;
use archon_sessions::store::{Batch, NodeRow, SessionStore};
use archon_sessions::tracker::Tracker;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use subtle::ConstantTimeEq as _;
use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tower::Service;

use super::routes::Routes;
use super::unread::Lent;
use crate::cluster::{CLIENT_ADDRESS, MAY_HAVE_RUN, NODE_KEY, question};
use crate::gateway::GatewayBody;

/// Connections that wait until they are accepted.
const BACKLOG: u32 = 1024;
/// How often is looked whether another process of our name is there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Returns where this process's number means something: its machine and its process namespace.
pub fn place() -> Arc<str> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::metadata("/proc/self/ns/pid").map_or(0, |file| file.ino());
    format!("{}/{}/{namespace}", super::lease::host(), boot.trim()).into()
}

/// Opens the port for other nodes. Returns it with the address at which they reach it.
///
/// # Errors
/// If it is in use, or not an address of this machine.
pub async fn open(address: &str) -> anyhow::Result<(TcpListener, Arc<str>)> {
    let what = || format!("could not listen on node.address {address}");
    let mut found = lookup_host(address).await.with_context(what)?;
    let at = found.next().with_context(what)?;
    let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.with_context(what)?;
    // A successor listens before its predecessor has left.
    socket.set_reuseaddr(true).and_then(|()| socket.set_reuseport(true)).with_context(what)?;
    socket.bind(at).with_context(what)?;
    let listener = socket.listen(BACKLOG).with_context(what)?;
    let port = listener.local_addr().with_context(what)?.port();
    let (host, _) = address.rsplit_once(':').with_context(what)?;
    Ok((listener, format!("{host}:{port}").into()))
}

/// Sees to it that this process is the only one of its node, apart from its predecessors.
///
/// # Errors
/// If another is there, or the store is not.
pub async fn claim_name(
    store: &dyn SessionStore,
    own: &NodeRow,
    predecessors: &[Arc<str>],
    lease: Duration,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut first: Option<Vec<NodeRow>> = None;
    loop {
        store.renew(own, lease).await?;
        let now = Timestamp::now();
        let is_other = |row: &NodeRow| {
            row.name() == own.name()
                && row.node != own.node
                && !predecessors.contains(&row.node)
                && row.is_present(now)
                && !has_died_here(row, own)
        };
        let others: Vec<_> = store.nodes().await?.into_iter().filter(is_other).collect();
        if others.is_empty() {
            return Ok(());
        }
        let first = first.get_or_insert_with(|| others.clone());
        let before =
            |row: &NodeRow| first.iter().find(|one| one.node == row.node).map(|one| one.heard_at);
        // One that has crashed says nothing more; one that starts at the same time as we do may give way.
        let living = others.iter().find(|row| before(row) != Some(row.heard_at));
        let is_over = began.elapsed() > 2 * lease;
        if let Some(other) = living.filter(|other| own.node > other.node || is_over) {
            let gone = Batch { gone: vec![own.node.clone()], ..Batch::default() };
            store.apply(&gone).await?;
            let place = other.place.as_deref().and_then(|place| place.split('/').next());
            bail!(
                "node {:?} is in use by process {} on {}; give this gateway a name of its own: --node, or \
                 node.name in archon.toml",
                own.name(),
                number(other).unwrap_or("?"),
                place.unwrap_or("another machine")
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Returns the process id in the name of a process.
fn number(row: &NodeRow) -> Option<&str> {
    row.node.rsplit_once('#')?.1.split('.').next()
}

/// Returns whether a process was on this machine, and is not any more.
fn has_died_here(row: &NodeRow, own: &NodeRow) -> bool {
    let is_here = row.place.is_some() && row.place == own.place;
    let process = |number: &str| Path::new("/proc").join(number).exists();
    is_here && process("self") && number(row).is_some_and(|pid| !process(pid))
}

type Answer = Response<SessionBody<GatewayBody>>;

/// Answers other nodes: questions, and requests that they send on.
#[derive(Clone)]
pub struct Nodes {
    key: Arc<str>,
    routes: Routes,
    tracker: Tracker,
}

impl Nodes {
    /// Returns what answers nodes that show this key.
    pub fn new(key: &str, routes: Routes, tracker: Tracker) -> Self {
        Self { key: key.into(), routes, tracker }
    }
}

impl Service<Request<Lent<Incoming>>> for Nodes {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        self.routes.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Lent<Incoming>>) -> Self::Future {
        let shown = request.headers_mut().remove(NODE_KEY);
        let is_node = shown.is_some_and(|shown| shown.as_bytes().ct_eq(self.key.as_bytes()).into());
        if !is_node {
            let message =
                "this port is for other nodes of this gateway; clients use /mcp on the other one";
            let refused = error_response(StatusCode::FORBIDDEN, None, codes::REFUSED, message);
            return Box::pin(std::future::ready(Ok(refused)));
        }
        if let Some(question) = question(request.uri().path()) {
            let tracker = self.tracker.clone();
            return Box::pin(async move {
                let answer = tracker.answer(question).await;
                Ok(json_response(StatusCode::OK, answer.to_string()))
            });
        }
        let client = request.headers_mut().remove(CLIENT_ADDRESS);
        let client = client.and_then(|client| client.to_str().ok()?.parse::<SocketAddr>().ok());
        if let Some(client) = client {
            request.extensions_mut().insert(PeerAddress(client));
        }
        if request.headers_mut().remove(MAY_HAVE_RUN).is_some() {
            request.extensions_mut().insert(MayHaveRun);
        }
        request.extensions_mut().insert(Forwarded);
        Box::pin(self.routes.call(request))
    }
}

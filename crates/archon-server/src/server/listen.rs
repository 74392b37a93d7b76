//! Accepts connections and serves them, within bounds, until told to stop.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use archon_sessions::layer::{BoxError, PeerAddress};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt};

use super::browsers::Browsers;
use super::drain::{Answering, Drain, Watched, WatchedBody};
use super::nodes::Nodes;
use super::peers::Peers;
use super::routes::Routes;
use super::unread::{Lent, ReadsOn};
use crate::config::ListenLimits;

/// After a failed accept (out of descriptors, mostly) others get a moment to close theirs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the MCP endpoint.
pub async fn serve_mcp(
    listener: TcpListener,
    routes: Browsers<Routes>,
    limits: ListenLimits,
    shared: (Drain, TaskTracker),
) {
    serve(listener, routes, limits, shared).await;
}

/// Serves other nodes: as many connections as there may be, all of them from few addresses.
pub async fn serve_nodes(
    listener: TcpListener,
    nodes: Nodes,
    limits: ListenLimits,
    shared: (Drain, TaskTracker),
) {
    let limits = ListenLimits { connections_max_per_address: limits.connections_max, ..limits };
    serve(listener, nodes, limits, shared).await;
}

/// Serves the API.
pub async fn serve_api(
    listener: TcpListener,
    router: axum::Router,
    limits: ListenLimits,
    shared: (Drain, TaskTracker),
) {
    let service =
        router.map_request(|request: Request<Lent<Incoming>>| request.map(axum::body::Body::new));
    serve(listener, service, limits, shared).await;
}

/// The tracker is shared with whoever counts connections.
async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    limits: ListenLimits,
    (drain, connections): (Drain, TaskTracker),
) where
    S: Service<Request<Lent<Incoming>>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let service = ReadsOn(service);
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let peers = Peers::new(limits.connections_max_per_address, limits.limits_loopback);
    // HTTP/1.1 only: nothing but TLS negotiates another version, and a peer that begins to speak HTTP/2
    // by guess is told so at once instead of being waited for.
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time_max)
        .max_buf_size(limits.header_bytes_max);
    // The default is hyper's own, which it checks at a lower cost than a number that it is told.
    if limits.headers_max != ListenLimits::HEADERS_MAX {
        builder.max_headers(limits.headers_max);
    }
    let accepting = drain.accepting();
    // Connections that waited in the kernel's queue while no gateway was there.
    let mut is_waiting = true;
    loop {
        let waited = if is_waiting { accept(&listener, &places).now_or_never() } else { None };
        is_waiting = waited.is_some();
        // Losing the accept to the drain loses nothing: a connection that was not accepted waits for a
        // successor, and where there is none nobody has been promised anything.
        let accepted = match waited {
            Some(accepted) => accepted,
            None => tokio::select! {
                () = drain.begun() => break,
                accepted = accept(&listener, &places) => accepted,
            },
        };
        let Some((stream, peer, place)) = accepted else { continue };
        // Nobody would learn what became of its call, and who gave it up may have sent another.
        if is_waiting && has_left(&stream) {
            tracing::debug!(%peer, "a connection was given up before it was accepted");
            continue;
        }
        // Closed at once: one that waited would take a place from others all the same.
        let Some(counted) = peers.count(peer.ip()) else {
            tracing::warn!(
                peer = %peer.ip(), max = limits.connections_max_per_address,
                "connection closed: {} has reached its limit (limits.connections_max_per_address)",
                peer.ip()
            );
            continue;
        };
        let watched = drain.watch();
        let service = WithPeer { service: service.clone(), peer, watched: watched.clone() };
        let connection =
            builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        // A WebSocket leaves here, and has an owner of its own.
        let connection = connection.with_upgrades();
        connections.spawn(async move {
            // A connection that breaks is its client's business, and common.
            if let Err(error) = until_idle(connection, &watched).await {
                tracing::debug!(%peer, "connection ended: {error}");
            }
            drop((place, counted));
        });
    }
    drop((listener, accepting));
    connections.close();
    connections.wait().await;
}

/// Returns whether the peer has closed its side.
fn has_left(stream: &TcpStream) -> bool {
    let mut source = [PollFd::new(stream, PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut source, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// Serves a connection until it ends, or has been idle for long enough in a drain.
async fn until_idle<S, B>(
    connection: http1::UpgradeableConnection<TokioIo<TcpStream>, S>,
    watched: &Watched,
) -> hyper::Result<()>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    B: http_body::Body + 'static,
    B::Error: Into<BoxError>,
{
    let mut connection = pin!(connection);
    // The connection is polled on below, so that nothing of it is lost.
    tokio::select! {
        served = connection.as_mut() => return served,
        () = watched.idle() => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

type Place = tokio::sync::OwnedSemaphorePermit;

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, Place)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are small and waited for; a failure to say so costs only time.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, place))
        }
        Err(error) => {
            tracing::warn!("could not accept a connection: {error}");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Tells each request which peer it came from, and the connection of each answer.
#[derive(Clone)]
struct WithPeer<S> {
    service: S,
    peer: SocketAddr,
    watched: Watched,
}

impl<S, A, B> Service<Request<A>> for WithPeer<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<WatchedBody<B>>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        request.extensions_mut().insert(PeerAddress(self.peer));
        self.watched.answer(self.service.call(request))
    }
}

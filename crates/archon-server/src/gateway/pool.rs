//! Connections to one upstream, driven by the very task that waits for their answers.
//!
//! A pooled client with a task for each connection hands every answer from task to task, and its head
//! apart from its body: measured, that costs a third of the processor time of a call, and two more writes to
//! the client. Here nobody else polls a connection: while a call runs its own task does, and what
//! has arrived goes on in one piece.

mod nudge;
mod way;

pub use way::Way;

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use archon_sessions::layer::BoxError;
use bytes::Bytes;
use http::header::{HeaderValue, PROXY_AUTHORIZATION};
use http::{Request, Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use nudge::Nudge;
use parking_lot::Mutex;
use tower::{Service, ServiceExt};

/// An idle connection is closed before the upstream may close it: Node's servers do after 5 s, and a
/// request sent into a closing connection has an unknown outcome.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// Idle connections kept to one upstream.
const IDLE_COUNT_MAX: usize = 1024;

/// Pauses between attempts to reach an upstream that is restarting: from the first to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);

type Connector = HttpsConnector<Way>;
type Stream = <Connector as Service<Uri>>::Response;
type Connection = http1::Connection<Stream, Full<Bytes>>;

/// Why there is no answer.
#[derive(Debug)]
pub enum Failed {
    /// No connection: nothing was sent.
    Connect(BoxError),
    /// The connection broke after the request was on it.
    Lost(hyper::Error),
}

/// See the module. Clones are one pool.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    connector: Connector,
    uri: Uri,
    /// Whether requests go to a proxy as they are, and what authenticates us to it.
    forward: Option<Option<HeaderValue>>,
    /// How long a connection may take, with TLS and a proxy on the way.
    connect_limit: Duration,
    /// How long an upstream that was there is waited for when it is not.
    grace: Duration,
    /// Held for single operations, never across an await.
    presence: Mutex<Presence>,
    /// The latest used last. Held for single operations, never across an await.
    idle: Mutex<Vec<Idle>>,
}

/// Whether the upstream is there.
#[derive(Clone, Copy, Debug)]
enum Presence {
    /// It never was.
    Unseen,
    Up,
    Down(Instant),
}

struct Idle {
    link: Link,
    since: Instant,
}

/// A connection and the way to send on it.
struct Link {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it has closed: dropping it cancels what still waits on it.
    connection: Option<Box<Connection>>,
    nudge: Nudge,
}

impl Pool {
    /// Returns an empty pool of connections to where `uri` points. An upstream that was there and is not is
    /// waited for, up to `grace` from when it was first missed: it may be restarting.
    pub fn new(
        way: Way,
        tls: rustls::ClientConfig,
        uri: Uri,
        connect_limit: Duration,
        grace: Duration,
    ) -> Self {
        let forward = way.forward().map(Option::<&HeaderValue>::cloned);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(way);
        let (presence, idle) = (Mutex::new(Presence::Unseen), Mutex::default());
        let shared = Shared { connector, uri, forward, connect_limit, grace, presence, idle };
        Self { shared: Arc::new(shared) }
    }

    /// Sends a request, which names its whole URL, and returns its answer's head; the body follows as it
    /// is read. Dropping either closes the connection, which tells the upstream to stop.
    ///
    /// # Errors
    /// If no connection could be made, or it broke before there was an answer.
    pub async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<PooledBody>, Failed> {
        self.address(&mut request);
        let response = self.send_addressed(request).await?;
        if self.shared.forward.is_some()
            && response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        {
            return Err(Failed::Connect("the proxy requires credentials, or others".into()));
        }
        Ok(response)
    }

    /// Gives a request the form that is for whom we are connected to: to a server its URL is a path.
    fn address(&self, request: &mut Request<Full<Bytes>>) {
        match &self.shared.forward {
            Some(Some(authorization)) => {
                request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
            }
            Some(None) => {}
            None => {
                let path = request.uri().path_and_query().cloned();
                *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
            }
        }
    }

    async fn send_addressed(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<PooledBody>, Failed> {
        while let Some(link) = self.shared.take_idle() {
            request = match self.exchange(link, request).await {
                // It had closed before anything was written: the next one may still be good.
                Err(Unsent::Never(request)) => *request,
                Err(Unsent::Maybe(error)) => return Err(Failed::Lost(error)),
                Ok(response) => return Ok(response),
            };
        }
        let link = self.connect_patiently().await?;
        match self.exchange(link, request).await {
            Ok(response) => Ok(response),
            Err(Unsent::Never(_)) => Err(Failed::Connect("the connection closed at once".into())),
            Err(Unsent::Maybe(error)) => Err(Failed::Lost(error)),
        }
    }

    /// Connects, or waits for an upstream that may be restarting. Nothing has been sent yet, so that is safe.
    async fn connect_patiently(&self) -> Result<Link, Failed> {
        let mut pause = PAUSE_MIN;
        loop {
            let failed = match self.connect().await {
                Ok(link) => {
                    self.shared.set_presence(|_| Presence::Up);
                    return Ok(link);
                }
                Err(failed) => failed,
            };
            let presence = self.shared.set_presence(|before| match before {
                Presence::Up => Presence::Down(Instant::now()),
                Presence::Unseen | Presence::Down(_) => before,
            });
            match presence {
                Presence::Down(since) if since.elapsed() < self.shared.grace => {}
                Presence::Unseen | Presence::Up | Presence::Down(_) => return Err(failed),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn connect(&self) -> Result<Link, Failed> {
        let (connector, limit) = (self.shared.connector.clone(), self.shared.connect_limit);
        let connecting = connector.oneshot(self.shared.uri.clone());
        let connected = tokio::time::timeout(limit, connecting).await;
        let connected =
            connected.unwrap_or_else(|_| Err(format!("no connection within {limit:?}").into()));
        let stream = connected.map_err(Failed::Connect)?;
        let handshake = http1::handshake(stream).await;
        let (sender, connection) = handshake.map_err(|e| Failed::Connect(e.into()))?;
        Ok(Link { sender, connection: Some(Box::new(connection)), nudge: Nudge::new() })
    }

    async fn exchange(
        &self,
        mut link: Link,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<PooledBody>, Unsent> {
        let Link { sender, connection, nudge } = &mut link;
        let mut answer = std::pin::pin!(sender.try_send_request(request));
        let answer = std::future::poll_fn(|context| {
            nudge.poll(context, |context| {
                drive(connection, context);
                answer.as_mut().poll(context)
            })
        });
        match answer.await {
            Ok(response) => Ok(response.map(|incoming| PooledBody {
                incoming,
                link: Some(link),
                pool: Arc::downgrade(&self.shared),
            })),
            Err(mut error) => Err(match error.take_message() {
                Some(request) => Unsent::Never(Box::new(request)),
                None => Unsent::Maybe(error.into_error()),
            }),
        }
    }
}

/// What became of a request that has no answer.
enum Unsent {
    /// Nothing of it was written.
    Never(Box<Request<Full<Bytes>>>),
    /// Some of it may have been.
    Maybe(hyper::Error),
}

impl Shared {
    fn set_presence(&self, change: impl FnOnce(Presence) -> Presence) -> Presence {
        let mut presence = self.presence.lock();
        *presence = change(*presence);
        *presence
    }

    fn take_idle(&self) -> Option<Link> {
        let mut idle = self.idle.lock();
        let Idle { mut link, since } = idle.pop()?;
        if since.elapsed() >= IDLE_MAX {
            // The latest used is too old, so the others are as well.
            idle.clear();
            return None;
        }
        drop(idle);
        link.is_ready().then_some(link).or_else(|| self.take_idle())
    }

    fn give_back(self: &Arc<Self>, link: Link) {
        let mut idle = self.idle.lock();
        if idle.is_empty() {
            self.sweep_later();
        }
        if idle.len() < IDLE_COUNT_MAX {
            idle.push(Idle { link, since: Instant::now() });
        }
    }

    /// Closes connections that nobody used for a while; ends once there are none.
    fn sweep_later(self: &Arc<Self>) {
        let pool: Weak<Self> = Arc::downgrade(self);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(IDLE_MAX).await;
                let Some(pool) = pool.upgrade() else { return };
                let mut idle = pool.idle.lock();
                idle.retain(|idle| idle.since.elapsed() < IDLE_MAX);
                if idle.is_empty() {
                    return;
                }
            }
        });
    }
}

impl Link {
    /// Returns true if another request can be sent; looks whether the peer has closed it.
    fn is_ready(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        drive(&mut self.connection, &mut context);
        self.connection.is_some() && self.sender.is_ready()
    }
}

/// Reads and writes what can be read and written now.
fn drive(connection: &mut Option<Box<Connection>>, context: &mut Context<'_>) {
    if connection.as_mut().is_some_and(|open| Pin::new(&mut **open).poll(context).is_ready()) {
        *connection = None;
    }
}

/// The body of an answer, which drives its own connection and gives it back at the end.
pub struct PooledBody {
    incoming: Incoming,
    link: Option<Link>,
    pool: Weak<Shared>,
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { incoming, link, .. } = &mut *self;
        let Some(Link { connection, nudge, .. }) = link else {
            return Pin::new(incoming).poll_frame(context);
        };
        nudge.poll(context, |context| {
            let frame = Pin::new(&mut *incoming).poll_frame(context);
            if frame.is_pending() {
                // That said that more is wanted; what has arrived is handed over here.
                drive(connection, context);
                return Pin::new(&mut *incoming).poll_frame(context);
            }
            frame
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for PooledBody {
    fn drop(&mut self) {
        // One that is in the middle of an answer is not ready, and closes here.
        let ready = self.link.take().and_then(|mut link| link.is_ready().then_some(link));
        if let (Some(link), Some(pool)) = (ready, self.pool.upgrade()) {
            pool.give_back(link);
        }
    }
}

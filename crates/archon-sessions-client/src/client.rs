//! The client: its face, and what it knows.

mod archon;
mod aside;
mod attempt;
mod builder;
mod call;
mod fault;
mod forgotten;
mod handshake;
mod heartbeat;
mod standing;
mod stream;
mod tools;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::model::{CallToolResult, Implementation, JsonObject, Tool};
use serde_json::Value;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use archon::Health;
pub use builder::{ClientBuilder, Heartbeat};
pub use call::CallOptions;

use crate::error::{Error, SessionError};
use crate::handler::Handler;
use crate::retry::{Budget, RetryPolicy};
use crate::session::{ChangeCause, Era, EraChoice, Session, SessionChange};
use crate::state::{SavedState, Secret};
use crate::wire::http::Http;
use tools::Tools;

/// Sessions that this client was in, so that an answer that comes late does not lead back to one. Answers that are on
/// their way while a session ends are few.
const RETIRED_MAX: usize = 16;
/// How long a goodbye may take; a server that is there needs milliseconds.
const GOODBYE_LIMIT: Duration = Duration::from_secs(5);

/// A client of one MCP endpoint, in one session.
///
/// It is a handle: clones share the session. Calls may be made at the same time. When the last clone is dropped, its
/// heartbeats stop and the session is left as it is; [`close`](Self::close) ends it.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

/// How a client was built.
struct Settings {
    info: Implementation,
    timeout: Duration,
    retry: RetryPolicy,
    era: EraChoice,
    heartbeat: Heartbeat,
    handler: Arc<dyn Handler>,
    /// Whether anybody hears how far calls are.
    wants_progress: bool,
}

/// What all clones of a client share.
struct Inner {
    http: Http,
    settings: Settings,
    budget: Budget,
    next_id: AtomicU64,
    // Held to read or change it, never across an await.
    known: Mutex<Known>,
    // What `tools/list` last said, until the server says that it has changed.
    tools: Mutex<Option<Arc<Tools>>>,
    /// One handshake at a time, however many calls find that one is needed.
    handshake: tokio::sync::Mutex<()>,
    in_flight: AtomicUsize,
    // The task that hears the server's own stream. Held to replace it.
    standing: Mutex<Option<AbortHandle>>,
    last_use: Mutex<Instant>,
    /// Answers to servers' questions, goodbyes to calls that nobody waits for, the heartbeat.
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_when_dropped: DropGuard,
}

/// What is known of the session.
#[derive(Default)]
struct Known {
    link: Option<Arc<Link>>,
    is_closed: bool,
    session_id: Option<Uuid>,
    retired: VecDeque<Uuid>,
    /// A token, and the session that it is good for.
    token: Option<(Uuid, Secret)>,
    reconnect_count: u64,
    server: Option<Implementation>,
    instructions: Option<String>,
}

/// What was agreed on in a handshake.
#[derive(Debug)]
struct Link {
    /// Tells links apart.
    generation: u64,
    era: Era,
    version: String,
    /// The legacy handle.
    handle: Option<Secret>,
}

impl Client {
    /// Connects to an endpoint with everything as it usually is: `http://127.0.0.1:8051/mcp`, or without the path.
    ///
    /// # Errors
    /// If the URL is none, the server cannot be reached, or does not take the handshake.
    pub async fn connect(url: impl AsRef<str>) -> Result<Self, Error> {
        Self::builder(url).connect().await
    }

    /// Returns a builder for a client of an endpoint.
    pub fn builder(url: impl AsRef<str>) -> ClientBuilder {
        ClientBuilder::new(url.as_ref())
    }

    /// Calls a tool. `arguments` is an object, or `Value::Null` for none.
    ///
    /// # Errors
    /// [`Error::Tool`] if the tool failed; otherwise see [`Error`]: what kind it is says whether it may have run.
    pub async fn call_tool(&self, name: &str, arguments: Value) -> Result<CallToolResult, Error> {
        self.call_tool_with(name, arguments, CallOptions::default()).await
    }

    /// Calls a tool in a way of its own.
    ///
    /// # Errors
    /// See [`Client::call_tool`].
    pub async fn call_tool_with(
        &self,
        name: &str,
        arguments: Value,
        options: CallOptions,
    ) -> Result<CallToolResult, Error> {
        self.inner.call_tool(name, arguments, options).await
    }

    /// Returns all tools of the server, the gateway's own among them.
    ///
    /// # Errors
    /// See [`Error`]; nothing runs on listing.
    pub async fn list_tools(&self) -> Result<Vec<Tool>, Error> {
        let deadline = Instant::now() + self.inner.settings.timeout;
        Ok(self.inner.refresh_tools(deadline).await?.all().to_vec())
    }

    /// Sends any request, `prompts/list` for example, and returns its result as it is. Requests that only read are
    /// sent again where an answer is lost.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn request(&self, method: &str, params: JsonObject) -> Result<Value, Error> {
        self.inner.request(method, params).await
    }

    /// Asks whether the server is well.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn health_check(&self) -> Result<Health, Error> {
        self.inner.health_check().await
    }

    /// Says that this client is alive, and returns how long it may be silent now; `None` where nobody asks, because
    /// there is no gateway. With heartbeats on (they are), nobody needs to call this.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn heartbeat(&self) -> Result<Option<Duration>, Error> {
        self.inner.heartbeat().await
    }

    /// Takes the session back with its reconnect token: the one of the [`SavedState`] that this client was built
    /// from, or one that is asked for now. The token is used up, and the next one kept.
    ///
    /// # Errors
    /// [`Error::Session`] with the gateway's result if it refuses: the session has ended, the token was used. This
    /// client stays in the session that it is in.
    pub async fn reconnect(&self) -> Result<Session, Error> {
        self.inner.reconnect().await
    }

    /// Returns which session this client is in. Nothing is sent.
    pub fn session(&self) -> Session {
        self.inner.session()
    }

    /// Returns what another process needs to go on in this session, with a fresh reconnect token where there is a
    /// gateway. Drop the client then; do not close it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn save(&self) -> Result<SavedState, Error> {
        self.inner.save().await
    }

    /// Ends the session, and everything that this client does. Calls that are in flight end at once, as
    /// [`Error::OutcomeUnknown`] if they were sent. The modern era has no goodbye: there the gateway ends the session
    /// when it has been silent for its time.
    pub async fn close(self) {
        self.inner.close().await;
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = self.session();
        f.debug_struct("Client")
            .field("url", &self.inner.http.url().as_str())
            .field("session", &session)
            .finish()
    }
}

impl Inner {
    fn new(http: Http, settings: Settings) -> Arc<Self> {
        let stop = CancellationToken::new();
        // Ids are never used twice in a session, also if another process goes on in it (MCP 2025-11-25, Requests).
        // They stay below 2^53, which every JSON reader can count to.
        let first_id = fastrand::u64(1..1 << 32) << 20;
        Arc::new(Self {
            budget: Budget::new(&settings.retry),
            http,
            settings,
            next_id: AtomicU64::new(first_id),
            known: Mutex::default(),
            tools: Mutex::default(),
            handshake: tokio::sync::Mutex::default(),
            in_flight: AtomicUsize::new(0),
            standing: Mutex::default(),
            last_use: Mutex::new(Instant::now()),
            tasks: TaskTracker::new(),
            _stop_when_dropped: stop.clone().drop_guard(),
            stop,
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the link in force.
    fn link(&self) -> Result<Arc<Link>, Error> {
        let known = self.known();
        match &known.link {
            Some(link) if !known.is_closed => Ok(link.clone()),
            _ => Err(SessionError::closed().into()),
        }
    }

    fn session(&self) -> Session {
        let known = self.known();
        let link = known.link.as_deref();
        Session {
            id: known.session_id,
            mcp_session_id: link.and_then(|link| link.handle.clone()),
            era: link.map_or(Era::Legacy, |link| link.era),
            protocol_version: link.map(|link| link.version.clone()).unwrap_or_default(),
            reconnect_count: known.reconnect_count,
            server: known.server.clone(),
            instructions: known.instructions.clone(),
        }
    }

    /// Notes which session an answer says that it belongs to.
    fn learn_session(&self, id: Uuid, cause: ChangeCause) {
        let change = {
            let mut known = self.known();
            if known.session_id == Some(id) || known.retired.contains(&id) {
                return;
            }
            let from = known.session_id.replace(id);
            if let Some(from) = from {
                known.retired.truncate(RETIRED_MAX - 1);
                known.retired.push_front(from);
            }
            if known.token.as_ref().is_some_and(|(session, _)| Some(*session) == from) {
                known.token = None;
            }
            SessionChange { from, to: Some(id), cause }
        };
        if change.from.is_none() {
            tracing::debug!(session_id = %id, "session {id} is ours");
            return;
        }
        tracing::info!(session_id = %id, ?cause, "session changed to {id}: {cause:?}");
        self.settings.handler.session_changed(&change);
    }

    fn idle(&self) -> Duration {
        match self.in_flight.load(Ordering::Relaxed) {
            0 => self.last_use.lock().unwrap_or_else(PoisonError::into_inner).elapsed(),
            _ => Duration::ZERO,
        }
    }

    async fn close(&self) {
        let link = {
            let mut known = self.known();
            known.is_closed = true;
            known.link.take()
        };
        self.stop.cancel();
        self.tasks.close();
        if let Some(link) = link.filter(|link| link.handle.is_some()) {
            let goodbye = self.http.delete(self.headers(&link));
            match tokio::time::timeout(GOODBYE_LIMIT, goodbye).await {
                Ok(Ok(answer)) => tracing::debug!(status = %answer.status(), "said goodbye"),
                // The session ends by itself, a little later.
                Ok(Err(error)) => tracing::debug!("could not say goodbye: {error}"),
                Err(_) => tracing::debug!("could not say goodbye in time"),
            }
        }
        let _ = tokio::time::timeout(GOODBYE_LIMIT, self.tasks.wait()).await;
    }
}

//! Our tables behind rmcp's `SessionStore` and `EventStore`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::rmcp::transport::streamable_http_server::session::{
    EventStore, EventStoreError, EventStream, ServerSseMessage, SessionState, SessionStore,
    SessionStoreError,
};
use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};

use super::events::{EventName, Follower, common_stream, stored, stream_of};
use super::kept::Kept;
use crate::session::{McpSessionId, Timestamp};
use crate::tracker::{Admission, Affinity, Caller, Handshake, Tracker};

/// How long a session is kept after rmcp asked for it last, where nothing else is said: a laptop that is closed in
/// the evening goes on in the morning.
const KEEP: Duration = Duration::from_secs(24 * 60 * 60);
/// `initialize` params are kept to redo the handshake; larger ones are refused, as the layer does.
const PARAMS_MAX: usize = 64 * 1024;

/// Lets a server on rmcp keep its legacy sessions and its events in our tables, so that clients go on after a
/// restart of the server. One store serves both of rmcp's traits:
///
/// ```no_run
/// use std::sync::Arc;
///
/// use archon_sessions::rmcp::RmcpStore;
/// use archon_sessions::{Settings, SqliteStore, Tracker};
/// use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
/// use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
/// # struct Greeter;
/// # impl rmcp::ServerHandler for Greeter {}
///
/// # async fn example() -> Result<(), archon_sessions::store::StoreError> {
/// let store = SqliteStore::open("greeter.db").await?;
/// let tracker = Tracker::start(Arc::new(store), Settings::default()).await?;
/// let store = Arc::new(RmcpStore::new(tracker.clone(), "greeter"));
/// let sessions = LocalSessionManager::default().with_event_store(store.clone());
/// let mut config = StreamableHttpServerConfig::default();
/// config.session_store = Some(store);
/// let mcp = StreamableHttpService::new(|| Ok(Greeter), Arc::new(sessions), config);
/// # let _ = mcp;
/// # Ok(())
/// # }
/// ```
///
/// # What it does
///
/// - A client of the legacy era goes on with its `Mcp-Session-Id` after a restart: rmcp finds the parameters of its
///   `initialize` here and redoes the handshake with a new server object. Each of these is a row of
///   `archon_mcp_connections` with a session in `archon_mcp_sessions`.
/// - An answer that a client has missed is sent to it when it comes back with `Last-Event-ID`, for as long as
///   [`Settings::events_age_max`](crate::tracker::Settings::events_age_max), also by another process on the same
///   database and after the request has ended. rmcp alone replays only while the request is in flight, sends the event
///   that the client has got once more, and numbers events from 0 again after a restart; with this store it does
///   none of that. A replay goes on as a live stream in the process that answers the request.
/// - Where the database is away, events are sent without being kept, and no call fails for that.
///
/// # What it cannot do
///
/// rmcp tells a store of a session's beginning and of its DELETE, and asks for it when it does not have it in memory;
/// of requests it says nothing. So there are no rows in `archon_mcp_requests`, no idle timeouts of minutes, and
/// no principals: whoever has the id has the session. A session counts as active for a day (see
/// [`RmcpStore::keeping`]) after rmcp asked for it; its handle is good for as long as the tracker's resume window
/// after that. What a server object held in memory is lost with its process, and so is a call that was in
/// flight: its client waits until it gives up, for nobody can say that it may have run. Modern clients have no
/// sessions in rmcp. An operator's end of a session is learnt by rmcp only when it asks for it again. For all of that
/// put a [`SessionLayer`](crate::layer::SessionLayer) around the server instead, and leave this store away.
pub struct RmcpStore {
    pub(super) tracker: Tracker,
    name: Arc<str>,
    keep: Duration,
    /// Held for single operations, never across an await.
    kept: Mutex<Kept>,
}

impl RmcpStore {
    /// Returns a store for the server of this name: the name that connections carry in our tables, by which they
    /// are found again. The tracker is to be shut down after the server.
    pub fn new(tracker: Tracker, name: impl Into<Arc<str>>) -> Self {
        let (age_max, bytes_max) =
            (tracker.settings().events_age_max, tracker.settings().events_bytes_max);
        let kept = Mutex::new(Kept::new(age_max, bytes_max));
        Self { tracker, name: name.into(), keep: KEEP, kept }
    }

    /// Keeps sessions as active for so long after rmcp asked for them last. rmcp asks when a client comes back that
    /// was silent for longer than its `SessionConfig::keep_alive`, five minutes by default.
    #[must_use]
    pub fn keeping(self, keep: Duration) -> Self {
        Self { keep, ..self }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock()
    }
}

impl fmt::Debug for RmcpStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RmcpStore").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for RmcpStore {
    /// Returns what a session's handshake was redone with. The client of one that is not known is told so.
    async fn load(&self, session_id: &str) -> Result<Option<SessionState>, SessionStoreError> {
        let Ok(handle) = session_id.parse::<McpSessionId>() else { return Ok(None) };
        let found = self.tracker.adopted(handle, &self.name, Timestamp::now()).await?;
        let Some(Admission { connection: Some(connection), durable, .. }) = found else {
            return Ok(None);
        };
        if let Some(durable) = durable {
            durable.wait().await;
        }
        Ok(Some(SessionState::new(serde_json::from_str(connection.initialize())?)))
    }

    /// Stores a session, and returns when that is durable, or when it is clear that it will not be soon: then it
    /// is written later, and its client is served meanwhile.
    async fn store(&self, session_id: &str, state: &SessionState) -> Result<(), SessionStoreError> {
        let handle = session_id.parse::<McpSessionId>()?;
        let initialize = serde_json::to_string(&state.initialize_params)?;
        if initialize.len() > PARAMS_MAX {
            return Err(format!("the params of initialize exceed {PARAMS_MAX} bytes").into());
        }
        // Where its client calls from, the server does not say.
        let permit = self.tracker.let_in(&Caller::default())?;
        let handshake = Handshake {
            permit,
            upstream: self.name.clone(),
            initialize: initialize.into(),
            protocol_version: state.initialize_params.protocol_version.to_string(),
            link: None,
            affinity: Affinity::default(),
        };
        let admission = self.tracker.adopt(handle, handshake, self.keep, Timestamp::now())?;
        if let Some(durable) = admission.durable {
            durable.wait().await;
        }
        Ok(())
    }

    /// Ends a session at its client's word.
    async fn delete(&self, session_id: &str) -> Result<(), SessionStoreError> {
        let Ok(handle) = session_id.parse::<McpSessionId>() else { return Ok(()) };
        let now = Timestamp::now();
        let common = common_stream(session_id);
        self.kept().forget(common);
        self.tracker.forget_events(common);
        if let Some(admission) = self.tracker.adopted(handle, &self.name, now).await?
            && let Some(durable) = self.tracker.close(&admission, now)
        {
            durable.wait().await;
        }
        Ok(())
    }
}

#[async_trait]
impl EventStore for RmcpStore {
    /// Stores an event and returns its id. It never fails: an event that could not be kept is sent all the same.
    async fn store_event(
        &self,
        stream_id: &str,
        event: &ServerSseMessage,
    ) -> Result<String, EventStoreError> {
        let now = Timestamp::now();
        let name = EventName { stream: stream_of(stream_id), seq: self.tracker.next_event() };
        let event = stored(name, stream_id, event, now)?;
        let (bytes, is_answered) = (event.bytes.len(), event.is_answered);
        let is_durable = match self.tracker.keep_event(event) {
            Some(durable) => durable.wait().await,
            None => false,
        };
        if !is_durable {
            tracing::debug!(stream_id, "an event could not be stored, or not yet");
        }
        let surplus = self.kept().add(name, bytes, is_answered, now);
        surplus.into_iter().for_each(|stream| self.tracker.forget_events(stream));
        Ok(name.to_string())
    }

    /// Returns the stream's events behind this one: those that are stored, and, until the stream has brought its
    /// answer, those that this process stores from now on.
    ///
    /// # Errors
    /// If the id is none that this store gave.
    async fn replay_events_after(
        &self,
        last_event_id: &str,
    ) -> Result<EventStream, EventStoreError> {
        let after = EventName::parse(last_event_id).ok_or("no event of this server's")?;
        // Before it reads what is stored, so that it misses nothing in between.
        let news = self.kept().follow(after.stream);
        Ok(Follower::start(self.tracker.clone(), after, news))
    }
}

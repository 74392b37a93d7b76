//! Decides which session a request belongs to, and keeps the record of what happens to it.
//!
//! All of that from memory: the store is asked only for a handle that memory does not know, and written
//! by one task, in batches. What must be durable before it is answered (a new session or connection, an
//! end) waits for that task's next commit, together with its neighbours.

mod admit;
mod call;
mod log;
mod memory;
mod observer;
mod peers;
#[cfg(test)]
mod tests;
mod upkeep;
mod writer;

pub use admit::{
    AddressRate, Admission, Caller, Handshake, Holder, KeyedRate, NotActive, Permit, ReconnectRate,
    ReconnectRefusal, ReconnectSettings, Reconnected, Refusal,
};
pub use call::{Annotations, Arrival, Call, Carried, Ending};
pub use log::{Missing, Purpose, Reader, Sent, Source, StreamLog};
pub use memory::{
    Affinity, ConnectionSetup, IdInUse, LiveConnection, Presence, Proof, Stay, StreamPlace,
};
pub use observer::{EndedRequest, ErrorType, Observer};
pub use peers::{PeerBody, Peers, Question, Unreached};
pub use writer::{Durable, Refused, WriterHealth, causes};

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::events::{Events, Sign};
use crate::session::{
    Connection, DisconnectReason, FingerprintKey, IDLE_TIMEOUT, RESUME_WINDOW, Session, SessionId,
    TimeoutRule, Timestamp, TokenKey,
};
use crate::store::{SessionStore, StoreError, name_of};
use admit::{AddressLimiter, ReconnectLimiter, Turns};
use call::Interrupted;
use log::Names;
use memory::Memory;
use peers::Nodes;
use writer::{Remembered, Writer};

/// What a crash may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Rows of at most a quarter of a second; never a session. A call waits for nothing.
    #[default]
    Relaxed,
    /// Nothing: a call is in the ledger before it is sent, and its end and its answer are stored before
    /// it is answered. Each waits for a commit that it shares with its neighbours.
    Strict,
}

impl Durability {
    /// Returns true if calls wait for the store.
    pub fn is_strict(self) -> bool {
        match self {
            Self::Relaxed => false,
            Self::Strict => true,
        }
    }
}

/// How a tracker behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a session may be silent.
    pub idle_timeout: Duration,
    /// How old a session may become, however busy it is; its client goes on in a new one. `None` for any age.
    pub absolute_timeout: Option<Duration>,
    /// The longest that a client may ask for with `X-Archon-Session-Timeout`.
    pub idle_timeout_max: Duration,
    /// Other timeouts for some clients; the first rule that applies counts.
    pub timeout_rules: Vec<TimeoutRule>,
    /// How long after its start a session may be found by a guess although its client has shown a handle.
    pub guess_grace: Duration,
    /// How often the reaper looks. With the default timeout a silent session is seen as gone after at
    /// most six minutes.
    pub reap_every: Duration,
    /// How long a handle is good after an idle timeout.
    pub resume_window: Duration,
    /// Calls one session may have in flight; an agent's parallel calls are a few dozen at most.
    pub calls_max: u32,
    /// Streams (legacy GET, modern listen) one session may hold open.
    pub streams_max: u32,
    /// How long a call may go without a sign of its answer.
    pub call_timeout: Duration,
    /// Sessions in memory; beyond it new ones are refused until others end.
    pub sessions_max: usize,
    /// How often one address may begin a session, in either era.
    pub new_sessions: AddressRate,
    /// How sessions are taken back with tokens.
    pub reconnect: ReconnectSettings,
    /// What a crash may cost.
    pub durability: Durability,
    /// How long ended sessions are kept, and their requests with them; `None` for ever.
    pub retention: Option<Duration>,
    /// This process among those that use the store, now or before: `node#incarnation`. Processes that use one store
    /// at the same time are different nodes; what an earlier incarnation left is settled at the start.
    pub node: Arc<str>,
    /// The processes that handed over to this one, one to the next, and may still have calls in flight.
    pub predecessors: Vec<Arc<str>>,
    /// How the other nodes are reached: then each session is at one node. `None` if any process serves any session, as
    /// those do that know of no others.
    pub peers: Option<Arc<dyn Peers>>,
    /// Where other nodes reach this one, `host:port`.
    pub address: Option<Arc<str>>,
    /// The machine and the process namespace in which this process's number means something.
    pub place: Option<Arc<str>>,
    /// How long this process is expected to be there after it was heard of; it is heard of four times as often.
    pub lease: Duration,
    /// Bytes of events kept for one connection's client to come back to.
    pub events_bytes_per_client: usize,
    /// Bytes of events kept for all clients.
    pub events_bytes_max: usize,
    /// How long events are kept.
    pub events_age_max: Duration,
    /// The model whose price estimates a request's cost.
    pub pricing_model: Option<Arc<str>>,
    /// Whether tokens are counted with a real tokenizer, within a small share of one core. Without the feature `tokenizer`
    /// they are estimated.
    pub count_tokens: bool,
    /// Who hears what happens, if somebody does.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            idle_timeout: IDLE_TIMEOUT,
            absolute_timeout: None,
            // Who needs longer is better served by the resume window.
            idle_timeout_max: Duration::from_secs(24 * 60 * 60),
            timeout_rules: Vec::new(),
            // A client's first requests cross within milliseconds, on a bad network within a second.
            guess_grace: Duration::from_secs(2),
            reap_every: Duration::from_secs(60),
            resume_window: RESUME_WINDOW,
            calls_max: 128,
            streams_max: 32,
            // Longer than clients wait by themselves; a tool that works for an hour reports progress.
            call_timeout: Duration::from_secs(300),
            sessions_max: 2_000_000,
            new_sessions: AddressRate::default(),
            reconnect: ReconnectSettings::default(),
            durability: Durability::default(),
            retention: None,
            node: uuid::Uuid::new_v4().to_string().into(),
            predecessors: Vec::new(),
            peers: None,
            address: None,
            place: None,
            // One that is busy, or waits for a slow disk, is not gone.
            lease: Duration::from_secs(70),
            // A long answer and the progress before it.
            events_bytes_per_client: 1024 * 1024,
            events_bytes_max: 64 * 1024 * 1024,
            // A client that lost its network for longer has given up on its call.
            events_age_max: Duration::from_secs(300),
            pricing_model: Some("claude-sonnet-4-5".into()),
            count_tokens: true,
            observer: None,
        }
    }
}

impl Settings {
    /// Returns the name of this node, or of this process if it has none.
    fn key(&self) -> &str {
        name_of(&self.node)
    }
}

/// The keeper of sessions. Cheap to clone; all clones are one tracker.
#[derive(Clone)]
pub struct Tracker {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    store: Arc<dyn SessionStore>,
    memory: Arc<Memory>,
    /// Calls that a crash interrupted.
    interrupted: Interrupted,
    fingerprint_key: FingerprintKey,
    /// Since when cookies have seals: see `admit/proofs.rs`.
    sealed_since: Timestamp,
    token_key: TokenKey,
    reconnects: ReconnectLimiter,
    /// Who may begin a session.
    newcomers: AddressLimiter,
    /// Whose look-ups take turns.
    lookups: AddressLimiter,
    names: Names,
    events: Events,
    writer: Arc<Writer>,
    turns: Turns,
    nodes: Nodes,
    /// The name of this node.
    owner: Arc<str>,
    tasks: TaskTracker,
    stop: CancellationToken,
    leaving: CancellationToken,
    closing: CancellationToken,
}

impl Tracker {
    /// Starts a tracker on a store: recovers the active sessions, then starts its writer and reaper.
    /// Returns once the sessions are in memory.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn start(
        store: Arc<dyn SessionStore>,
        settings: Settings,
    ) -> Result<Self, StoreError> {
        let fingerprint_key = store.fingerprint_key().await?;
        let sealed_since = store.sealed_since(Timestamp::now()).await?;
        let token_key = match &settings.reconnect.key {
            Some(key) => key.clone(),
            None => TokenKey::new(store.token_secret().await?.as_bytes()),
        };
        let (nodes, owner) = (Nodes::new(settings.lease), settings.key().into());
        let writer = Arc::new(Writer::new(store.clone(), &settings));
        let tracker = Self {
            inner: Arc::new(Inner {
                reconnects: ReconnectLimiter::new(settings.reconnect.rate),
                newcomers: AddressLimiter::of_sessions(settings.new_sessions),
                lookups: AddressLimiter::of_lookups(settings.new_sessions.limits_loopback),
                settings,
                store,
                memory: Arc::default(),
                interrupted: Interrupted::default(),
                fingerprint_key,
                sealed_since,
                token_key,
                names: Names::since(Timestamp::now()),
                events: Events::starting(Timestamp::now()),
                writer: writer.clone(),
                turns: Turns::default(),
                nodes,
                owner,
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
                leaving: CancellationToken::new(),
                closing: CancellationToken::new(),
            }),
        };
        let now = Timestamp::now();
        let others = tracker.appear().await?.at_our_start();
        let is_alone = others.is_nobody();
        if tracker.has_owners() {
            tracker.inner.store.claim_all(&tracker.inner.owner, now).await?;
        }
        let calling = tracker.settle_interrupted(others).await?;
        tracker.recover(&calling, is_alone, now).await?;
        writer.start(Remembered::of(&tracker.inner.memory));
        let tasks = &tracker.inner.tasks;
        tasks.spawn(tracker.clone().reap_until_stopped());
        tasks.spawn(tracker.clone().prune_until_stopped());
        tasks.spawn(tracker.clone().stay_present());
        Ok(tracker)
    }

    /// Ends the streams on which nothing is asked for, so that a server which stops need not wait for
    /// them. Their clients open them again.
    pub fn close_streams(&self) {
        self.inner.closing.cancel();
    }

    /// Returns what is cancelled when open streams should end.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.inner.closing
    }

    /// Stops the reaper: a successor on the same store ends sessions from now on, and knows of activity that
    /// this tracker does not see.
    pub fn stop_reaping(&self) {
        self.inner.stop.cancel();
    }

    /// Stops the reaper, waits for calls whose clients have left, and writes what is queued. Sessions
    /// stay active: their clients go on after a restart.
    pub async fn shutdown(&self, limit: Duration) {
        self.inner.closing.cancel();
        self.stop_reaping();
        self.inner.leaving.cancel();
        self.inner.tasks.close();
        if tokio::time::timeout(limit, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!("calls still running at shutdown were given up");
        }
        self.leave();
        self.inner.writer.stop().await;
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Returns the store, to read from.
    pub fn store(&self) -> &Arc<dyn SessionStore> {
        &self.inner.store
    }

    /// Returns where it is told what happens to sessions.
    pub fn events(&self) -> &Events {
        &self.inner.events
    }

    /// Returns how writing goes.
    pub fn writer_health(&self) -> WriterHealth {
        self.inner.writer.health()
    }

    /// Returns how many sessions are active.
    pub fn active_sessions(&self) -> usize {
        self.inner.memory.active_count()
    }

    /// Returns how many sessions of each client type are active: the known products and a bounded number of
    /// others by their names.
    pub fn active_by_client_type(&self) -> Vec<(Box<str>, usize)> {
        self.inner.memory.active_by_client_type()
    }

    /// Returns the bytes of events that are kept in memory for clients to come back to.
    pub fn logged_bytes(&self) -> usize {
        self.inner.writer.logged.load(Relaxed)
    }

    /// Returns true if requests keep where they stand in their clients' traces.
    pub fn is_traced(&self) -> bool {
        self.observer().is_some_and(Observer::wants_trace_context)
    }

    /// Returns who hears what happens.
    fn observer(&self) -> Option<&dyn Observer> {
        self.inner.settings.observer.as_deref()
    }

    /// Notes that calls of a session run without the upstream state of those before; returns true the first time.
    pub(crate) fn lost_state(&self, presence: &Presence, upstream: &str) -> bool {
        let is_news = presence.lost_state();
        if let Some(observer) = self.observer().filter(|_| is_news) {
            observer.state_lost(upstream, &presence.session());
        }
        is_news
    }

    /// Returns the active sessions, from memory.
    pub fn presences(&self) -> Vec<Arc<Presence>> {
        self.inner.memory.active()
    }

    /// Returns an active session by its id, from memory.
    pub fn presence(&self, id: SessionId) -> Option<Arc<Presence>> {
        self.inner.memory.session(id)
    }

    /// Runs `work` to its end even though its client has left, for as long as the tracker runs.
    pub fn outlive(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Without a runtime there is nobody left to finish it for.
        if let Ok(handle) = tokio::runtime::Handle::try_current() {
            self.inner.tasks.spawn_on(work, &handle);
        }
    }

    /// Writes that a session is alive, though no request of its own shows it.
    pub fn touch(&self, presence: &Presence, now: Timestamp) {
        presence.touch(now);
        self.inner.writer.touch(presence.id(), now);
        self.inner.events.updated(presence.id(), presence.told(), Sign::Heartbeat, now);
    }

    fn say_ended(&self, session: &Session) {
        if let Some(observer) = self.observer() {
            let place = self.inner.memory.place(session.client.kind());
            observer.session_ended(place.name(), session);
        }
    }

    /// Ends a session. Every end goes through here, whatever the reason. Returns `None` if it had
    /// ended already, else what to wait for until the end is durable.
    pub fn end(
        &self,
        presence: &Arc<Presence>,
        reason: DisconnectReason,
        now: Timestamp,
    ) -> Option<Durable> {
        let ended = self.inner.memory.end(presence, reason, now)?;
        let id = ended.id;
        let inner = &self.inner;
        tracing::info!(
            session_id = %id, reason = reason.as_str(), seconds = ended.total_duration(),
            "session {id} cleaned up: {}", reason.as_str()
        );
        inner.events.disconnected(&ended);
        self.say_ended(&ended);
        let closed = if reason.ends_connections() {
            self.end_connections(presence, now)
        } else {
            Vec::new()
        };
        let told = self.to_be_told(&ended);
        Some(inner.writer.durably(|batch| {
            batch.ended.push(ended);
            batch.connections.extend(closed);
            batch.notices.extend(told);
        }))
    }

    /// Ends the connections of a session in memory, and returns what to store.
    fn end_connections(&self, presence: &Presence, now: Timestamp) -> Vec<Connection> {
        let mut closed = Vec::new();
        for connection in self.inner.memory.connections_of(presence) {
            closed.extend(connection.end(now));
            self.forget_logs(&connection);
        }
        closed
    }
}

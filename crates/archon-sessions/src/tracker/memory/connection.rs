//! A connection as memory holds it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use parking_lot::{Mutex, MutexGuard};

use super::presence::header;
use super::{Affinity, ConnectionSetup, Presence, Proof};
use crate::protocol::event_id::StreamId;
use crate::protocol::{Envelope, Text};
use crate::session::{Connection, McpSessionId, Principal, Timestamp};
use crate::tracker::call::CallFacts;
use crate::tracker::log::{Purpose, StreamLog};

/// Streams of one connection that are kept for its client to come back to; more than it may have calls in
/// flight.
const LOGS_MAX: usize = 256;

/// A connection in memory.
#[derive(Debug)]
pub struct LiveConnection {
    /// Held for single operations, never across an await.
    state: Mutex<State>,
    /// Held while its handshake is redone: by one request, for all that wait for it.
    pub(crate) reopening: tokio::sync::Mutex<()>,
    handle: McpSessionId,
    header: HeaderValue,
    upstream: Arc<str>,
    principal: Principal,
    protocol_version: Text,
    initialize: Arc<str>,
    opened_at: Timestamp,
}

/// An id of a call in flight, free again when dropped.
#[derive(Debug)]
pub struct IdInUse {
    connection: Arc<LiveConnection>,
    hash: u64,
}

impl Drop for IdInUse {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        if let Some(at) = state.ids.iter().position(|id| *id == self.hash) {
            state.ids.swap_remove(at);
        }
    }
}

#[derive(Debug)]
struct State {
    presence: Arc<Presence>,
    link: Option<HeaderValue>,
    /// `None` until it is asked for.
    affinity: Option<Affinity>,
    ended_at: Option<Timestamp>,
    /// Streams that its client may come back to, oldest first.
    logs: Vec<Arc<StreamLog>>,
    /// Calls in flight: as many as its session may have.
    calls: Vec<Arc<CallFacts>>,
    /// Hashes of the ids of calls in flight: as many as a session may have, or fewer.
    ids: Vec<u64>,
    /// Whether it came to its session by nothing but its name.
    is_named: bool,
    /// `None` for the many that set nothing up.
    setup: Option<Box<ConnectionSetup>>,
}

impl LiveConnection {
    pub(in crate::tracker) fn new(record: Connection, presence: Arc<Presence>) -> Arc<Self> {
        let link = record.link.and_then(|link| HeaderValue::try_from(String::from(link)).ok());
        let stored = record.setup.as_deref().map(ConnectionSetup::from_stored);
        let (setup, affinity, is_named) = stored.unwrap_or_default();
        let setup = Some(setup).filter(|setup| !setup.is_empty()).map(Box::new);
        let (ended_at, logs, calls, ids) = (record.ended_at, Vec::new(), Vec::new(), Vec::new());
        let state = State { presence, link, affinity, ended_at, logs, calls, ids, is_named, setup };
        Arc::new(Self {
            state: Mutex::new(state),
            reopening: tokio::sync::Mutex::default(),
            handle: record.handle,
            header: header(&record.handle),
            upstream: record.upstream,
            principal: record.principal,
            protocol_version: String::from(record.protocol_version).into(),
            initialize: record.initialize,
            opened_at: record.opened_at,
        })
    }

    /// Returns the handle.
    pub fn handle(&self) -> McpSessionId {
        self.handle
    }

    /// Returns the negotiated version.
    pub fn protocol_version(&self) -> &str {
        &self.protocol_version
    }

    /// Returns the same, to be shared.
    pub(in crate::tracker) fn shared_version(&self) -> &Text {
        &self.protocol_version
    }

    /// Returns the `params` of the client's `initialize` as JSON text.
    pub fn initialize(&self) -> &Arc<str> {
        &self.initialize
    }

    /// Returns the handle as a header's value, ready to be sent.
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// Returns the upstream's own id for this connection.
    pub fn link(&self) -> Option<HeaderValue> {
        self.state().link.clone()
    }

    /// Returns what the service behind the layer is told again on its link.
    pub fn affinity(&self) -> Affinity {
        self.state().affinity.get_or_insert_default().clone()
    }

    /// Returns what to store if its affinity has changed and is due.
    pub(in crate::tracker) fn changed_affinity(&self, now: Instant) -> Option<Connection> {
        let affinity = self.state().affinity.clone()?;
        affinity.is_due(now).then(|| self.record())
    }

    /// Returns the session it is bound to.
    pub fn presence(&self) -> Arc<Presence> {
        self.state().presence.clone()
    }

    pub(in crate::tracker) fn upstream(&self) -> &Arc<str> {
        &self.upstream
    }

    /// Returns true if this handle means something to this caller at this upstream.
    pub(in crate::tracker) fn is_for(&self, upstream: &str, principal: &Principal) -> bool {
        *self.upstream == *upstream && self.principal == *principal
    }

    pub(in crate::tracker) fn has_ended(&self) -> bool {
        self.state().ended_at.is_some()
    }

    /// Notes what a request of the client's sets up on the connection; returns what to store.
    pub(in crate::tracker) fn note_setup(&self, envelope: &Envelope) -> Connection {
        self.state().setup.get_or_insert_default().note(envelope);
        self.record()
    }

    /// Returns what was set up.
    pub fn setup(&self) -> ConnectionSetup {
        self.state().setup.as_deref().cloned().unwrap_or_default()
    }

    /// A call has begun on it.
    pub(in crate::tracker) fn begun(&self, call: Arc<CallFacts>) {
        self.state().calls.push(call);
    }

    /// A call on it has ended.
    pub(in crate::tracker) fn ended(&self, call: &Arc<CallFacts>) {
        let mut state = self.state();
        if let Some(at) = state.calls.iter().position(|other| Arc::ptr_eq(other, call)) {
            state.calls.swap_remove(at);
        }
    }

    /// Returns the calls in flight of this request id (JSON text).
    pub(in crate::tracker) fn calls_of(&self, id: &str) -> Vec<Arc<CallFacts>> {
        self.state().calls.iter().filter(|call| &*call.request == id).cloned().collect()
    }

    /// Notes that a call with this id (JSON text) is in flight, for as long as what is returned lives; `None` if
    /// another is.
    pub fn use_id(connection: &Arc<Self>, id: &str) -> Option<IdInUse> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let hash = hasher.finish();
        let mut state = connection.state();
        if state.ids.contains(&hash) {
            return None;
        }
        state.ids.push(hash);
        Some(IdInUse { connection: connection.clone(), hash })
    }

    /// Adds a stream that its client may come back to.
    pub(in crate::tracker) fn add_log(&self, log: Arc<StreamLog>) {
        let mut state = self.state();
        if state.logs.len() >= LOGS_MAX {
            // The oldest whose rest is in the store; one that still goes on is found only here.
            let oldest = state.logs.iter().position(|log| log.is_over()).unwrap_or(0);
            state.logs.remove(oldest);
        }
        state.logs.push(log);
    }

    /// Returns a stream that its client may come back to.
    pub(in crate::tracker) fn log(&self, id: StreamId) -> Option<Arc<StreamLog>> {
        self.state().logs.iter().find(|log| log.id() == id).cloned()
    }

    /// Returns the stream on which the server speaks by itself, if there is one.
    pub fn standing_log(&self) -> Option<Arc<StreamLog>> {
        let state = self.state();
        let is_standing =
            |log: &&Arc<StreamLog>| *log.purpose() == Purpose::Standing && !log.is_over();
        state.logs.iter().rev().find(is_standing).cloned()
    }

    pub(in crate::tracker) fn remove_log(&self, id: StreamId) {
        self.state().logs.retain(|log| log.id() != id);
    }

    /// Lets go of streams that can tell their client nothing any more.
    pub(in crate::tracker) fn forget_useless_logs(&self) {
        let mut state = self.state();
        if !state.logs.is_empty() {
            state.logs.retain(|log| log.is_of_use());
            state.logs.shrink_to_fit();
        }
    }

    /// Takes all its streams: nobody will come back to them.
    pub(in crate::tracker) fn take_logs(&self) -> Vec<Arc<StreamLog>> {
        std::mem::take(&mut self.state().logs)
    }

    /// Drops the oldest events where its streams hold more than this together.
    pub(in crate::tracker) fn trim_logs(&self, bytes_max: usize) {
        let mut state = self.state();
        let held: usize = state.logs.iter().map(|log| log.bytes()).sum();
        let mut surplus = held.saturating_sub(bytes_max);
        for log in &state.logs {
            if surplus == 0 {
                return;
            }
            surplus = surplus.saturating_sub(log.trim_bytes(surplus));
        }
        state.logs.retain(|log| log.is_of_use());
    }

    pub(in crate::tracker) fn set_link(
        &self,
        link: Option<HeaderValue>,
        affinity: Affinity,
    ) -> Connection {
        {
            let mut state = self.state();
            (state.link, state.affinity) = (link, Some(affinity));
        }
        self.record()
    }

    pub(in crate::tracker) fn bind(&self, presence: Arc<Presence>) -> Connection {
        self.state().presence = presence;
        self.record()
    }

    /// Binds it to a session for which its client has shown a proof; returns what to store.
    pub(in crate::tracker) fn bind_proven(&self, presence: Arc<Presence>) -> Connection {
        self.state().is_named = false;
        self.bind(presence)
    }

    /// Returns true if it came to its session by nothing but its name.
    pub(in crate::tracker) fn is_named(&self) -> bool {
        self.state().is_named
    }

    /// Returns what its handle proves of its session.
    pub(in crate::tracker) fn proof(&self) -> Proof {
        if self.is_named() { Proof::Name } else { Proof::Connection }
    }

    /// Ends it once; returns what to store.
    pub(in crate::tracker) fn end(&self, now: Timestamp) -> Option<Connection> {
        {
            let mut state = self.state();
            if state.ended_at.is_some() {
                return None;
            }
            state.ended_at = Some(now);
        }
        Some(self.record())
    }

    pub(in crate::tracker) fn record(&self) -> Connection {
        let state = self.state();
        Connection {
            handle: self.handle,
            session: state.presence.id(),
            upstream: self.upstream.clone(),
            principal: self.principal.clone(),
            protocol_version: (&*self.protocol_version).into(),
            initialize: self.initialize.clone(),
            link: state.link.as_ref().and_then(|link| link.to_str().ok()).map(Box::from),
            setup: ConnectionSetup::to_stored(
                state.setup.as_deref(),
                state.affinity.as_ref(),
                state.is_named,
            ),
            opened_at: self.opened_at,
            ended_at: state.ended_at,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

//! A session and a connection as memory holds them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;

use super::admit::{Kin, Proof};
use super::affinity::Affinity;
use super::census::Place;
use super::ledger::CallFacts;
use super::log::{Purpose, StreamLog};
use super::setup::ConnectionSetup;
use crate::events::LastTold;
use crate::protocol::event_id::StreamId;
use crate::protocol::{Envelope, Text};
use crate::session::{
    ClientInfo, Connection, DisconnectReason, End, Era, Fingerprint, McpSessionId, Principal,
    Session, SessionId, Timestamp, User,
};

/// Connections one session may have open; a client has one per upstream and a few forgotten ones.
const CONNECTIONS_MAX: usize = 64;

/// Streams of one connection that are kept for its client to come back to; more than it may have calls in
/// flight.
const LOGS_MAX: usize = 256;

/// An active session in memory. All of it is shared and changes in place.
#[derive(Debug)]
pub struct Presence {
    session: Session,
    header: HeaderValue,
    last_activity: AtomicI64,
    told: LastTold,
    reconnect_count: AtomicI64,
    /// Without its end.
    revision: AtomicI64,
    in_flight: AtomicU32,
    streams: AtomicU32,
    end: OnceLock<End>,
    /// Where it counts as active, until it has ended.
    counted_at: OnceLock<Arc<Place>>,
    /// A bit for each kind of proof it has been found by, so that its reuse is logged once.
    seen_by: AtomicU8,
    pub(super) kin: Option<Kin>,
    /// Who its client is to people, where that was learnt after it began. Held for single operations.
    learnt_user: Mutex<Option<Arc<User>>>,
    /// Whether it has had a call since it came to memory.
    has_called: AtomicBool,
    /// Whether it may still be found by a guess.
    is_guessable: AtomicBool,
    /// Whether calls of it run without the upstream state of those before.
    loses_state: AtomicBool,
    /// What keeps it here though its client is silent.
    stays: AtomicU32,
    /// Held for single operations, never across an await.
    connections: Mutex<Vec<McpSessionId>>,
}

impl Presence {
    pub(super) fn new(session: Session, kin: Option<Kin>) -> Arc<Self> {
        Arc::new(Self {
            last_activity: AtomicI64::new(session.last_activity.as_micros()),
            reconnect_count: AtomicI64::new(session.reconnect_count),
            revision: AtomicI64::new(session.revision),
            header: header(&session.id),
            session,
            told: LastTold::default(),
            in_flight: AtomicU32::new(0),
            streams: AtomicU32::new(0),
            end: OnceLock::new(),
            counted_at: OnceLock::new(),
            seen_by: AtomicU8::new(0),
            learnt_user: Mutex::default(),
            has_called: AtomicBool::new(false),
            is_guessable: AtomicBool::new(matches!(kin, Some(Kin::Fingerprint(_)))),
            loses_state: AtomicBool::new(false),
            stays: AtomicU32::new(0),
            kin,
            connections: Mutex::default(),
        })
    }

    /// Returns the session's id.
    pub fn id(&self) -> SessionId {
        self.session.id
    }

    /// Returns the id as a header's value, ready to be sent.
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// Returns the session as it is now.
    pub fn session(&self) -> Session {
        let mut session = self.session.clone();
        session.last_activity = self.last_activity();
        session.reconnect_count = self.reconnect_count.load(Relaxed);
        session.revision = self.revision.load(Relaxed);
        session.user = self.user();
        if let Some(end) = self.end.get() {
            session.end = Some(*end);
            session.revision += 1;
        }
        session
    }

    /// Returns who its client says it is.
    pub fn client(&self) -> &ClientInfo {
        &self.session.client
    }

    /// Returns how its client spoke when it began.
    pub fn era(&self) -> Era {
        self.session.era
    }

    /// Returns the protocol version in force.
    pub fn protocol_version(&self) -> &str {
        &self.session.protocol_version
    }

    /// Returns when it began.
    pub fn connected_at(&self) -> Timestamp {
        self.session.connected_at
    }

    /// Returns who its client is to people.
    pub fn user(&self) -> Option<Arc<User>> {
        self.learnt_user().clone().or_else(|| self.session.user.clone())
    }

    /// Learns who its client is to people; returns false if that is no news.
    pub(super) fn set_user(&self, user: &Arc<User>) -> bool {
        let mut learnt = self.learnt_user();
        let known = learnt.as_ref().or(self.session.user.as_ref());
        if known == Some(user) {
            return false;
        }
        *learnt = Some(user.clone());
        true
    }

    fn learnt_user(&self) -> MutexGuard<'_, Option<Arc<User>>> {
        self.learnt_user.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what its client can be guessed by.
    pub(super) fn guessed_by(&self) -> (Era, Option<Fingerprint>) {
        (self.session.era, self.session.fingerprint)
    }

    /// Returns true if it had no call since it came back to memory; that a client tries to open its streams
    /// again does not show that it goes on with them.
    pub(super) fn is_orphaned(&self) -> bool {
        !self.has_ended() && !self.has_called.load(Relaxed)
    }

    /// Its client has shown a handle: returns true, once, where nobody is to be guessed to be it any more.
    /// A new client's first requests may cross, some of them without the handle that it just got, so they
    /// are given a moment.
    pub(super) fn strike(&self, grace: Duration, now: Timestamp) -> bool {
        self.is_guessable.load(Relaxed)
            && now.since(self.session.connected_at) >= grace
            && self.is_guessable.swap(false, Relaxed)
    }

    /// Returns who it belongs to.
    pub fn principal(&self) -> &Principal {
        &self.session.principal
    }

    /// Returns the latest sign of life.
    pub fn last_activity(&self) -> Timestamp {
        Timestamp::from_micros(self.last_activity.load(Relaxed))
    }

    /// Returns when its listeners were told that it is alive.
    pub(super) fn told(&self) -> &LastTold {
        &self.told
    }

    /// Returns when the session will end if nothing more is heard of it.
    pub fn expires_at(&self) -> Timestamp {
        self.last_activity().plus(self.session.idle_timeout)
    }

    /// Returns true once the session has ended.
    pub fn has_ended(&self) -> bool {
        self.end.get().is_some()
    }

    /// Returns true if it goes on from that session.
    pub(super) fn continues(&self, id: SessionId) -> bool {
        self.session.continues == Some(id)
    }

    /// Returns true once the session has ended for good. One that ended in silence, or with its server, may be
    /// continued by its client, so that what it has at upstreams is kept for a while.
    pub fn is_gone(&self) -> bool {
        self.end.get().is_some_and(|end| end.reason.is_none_or(DisconnectReason::ends_connections))
    }

    /// Returns the session that it continues.
    pub fn continues_from(&self) -> Option<SessionId> {
        self.session.continues
    }

    pub(super) fn touch(&self, now: Timestamp) {
        self.last_activity.fetch_max(now.as_micros(), Relaxed);
    }

    /// A call in flight counts as activity; an open but silent stream does not.
    pub(super) fn is_idle_out(&self, now: Timestamp) -> bool {
        self.in_flight.load(Relaxed) == 0
            && self.stays.load(Relaxed) == 0
            && now >= self.expires_at()
    }

    /// Keeps it from ending by an idle timeout for as long as what is returned lives: something that is not over waits
    /// for its client.
    pub fn stay(self: &Arc<Self>) -> Stay {
        self.stays.fetch_add(1, Relaxed);
        Stay(self.clone())
    }

    /// Returns true if calls of it run without the upstream state of those before, since its client shows no proof.
    pub fn loses_state(&self) -> bool {
        self.loses_state.load(Relaxed)
    }

    /// Notes that; returns true the first time.
    pub(super) fn lost_state(&self) -> bool {
        !self.loses_state.swap(true, Relaxed)
    }

    /// Returns true if a call is in flight.
    pub(super) fn is_calling(&self) -> bool {
        self.in_flight.load(Relaxed) > 0
    }

    /// Returns how long ago it began.
    pub(super) fn age(&self, now: Timestamp) -> Duration {
        now.since(self.session.connected_at)
    }

    /// Learns what another process has written of it.
    pub(super) fn refresh(&self, stored: &Session) {
        self.reconnected(stored.reconnect_count, stored.revision, stored.last_activity);
    }

    /// Ends it as another process did; returns true if it had not ended.
    pub(super) fn end_as(&self, end: End) -> bool {
        let is_first = self.end.set(end).is_ok();
        if let Some(place) = self.counted_at.get().filter(|_| is_first) {
            place.leave();
        }
        is_first
    }

    /// Ends it once; returns the session with its end for the record.
    pub(super) fn end(&self, reason: DisconnectReason, now: Timestamp) -> Option<Session> {
        let end = End { at: now, reason: Some(reason), imported: false };
        self.end_as(end).then(|| self.session())
    }

    /// Counts it as active from now on. Called before anybody can end it.
    pub(super) fn is_counted_at(&self, place: Arc<Place>) {
        if self.counted_at.set(place.clone()).is_ok() {
            place.enter();
        }
    }

    /// Its client has it back by a token: so many times by now.
    pub(super) fn reconnected(&self, count: i64, revision: i64, now: Timestamp) {
        self.reconnect_count.fetch_max(count, Relaxed);
        self.revision.fetch_max(revision, Relaxed);
        self.touch(now);
    }

    /// Returns true if no connection is bound to it and no stream is open, and of calls there is one at most.
    pub(super) fn has_nothing_but_one_call(&self) -> bool {
        self.handles().is_empty()
            && self.streams.load(Relaxed) == 0
            && self.in_flight.load(Relaxed) <= 1
    }

    /// Returns how the session ended.
    pub(super) fn end_if_any(&self) -> Option<End> {
        self.end.get().copied()
    }

    /// Returns when the session ended.
    pub(super) fn ended_at(&self) -> Option<Timestamp> {
        self.end.get().map(|end| end.at)
    }

    /// Returns true the first time a session is found by this kind of proof.
    pub(super) fn is_first_by(&self, proof: Proof) -> bool {
        let bit = 1_u8 << (proof as u8);
        self.seen_by.fetch_or(bit, Relaxed) & bit == 0
    }

    pub(super) fn begin_call(&self, max: u32) -> bool {
        self.has_called.store(true, Relaxed);
        take(&self.in_flight, max)
    }

    pub(super) fn finish_call(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Takes a place for an open stream; `None` if the session holds as many as it may.
    pub fn open_stream(self: &Arc<Self>, max: u32) -> Option<StreamPlace> {
        take(&self.streams, max).then(|| StreamPlace(self.clone()))
    }

    pub(super) fn connections(&self) -> Vec<McpSessionId> {
        self.handles().clone()
    }

    /// Adds a connection; returns one to drop if there are too many.
    pub(super) fn add_connection(&self, handle: McpSessionId) -> Option<McpSessionId> {
        let mut handles = self.handles();
        let oldest = (handles.len() >= CONNECTIONS_MAX).then(|| handles.remove(0));
        handles.push(handle);
        oldest
    }

    /// Removes a connection; returns true if none is left.
    pub(super) fn remove_connection(&self, handle: McpSessionId) -> bool {
        let mut handles = self.handles();
        handles.retain(|other| *other != handle);
        handles.is_empty()
    }

    fn handles(&self) -> MutexGuard<'_, Vec<McpSessionId>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // Memory lets go of it without an end where the store knows better.
        if let Some(place) = self.counted_at.get().filter(|_| self.end.get().is_none()) {
            place.leave();
        }
    }
}

/// An id is hexadecimal digits and hyphens.
fn header(id: &impl std::fmt::Display) -> HeaderValue {
    HeaderValue::try_from(id.to_string()).unwrap_or(HeaderValue::from_static("invalid"))
}

fn take(counter: &AtomicU32, max: u32) -> bool {
    counter.fetch_update(Relaxed, Relaxed, |n| (n < max).then_some(n + 1)).is_ok()
}

/// Keeps a session from ending by an idle timeout, until it is dropped.
#[derive(Debug)]
pub struct Stay(Arc<Presence>);

impl Drop for Stay {
    fn drop(&mut self) {
        self.0.stays.fetch_sub(1, Relaxed);
    }
}

/// A place among a session's open streams, given back when dropped.
#[derive(Debug)]
pub struct StreamPlace(Arc<Presence>);

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Relaxed);
    }
}

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
    /// `None` for the many that set nothing up.
    setup: Option<Box<ConnectionSetup>>,
}

impl LiveConnection {
    pub(super) fn new(record: Connection, presence: Arc<Presence>) -> Arc<Self> {
        let link = record.link.and_then(|link| HeaderValue::try_from(String::from(link)).ok());
        let stored = record.setup.as_deref().map(ConnectionSetup::from_stored);
        let (setup, affinity) = stored.unwrap_or_default();
        let setup = Some(setup).filter(|setup| !setup.is_empty()).map(Box::new);
        let (ended_at, logs, calls, ids) = (record.ended_at, Vec::new(), Vec::new(), Vec::new());
        let state = State { presence, link, affinity, ended_at, logs, calls, ids, setup };
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
    pub(super) fn shared_version(&self) -> &Text {
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
    pub(super) fn changed_affinity(&self, now: Instant) -> Option<Connection> {
        let affinity = self.state().affinity.clone()?;
        affinity.is_due(now).then(|| self.record())
    }

    /// Returns the session it is bound to.
    pub fn presence(&self) -> Arc<Presence> {
        self.state().presence.clone()
    }

    /// Returns true if this handle means something to this caller at this upstream.
    pub(super) fn is_for(&self, upstream: &str, principal: &Principal) -> bool {
        *self.upstream == *upstream && self.principal == *principal
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state().ended_at.is_some()
    }

    /// Notes what a request of the client's sets up on the connection; returns what to store.
    pub(super) fn note_setup(&self, envelope: &Envelope) -> Connection {
        self.state().setup.get_or_insert_default().note(envelope);
        self.record()
    }

    /// Returns what was set up.
    pub fn setup(&self) -> ConnectionSetup {
        self.state().setup.as_deref().cloned().unwrap_or_default()
    }

    /// A call has begun on it.
    pub(super) fn begun(&self, call: Arc<CallFacts>) {
        self.state().calls.push(call);
    }

    /// A call on it has ended.
    pub(super) fn ended(&self, call: &Arc<CallFacts>) {
        let mut state = self.state();
        if let Some(at) = state.calls.iter().position(|other| Arc::ptr_eq(other, call)) {
            state.calls.swap_remove(at);
        }
    }

    /// Returns the calls in flight of this request id (JSON text).
    pub(super) fn calls_of(&self, id: &str) -> Vec<Arc<CallFacts>> {
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
    pub(super) fn add_log(&self, log: Arc<StreamLog>) {
        let mut state = self.state();
        if state.logs.len() >= LOGS_MAX {
            // The oldest whose rest is in the store; one that still goes on is found only here.
            let oldest = state.logs.iter().position(|log| log.is_over()).unwrap_or(0);
            state.logs.remove(oldest);
        }
        state.logs.push(log);
    }

    /// Returns a stream that its client may come back to.
    pub(super) fn log(&self, id: StreamId) -> Option<Arc<StreamLog>> {
        self.state().logs.iter().find(|log| log.id() == id).cloned()
    }

    /// Returns the stream on which the server speaks by itself, if there is one.
    pub fn standing_log(&self) -> Option<Arc<StreamLog>> {
        let state = self.state();
        let is_standing =
            |log: &&Arc<StreamLog>| *log.purpose() == Purpose::Standing && !log.is_over();
        state.logs.iter().rev().find(is_standing).cloned()
    }

    pub(super) fn remove_log(&self, id: StreamId) {
        self.state().logs.retain(|log| log.id() != id);
    }

    /// Lets go of streams that can tell their client nothing any more.
    pub(super) fn forget_useless_logs(&self) {
        let mut state = self.state();
        if !state.logs.is_empty() {
            state.logs.retain(|log| log.is_of_use());
            state.logs.shrink_to_fit();
        }
    }

    /// Takes all its streams: nobody will come back to them.
    pub(super) fn take_logs(&self) -> Vec<Arc<StreamLog>> {
        std::mem::take(&mut self.state().logs)
    }

    /// Drops the oldest events where its streams hold more than this together.
    pub(super) fn trim_logs(&self, bytes_max: usize) {
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

    pub(super) fn set_link(&self, link: Option<HeaderValue>, affinity: Affinity) -> Connection {
        {
            let mut state = self.state();
            (state.link, state.affinity) = (link, Some(affinity));
        }
        self.record()
    }

    pub(super) fn bind(&self, presence: Arc<Presence>) -> Connection {
        self.state().presence = presence;
        self.record()
    }

    /// Ends it once; returns what to store.
    pub(super) fn end(&self, now: Timestamp) -> Option<Connection> {
        {
            let mut state = self.state();
            if state.ended_at.is_some() {
                return None;
            }
            state.ended_at = Some(now);
        }
        Some(self.record())
    }

    pub(super) fn record(&self) -> Connection {
        let state = self.state();
        Connection {
            handle: self.handle,
            session: state.presence.id(),
            upstream: self.upstream.clone(),
            principal: self.principal.clone(),
            protocol_version: (&*self.protocol_version).into(),
            initialize: self.initialize.clone(),
            link: state.link.as_ref().and_then(|link| link.to_str().ok()).map(Box::from),
            setup: ConnectionSetup::to_stored(state.setup.as_deref(), state.affinity.as_ref()),
            opened_at: self.opened_at,
            ended_at: state.ended_at,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

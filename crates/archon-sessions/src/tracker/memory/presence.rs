//! A session as memory holds it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderValue;
use parking_lot::{Mutex, MutexGuard};

use super::census::Place;
use super::{Kin, Proof};
use crate::events::LastTold;
use crate::session::{
    ClientInfo, DisconnectReason, End, Era, Fingerprint, KeyDigest, McpSessionId, Principal,
    Session, SessionId, Timestamp, User,
};

/// Connections one session may have open; a client has one per upstream and a few forgotten ones.
const CONNECTIONS_MAX: usize = 64;

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
    kin: Option<Kin>,
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
    pub(in crate::tracker) fn new(session: Session, kin: Option<Kin>) -> Arc<Self> {
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
    pub(in crate::tracker) fn set_user(&self, user: &Arc<User>) -> bool {
        let mut learnt = self.learnt_user();
        let known = learnt.as_ref().or(self.session.user.as_ref());
        if known == Some(user) {
            return false;
        }
        *learnt = Some(user.clone());
        true
    }

    fn learnt_user(&self) -> MutexGuard<'_, Option<Arc<User>>> {
        self.learnt_user.lock()
    }

    /// Returns what finds it for a request without a handle.
    pub(in crate::tracker) fn kin(&self) -> Option<&Kin> {
        self.kin.as_ref()
    }

    /// Returns what its client can be guessed by.
    pub(in crate::tracker) fn guessed_by(&self) -> (Era, Option<Fingerprint>) {
        (self.session.era, self.session.fingerprint)
    }

    /// Returns true if it had no call since it came back to memory; that a client tries to open its streams
    /// again does not show that it goes on with them.
    pub(in crate::tracker) fn is_orphaned(&self) -> bool {
        !self.has_ended() && !self.has_called.load(Relaxed)
    }

    /// Its client has shown a handle: returns true, once, where nobody is to be guessed to be it any more.
    /// A new client's first requests may cross, some of them without the handle that it just got, so they
    /// are given a moment.
    pub(in crate::tracker) fn strike(&self, grace: Duration, now: Timestamp) -> bool {
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
    pub(in crate::tracker) fn told(&self) -> &LastTold {
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
    pub(in crate::tracker) fn continues(&self, id: SessionId) -> bool {
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

    pub(in crate::tracker) fn touch(&self, now: Timestamp) {
        self.last_activity.fetch_max(now.as_micros(), Relaxed);
    }

    /// A call in flight counts as activity; an open but silent stream does not.
    pub(in crate::tracker) fn is_idle_out(&self, now: Timestamp) -> bool {
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
    pub(in crate::tracker) fn lost_state(&self) -> bool {
        !self.loses_state.swap(true, Relaxed)
    }

    pub(in crate::tracker) fn is_calling(&self) -> bool {
        self.in_flight.load(Relaxed) > 0
    }

    pub(in crate::tracker) fn age(&self, now: Timestamp) -> Duration {
        now.since(self.session.connected_at)
    }

    /// Learns what another process has written of it.
    pub(in crate::tracker) fn refresh(&self, stored: &Session) {
        self.reconnected(stored.reconnect_count, stored.revision, stored.last_activity);
    }

    /// It does not count as active here any more.
    pub(super) fn leave_census(&self) {
        if let Some(place) = self.counted_at.get().filter(|_| !self.has_ended()) {
            place.leave();
        }
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
    pub(in crate::tracker) fn reconnected(&self, count: i64, revision: i64, now: Timestamp) {
        self.reconnect_count.fetch_max(count, Relaxed);
        self.revision.fetch_max(revision, Relaxed);
        self.touch(now);
    }

    /// Returns true if it may have one more connection without losing its oldest.
    pub(in crate::tracker) fn has_room(&self) -> bool {
        self.handles().len() < CONNECTIONS_MAX
    }

    pub(in crate::tracker) fn client_key(&self) -> Option<KeyDigest> {
        self.session.client_key
    }

    /// Returns true if a stream of it is open.
    pub(in crate::tracker) fn has_streams(&self) -> bool {
        self.streams.load(Relaxed) > 0
    }

    /// Returns true if no connection is bound to it and no stream is open, and of calls there is one at most.
    pub(in crate::tracker) fn has_nothing_but_one_call(&self) -> bool {
        self.handles().is_empty() && !self.has_streams() && self.in_flight.load(Relaxed) <= 1
    }

    pub(in crate::tracker) fn end_if_any(&self) -> Option<End> {
        self.end.get().copied()
    }

    pub(in crate::tracker) fn ended_at(&self) -> Option<Timestamp> {
        self.end.get().map(|end| end.at)
    }

    /// Returns true the first time a session is found by this kind of proof.
    pub(in crate::tracker) fn is_first_by(&self, proof: Proof) -> bool {
        let bit = 1_u8 << (proof as u8);
        self.seen_by.fetch_or(bit, Relaxed) & bit == 0
    }

    pub(in crate::tracker) fn begin_call(&self, max: u32) -> bool {
        self.has_called.store(true, Relaxed);
        take(&self.in_flight, max)
    }

    pub(in crate::tracker) fn finish_call(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Takes a place for an open stream; `None` if the session holds as many as it may.
    pub fn open_stream(self: &Arc<Self>, max: u32) -> Option<StreamPlace> {
        take(&self.streams, max).then(|| StreamPlace(self.clone()))
    }

    pub(in crate::tracker) fn connections(&self) -> Vec<McpSessionId> {
        self.handles().clone()
    }

    /// Adds a connection; returns one to drop if there are too many.
    pub(in crate::tracker) fn add_connection(&self, handle: McpSessionId) -> Option<McpSessionId> {
        let mut handles = self.handles();
        let oldest = (handles.len() >= CONNECTIONS_MAX).then(|| handles.remove(0));
        handles.push(handle);
        oldest
    }

    /// Removes a connection; returns true if none is left.
    pub(in crate::tracker) fn remove_connection(&self, handle: McpSessionId) -> bool {
        let mut handles = self.handles();
        handles.retain(|other| *other != handle);
        handles.is_empty()
    }

    fn handles(&self) -> MutexGuard<'_, Vec<McpSessionId>> {
        self.connections.lock()
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
pub(in crate::tracker) fn header(id: &impl std::fmt::Display) -> HeaderValue {
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

//! What the tracker holds in memory: sessions, connections, and who is found by what.
//!
//! It owns the maps, and what is always true of them: what has ended is not found as active; what ends is forgotten as
//! kin at once; and who lets go of a session lets go of its connections and of the id that it continues. Nothing here
//! asks the store, or tells anybody.

mod affinity;
mod census;
mod connection;
mod kin;
mod orphans;
mod presence;
mod proof;
mod setup;

pub use affinity::Affinity;
pub use connection::{IdInUse, LiveConnection};
pub(super) use kin::Kin;
pub use presence::{Presence, Stay, StreamPlace};
pub use proof::Proof;
pub use setup::ConnectionSetup;

use std::sync::Arc;

use papaya::HashMap;

use crate::session::{
    Connection, DisconnectReason, End, Fingerprint, McpSessionId, Principal, Session, SessionId,
    Timestamp,
};
use census::{Census, Place};
use orphans::Orphans;

/// See the module.
#[derive(Default)]
pub(super) struct Memory {
    /// Active sessions, and ended ones until their end is stored: at most `sessions_max`.
    sessions: HashMap<SessionId, Arc<Presence>>,
    /// Connections of the sessions in memory.
    connections: HashMap<McpSessionId, Arc<LiveConnection>>,
    /// The current session of a client that shows no handle.
    kin: HashMap<Kin, Arc<Presence>>,
    /// The session that continues an ended one, while both ids are in use.
    heirs: HashMap<SessionId, Arc<Presence>>,
    /// Sessions whose clients have not been heard of since our restart.
    orphans: Orphans,
    /// How many of the sessions are active.
    census: Census,
}

/// What is found.
impl Memory {
    /// Returns how many sessions it holds, ended ones that are not stored yet included.
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn active_count(&self) -> usize {
        self.census.all()
    }

    pub(super) fn active_by_client_type(&self) -> Vec<(Box<str>, usize)> {
        self.census.by_client_type()
    }

    /// Returns where sessions of a client type are counted.
    pub(super) fn place(&self, client_type: &str) -> Arc<Place> {
        self.census.place(client_type)
    }

    pub(super) fn active(&self) -> Vec<Arc<Presence>> {
        let sessions = self.sessions.pin();
        sessions.values().filter(|presence| !presence.has_ended()).cloned().collect()
    }

    pub(super) fn session(&self, id: SessionId) -> Option<Arc<Presence>> {
        active(self.sessions.pin().get(&id))
    }

    /// Returns a session, even if it has ended: until its end is stored.
    pub(super) fn session_or_ended(&self, id: SessionId) -> Option<Arc<Presence>> {
        self.sessions.pin().get(&id).cloned()
    }

    /// Returns the active session that continues this one.
    pub(super) fn heir(&self, id: SessionId) -> Option<Arc<Presence>> {
        active(self.heirs.pin().get(&id))
    }

    /// Returns the active session of this id, or the one that continues it, if it is this principal's.
    pub(super) fn session_of(&self, id: SessionId, of: &Principal) -> Option<Arc<Presence>> {
        let (sessions, heirs) = (self.sessions.pin(), self.heirs.pin());
        let is_own = |p: &&Arc<Presence>| !p.has_ended() && p.principal() == of;
        sessions.get(&id).filter(is_own).or_else(|| heirs.get(&id).filter(is_own)).cloned()
    }

    /// Returns the active session of a client that shows no handle.
    pub(super) fn session_of_kin(&self, kin: &Kin) -> Option<Arc<Presence>> {
        active(self.kin.pin().get(kin))
    }

    /// Returns a connection. It, or its session, may have ended.
    pub(super) fn connection(&self, handle: McpSessionId) -> Option<Arc<LiveConnection>> {
        self.connections.pin().get(&handle).cloned()
    }

    pub(super) fn connections_of(&self, presence: &Presence) -> Vec<Arc<LiveConnection>> {
        let connections = self.connections.pin();
        let handles = presence.connections().into_iter();
        handles.filter_map(|handle| connections.get(&handle).cloned()).collect()
    }

    /// Shows each session, ended ones included.
    pub(super) fn each_session(&self, look: impl FnMut(&Arc<Presence>)) {
        self.sessions.pin().values().for_each(look);
    }

    pub(super) fn all(&self) -> (Vec<Arc<Presence>>, Vec<Arc<LiveConnection>>) {
        let sessions = self.sessions.pin().values().cloned().collect();
        let connections = self.connections.pin().values().cloned().collect();
        (sessions, connections)
    }
}

/// What comes.
impl Memory {
    /// Makes a new session the current one of its kin, unless there is one: returns the one that is. Of two first
    /// requests at once the second joins the first.
    pub(super) fn join(&self, kin: Kin, presence: &Arc<Presence>) -> Arc<Presence> {
        let kins = self.kin.pin();
        let current = kins.update_or_insert(
            kin,
            |first| if first.has_ended() { presence.clone() } else { first.clone() },
            presence.clone(),
        );
        current.clone()
    }

    /// Makes a session the current one of its kin, whatever was before.
    pub(super) fn set_current(&self, presence: &Arc<Presence>) {
        if let Some(kin) = presence.kin() {
            self.kin.pin().insert(kin.clone(), presence.clone());
        }
    }

    /// Takes a session in, and counts it as active; the id that it continues leads to it. Returns where it is counted.
    pub(super) fn insert(&self, presence: &Arc<Presence>) -> Arc<Place> {
        let place = self.census.place(presence.client().kind());
        presence.is_counted_at(place.clone());
        self.sessions.pin().insert(presence.id(), presence.clone());
        if let Some(old) = presence.continues_from() {
            self.heirs.pin().insert(old, presence.clone());
        }
        place
    }

    /// Takes a connection in. Where its session has too many the oldest ends; returns the record of that.
    pub(super) fn connect(
        &self,
        record: Connection,
        presence: Arc<Presence>,
        now: Timestamp,
    ) -> (Arc<LiveConnection>, Option<Connection>) {
        let oldest = self.attach(record.handle, &presence, now);
        (self.insert_connection(record, presence), oldest)
    }

    /// Takes a stored connection in.
    pub(super) fn restore_connection(&self, record: Connection, presence: &Arc<Presence>) {
        presence.add_connection(record.handle);
        self.insert_connection(record, presence.clone());
    }

    /// Adds a connection to a session's. Where it has too many the oldest ends; returns the record of that.
    pub(super) fn attach(
        &self,
        handle: McpSessionId,
        presence: &Presence,
        now: Timestamp,
    ) -> Option<Connection> {
        let oldest = presence.add_connection(handle)?;
        self.connections.pin().get(&oldest)?.end(now)
    }

    fn insert_connection(
        &self,
        record: Connection,
        presence: Arc<Presence>,
    ) -> Arc<LiveConnection> {
        let handle = record.handle;
        let connection = LiveConnection::new(record, presence);
        self.connections.pin().insert(handle, connection.clone());
        connection
    }

    /// Takes a session whose client may take our restart for the end of all.
    pub(super) fn add_orphan(&self, presence: &Arc<Presence>) {
        self.orphans.add(presence);
    }

    /// From now on, and for a while, clients may begin anew.
    pub(super) fn recovered(&self, now: Timestamp) {
        self.orphans.recovered(now);
    }

    /// Takes out a session that was left by a client that looks like this.
    pub(super) fn take_orphan(
        &self,
        fingerprint: Fingerprint,
        now: Timestamp,
    ) -> Option<Arc<Presence>> {
        self.orphans.take(fingerprint, now)
    }
}

/// What goes.
impl Memory {
    /// Ends a session once; returns it with its end for the record.
    pub(super) fn end(
        &self,
        presence: &Arc<Presence>,
        reason: DisconnectReason,
        now: Timestamp,
    ) -> Option<Session> {
        let ended = presence.end(reason, now)?;
        self.forget_kin(presence);
        Some(ended)
    }

    /// Ends a session as another process did; returns true if it had not ended.
    pub(super) fn end_as(&self, presence: &Arc<Presence>, end: End) -> bool {
        let is_first = presence.end_as(end);
        if is_first {
            self.forget_kin(presence);
        }
        is_first
    }

    /// A session is not found by a guess any more.
    pub(super) fn forget_guess(&self, presence: &Arc<Presence>) {
        if matches!(presence.kin(), Some(Kin::Fingerprint(_))) {
            self.forget_kin(presence);
        }
    }

    fn forget_kin(&self, presence: &Arc<Presence>) {
        let Some(kin) = presence.kin() else { return };
        let kins = self.kin.pin();
        if kins.get(kin).is_some_and(|current| Arc::ptr_eq(current, presence)) {
            kins.remove(kin);
        }
    }

    /// Lets go of a session whose end is stored.
    pub(super) fn forget(&self, presence: &Arc<Presence>) {
        self.sessions.pin().remove(&presence.id());
        if let Some(old) = presence.continues_from() {
            let heirs = self.heirs.pin();
            if heirs.get(&old).is_some_and(|heir| Arc::ptr_eq(heir, presence)) {
                heirs.remove(&old);
            }
        }
        let connections = self.connections.pin();
        for handle in presence.connections() {
            // It may be bound to the session that continues this one by now.
            if connections.get(&handle).is_some_and(|c| Arc::ptr_eq(&c.presence(), presence)) {
                connections.remove(&handle);
            }
        }
    }

    /// Lets go of a session that is served elsewhere.
    pub(super) fn release(&self, presence: &Arc<Presence>) {
        self.forget_kin(presence);
        presence.leave_census();
        self.forget(presence);
    }

    /// Lets go of what is of no use any more: orphans that were heard of, streams that tell nothing.
    pub(super) fn sweep(&self) {
        self.orphans.sweep();
        self.connections.pin().values().for_each(|one| one.forget_useless_logs());
    }
}

fn active(found: Option<&Arc<Presence>>) -> Option<Arc<Presence>> {
    found.filter(|presence| !presence.has_ended()).cloned()
}

//! What happens when memory does not know: new sessions, and handles that come back after a pause.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use super::admit::{Admission, Caller, Kin, Proof, Refusal};
use super::{Durable, Inner, LiveConnection, Permit, Presence, Tracker};
use crate::session::{Connection, McpSessionId, Resumption, Session, SessionId, Timestamp};
use crate::store::StoreError;

/// Look-ups that go to the store at the same time: each has a lane, so that a flood of made-up ids
/// takes turns, and two requests with the same handle find one session and not two.
const LANES: usize = 32;
/// A store that has not answered by then counts as unavailable.
const LOOKUP_LIMIT: Duration = Duration::from_secs(3);

/// Whoever holds a connection's lane may take a session's, never the other way round.
#[derive(Default)]
pub(super) struct SlowPath {
    /// Taken before a lane, never while one is held: who waits here holds nobody else up.
    pub(super) strangers: Mutex<()>,
    connections: Lanes,
    sessions: Lanes,
}

#[derive(Default)]
struct Lanes {
    lanes: [Mutex<()>; LANES],
    hasher: RandomState,
}

impl Lanes {
    async fn lane(&self, key: impl Hash) -> MutexGuard<'_, ()> {
        let index = usize::try_from(self.hasher.hash_one(key) % LANES as u64).unwrap_or(0);
        self.lanes[index].lock().await
    }
}

/// A session that goes on, and what to wait for before its client is answered.
type Resumed = (Arc<Presence>, Option<Durable>);

impl Tracker {
    /// Waits for a session's turn to be brought to memory.
    pub(super) async fn session_lane(&self, id: SessionId) -> MutexGuard<'_, ()> {
        self.inner.slow.sessions.lane(id).await
    }

    /// Waits for a connection's turn to be looked up.
    pub(super) async fn connection_lane(&self, handle: McpSessionId) -> MutexGuard<'_, ()> {
        self.inner.slow.connections.lane(handle).await
    }

    /// Waits for the turn of a look-up of something that memory does not know. An address that has many things looked
    /// up is not refused, since one of them may be good: it has them looked up one at a time, together with all others
    /// that do so.
    pub(super) async fn turn(&self, caller: &Caller) -> Option<MutexGuard<'_, ()>> {
        match self.inner.lookups.take(caller.peer) {
            Ok(()) => None,
            Err(_) => Some(self.inner.slow.strangers.lock().await),
        }
    }

    /// Puts a new session into memory and its row on the way to the store.
    pub(super) fn create(
        &self,
        session: Session,
        kin: Option<Kin>,
        _: Permit,
    ) -> Result<Admission, Refusal> {
        let inner = &self.inner;
        if inner.sessions.len() >= inner.settings.sessions_max {
            return Err(Refusal::TooManySessions);
        }
        let presence = Presence::new(session, kin.clone());
        if let Some(kin) = kin {
            // Two first requests at once: the one that comes second joins the first.
            let (kins, proof) = (inner.kin.pin(), kin.proof());
            let current = kins.update_or_insert(
                kin,
                |first| if first.has_ended() { presence.clone() } else { first.clone() },
                presence.clone(),
            );
            if !Arc::ptr_eq(current, &presence) {
                let (presence, durable) = (current.clone(), Some(inner.writer.barrier()));
                return Ok(Admission { presence, proof, connection: None, durable });
            }
        }
        let durable = self.store_new(&presence);
        Ok(Admission { presence, proof: Proof::New, connection: None, durable: Some(durable) })
    }

    fn store_new(&self, presence: &Arc<Presence>) -> Durable {
        let session = presence.session();
        let id = session.id;
        tracing::info!(
            session_id = %id, client = session.client.kind(), era = session.era.as_str(),
            continues = session.continues.map(tracing::field::display),
            "session {id} created for {}", session.client.kind()
        );
        let place = self.inner.census.place(session.client.kind());
        if let Some(observer) = self.observer() {
            observer.session_began(place.name(), &session);
        }
        presence.is_counted_at(place);
        self.inner.sessions.pin().insert(id, presence.clone());
        self.inner.events.created(&session);
        self.inner.writer.durably(|batch| batch.created.push(session))
    }

    /// Finds a session that memory does not have, or makes the one that continues it.
    pub(super) async fn resume_session(
        &self,
        id: SessionId,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Option<Resumed>, Refusal> {
        let _lane = self.inner.slow.sessions.lane(id).await;
        // Whoever held the lane before us may have done it.
        if let Some(presence) = self.inner.heirs.pin().get(&id).filter(|p| !p.has_ended()) {
            return Ok((*presence.principal() == caller.principal)
                .then(|| (presence.clone(), Some(self.inner.writer.barrier()))));
        }
        let remembered = self.inner.sessions.pin().get(&id).map(|presence| presence.session());
        let stored = match remembered {
            Some(session) => Some(session),
            None => {
                let found = self.look_up(self.inner.store.session(id)).await;
                // The record never outranks the client: it gets a new session instead.
                found.unwrap_or_default()
            }
        };
        let Some(session) = stored.filter(|session| session.principal == caller.principal) else {
            return Ok(None);
        };
        match session.resumption(self.inner.settings.resume_window, now) {
            Resumption::Over => Ok(None),
            Resumption::Same => match self.bring_back(session, now).await {
                Ok(presence) => Ok(Some((presence, None))),
                Err(session) => self.go_on_from(&session, now),
            },
            Resumption::Continue => self.go_on_from(&session, now),
        }
    }

    /// Returns the session that continues an ended one, if it may be continued.
    fn go_on_from(&self, ended: &Session, now: Timestamp) -> Result<Option<Resumed>, Refusal> {
        if ended.resumption(self.inner.settings.resume_window, now) == Resumption::Over {
            return Ok(None);
        }
        self.continue_session(ended, now).map(|(p, durable)| Some((p, Some(durable))))
    }

    /// Takes a session that is active in the store back to memory. Another process may be about to end it: once our
    /// sign of life is stored it does not, unless it has; then the session comes back as it ended. The caller holds
    /// the session's lane.
    async fn bring_back(
        &self,
        session: Session,
        now: Timestamp,
    ) -> Result<Arc<Presence>, Box<Session>> {
        let id = session.id;
        let touched = self.inner.writer.durably(|batch| batch.touched.push((id, now)));
        if touched.wait().await
            && let Ok(Some(stored)) = self.look_up(self.inner.store.session(id)).await
            && stored.end.is_some()
        {
            return Err(Box::new(stored));
        }
        let connections = self.look_up(self.inner.store.connections_of(id)).await;
        Ok(self.revive(session, connections.unwrap_or_default()))
    }

    /// Finds a connection whose session is not in memory, and binds it to the session that goes on.
    pub(super) async fn resume_connection(
        &self,
        handle: McpSessionId,
        upstream: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<(Arc<LiveConnection>, Option<Durable>), Refusal> {
        let is_known = self.inner.connections.pin().contains_key(&handle);
        let turn = if is_known { None } else { self.turn(caller).await };
        let _lane = self.connection_lane(handle).await;
        let remembered = self.inner.connections.pin().get(&handle).cloned();
        let record = match &remembered {
            Some(connection) => connection.record(),
            None => self
                .look_up(self.inner.store.connection(handle))
                .await
                .map_err(|()| Refusal::StoreUnavailable)?
                .ok_or(Refusal::UnknownHandle)?,
        };
        drop(turn);
        let is_own = *record.upstream == *upstream && record.principal == caller.principal;
        if !is_own || record.ended_at.is_some() {
            return Err(Refusal::UnknownHandle);
        }
        if let Some(presence) = self.own_live(record.session) {
            let connection = remembered.unwrap_or_else(|| self.remember(record, presence, now));
            return Ok((connection, Some(self.inner.writer.barrier())));
        }
        let (presence, durable) = self
            .resume_session(record.session, caller, now)
            .await?
            .ok_or(Refusal::UnknownHandle)?;
        let connection = remembered.unwrap_or_else(|| self.remember(record, presence.clone(), now));
        if !Arc::ptr_eq(&connection.presence(), &presence) {
            presence.add_connection(handle);
        }
        let record = connection.bind(presence);
        let bound = self.inner.writer.durably(|batch| batch.connections.push(record));
        Ok((connection, durable.map(|_| bound)))
    }

    /// A legacy request may name only its session, whose presence is over: then the handle to go on with
    /// is that of its latest connection at this upstream.
    pub(super) async fn latest_handle(
        &self,
        session: SessionId,
        upstream: &str,
        caller: &Caller,
    ) -> Option<McpSessionId> {
        let stored = self.look_up(self.inner.store.connections_of(session)).await.ok()?;
        let is_own = |c: &&Connection| *c.upstream == *upstream && c.principal == caller.principal;
        stored.iter().filter(is_own).max_by_key(|c| c.opened_at).map(|c| c.handle)
    }

    fn own_live(&self, id: SessionId) -> Option<Arc<Presence>> {
        self.inner.sessions.pin().get(&id).filter(|presence| !presence.has_ended()).cloned()
    }

    /// Makes the session that continues an ended one. Both ids lead to it from now on.
    fn continue_session(
        &self,
        old: &Session,
        now: Timestamp,
    ) -> Result<(Arc<Presence>, Durable), Refusal> {
        if self.inner.sessions.len() >= self.inner.settings.sessions_max {
            return Err(Refusal::TooManySessions);
        }
        let session = old.continued(now);
        let kin = Kin::of_session(&session);
        let presence = self.with_kin(Presence::new(session, kin));
        self.inner.heirs.pin().insert(old.id, presence.clone());
        let durable = self.store_new(&presence);
        Ok((presence, durable))
    }

    /// Takes a stored active session back into memory.
    pub(super) fn revive(&self, session: Session, connections: Vec<Connection>) -> Arc<Presence> {
        let kin = Kin::of_session(&session);
        let place = self.inner.census.place(session.client.kind());
        let presence = self.with_kin(Presence::new(session, kin));
        presence.is_counted_at(place);
        self.inner.sessions.pin().insert(presence.id(), presence.clone());
        // The id of the session that it continues goes on leading to it.
        if let Some(old) = presence.continues_from() {
            self.inner.heirs.pin().insert(old, presence.clone());
        }
        for record in connections {
            self.revive_connection(record, &presence);
        }
        presence
    }

    /// Takes a stored connection of it back into memory.
    pub(super) fn revive_connection(&self, record: Connection, presence: &Arc<Presence>) {
        let handle = record.handle;
        presence.add_connection(handle);
        let connection = LiveConnection::new(record, presence.clone());
        self.inner.connections.pin().insert(handle, connection);
    }

    /// Makes it the current session of its client's requests without a handle.
    fn with_kin(&self, presence: Arc<Presence>) -> Arc<Presence> {
        if let Some(kin) = &presence.kin {
            self.inner.kin.pin().insert(kin.clone(), presence.clone());
        }
        presence
    }

    /// Puts a connection into memory. A session with too many of them loses its oldest.
    pub(super) fn remember(
        &self,
        record: Connection,
        presence: Arc<Presence>,
        now: Timestamp,
    ) -> Arc<LiveConnection> {
        let handle = record.handle;
        let connections = self.inner.connections.pin();
        let oldest = presence.add_connection(handle).and_then(|oldest| connections.get(&oldest));
        if let Some(record) = oldest.and_then(|oldest| oldest.end(now)) {
            self.inner.writer.durably(|batch| batch.connections.push(record));
        }
        let connection = LiveConnection::new(record, presence);
        connections.insert(handle, connection.clone());
        connection
    }

    pub(super) async fn look_up<T>(
        &self,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, ()> {
        match tokio::time::timeout(LOOKUP_LIMIT, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let cause = std::error::Error::source(&error).map(tracing::field::display);
                tracing::error!(cause, "could not look up a session: {error}");
                Err(())
            }
            Err(_) => {
                tracing::error!("could not look up a session: the store did not answer");
                Err(())
            }
        }
    }
}

impl Inner {
    /// Forgets that a client without a handle belongs to this session.
    pub(super) fn forget_kin(&self, presence: &Arc<Presence>, which: impl Fn(&Kin) -> bool) {
        if let Some(kin) = presence.kin.as_ref().filter(|kin| which(kin)) {
            let kins = self.kin.pin();
            if kins.get(kin).is_some_and(|current| Arc::ptr_eq(current, presence)) {
                kins.remove(kin);
            }
        }
    }
}

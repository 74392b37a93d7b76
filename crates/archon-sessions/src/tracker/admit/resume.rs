//! What happens when memory does not know: new sessions, and handles that come back after a pause.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use super::{Admission, Caller, Permit, Refusal};
use crate::session::{Connection, McpSessionId, Resumption, Session, SessionId, Timestamp};
use crate::store::StoreError;
use crate::tracker::memory::{Kin, LiveConnection, Presence, Proof};
use crate::tracker::{Durable, Tracker};

/// Look-ups that go to the store at the same time: each has a lane, so that a flood of made-up ids
/// takes turns, and two requests with the same handle find one session and not two.
const LANES: usize = 32;
/// Sessions that are followed from one that ended to the one that goes on. A client that shows its first id of so many begins anew.
const GENERATIONS_MAX: usize = 64;
/// A store that has not answered by then counts as unavailable.
const LOOKUP_LIMIT: Duration = Duration::from_secs(3);

/// Who waits for whom on the way to the store. Whoever holds a connection's lane may take a session's, never the other way round.
#[derive(Default)]
pub(in crate::tracker) struct Turns {
    /// Taken before a lane, never while one is held: who waits here holds nobody else up.
    pub(in crate::tracker) strangers: Mutex<()>,
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

/// What became of the look for a session.
enum Followed {
    /// It, if it can be gone on with.
    Here(Option<Resumed>),
    /// It has ended, and this one continues it.
    To(SessionId),
}

impl Tracker {
    /// Waits for a session's turn to be brought to memory.
    pub(in crate::tracker) async fn session_lane(&self, id: SessionId) -> MutexGuard<'_, ()> {
        self.inner.turns.sessions.lane(id).await
    }

    /// Waits for a connection's turn to be looked up.
    pub(in crate::tracker) async fn connection_lane(
        &self,
        handle: McpSessionId,
    ) -> MutexGuard<'_, ()> {
        self.inner.turns.connections.lane(handle).await
    }

    /// Waits for the turn of a look-up of something that memory does not know. An address that has many things looked
    /// up is not refused, since one of them may be good: it has them looked up one at a time, together with all others
    /// that do so.
    pub(in crate::tracker) async fn turn(&self, caller: &Caller) -> Option<MutexGuard<'_, ()>> {
        match self.inner.lookups.take(caller.peer) {
            Ok(()) => None,
            Err(_) => Some(self.inner.turns.strangers.lock().await),
        }
    }

    /// Puts a new session into memory and its row on the way to the store.
    pub(in crate::tracker) fn create(
        &self,
        session: Session,
        kin: Option<Kin>,
        _: Permit,
    ) -> Result<Admission, Refusal> {
        let inner = &self.inner;
        if inner.memory.len() >= inner.settings.sessions_max {
            return Err(Refusal::TooManySessions);
        }
        let presence = Presence::new(self.owned(session), kin.clone());
        if let Some(kin) = kin {
            let proof = kin.proof();
            let current = inner.memory.join(kin, &presence);
            if !Arc::ptr_eq(&current, &presence) {
                let durable = Some(inner.writer.barrier());
                return Ok(Admission { presence: current, proof, connection: None, durable });
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
        let place = self.inner.memory.insert(presence);
        if let Some(observer) = self.observer() {
            observer.session_began(place.name(), &session);
        }
        self.inner.events.created(&session);
        self.inner.writer.durably(|batch| batch.created.push(session))
    }

    /// Finds a session that memory does not have, or makes the one that continues it: or the last of those that do, where a
    /// client shows an id that it had several silences ago.
    pub(in crate::tracker) async fn resume_session(
        &self,
        id: SessionId,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Option<Resumed>, Refusal> {
        // The record never outranks the client: it gets a new session instead. Where other nodes may have this one, that
        // would split its state.
        let must_know = self.peers().is_some();
        self.resume_latest(id, caller, must_know, now).await
    }

    async fn resume_latest(
        &self,
        id: SessionId,
        caller: &Caller,
        must_know: bool,
        now: Timestamp,
    ) -> Result<Option<Resumed>, Refusal> {
        let mut latest = id;
        for _ in 0..GENERATIONS_MAX {
            match self.resume_or_follow(latest, caller, must_know, now).await? {
                Followed::Here(resumed) => return Ok(resumed),
                Followed::To(heir) => latest = heir,
            }
        }
        Ok(None)
    }

    async fn resume_or_follow(
        &self,
        id: SessionId,
        caller: &Caller,
        must_know: bool,
        now: Timestamp,
    ) -> Result<Followed, Refusal> {
        let here = |resumed| Ok(Followed::Here(resumed));
        self.sent_on(id.as_uuid())?;
        let _lane = self.inner.turns.sessions.lane(id).await;
        // Whoever held the lane before us may have done it.
        if let Some(presence) = self.inner.memory.heir(id) {
            return here(
                (*presence.principal() == caller.principal)
                    .then(|| (presence, Some(self.inner.writer.barrier()))),
            );
        }
        let remembered = self.inner.memory.session_or_ended(id).map(|presence| presence.session());
        let is_remembered = remembered.is_some();
        let stored = match remembered {
            Some(session) => Some(session),
            None => {
                let found = self.look_up(self.inner.store.session(id)).await;
                match found {
                    Ok(None) => {
                        self.ask_others(id.as_uuid(), caller).await?;
                        None
                    }
                    Err(()) if must_know => return Err(Refusal::StoreUnavailable),
                    found => found.unwrap_or_default(),
                }
            }
        };
        let Some(mut session) = stored.filter(|session| session.principal == caller.principal)
        else {
            return here(None);
        };
        if session.end.is_none() && !is_remembered {
            self.own(&mut session, now).await?;
        }
        let ended = match session.resumption(self.inner.settings.resume_window, now) {
            Resumption::Same => match self.bring_back(session, now).await {
                Ok(presence) => return here(Some((presence, None))),
                Err(ended) => *ended,
            },
            Resumption::Over | Resumption::Continue => session,
        };
        let heir = self.look_up(self.inner.store.continued_by(id)).await.unwrap_or_default();
        match heir.filter(|heir| heir.principal == caller.principal) {
            Some(heir) => Ok(Followed::To(heir.id)),
            None => {
                // Of two nodes at once, one makes the session that goes on.
                if ended.resumption(self.inner.settings.resume_window, now) != Resumption::Over {
                    self.at_home(id.as_uuid().as_bytes(), caller)?;
                }
                here(self.go_on_from(&ended, now)?)
            }
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
    pub(in crate::tracker) async fn resume_connection(
        &self,
        handle: McpSessionId,
        upstream: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<(Arc<LiveConnection>, Option<Durable>), Refusal> {
        let is_known = self.inner.memory.connection(handle).is_some();
        if !is_known {
            self.sent_on(handle.as_uuid())?;
        }
        let turn = if is_known { None } else { self.turn(caller).await };
        let _lane = self.connection_lane(handle).await;
        let remembered = self.inner.memory.connection(handle);
        let record = match &remembered {
            Some(connection) => connection.record(),
            None => {
                let found = self.look_up(self.inner.store.connection(handle)).await;
                match found.map_err(|()| Refusal::StoreUnavailable)? {
                    Some(record) => record,
                    None => {
                        self.ask_others(handle.as_uuid(), caller).await?;
                        return Err(Refusal::UnknownHandle);
                    }
                }
            }
        };
        drop(turn);
        let is_own = *record.upstream == *upstream && record.principal == caller.principal;
        if !is_own || record.ended_at.is_some() {
            return Err(Refusal::UnknownHandle);
        }
        if let Some(presence) = self.presence(record.session) {
            let connection = remembered.unwrap_or_else(|| self.remember(record, presence, now));
            return Ok((connection, Some(self.inner.writer.barrier())));
        }
        let (presence, durable) = self
            // Its handle is good: a store that does not answer must not make it unknown.
            .resume_latest(record.session, caller, true, now)
            .await
            .inspect_err(|refusal| self.remember_place(handle.as_uuid(), refusal))?
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
    pub(in crate::tracker) async fn latest_handle(
        &self,
        session: SessionId,
        upstream: &str,
        caller: &Caller,
    ) -> Option<McpSessionId> {
        let stored = self.look_up(self.inner.store.connections_of(session)).await.ok()?;
        let is_own = |c: &&Connection| *c.upstream == *upstream && c.principal == caller.principal;
        stored.iter().filter(is_own).max_by_key(|c| c.opened_at).map(|c| c.handle)
    }

    /// Makes the session that continues an ended one. Both ids lead to it from now on.
    fn continue_session(
        &self,
        old: &Session,
        now: Timestamp,
    ) -> Result<(Arc<Presence>, Durable), Refusal> {
        if self.inner.memory.len() >= self.inner.settings.sessions_max {
            return Err(Refusal::TooManySessions);
        }
        let session = self.owned(old.continued(now));
        let kin = Kin::of_session(&session);
        let presence = Presence::new(session, kin);
        self.inner.memory.set_current(&presence);
        let durable = self.store_new(&presence);
        Ok((presence, durable))
    }

    /// Takes a stored active session back into memory.
    pub(in crate::tracker) fn revive(
        &self,
        session: Session,
        connections: Vec<Connection>,
    ) -> Arc<Presence> {
        let kin = Kin::of_session(&session);
        let presence = Presence::new(session, kin);
        self.inner.memory.set_current(&presence);
        self.inner.memory.insert(&presence);
        for record in connections {
            self.inner.memory.restore_connection(record, &presence);
        }
        presence
    }

    /// Puts a connection into memory. A session with too many of them loses its oldest.
    pub(in crate::tracker) fn remember(
        &self,
        record: Connection,
        presence: Arc<Presence>,
        now: Timestamp,
    ) -> Arc<LiveConnection> {
        let (connection, oldest) = self.inner.memory.connect(record, presence, now);
        if let Some(oldest) = oldest {
            self.inner.writer.durably(|batch| batch.connections.push(oldest));
        }
        connection
    }

    pub(in crate::tracker) async fn look_up<T>(
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

//! Keeps everything in memory: for tests, and for embedders who want no record.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};

use super::{
    Batch, CallId, NodeRow, OpenCall, Price, Pruning, ReconnectAttempt, RefusedRequests,
    RequestRow, SessionStore, StoreError, StoredEvent, StoredToken, TokenUse, TokenUsed,
};
use crate::protocol::event_id::StreamId;
use crate::session::{
    Connection, Fingerprint, FingerprintKey, KeyDigest, McpSessionId, Principal, Session,
    SessionId, Timestamp, TokenKey,
};

/// The latest requests only: this store has no disk to grow on.
const REQUESTS_MAX: usize = 100_000;
/// The latest attempts to reconnect only.
const ATTEMPTS_MAX: usize = 10_000;
/// Ended sessions are forgotten, oldest first, beyond this many sessions in all.
const SESSIONS_MAX: usize = 1_000_000;

/// A store that ends with its process.
#[derive(Default)]
pub struct MemoryStore {
    /// Held for single operations, never across an await.
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    sessions: HashMap<SessionId, Session>,
    /// Ended sessions in the order of their ends.
    ended: VecDeque<SessionId>,
    connections: HashMap<McpSessionId, Connection>,
    requests: VecDeque<RequestRow>,
    fingerprint_key: Option<FingerprintKey>,
    token_secret: Option<String>,
    tokens: HashMap<SessionId, StoredToken>,
    attempts: VecDeque<ReconnectAttempt>,
    refusals: VecDeque<RefusedRequests>,
    nodes: HashMap<Arc<str>, NodeRow>,
    notices: Vec<(Arc<str>, SessionId)>,
    calls: HashMap<CallId, OpenCall>,
    /// By stream and number. The tracker bounds them and says which to forget.
    events: BTreeMap<(StreamId, u64), StoredEvent>,
}

impl MemoryStore {
    /// Returns an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the tracked requests, oldest first.
    pub fn requests(&self) -> Vec<RequestRow> {
        self.tables().requests.iter().cloned().collect()
    }

    /// Returns all sessions, in no order.
    pub fn sessions(&self) -> Vec<Session> {
        self.tables().sessions.values().cloned().collect()
    }

    /// Returns the attempts to reconnect, oldest first.
    pub fn reconnect_attempts(&self) -> Vec<ReconnectAttempt> {
        self.tables().attempts.iter().cloned().collect()
    }

    /// Returns the requests that were turned away, as they were counted together, oldest first.
    pub fn refusals(&self) -> Vec<RefusedRequests> {
        self.tables().refusals.iter().cloned().collect()
    }

    /// Returns the kept events of all streams, by stream and number.
    pub fn events(&self) -> Vec<StoredEvent> {
        self.tables().events.values().cloned().collect()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock()
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn apply(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut guard = self.tables();
        let tables = &mut *guard;
        for session in &batch.created {
            tables.sessions.entry(session.id).or_insert_with(|| session.clone());
        }
        for connection in &batch.connections {
            let ended_at = tables.connections.get(&connection.handle).and_then(|c| c.ended_at);
            let ended_at = ended_at.or(connection.ended_at);
            let connection = Connection { ended_at, ..connection.clone() };
            tables.connections.insert(connection.handle, connection);
        }
        for ended in &batch.ended {
            if let Some(session) = tables.sessions.get_mut(&ended.id)
                && ended.may_end(session)
            {
                session.end = ended.end;
                session.last_activity = session.last_activity.max(ended.last_activity);
                session.revision += 1;
                tables.tokens.remove(&ended.id);
                tables.ended.push_back(ended.id);
            }
        }
        for (id, at) in &batch.touched {
            if let Some(session) = tables.sessions.get_mut(id)
                && session.end.is_none()
            {
                session.last_activity = session.last_activity.max(*at);
            }
        }
        for row in &batch.requests {
            if tables.sessions.contains_key(&row.session) {
                tables.requests.push_back(row.clone());
            }
        }
        tables.apply_unfinished(batch);
        tables.apply_rare(batch);
        tables.forget_the_oldest();
        Ok(())
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        Ok(self.tables().sessions.get(&id).cloned())
    }

    async fn continued_by(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let tables = self.tables();
        let heirs = tables.sessions.values().filter(|session| session.continues == Some(id));
        Ok(heirs.max_by_key(|session| session.connected_at).cloned())
    }

    async fn sessions_of_key(&self, key: KeyDigest, max: u32) -> Result<Vec<Session>, StoreError> {
        let tables = self.tables();
        let of_key = tables.sessions.values().filter(|session| session.client_key == Some(key));
        let mut found: Vec<_> = of_key.cloned().collect();
        found.sort_by_key(|session| std::cmp::Reverse(session.last_activity));
        found.truncate(max as usize);
        Ok(found)
    }

    async fn connection(&self, handle: McpSessionId) -> Result<Option<Connection>, StoreError> {
        Ok(self.tables().connections.get(&handle).cloned())
    }

    async fn connections_of(&self, session: SessionId) -> Result<Vec<Connection>, StoreError> {
        let tables = self.tables();
        let open = |c: &&Connection| c.session == session && c.ended_at.is_none();
        Ok(tables.connections.values().filter(open).cloned().collect())
    }

    async fn active(&self) -> Result<(Vec<Session>, Vec<Connection>), StoreError> {
        let tables = self.tables();
        let is_active = |id: &SessionId| tables.sessions.get(id).is_some_and(|s| s.end.is_none());
        let sessions = tables.sessions.values().filter(|s| s.end.is_none()).cloned().collect();
        let open = |c: &&Connection| c.ended_at.is_none() && is_active(&c.session);
        Ok((sessions, tables.connections.values().filter(open).cloned().collect()))
    }

    async fn open_calls(&self) -> Result<Vec<OpenCall>, StoreError> {
        Ok(self.tables().calls.values().cloned().collect())
    }

    async fn events_of(&self, stream: StreamId) -> Result<Vec<StoredEvent>, StoreError> {
        let tables = self.tables();
        Ok(tables.events.range((stream, 0)..=(stream, u64::MAX)).map(|(_, e)| e.clone()).collect())
    }

    async fn fingerprint_key(&self) -> Result<FingerprintKey, StoreError> {
        Ok(*self.tables().fingerprint_key.get_or_insert_with(FingerprintKey::random))
    }

    async fn token_secret(&self) -> Result<String, StoreError> {
        Ok(self.tables().token_secret.get_or_insert_with(TokenKey::random_secret).clone())
    }

    async fn use_token(&self, using: &TokenUse) -> Result<Option<TokenUsed>, StoreError> {
        let mut guard = self.tables();
        let Tables { sessions, tokens, .. } = &mut *guard;
        let session = sessions.get_mut(&using.next.session).filter(|s| s.end.is_none());
        let token = tokens.get_mut(&using.next.session);
        let good =
            |token: &&mut StoredToken| token.hash == using.presented && token.expires_at > using.at;
        let (Some(session), Some(token)) = (session, token.filter(good)) else { return Ok(None) };
        *token = using.next.clone();
        session.reconnect_count += 1;
        session.revision += 1;
        session.last_activity = session.last_activity.max(using.at);
        let Session { reconnect_count, revision, .. } = *session;
        Ok(Some(TokenUsed { reconnect_count, revision }))
    }

    async fn sessions_by_id(&self, ids: &[SessionId]) -> Result<Vec<Session>, StoreError> {
        let tables = self.tables();
        Ok(ids.iter().filter_map(|id| tables.sessions.get(id)).cloned().collect())
    }

    async fn silent(&self, now: Timestamp, max: u32) -> Result<Vec<Session>, StoreError> {
        let tables = self.tables();
        let is_calling = |id| tables.calls.values().any(|call| call.session == id);
        let silent = tables.sessions.values().filter(|session| {
            session.end.is_none() && session.is_idle_out(now) && !is_calling(session.id)
        });
        Ok(silent.take(usize::try_from(max).unwrap_or(usize::MAX)).cloned().collect())
    }

    async fn notices(&self, node: &str, max: u32) -> Result<Vec<SessionId>, StoreError> {
        let tables = self.tables();
        let own = tables.notices.iter().filter(|(of, _)| **of == *node);
        Ok(own.take(usize::try_from(max).unwrap_or(usize::MAX)).map(|(_, id)| *id).collect())
    }

    async fn claim(&self, id: SessionId, node: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let is_free = tables.is_free(id, node, now);
        if let Some(session) = tables.sessions.get_mut(&id).filter(|_| is_free) {
            session.owner = Some(node.into());
        }
        Ok(is_free)
    }

    async fn give(&self, id: SessionId, from: &str, to: &str) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let session = tables.sessions.get_mut(&id).filter(|session| session.end.is_none());
        let Some(session) = session.filter(|session| session.owner.as_deref() == Some(from)) else {
            return Ok(false);
        };
        session.owner = Some(to.into());
        Ok(true)
    }

    async fn claim_all(&self, node: &str, now: Timestamp) -> Result<u64, StoreError> {
        let mut tables = self.tables();
        let is_theirs = |id: &SessionId| {
            tables.sessions.get(id).is_some_and(|session| session.owner.as_deref() != Some(node))
        };
        let free =
            tables.sessions.keys().filter(|id| is_theirs(id) && tables.is_free(**id, node, now));
        let free: Vec<_> = free.copied().collect();
        for id in &free {
            if let Some(session) = tables.sessions.get_mut(id) {
                session.owner = Some(node.into());
            }
        }
        Ok(free.len() as u64)
    }

    async fn active_of(
        &self,
        principal: &Principal,
        fingerprint: Option<Fingerprint>,
    ) -> Result<Vec<Session>, StoreError> {
        let tables = self.tables();
        let mut found: Vec<_> = tables
            .sessions
            .values()
            .filter(|session| {
                session.end.is_none()
                    && session.principal == *principal
                    && (fingerprint.is_none() || session.fingerprint == fingerprint)
            })
            .cloned()
            .collect();
        found.sort_by_key(|session| std::cmp::Reverse(session.last_activity));
        found.truncate(super::ACTIVE_OF_MAX);
        Ok(found)
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        Ok(self.tables().nodes.values().cloned().collect())
    }

    async fn prune(&self, pruning: &Pruning) -> Result<u64, StoreError> {
        let mut guard = self.tables();
        let tables = &mut *guard;
        tables.attempts.retain(|attempt| attempt.at >= pruning.attempts_before);
        tables.refusals.retain(|row| row.minute >= pruning.attempts_before);
        let Some(before) = pruning.sessions_before else { return Ok(0) };
        let is_old = |session: &Session| session.end.is_some_and(|end| end.at < before);
        tables.sessions.retain(|_, session| !is_old(session));
        let Tables { sessions, ended, connections, requests, attempts, .. } = tables;
        ended.retain(|id| sessions.contains_key(id));
        connections.retain(|_, connection| sessions.contains_key(&connection.session));
        requests.retain(|row| sessions.contains_key(&row.session));
        attempts.retain(|attempt| sessions.contains_key(&attempt.session));
        Ok(0)
    }

    async fn price(&self, _model: &str, _now: Timestamp) -> Result<Option<Price>, StoreError> {
        Ok(None)
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Tables {
    fn apply_unfinished(&mut self, batch: &Batch) {
        for id in &batch.unguessed {
            if let Some(session) = self.sessions.get_mut(id) {
                session.fingerprint = None;
            }
        }
        for call in &batch.opened {
            self.calls.entry(call.id).or_insert_with(|| call.clone());
        }
        for id in &batch.closed {
            self.calls.remove(id);
        }
        for event in &batch.events {
            self.events.entry((event.stream, event.seq)).or_insert_with(|| event.clone());
        }
        for stream in &batch.forgotten {
            self.events.retain(|(of, _), _| of != stream);
        }
        if let Some(before) = batch.forget_before {
            self.events.retain(|_, event| event.at >= before);
        }
    }

    fn apply_rare(&mut self, batch: &Batch) {
        for token in &batch.tokens {
            if self.sessions.get(&token.session).is_some_and(|session| session.end.is_none()) {
                self.tokens.insert(token.session, token.clone());
            }
        }
        self.attempts.extend(batch.attempts.iter().cloned());
        let surplus = self.attempts.len().saturating_sub(ATTEMPTS_MAX);
        self.attempts.drain(..surplus);
        self.refusals.extend(batch.refusals.iter().cloned());
        let surplus = self.refusals.len().saturating_sub(ATTEMPTS_MAX);
        self.refusals.drain(..surplus);
        for (id, user) in &batch.users {
            if let Some(session) = self.sessions.get_mut(id) {
                session.user = Some(user.clone());
            }
        }
        for row in &batch.heard {
            self.nodes.insert(row.node.clone(), row.clone());
        }
        for node in &batch.gone {
            self.nodes.remove(node);
        }
        self.notices.extend(batch.notices.iter().cloned());
        self.notices.retain(|notice| !batch.heeded.contains(notice));
    }

    /// Returns whether an active session has no owner, or one of which nothing is heard, or this one.
    fn is_free(&self, id: SessionId, node: &str, now: Timestamp) -> bool {
        let Some(session) = self.sessions.get(&id).filter(|session| session.end.is_none()) else {
            return false;
        };
        session.owner.as_deref().is_none_or(|owner| {
            owner == node
                || !self.nodes.values().any(|row| row.name() == owner && row.is_present(now))
        })
    }

    fn forget_the_oldest(&mut self) {
        let surplus = self.requests.len().saturating_sub(REQUESTS_MAX);
        self.requests.drain(..surplus);
        while self.sessions.len() > SESSIONS_MAX {
            let Some(id) = self.ended.pop_front() else { return };
            self.sessions.remove(&id);
            self.tokens.remove(&id);
            self.connections.retain(|_, connection| connection.session != id);
        }
    }
}

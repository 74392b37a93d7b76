//! What we do after our own restart: active sessions come back to memory before the port accepts. And the
//! other way round: what memory holds, for a store that has lost it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use super::{Inner, LiveConnection, Presence, Tracker};
use crate::session::{DisconnectReason, Era, Fingerprint, Session, SessionId, Timestamp};
use crate::store::{Batch, StoreError};

/// Sessions or connections that are written in one transaction, beside those of clients: more would make
/// what waits for a commit wait for them.
const BATCH_ROWS: usize = 1000;
/// How often a store that fails is looked at again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Clients that begin anew do so at their next call; who comes later is more likely somebody else.
const RECLAIMED_WITHIN: Duration = Duration::from_secs(60);

/// Sessions whose legacy clients have not been heard of since our restart. Some clients take the end of their
/// streams for the end of all, and begin anew; that is no new client, and its session goes on.
///
/// It is a guess, as good as the fingerprint: what it finds is a row to write to, and no state at an upstream.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// Only handshakes ask. Held for single operations, never across an await.
    by_fingerprint: Mutex<HashMap<Fingerprint, Vec<Arc<Presence>>>>,
    recovered_at: OnceLock<Timestamp>,
}

impl Orphans {
    fn add(&self, presence: &Arc<Presence>) {
        if let (Era::Legacy, Some(fingerprint)) = presence.guessed_by() {
            self.all().entry(fingerprint).or_default().push(presence.clone());
        }
    }

    /// Takes a session out that was left by a client that looks like this.
    pub(super) fn take(&self, fingerprint: Fingerprint, now: Timestamp) -> Option<Arc<Presence>> {
        if now.since(*self.recovered_at.get()?) >= RECLAIMED_WITHIN {
            return None;
        }
        let mut all = self.all();
        let left = all.get_mut(&fingerprint)?;
        let found = std::iter::from_fn(|| left.pop()).find(|presence| presence.is_orphaned());
        if left.is_empty() {
            all.remove(&fingerprint);
        }
        found
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Fingerprint, Vec<Arc<Presence>>>> {
        self.by_fingerprint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of those that ended or were heard of.
    pub(super) fn sweep(&self) {
        self.all().retain(|_, left| {
            left.retain(|presence| presence.is_orphaned());
            !left.is_empty()
        });
    }
}

impl Tracker {
    /// Takes the active sessions to memory. Those with calls that another process has in flight are active, however
    /// long ago they were heard of.
    pub(super) async fn recover(
        &self,
        calling: &HashSet<SessionId>,
        is_alone: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (sessions, connections) = self.inner.store.active().await?;
        let (idle_out, active): (Vec<_>, Vec<_>) = sessions
            .into_iter()
            .partition(|session| session.is_idle_out(now) && !calling.contains(&session.id));
        let (recovered, too_late) = (active.len(), idle_out.len());
        for session in active {
            let presence = self.revive(session, Vec::new());
            // Where others serve them, their clients are not left by anybody.
            if is_alone {
                self.inner.orphans.add(&presence);
            }
        }
        for connection in connections {
            if let Some(presence) = self.presence(connection.session) {
                self.revive_connection(connection, &presence);
            }
        }
        let _ = self.inner.orphans.recovered_at.set(now);
        if let Some(observer) = self.observer() {
            observer.recovered(recovered, too_late);
        }
        tracing::info!(recovered, too_late, "Recovered {recovered} active sessions");
        if too_late > 0 {
            let tracker = self.clone();
            self.inner.tasks.spawn(async move { tracker.end_in_batches(idle_out, now).await });
        }
        Ok(())
    }

    /// Ends sessions that never came back to memory. Nobody waits for it: until it is done, such a session
    /// is one whose timeout the reaper has not seen yet.
    async fn end_in_batches(self, mut sessions: Vec<Session>, now: Timestamp) {
        let all = sessions.len();
        while !sessions.is_empty() {
            let mut batch = sessions.split_off(sessions.len().saturating_sub(BATCH_ROWS));
            for session in &mut batch {
                session.disconnect(DisconnectReason::TimeoutNoActivity, now);
                self.say_ended(session);
            }
            let ended = self.inner.writer.durably(|urgent| urgent.ended.append(&mut batch));
            // Either branch lost loses nothing: what was not ended is found again at the next start.
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                () = self.until_written(ended) => {}
            }
        }
        tracing::info!(
            ended = all,
            "Cleaned up {all} expired sessions, which had timed out before the start"
        );
    }

    async fn until_written(&self, batch: super::Durable) {
        if !batch.wait().await {
            while !self.writer_health().is_writing {
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

/// What memory holds of sessions and connections.
pub(super) struct Remembered(Weak<Inner>);

impl Remembered {
    pub(super) fn of(tracker: &Tracker) -> Self {
        Self(Arc::downgrade(&tracker.inner))
    }

    /// Returns the memory of nobody.
    #[cfg(test)]
    pub(super) fn nothing() -> Self {
        Self(Weak::new())
    }

    /// Returns all of it as it is now, sessions before the connections that refer to them.
    pub(super) fn batches(&self) -> impl Iterator<Item = Batch> {
        let (sessions, connections) = self.all();
        let sessions = in_batches(sessions).map(|some| sessions_in(&some));
        let connections = in_batches(connections).map(|some| Batch {
            connections: some.iter().map(|connection| connection.record()).collect(),
            ..Batch::default()
        });
        sessions.chain(connections)
    }

    fn all(&self) -> (Vec<Arc<Presence>>, Vec<Arc<LiveConnection>>) {
        let Some(inner) = self.0.upgrade() else { return (Vec::new(), Vec::new()) };
        let sessions = inner.sessions.pin().values().cloned().collect();
        let connections = inner.connections.pin().values().cloned().collect();
        (sessions, connections)
    }
}

/// One that has ended is created and ended, as it would have been.
fn sessions_in(presences: &[Arc<Presence>]) -> Batch {
    let created: Vec<_> = presences.iter().map(|presence| presence.session()).collect();
    let ended = created.iter().filter(|session| session.end.is_some()).cloned().collect();
    Batch { created, ended, ..Batch::default() }
}

fn in_batches<T>(all: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut rest = all.into_iter();
    std::iter::from_fn(move || {
        let some: Vec<T> = rest.by_ref().take(BATCH_ROWS).collect();
        (!some.is_empty()).then_some(some)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{ClientInfo, Era, Principal};
    use crate::store::SessionStore;
    use crate::store::memory::MemoryStore;
    use crate::tracker::Settings;

    #[tokio::test]
    async fn sessions_that_timed_out_while_we_were_away_are_ended_in_batches() {
        let store = Arc::new(MemoryStore::new());
        let timeout = Duration::from_secs(300);
        let (now, long_ago) = (Timestamp::now(), Timestamp::now().minus(2 * timeout));
        let session = |at| {
            let client = ClientInfo::default();
            Session::new(client, Principal::Anonymous, Era::Legacy, "", timeout, at)
        };
        let mut created: Vec<_> = (0..2 * BATCH_ROWS + 1).map(|_| session(long_ago)).collect();
        created.push(session(now));
        store.apply(&Batch { created, ..Batch::default() }).await.unwrap();

        let settings = Settings { count_tokens: false, ..Settings::default() };
        let tracker = Tracker::start(store.clone(), settings).await.unwrap();
        assert_eq!(tracker.inner.sessions.len(), 1, "the others never come to memory");
        let limit = std::time::Instant::now() + Duration::from_secs(60);
        while store.active().await.unwrap().0.len() > 1 {
            assert!(std::time::Instant::now() < limit, "not ended within a minute");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let reasons = store.sessions().into_iter().filter_map(|session| session.end?.reason);
        assert_eq!(reasons.filter(|r| *r == DisconnectReason::TimeoutNoActivity).count(), 2001);
        tracker.shutdown(Duration::from_secs(5)).await;
    }
}

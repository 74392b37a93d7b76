//! What we do after our own restart: active sessions come back to memory before the port accepts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::{Presence, Tracker};
use crate::session::{Connection, DisconnectReason, Era, Fingerprint, SessionId, Timestamp};
use crate::store::StoreError;

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
    pub(super) async fn recover(&self, now: Timestamp) -> Result<(), StoreError> {
        let (sessions, connections) = self.inner.store.active().await?;
        let mut by_session: HashMap<SessionId, Vec<Connection>> = HashMap::new();
        for connection in connections {
            by_session.entry(connection.session).or_default().push(connection);
        }
        let (mut recovered, mut too_late) = (0_usize, 0_usize);
        for session in sessions {
            let is_idle_out = session.is_idle_out(now);
            let connections = by_session.remove(&session.id).unwrap_or_default();
            let presence = self.revive(session, connections);
            if is_idle_out {
                self.end(&presence, DisconnectReason::TimeoutNoActivity, now);
                too_late += 1;
            } else {
                recovered += 1;
                self.inner.orphans.add(&presence);
            }
        }
        let _ = self.inner.orphans.recovered_at.set(now);
        tracing::info!(recovered, too_late, "Recovered {recovered} active sessions");
        Ok(())
    }
}

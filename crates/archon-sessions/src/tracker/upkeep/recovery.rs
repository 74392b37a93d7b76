//! What we do after our own restart: active sessions come back to memory before the port accepts.

use std::collections::HashSet;
use std::time::Duration;

use crate::session::{DisconnectReason, Session, SessionId, Timestamp};
use crate::store::StoreError;
use crate::tracker::writer::BATCH_ROWS;
use crate::tracker::{Durable, Tracker};

/// How often a store that fails is looked at again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

impl Tracker {
    /// Takes the active sessions to memory. Those with calls that another process has in flight are active, however
    /// long ago they were heard of.
    pub(in crate::tracker) async fn recover(
        &self,
        calling: &HashSet<SessionId>,
        is_alone: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (mut sessions, connections) = self.inner.store.active().await?;
        sessions.retain(|session| !self.is_of_another(session));
        let (idle_out, active): (Vec<_>, Vec<_>) = sessions
            .into_iter()
            .partition(|session| session.is_idle_out(now) && !calling.contains(&session.id));
        let (recovered, too_late) = (active.len(), idle_out.len());
        for session in active {
            let presence = self.revive(session, Vec::new());
            // Where others serve them, their clients are not left by anybody.
            if is_alone {
                self.inner.memory.add_orphan(&presence);
            }
        }
        for connection in connections {
            if let Some(presence) = self.presence(connection.session) {
                self.inner.memory.restore_connection(connection, &presence);
            }
        }
        self.inner.memory.recovered(now);
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

    async fn until_written(&self, batch: Durable) {
        if !batch.wait().await {
            while !self.writer_health().is_writing {
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::session::{ClientInfo, Era, Principal};
    use crate::store::memory::MemoryStore;
    use crate::store::{Batch, SessionStore};
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
        assert_eq!(tracker.inner.memory.len(), 1, "the others never come to memory");
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

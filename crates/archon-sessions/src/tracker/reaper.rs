//! Ends sessions that have been silent for too long, and lets memory forget what has ended.

use std::sync::Arc;

use super::{Presence, Tracker};
use crate::session::{DisconnectReason, Timestamp};

impl Tracker {
    pub(super) async fn reap_until_stopped(self) {
        let mut ticks = tokio::time::interval(self.inner.settings.reap_every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // Either branch lost loses nothing: a sweep looks at everything there is.
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                _ = ticks.tick() => self.sweep(Timestamp::now()),
            }
        }
    }

    /// Does what is due at `now`. Doing it twice changes nothing.
    pub(super) fn sweep(&self, now: Timestamp) {
        let (mut idle, mut forgotten) = (Vec::new(), Vec::new());
        for presence in self.inner.sessions.pin().values() {
            match presence.ended_at() {
                None if presence.is_idle_out(now) => idle.push(presence.clone()),
                Some(at) if now.since(at) >= self.inner.settings.reap_every => {
                    forgotten.push(presence.clone());
                }
                None | Some(_) => {}
            }
        }
        self.inner.orphans.sweep();
        self.inner.connections.pin().values().for_each(|one| one.forget_useless_logs());
        let ended = idle.len();
        for presence in idle {
            self.end(&presence, DisconnectReason::TimeoutNoActivity, now);
        }
        // Until an end is stored, memory is all that knows of it.
        if self.writer_health().is_writing {
            forgotten.iter().for_each(|presence| self.forget(presence));
        }
        if let Some(observer) = self.observer() {
            observer.reaped(ended);
        }
        if ended > 0 {
            let active = self.active_sessions();
            tracing::info!(
                ended,
                active,
                "reaper ended {ended} idle sessions, {active} are active"
            );
        }
    }

    fn forget(&self, presence: &Arc<Presence>) {
        let session = presence.session();
        self.inner.sessions.pin().remove(&session.id);
        if let Some(old) = session.continues {
            let heirs = self.inner.heirs.pin();
            if heirs.get(&old).is_some_and(|heir| Arc::ptr_eq(heir, presence)) {
                heirs.remove(&old);
            }
        }
        let connections = self.inner.connections.pin();
        for handle in presence.connections() {
            // It may be bound to the session that continues this one by now.
            if connections.get(&handle).is_some_and(|c| Arc::ptr_eq(&c.presence(), presence)) {
                connections.remove(&handle);
            }
        }
    }
}

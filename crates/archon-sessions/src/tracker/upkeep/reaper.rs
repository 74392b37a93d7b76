//! Ends sessions that have been silent for too long, and lets memory forget what has ended.
//!
//! Another process may know more of a session than we do: so the rows of those that are due are read before they are
//! ended, and the store ends none that was heard of since. And it may have died: so what is silent in the store, and
//! in nobody's memory perhaps, is ended as well.

use std::sync::Arc;

use crate::session::{DisconnectReason, Timestamp};
use crate::tracker::{Presence, Tracker};

/// Sessions whose rows are read at once, and ended in one transaction.
const ROWS_AT_ONCE: usize = 1000;
/// Sessions that are in the store only and are ended in one sweep; there is a next one.
const ABANDONED_MAX: u32 = 10_000;

impl Tracker {
    pub(in crate::tracker) async fn reap_until_stopped(self) {
        let mut ticks = tokio::time::interval(self.inner.settings.reap_every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let seconds = self.inner.settings.reap_every.as_secs_f64();
        tracing::info!(seconds, "Starting background session cleanup (interval: {seconds}s)");
        // What had timed out before the start is being ended already.
        let mut is_first = true;
        loop {
            // Either branch lost loses nothing: a sweep looks at everything there is.
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let now = Timestamp::now();
            self.sweep(now).await;
            if !std::mem::take(&mut is_first) {
                self.end_abandoned(now).await;
            }
        }
    }

    /// Does what is due at `now`. Doing it twice changes nothing.
    pub(in crate::tracker) async fn sweep(&self, now: Timestamp) {
        let (mut due, mut forgotten, mut calling) = (Vec::new(), Vec::new(), Vec::new());
        self.inner.memory.each_session(|presence| match presence.ended_at() {
            None if self.is_due(presence, now) => due.push(presence.clone()),
            None if presence.is_calling() => calling.push(presence.clone()),
            // An open stream has its connection, which is the one that its client's next request has to find.
            Some(at)
                if now.since(at) >= self.inner.settings.reap_every && !presence.has_streams() =>
            {
                forgotten.push(presence.clone());
            }
            None | Some(_) => {}
        });
        self.inner.memory.sweep();
        // What is active here must not look silent to other processes.
        for presence in calling {
            presence.touch(now);
            self.inner.writer.touch(presence.id(), now);
        }
        let ended = self.end_due(due, now).await;
        // Until an end is stored, memory is all that knows of it.
        if self.writer_health().is_writing {
            forgotten.iter().for_each(|presence| self.inner.memory.forget(presence));
        }
        if let Some(observer) = self.observer() {
            observer.reaped(ended);
        }
        if ended > 0 {
            let active = self.active_sessions();
            tracing::info!(
                ended,
                active,
                "Cleaned up {ended} expired sessions, {active} are active"
            );
        }
    }

    /// Returns true if a session has been silent for too long, or is older than any may become.
    fn is_due(&self, presence: &Presence, now: Timestamp) -> bool {
        let absolute = self.inner.settings.absolute_timeout;
        presence.is_idle_out(now) || absolute.is_some_and(|limit| presence.age(now) >= limit)
    }

    /// Ends what is due, unless the store knows better. Returns how many it ended.
    async fn end_due(&self, due: Vec<Arc<Presence>>, now: Timestamp) -> usize {
        let mut ended = 0;
        for some in due.chunks(ROWS_AT_ONCE) {
            self.refresh(some).await;
            for presence in some.iter().filter(|presence| self.is_due(presence, now)) {
                let end = self.end(presence, DisconnectReason::TimeoutNoActivity, now);
                ended += usize::from(end.is_some());
            }
        }
        ended
    }

    /// Learns what other processes have written of these sessions. What nobody can say now is not waited for.
    async fn refresh(&self, presences: &[Arc<Presence>]) {
        if !self.writer_health().is_writing {
            return;
        }
        let ids: Vec<_> = presences.iter().map(|presence| presence.id()).collect();
        let Ok(rows) = self.look_up(self.inner.store.sessions_by_id(&ids)).await else { return };
        for row in rows {
            let Some(presence) = self.presence(row.id) else { continue };
            match row.end {
                Some(end) => self.ended_elsewhere(&presence, end),
                None => presence.refresh(&row),
            }
        }
    }

    /// Ends what is active and silent in the store, and not in this memory: a process that is gone left it.
    pub(in crate::tracker) async fn end_abandoned(&self, now: Timestamp) {
        if !self.writer_health().is_writing {
            return;
        }
        let silent = self.inner.store.silent(now, ABANDONED_MAX);
        let Ok(mut silent) = self.look_up(silent).await else { return };
        silent.retain(|session| {
            let is_ours = self.inner.memory.session_or_ended(session.id).is_some();
            !is_ours && session.is_idle_out(now)
        });
        let mut ours = Vec::with_capacity(silent.len());
        for mut session in silent {
            if self.own(&mut session, now).await.is_ok() {
                ours.push(session);
            }
        }
        let mut silent = ours;
        let all = silent.len();
        for some in silent.chunks_mut(ROWS_AT_ONCE) {
            for session in some.iter_mut() {
                session.disconnect(DisconnectReason::TimeoutNoActivity, now);
                self.inner.events.disconnected(session);
                self.say_ended(session);
            }
            let some = some.to_vec();
            let ended = self.inner.writer.durably(|batch| batch.ended.extend(some));
            if !ended.wait().await {
                return;
            }
        }
        if all > 0 {
            tracing::info!(
                ended = all,
                "Cleaned up {all} expired sessions that another process left"
            );
        }
    }
}

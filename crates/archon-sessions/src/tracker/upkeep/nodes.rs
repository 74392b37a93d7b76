//! Several processes on one store: each says that it is there, and learns what the others ended.
//!
//! A process is named `node#incarnation`: the node is the same after a restart, the whole is not. What an earlier
//! incarnation of a node left is its successor's to settle, at once; what another node left, anybody's, once nothing
//! was heard of it for a while.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::session::{End, SessionId, Timestamp};
use crate::store::{Batch, NodeRow, StoreError};
use crate::tracker::{Presence, Tracker};

/// How often a process says that it is there.
const HEARD_EVERY: Duration = Duration::from_secs(20);
/// One that was not heard of for so long is gone: it missed three times.
const GONE_AFTER: Duration = Duration::from_secs(70);

/// How often a process looks for what others ended: so long a handle that was ended elsewhere may still be good here.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A look begins so long before the last one: clocks differ, and an end is stored after its moment.
const LOOK_BACK: Duration = Duration::from_secs(5);
/// Ends that are looked at together.
const ENDS_AT_ONCE: u32 = 1000;

/// Returns the node that a process is of; nothing for one without such a name.
fn node_of(process: &str) -> &str {
    process.rsplit_once('#').map_or("", |(node, _)| node)
}

/// The processes that use a store, as one of them sees them.
pub(in crate::tracker) struct Others {
    own: Arc<str>,
    /// False at the start: what is there under our own name is of an earlier process that had the same number.
    have_we_begun: bool,
    predecessors: Vec<Arc<str>>,
    present: HashSet<Arc<str>>,
}

impl Others {
    fn new(own: Arc<str>, predecessors: Vec<Arc<str>>, rows: &[NodeRow], now: Timestamp) -> Self {
        let present = rows.iter().filter(|row| row.expected_until > now);
        let present = present.map(|row| row.node.clone()).collect();
        Self { own, have_we_begun: true, predecessors, present }
    }

    /// The same, before this process began anything.
    pub(in crate::tracker) fn at_our_start(self) -> Self {
        Self { have_we_begun: false, ..self }
    }

    /// Returns true if a process has what it began in hand itself.
    pub(in crate::tracker) fn is_at_work(&self, process: &str) -> bool {
        if *process == *self.own {
            return self.have_we_begun;
        }
        if self.predecessors.iter().any(|predecessor| **predecessor == *process) {
            return true;
        }
        let is_former_self = node_of(process) == node_of(&self.own);
        !is_former_self && self.present.contains(process)
    }

    /// Returns true if nobody else uses the store.
    pub(in crate::tracker) fn is_nobody(&self) -> bool {
        !self.present.iter().any(|process| **process != *self.own && self.is_at_work(process))
    }
}

impl Tracker {
    /// Says that this process is there, before it touches what others may have in hand.
    pub(in crate::tracker) async fn appear(&self, now: Timestamp) -> Result<(), StoreError> {
        let heard = vec![self.sign_of_life(now)];
        self.inner.store.apply(&Batch { heard, ..Batch::default() }).await
    }

    /// Returns who else uses the store.
    pub(in crate::tracker) async fn others(&self, now: Timestamp) -> Result<Others, StoreError> {
        let rows = self.inner.store.nodes().await?;
        let settings = &self.inner.settings;
        Ok(Others::new(settings.node.clone(), settings.predecessors.clone(), &rows, now))
    }

    /// Goes on saying so, and settles what processes left that have gone without a word.
    pub(in crate::tracker) async fn stay_present(self) {
        loop {
            // Either branch lost loses nothing: the next process settles what is left.
            tokio::select! {
                () = self.inner.leaving.cancelled() => return,
                () = self.look_for_ends_for(HEARD_EVERY) => {}
            }
            let now = Timestamp::now();
            let row = self.sign_of_life(now);
            self.inner.writer.durably(|batch| batch.heard = vec![row]);
            if !self.writer_health().is_writing || self.inner.stop.is_cancelled() {
                continue;
            }
            if let Err(error) = self.settle_gone(now).await {
                tracing::warn!("could not look for processes that are gone: {error}");
            }
        }
    }

    /// While others use the store, looks for what they end, again and again for so long.
    async fn look_for_ends_for(&self, period: Duration) {
        let (began, now) = (tokio::time::Instant::now(), Timestamp::now());
        let is_alone = self.others(now).await.is_ok_and(|others| others.is_nobody());
        if is_alone {
            return tokio::time::sleep(period).await;
        }
        let mut since = now.minus(HEARD_EVERY);
        while began.elapsed() < period {
            tokio::time::sleep(LOOK_EVERY).await;
            since = self.learn_ends(since).await;
        }
    }

    /// Ends in memory what other processes have ended since. Returns where the next look begins.
    pub(in crate::tracker) async fn learn_ends(&self, since: Timestamp) -> Timestamp {
        let mut from = (since.minus(LOOK_BACK), SessionId::from_uuid(uuid::Uuid::nil()));
        while self.writer_health().is_writing {
            let look = self.inner.store.ended_since(from, ENDS_AT_ONCE);
            let Ok(ended) = self.look_up(look).await else { return since };
            let is_all = ended.len() < ENDS_AT_ONCE as usize;
            for session in ended {
                let Some(end) = session.end else { continue };
                from = (end.at, session.id);
                if let Some(presence) = self.presence(session.id) {
                    self.ended_elsewhere(&presence, end);
                }
            }
            if is_all {
                break;
            }
        }
        since.max(from.0)
    }

    /// Says that this process is leaving, so that nobody waits for it.
    pub(in crate::tracker) fn leave(&self) {
        self.inner.leaving.cancel();
        let node = self.inner.settings.node.clone();
        self.inner.writer.durably(|batch| {
            batch.heard.clear();
            batch.gone.push(node);
        });
    }

    /// Settles what processes left that are not heard of any more, and forgets them.
    pub(in crate::tracker) async fn settle_gone(&self, now: Timestamp) -> Result<(), StoreError> {
        self.settle_interrupted(self.others(now).await?).await?;
        let rows = self.inner.store.nodes().await?;
        let gone: Vec<Arc<str>> =
            rows.into_iter().filter(|row| row.expected_until <= now).map(|row| row.node).collect();
        if !gone.is_empty() {
            let count = gone.len();
            tracing::info!(count, "{count} processes on this store have gone without a word");
            self.inner.writer.durably(|batch| batch.gone.extend(gone));
        }
        Ok(())
    }

    /// Another process has ended a session, and written that down: this one ends it as well.
    pub(in crate::tracker) fn ended_elsewhere(&self, presence: &Arc<Presence>, end: End) {
        if !self.inner.memory.end_as(presence, end) {
            return;
        }
        let (id, reason) = (presence.id(), end.reason.map(|reason| reason.as_str()));
        tracing::info!(session_id = %id, reason, "session {id} was ended by another process");
        // Whoever ended it counted it; who listens here hears of it as well.
        self.inner.events.disconnected(&presence.session());
        if end.reason.is_some_and(|reason| reason.ends_connections()) {
            self.end_connections(presence, end.at);
        }
    }

    fn sign_of_life(&self, now: Timestamp) -> NodeRow {
        let node = self.inner.settings.node.clone();
        NodeRow { node, heard_at: now, expected_until: now.plus(GONE_AFTER) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_at_work() {
        let now = Timestamp::from_micros(1_000_000_000);
        let row = |node: &str, is_late: bool| NodeRow {
            node: node.into(),
            heard_at: now,
            expected_until: if is_late { now } else { now.plus(GONE_AFTER) },
        };
        let rows = [
            row("a#1", false),
            row("a#2", false),
            row("a#3", false),
            row("b#1", true),
            row("b#2", false),
        ];
        let others = Others::new("a#3".into(), vec!["a#2".into()], &rows, now);
        for (process, expected) in [
            ("a#3", true),
            ("a#2", true),
            ("a#1", false),
            ("b#1", false),
            ("b#2", true),
            ("c#1", false),
            ("4711", false),
        ] {
            assert_eq!(others.is_at_work(process), expected, "{process}");
        }
        assert!(!others.is_nobody());
        let others = others.at_our_start();
        assert!(!others.is_at_work("a#3"), "numbers of processes come again");
        assert!(others.is_at_work("a#2"));
        assert!(Others::new("b#3".into(), Vec::new(), &rows[3..], now).is_nobody());
        assert!(Others::new("u1".into(), Vec::new(), &[row("u1", false)], now).is_nobody());
    }
}

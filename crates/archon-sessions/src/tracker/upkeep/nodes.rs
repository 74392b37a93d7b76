//! Several processes on one store: each says that it is there, and learns what the others ended.
//!
//! A process is named `node#incarnation`: the node is the same after a restart, the whole is not. What an earlier
//! incarnation of a node left is its successor's to settle, at once; what another node left, anybody's, once nothing
//! was heard of it for a while.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::session::{End, Session, SessionId, Timestamp};
use crate::store::{NodeRow, StoreError, name_of};
use crate::tracker::{Presence, Tracker};

/// How often a process says that it is there: so many times while it is expected.
const RENEWALS: u32 = 4;
/// How often a process looks for what others ended: a handle that was ended elsewhere is good here for that long.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Ends that are looked at together, and sessions that are compared with their rows together.
const ROWS_AT_ONCE: u32 = 1000;
/// How often is looked for what processes left that are gone.
const SETTLE_EVERY: Duration = Duration::from_secs(20);

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
        let present = rows.iter().filter(|row| row.is_present(now));
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
        let is_former_self = name_of(process) == name_of(&self.own);
        !is_former_self && self.present.contains(process)
    }

    /// Returns true if nobody else uses the store.
    pub(in crate::tracker) fn is_nobody(&self) -> bool {
        !self.present.iter().any(|process| **process != *self.own && self.is_at_work(process))
    }
}

impl Tracker {
    /// Says that this process is there, before it touches what others may have in hand.
    pub(in crate::tracker) async fn appear(&self) -> Result<Others, StoreError> {
        let since = self.say_present().await?;
        self.inner.nodes.renewed(since);
        self.others(Timestamp::now()).await
    }

    /// Returns who else uses the store.
    pub(in crate::tracker) async fn others(&self, now: Timestamp) -> Result<Others, StoreError> {
        let rows = self.inner.store.nodes().await?;
        let settings = &self.inner.settings;
        let (own, predecessors) = (settings.node.clone(), settings.predecessors.clone());
        let others = Others::new(own, predecessors, &rows, now);
        self.inner.nodes.learn(rows, others.is_nobody());
        Ok(others)
    }

    /// Says that this process is there. Returns since when that counts, at the earliest.
    async fn say_present(&self) -> Result<Instant, StoreError> {
        let settings = &self.inner.settings;
        let (asked, now) = (Instant::now(), Timestamp::now());
        let row = NodeRow {
            node: settings.node.clone(),
            address: settings.address.clone(),
            place: settings.place.clone(),
            heard_at: now,
            expected_until: now.plus(settings.lease),
        };
        self.inner.store.renew(&row, settings.lease).await?;
        Ok(asked)
    }

    /// Goes on saying so, and settles what processes left that have gone without a word.
    pub(in crate::tracker) async fn stay_present(self) {
        let renew_every = self.inner.settings.lease / RENEWALS;
        let (began, mut renewed, mut settled) = (Instant::now(), Instant::now(), Instant::now());
        // The others know of this process only after a while, and tell it of nothing before.
        let mut is_known = false;
        loop {
            // Either branch lost loses nothing: the next process settles what is left.
            tokio::select! {
                () = self.inner.leaving.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY.min(renew_every)) => {}
            }
            if renewed.elapsed() >= renew_every && self.renew().await {
                renewed = Instant::now();
            }
            if !self.inner.nodes.is_alone() {
                self.learn_ends().await;
            }
            if !is_known && began.elapsed() >= 2 * renew_every {
                is_known = self.inner.nodes.is_alone() || self.compare().await.is_ok();
            }
            let is_able = self.writer_health().is_writing && !self.inner.stop.is_cancelled();
            if settled.elapsed() >= SETTLE_EVERY && is_able {
                settled = Instant::now();
                if let Err(error) = self.settle_gone(Timestamp::now()).await {
                    tracing::warn!("could not look for processes that are gone: {error}");
                }
            }
        }
    }

    /// Says that this process is there, and learns who else is. One that was not expected any more may have lost what it
    /// had: it compares all of that with the store before it serves again. Returns false if the store is away.
    pub(in crate::tracker) async fn renew(&self) -> bool {
        let renewed = async {
            let since = self.say_present().await?;
            if !self.inner.nodes.is_expected() {
                self.compare().await?;
            }
            self.inner.nodes.renewed(since);
            self.others(Timestamp::now()).await
        };
        let limit = self.inner.settings.lease / 2;
        match tokio::time::timeout(limit, renewed).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => self.could_not_renew(&error.to_string()),
            Err(_) => self.could_not_renew("the store does not answer"),
        }
    }

    fn could_not_renew(&self, why: &str) -> bool {
        if !self.inner.nodes.is_store_away() {
            tracing::warn!("could not renew this node's lease: {why}");
        }
        self.inner.nodes.could_not_renew();
        false
    }

    /// Compares what memory holds with the store: what others ended is ended, and what they have is let go of.
    async fn compare(&self) -> Result<(), StoreError> {
        let all = self.inner.memory.active();
        let mut lost = 0;
        for some in all.chunks(ROWS_AT_ONCE as usize) {
            let ids: Vec<_> = some.iter().map(|presence| presence.id()).collect();
            for row in self.inner.store.sessions_by_id(&ids).await? {
                let Some(presence) = self.presence(row.id) else { continue };
                match row.end {
                    Some(end) => self.ended_elsewhere(&presence, end),
                    None if self.is_of_another(&row) => {
                        lost += 1;
                        self.release(&presence);
                    }
                    None => presence.refresh(&row),
                }
            }
        }
        if lost > 0 {
            tracing::warn!(lost, "others have taken over {lost} sessions of this node");
        }
        Ok(())
    }

    /// Ends in memory what other processes have ended.
    pub(in crate::tracker) async fn learn_ends(&self) {
        let own = self.inner.settings.key();
        loop {
            let notices = self.inner.store.notices(own, ROWS_AT_ONCE);
            let Ok(ids) = self.look_up(notices).await else { return };
            if ids.is_empty() {
                return;
            }
            let rows = self.inner.store.sessions_by_id(&ids);
            let Ok(rows) = self.look_up(rows).await else { return };
            for row in rows {
                if let (Some(end), Some(presence)) = (row.end, self.presence(row.id)) {
                    self.ended_elsewhere(&presence, end);
                }
            }
            let is_all = ids.len() < ROWS_AT_ONCE as usize;
            let own: Arc<str> = own.into();
            let heeded = ids.into_iter().map(|id| (own.clone(), id));
            let heeded = self.inner.writer.durably(|batch| batch.heeded.extend(heeded));
            if !heeded.wait().await || is_all {
                return;
            }
        }
    }

    /// Returns who is to be told that this process has ended a session.
    pub(in crate::tracker) fn to_be_told(&self, ended: &Session) -> Vec<(Arc<str>, SessionId)> {
        let nodes = &self.inner.nodes;
        if let Some(owner) = ended.owner.clone().filter(|_| self.has_owners()) {
            return if self.is_of_another(ended) { vec![(owner, ended.id)] } else { Vec::new() };
        }
        if nodes.is_alone() {
            return Vec::new();
        }
        self.other_nodes().map(|name| (name, ended.id)).collect()
    }

    /// Says that this process is leaving, so that nobody waits for it.
    pub(in crate::tracker) fn leave(&self) {
        self.inner.leaving.cancel();
        let node = self.inner.settings.node.clone();
        self.inner.writer.durably(|batch| batch.gone.push(node));
    }

    /// Settles what processes left that are not heard of any more, and forgets them.
    pub(in crate::tracker) async fn settle_gone(&self, now: Timestamp) -> Result<(), StoreError> {
        self.settle_interrupted(self.others(now).await?).await?;
        let rows = self.inner.store.nodes().await?;
        let gone = rows.into_iter().filter(|row| !row.is_present(now)).map(|row| row.node);
        let gone: Vec<Arc<str>> = gone.collect();
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_at_work() {
        let now = Timestamp::from_micros(1_000_000_000);
        let row = |node: &str, is_late: bool| NodeRow {
            node: node.into(),
            address: None,
            place: None,
            heard_at: now,
            expected_until: if is_late { now } else { now.plus(Duration::from_secs(10)) },
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

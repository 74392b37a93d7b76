//! What one node knows of the others, and whether they still expect it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use papaya::HashMap;
use parking_lot::{Mutex, RwLock};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::session::Timestamp;
use crate::store::NodeRow;

/// Ids of which is remembered at which node they are. More are looked up again.
const PLACES_MAX: usize = 100_000;
/// A node takes itself for gone when this part of its lease is left: the others must not take over before that.
const MARGIN: u32 = 10;

/// See the module.
pub(in crate::tracker) struct Nodes {
    lease: Duration,
    /// As they were read last.
    rows: RwLock<Vec<NodeRow>>,
    /// Whether there was no other when they were read.
    is_alone: AtomicBool,
    /// Whether the lease could not be renewed when that was tried last.
    is_store_away: AtomicBool,
    /// Until when the others wait for this process. Held for single operations.
    expected_until: Mutex<Instant>,
    renewed: Notify,
    /// What is cancelled when a node is gone, for those that are there. Held for single operations.
    gone: Mutex<BTreeMap<Arc<str>, CancellationToken>>,
    /// At which nodes ids of sessions and connections were found.
    places: HashMap<Uuid, Arc<str>>,
}

impl Nodes {
    pub(in crate::tracker) fn new(lease: Duration) -> Self {
        Self {
            lease,
            rows: RwLock::default(),
            is_alone: AtomicBool::new(true),
            is_store_away: AtomicBool::new(false),
            expected_until: Mutex::new(Instant::now()),
            renewed: Notify::new(),
            gone: Mutex::default(),
            places: HashMap::new(),
        }
    }

    pub(in crate::tracker) fn learn(&self, rows: Vec<NodeRow>, is_alone: bool) {
        *self.rows.write() = rows;
        self.is_alone.store(is_alone, Relaxed);
        let present = self.names();
        self.gone.lock().retain(|name, gone| {
            let is_present = present.contains(name);
            if !is_present {
                gone.cancel();
            }
            is_present
        });
    }

    /// Returns what is cancelled once a node is gone, as far as this one knows.
    pub(in crate::tracker) fn gone(&self, name: &Arc<str>) -> CancellationToken {
        if !self.is_present(name) {
            let gone = CancellationToken::new();
            gone.cancel();
            return gone;
        }
        self.gone.lock().entry(name.clone()).or_default().clone()
    }

    /// The lease was renewed, at this moment at the earliest.
    pub(in crate::tracker) fn renewed(&self, since: Instant) {
        *self.expected_until.lock() = since + self.lease - self.lease / MARGIN;
        self.is_store_away.store(false, Relaxed);
        self.renewed.notify_waiters();
    }

    /// Returns whether no other process used the store when this one looked last.
    pub(in crate::tracker) fn is_alone(&self) -> bool {
        self.is_alone.load(Relaxed)
    }

    pub(in crate::tracker) fn could_not_renew(&self) {
        self.is_store_away.store(true, Relaxed);
    }

    pub(in crate::tracker) fn is_store_away(&self) -> bool {
        self.is_store_away.load(Relaxed)
    }

    /// Returns whether no other node can have taken over from this one.
    pub(in crate::tracker) fn is_expected(&self) -> bool {
        Instant::now() < *self.expected_until.lock()
    }

    /// Waits until that is so.
    pub(in crate::tracker) async fn until_expected(&self) {
        loop {
            // Before the question, so that no renewal is missed in between.
            let renewed = self.renewed.notified();
            if self.is_expected() {
                return;
            }
            renewed.await;
        }
    }

    /// Returns the names of the nodes that are there.
    pub(in crate::tracker) fn names(&self) -> BTreeSet<Arc<str>> {
        let (rows, now) = (self.rows.read(), Timestamp::now());
        rows.iter().filter(|row| row.is_present(now)).map(|row| row.name().into()).collect()
    }

    pub(in crate::tracker) fn is_present(&self, name: &str) -> bool {
        let (rows, now) = (self.rows.read(), Timestamp::now());
        rows.iter().any(|row| row.name() == name && row.is_present(now))
    }

    /// Returns where a node is reached: at its latest process.
    pub(in crate::tracker) fn address_of(&self, name: &str) -> Option<Arc<str>> {
        let rows = self.rows.read();
        let own = rows.iter().filter(|row| row.name() == name && row.address.is_some());
        own.max_by_key(|row| row.heard_at)?.address.clone()
    }

    /// Returns the node where is decided what nobody has: all that know the same nodes say the same (rendezvous hashing).
    pub(in crate::tracker) fn home(&self, key: &[u8]) -> Option<Arc<str>> {
        let weight =
            |name: &Arc<str>| Sha256::new().chain_update(&**name).chain_update(key).finalize();
        self.names().into_iter().max_by_key(weight)
    }

    /// Returns the node at which an id was found, if that is there.
    pub(in crate::tracker) fn place_of(&self, id: Uuid) -> Option<Arc<str>> {
        if self.places.is_empty() {
            return None;
        }
        self.places.pin().get(&id).filter(|name| self.is_present(name)).cloned()
    }

    pub(in crate::tracker) fn is_at(&self, id: Uuid, name: &Arc<str>) {
        let places = self.places.pin();
        if places.len() >= PLACES_MAX {
            places.clear();
        }
        places.insert(id, name.clone());
    }

    /// An id is not where it was found last.
    pub(in crate::tracker) fn forget_place(&self, id: Uuid) {
        self.places.pin().remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(node: &str, is_present: bool) -> NodeRow {
        let now = Timestamp::now();
        let until = if is_present { now.plus(Duration::from_secs(60)) } else { now };
        let address = Some(format!("{node}.example:9").into());
        NodeRow { node: node.into(), address, place: None, heard_at: now, expected_until: until }
    }

    #[test]
    fn a_home_changes_only_for_what_was_at_the_node_that_left() {
        let all = Nodes::new(Duration::from_secs(10));
        all.learn(
            vec![row("a#1", true), row("b#1", true), row("c#1", true), row("d#1", false)],
            false,
        );
        let fewer = Nodes::new(Duration::from_secs(10));
        fewer.learn(vec![row("c#2", true), row("a#1", true)], false);
        let mut at = [0; 3];
        for key in 0..300_u32 {
            let (before, after) = (all.home(&key.to_be_bytes()), fewer.home(&key.to_be_bytes()));
            let before = before.unwrap();
            at[usize::from(before.as_bytes()[0] - b'a')] += 1;
            if &*before != "b" {
                assert_eq!(after, Some(before));
            }
        }
        assert!(at.iter().all(|count| *count > 50), "{at:?}");
    }

    #[test]
    fn an_id_is_where_it_was_found_while_that_node_is_there() {
        let nodes = Nodes::new(Duration::from_secs(10));
        nodes.learn(vec![row("a#1", true), row("b#1", false)], false);
        let (here, gone) = (Uuid::new_v4(), Uuid::new_v4());
        nodes.is_at(here, &"a".into());
        nodes.is_at(gone, &"b".into());
        assert_eq!((nodes.place_of(here).as_deref(), nodes.place_of(gone)), (Some("a"), None));
        assert!(nodes.gone(&"b".into()).is_cancelled());
        let gone = nodes.gone(&"a".into());
        assert!(!gone.is_cancelled());
        nodes.forget_place(here);
        assert_eq!(nodes.place_of(here), None);
        assert_eq!(nodes.address_of("a").as_deref(), Some("a#1.example:9"));
        nodes.learn(vec![row("a#2", true)], true);
        assert!(!gone.is_cancelled(), "it was restarted");
        nodes.learn(Vec::new(), true);
        assert!(gone.is_cancelled());
    }
}

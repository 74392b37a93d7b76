//! Sessions whose clients may have taken our restart for the end of all.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::Presence;
use crate::session::{Era, Fingerprint, Timestamp};

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
    pub(super) fn add(&self, presence: &Arc<Presence>) {
        if let (Era::Legacy, Some(fingerprint)) = presence.guessed_by() {
            self.all().entry(fingerprint).or_default().push(presence.clone());
        }
    }

    /// From now on, and for a while, they may begin anew.
    pub(super) fn recovered(&self, now: Timestamp) {
        let _ = self.recovered_at.set(now);
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
        self.by_fingerprint.lock()
    }

    /// Lets go of those that ended or were heard of.
    pub(super) fn sweep(&self) {
        self.all().retain(|_, left| {
            left.retain(|presence| presence.is_orphaned());
            !left.is_empty()
        });
    }
}

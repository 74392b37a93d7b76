//! Children that are slow to start: `npx` may install a server first, which takes longer than a client waits. They are
//! kept, so that the next handshake finds them ready instead of starting from the beginning.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use uuid::Uuid;

use super::child::{Child, Pending};
use super::children::Key;
use crate::config::StdioConfig;

/// A child that has not answered `initialize` after so many of a client's waits will not do so any more.
const WAITS_MAX: u32 = 20;

/// A child that was sent `initialize` and has not answered yet.
pub struct Starting {
    /// The child's key.
    pub key: Key,
    /// The child.
    pub child: Arc<Child>,
    /// The connection that it was greeted for, which nobody has been told of.
    pub link: Uuid,
    /// The handshake's `params`, JSON text.
    pub params: String,
    /// The handshake.
    pub pending: Pending,
}

/// See the module. There are no more of them than children.
#[derive(Default)]
pub struct Starts {
    /// The oldest first. Held for single operations, never across an await.
    kept: Mutex<Vec<Starting>>,
}

impl Starts {
    /// Keeps one.
    pub fn keep(&self, starting: Starting) {
        self.kept().push(starting);
    }

    /// Takes out the oldest one that still runs and of which this is true.
    pub fn take(&self, is_ours: impl Fn(&Starting) -> bool) -> Option<Starting> {
        let mut kept = self.kept();
        let at = kept.iter().position(|one| one.child.is_open() && is_ours(one))?;
        Some(kept.remove(at))
    }

    /// Returns true if there is one that still runs.
    pub fn any(&self) -> bool {
        self.kept().iter().any(|one| one.child.is_open())
    }

    /// Returns true if the child of this key is one of them.
    pub fn has(&self, key: Key) -> bool {
        self.kept().iter().any(|one| one.key == key)
    }

    /// Takes out the oldest one.
    pub fn take_oldest(&self) -> Option<Starting> {
        self.take(|_| true)
    }

    /// Takes out those for which it takes too long, and forgets those that have ended.
    pub fn expire(&self, now: Instant, config: &StdioConfig) -> Vec<Starting> {
        let limit = config.start_timeout.saturating_mul(WAITS_MAX);
        let mut kept = self.kept();
        kept.retain(|one| one.child.is_open());
        kept.extract_if(.., |one| now.duration_since(one.child.started()) >= limit).collect()
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.kept().clear();
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Starting>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

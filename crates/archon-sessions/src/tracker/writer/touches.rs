//! Signs of life on their way to the store.

use std::collections::HashMap;
use std::time::Duration;

use super::ROWS_MAX;
use crate::session::{SessionId, Timestamp};

/// Signs of life are written this often: often enough beside an idle timeout of minutes, and one write
/// for a session that calls a thousand times in between.
const TOUCH_EVERY: Duration = Duration::from_secs(1);

/// At most one a session.
pub(super) struct Touches {
    gathered: HashMap<SessionId, Timestamp>,
    written: tokio::time::Instant,
}

impl Default for Touches {
    fn default() -> Self {
        Self { gathered: HashMap::new(), written: tokio::time::Instant::now() }
    }
}

impl Touches {
    pub(super) fn add(&mut self, id: SessionId, at: Timestamp) {
        // As many as there are sessions in memory, which has a bound.
        self.gathered.entry(id).and_modify(|latest| *latest = at.max(*latest)).or_insert(at);
    }

    pub(super) fn forget(&mut self, id: SessionId) {
        self.gathered.remove(&id);
    }

    /// Takes those of these sessions, whether or not they are due.
    pub(super) fn take(
        &mut self,
        wanted: Vec<(SessionId, Timestamp)>,
    ) -> Vec<(SessionId, Timestamp)> {
        wanted.iter().for_each(|(id, at)| self.add(*id, *at));
        // One that is wanted twice is taken once.
        wanted.iter().filter_map(|(id, _)| self.gathered.remove_entry(id)).collect()
    }

    /// Takes those that are due, a batch full at most.
    pub(super) fn due(&mut self, at_once: bool) -> Vec<(SessionId, Timestamp)> {
        if self.gathered.is_empty() || (!at_once && self.written.elapsed() < TOUCH_EVERY) {
            return Vec::new();
        }
        if self.gathered.len() <= ROWS_MAX || at_once {
            self.written = tokio::time::Instant::now();
            return self.gathered.drain().collect();
        }
        let some: Vec<_> = self.gathered.iter().take(ROWS_MAX).map(|(id, at)| (*id, *at)).collect();
        some.iter().for_each(|(id, _)| self.forget(*id));
        some
    }
}

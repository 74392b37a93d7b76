//! The latest events, within bounds: pure.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Event, SessionEvent};
use crate::session::Timestamp;

/// Events kept for listeners that are behind: three seconds of five thousand a second. Who reads more slowly
/// than that for longer does not catch up either.
pub(super) const EVENTS_MAX: usize = 16 * 1024;
/// And their bytes, where texts are long.
pub(super) const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Events in a row, the latest last.
pub(super) struct Ring {
    kept: VecDeque<(Arc<Event>, usize)>,
    bytes: usize,
    next_seq: u64,
}

impl Ring {
    pub(super) fn beginning_at(next_seq: u64) -> Self {
        Self { kept: VecDeque::new(), bytes: 0, next_seq }
    }

    /// Returns the number of the event that comes next.
    pub(super) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    pub(super) fn push(&mut self, at: Timestamp, what: SessionEvent, bytes: usize) {
        let event = Arc::new(Event { seq: self.next_seq, at, what });
        self.next_seq += 1;
        self.bytes += bytes;
        self.kept.push_back((event, bytes));
        while self.kept.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            let Some((_, bytes)) = self.kept.pop_front() else { return };
            self.bytes -= bytes;
        }
    }

    /// Leaves a gap: events may have happened that were not kept.
    pub(super) fn skip(&mut self) {
        self.kept = VecDeque::new();
        self.bytes = 0;
        self.next_seq += 1;
    }

    /// Returns true if nothing after this event is missing. An event that is still to come was another
    /// process's.
    pub(super) fn has_all_after(&self, since: u64) -> bool {
        let oldest = self.next_seq - self.kept.len() as u64;
        since < self.next_seq && since.saturating_add(1) >= oldest
    }

    /// Returns up to `max` events from this number on; `None` if some of them are gone.
    pub(super) fn from(&self, seq: u64, max: usize) -> Option<Vec<Arc<Event>>> {
        let oldest = self.next_seq - self.kept.len() as u64;
        let from = usize::try_from(seq.checked_sub(oldest)?).ok()?;
        let to = self.kept.len().min(from.saturating_add(max));
        Some(self.kept.range(from.min(to)..to).map(|(event, _)| event.clone()).collect())
    }
}

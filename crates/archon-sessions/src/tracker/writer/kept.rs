//! The streams that hold events, and the bounds on them: by age, and on all of them together.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::protocol::event_id::StreamId;
use crate::session::Timestamp;
use crate::store::Batch;
use crate::tracker::Settings;
use crate::tracker::log::StreamLog;

/// How often old events are looked for: often enough beside an age of minutes.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Kept {
    streams: HashMap<StreamId, Arc<StreamLog>>,
    swept: Timestamp,
    age_max: Duration,
    bytes_max: usize,
}

impl Kept {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            streams: HashMap::new(),
            swept: Timestamp::from_micros(0),
            age_max: settings.events_age_max,
            bytes_max: settings.events_bytes_max,
        }
    }

    pub(super) fn add(&mut self, log: Arc<StreamLog>) {
        // What was read before the writer came by holds nothing.
        if log.bytes() > 0 {
            self.streams.insert(log.id(), log);
        }
    }

    /// Drops what is too old or too much, and says what the store may forget.
    pub(super) fn sweep(&mut self, logged: &AtomicUsize, batch: &mut Batch, now: Timestamp) {
        let surplus = logged.load(Relaxed).saturating_sub(self.bytes_max);
        if surplus > 0 {
            self.trim(surplus, batch);
        }
        if now.since(self.swept) < SWEEP_EVERY {
            return;
        }
        self.swept = now;
        let oldest = now.minus(self.age_max);
        self.streams.retain(|_, log| log.trim_before(oldest));
        batch.forget_before = Some(oldest);
    }

    /// Drops whole streams, the one with the oldest event first.
    fn trim(&mut self, surplus: usize, batch: &mut Batch) {
        let mut by_age: Vec<_> =
            self.streams.values().map(|log| (log.oldest(), log.id())).collect();
        by_age.sort_unstable();
        let mut surplus = surplus;
        for (_, id) in by_age {
            if surplus == 0 {
                return;
            }
            if let Some(log) = self.streams.remove(&id) {
                surplus = surplus.saturating_sub(log.trim_bytes(usize::MAX));
                batch.forgotten.push(id);
            }
        }
    }
}

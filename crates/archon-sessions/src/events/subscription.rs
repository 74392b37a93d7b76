//! One that listens.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{Event, Shared};

/// Events handed out under one lock, which publishers wait for: some microseconds.
const BATCH_MAX: usize = 256;

/// What was asked for is not known any more, or never was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("some of these events are not known any more; look at the sessions again")]
pub struct Resync;

/// A listener's place among the events.
pub struct Subscription {
    shared: Arc<Shared>,
    next: u64,
}

/// What a listener hears.
#[derive(Debug)]
pub enum Heard {
    /// The next events, in order; at least one.
    Events(Vec<Arc<Event>>),
    /// It was too slow: some events are gone. It goes on with what happens from now on.
    Lost,
}

impl Subscription {
    pub(super) fn new(shared: Arc<Shared>, next: u64) -> Self {
        Self { shared, next }
    }

    /// Returns the number of the latest event that it has heard, or need not hear.
    pub fn heard(&self) -> u64 {
        self.next - 1
    }

    /// Waits for what comes next. Nothing is lost if this is given up.
    pub async fn next(&mut self) -> Heard {
        loop {
            let shared = self.shared.clone();
            let mut news = pin!(shared.news.notified());
            // Before the look at the ring, so that what is published after it wakes us.
            news.as_mut().enable();
            if let Some(heard) = self.try_next() {
                return heard;
            }
            news.await;
        }
    }

    /// Returns what comes next if it is there already.
    pub fn try_next(&mut self) -> Option<Heard> {
        let ring = self.shared.ring();
        match ring.from(self.next, BATCH_MAX) {
            Some(events) if events.is_empty() => None,
            Some(events) => {
                self.next += events.len() as u64;
                Some(Heard::Events(events))
            }
            None => {
                self.next = ring.next_seq();
                Some(Heard::Lost)
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let _ring = self.shared.ring();
        self.shared.listeners.fetch_sub(1, Relaxed);
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("next", &self.next).finish_non_exhaustive()
    }
}

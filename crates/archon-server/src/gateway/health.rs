//! Whether an upstream is up, and what is logged of that: each change once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

const UNKNOWN: u8 = 0;
const UP: u8 = 1;
const DOWN: u8 = 2;

/// See the module.
#[derive(Debug)]
pub struct Health {
    upstream: Arc<str>,
    /// Read on each call's path.
    state: AtomicU8,
    /// Since when it is down, and how many calls have failed since. Held for single operations.
    outage: Mutex<Option<Outage>>,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    failed: u64,
}

impl Health {
    /// Returns that of an upstream of which nothing is known.
    pub fn of(upstream: &str) -> Self {
        Self { upstream: upstream.into(), state: AtomicU8::new(UNKNOWN), outage: Mutex::default() }
    }

    /// Returns it in a word.
    pub fn word(&self) -> &'static str {
        match self.state.load(Relaxed) {
            UP => "up",
            DOWN => "down",
            _ => "unknown",
        }
    }

    /// Notes that the upstream answered.
    pub fn is_up(&self) {
        if self.state.swap(UP, Relaxed) != DOWN {
            return;
        }
        let outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Outage { since, failed }) = outage else { return };
        let (upstream, seconds) = (&*self.upstream, since.elapsed().as_secs());
        tracing::info!(
            upstream,
            seconds,
            failed,
            "upstream {upstream} is up again after {seconds} s, {failed} calls failed"
        );
    }

    /// Notes that the upstream cannot be used, for this reason.
    pub fn is_down(&self, cause: &str) {
        if self.state.swap(DOWN, Relaxed) == DOWN {
            return;
        }
        let outage = Outage { since: Instant::now(), failed: 0 };
        *self.outage.lock().unwrap_or_else(PoisonError::into_inner) = Some(outage);
        let upstream = &*self.upstream;
        tracing::warn!(upstream, "upstream {upstream} is down: {cause}");
    }

    /// Notes a call that failed for that.
    pub fn call_failed(&self) {
        if self.state.load(Relaxed) == DOWN
            && let Some(outage) = &mut *self.outage.lock().unwrap_or_else(PoisonError::into_inner)
        {
            outage.failed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_fail_are_counted_while_it_is_down() {
        let failed = |health: &Health| health.outage.lock().unwrap().as_ref().map(|o| o.failed);
        let health = Health::of("a");
        assert_eq!(health.word(), "unknown");
        health.call_failed();
        assert_eq!(failed(&health), None);
        health.is_down("x");
        health.call_failed();
        health.is_down("y");
        health.call_failed();
        assert_eq!((health.word(), failed(&health)), ("down", Some(2)));
        health.is_up();
        assert_eq!((health.word(), failed(&health)), ("up", None));
    }
}

//! When a command that keeps ending may be started again.

use std::time::{Duration, Instant};

/// One end alone costs nothing: the next request starts the command again at once.
const FIRST_DELAY: Duration = Duration::from_millis(200);
/// A command that was mended should not have to wait much longer than it takes to mend it.
const DELAY_MAX: Duration = Duration::from_secs(30);
/// Whoever lived so long did not end for the way it was started.
const QUICK: Duration = Duration::from_secs(60);

/// How the last children of an upstream ended.
#[derive(Debug, Default)]
pub struct Backoff {
    /// Quick ends in a row.
    ends: u32,
    last: Option<Instant>,
    reason: String,
}

/// Why a command is not started now.
#[derive(Debug, PartialEq, Eq)]
pub struct Wait {
    /// How long it is still.
    pub left: Duration,
    /// Quick ends in a row.
    pub ends: u32,
    /// How the last one ended.
    pub reason: String,
}

impl Backoff {
    /// Notes that a child ended by itself. Children that were started before the last end that counted do
    /// not count again: when many end at once, that is one event.
    pub fn ended(&mut self, started: Instant, now: Instant, reason: String) {
        if now.duration_since(started) >= QUICK {
            *self = Self::default();
            return;
        }
        if self.last.is_some_and(|last| started < last) {
            return;
        }
        // A minute without an end is a minute of life.
        let is_in_a_row = self.last.is_some_and(|last| now.duration_since(last) < QUICK);
        self.ends = if is_in_a_row { self.ends.saturating_add(1) } else { 1 };
        self.last = Some(now);
        self.reason = reason;
    }

    /// Returns why the command must not be started now.
    pub fn check(&self, now: Instant) -> Option<Wait> {
        let doublings = self.ends.checked_sub(2)?;
        let delay = FIRST_DELAY.saturating_mul(2_u32.saturating_pow(doublings)).min(DELAY_MAX);
        let left =
            (self.last? + delay).checked_duration_since(now).filter(|left| !left.is_zero())?;
        Some(Wait { left, ends: self.ends, reason: self.reason.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_with_quick_ends_in_a_row() {
        let (mut backoff, mut now) = (Backoff::default(), Instant::now());
        let mut delays = Vec::new();
        for _ in 0..11 {
            assert_eq!(backoff.check(now), None);
            backoff.ended(now, now + Duration::from_millis(1), "exit status 1".into());
            now += Duration::from_millis(1);
            let left = backoff.check(now).map_or(Duration::ZERO, |wait| wait.left);
            delays.push(left.as_millis());
            now += left;
        }
        assert_eq!(delays, [0, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
    }

    #[test]
    fn a_minute_of_life_starts_anew_and_many_ends_at_once_are_one() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            backoff.ended(start, at(10), "x".into());
        }
        assert_eq!(backoff.check(at(10)), None);
        backoff.ended(at(20), at(30), "y".into());
        assert_eq!(
            backoff.check(at(31)).map(|wait| (wait.ends, wait.reason)),
            Some((2, "y".into()))
        );
        backoff.ended(at(300), at(70_000), "z".into());
        assert_eq!(backoff.check(at(70_000)), None);
    }
}

//! Slows down who guesses tokens, and bounds what is logged about it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;

/// Failed tries of one address before it must wait: a person mistypes a few times.
const FAILURES_MAX: u32 = 20;
/// How long failures count.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered; beyond it those whose window is over are forgotten, then all.
const ADDRESSES_MAX: usize = 10_000;
/// Lines about refusals in one window; the rest is counted.
const LINES_MAX: u32 = 60;

/// See the module.
#[derive(Debug, Default)]
pub struct Throttle {
    /// Held for single operations, never across an await.
    failures: Mutex<HashMap<Option<IpAddr>, Failures>>,
    /// The same.
    lines: Mutex<Lines>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    since: Instant,
}

#[derive(Debug, Default)]
struct Lines {
    since: Option<Instant>,
    written: u32,
    withheld: u64,
}

impl Throttle {
    /// Returns how long this address must wait before its next try; `None` if it need not.
    pub fn wait(&self, peer: Option<IpAddr>) -> Option<Duration> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = failures.get(&peer).filter(|failed| failed.count >= FAILURES_MAX)?;
        WINDOW.checked_sub(failed.since.elapsed())
    }

    /// Notes a failed try.
    pub fn failed(&self, peer: Option<IpAddr>) {
        let now = Instant::now();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= ADDRESSES_MAX {
            failures.retain(|_, failed| now - failed.since < WINDOW);
            if failures.len() >= ADDRESSES_MAX {
                failures.clear();
            }
        }
        let failed = failures.entry(peer).or_insert(Failures { count: 0, since: now });
        if now - failed.since >= WINDOW {
            *failed = Failures { count: 0, since: now };
        }
        failed.count += 1;
    }

    /// Writes a line about a request that was turned away, unless there were many already.
    pub fn log_refusal(&self, peer: Option<IpAddr>, status: StatusCode, code: &str) {
        let withheld = {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.since.is_none_or(|since| since.elapsed() >= WINDOW) {
                let withheld = lines.withheld;
                *lines = Lines { since: Some(Instant::now()), written: 0, withheld: 0 };
                lines.written = 1;
                withheld
            } else if lines.written < LINES_MAX {
                lines.written += 1;
                0
            } else {
                lines.withheld += 1;
                return;
            }
        };
        if withheld > 0 {
            tracing::warn!(withheld, "{withheld} more requests to the API were turned away");
        }
        let peer = peer.map_or_else(|| "an unknown address".to_owned(), |peer| peer.to_string());
        let status = status.as_u16();
        tracing::warn!(
            peer,
            status,
            code,
            "a request to the API from {peer} was turned away: {code}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_failed_too_often_waits_and_others_do_not() {
        let throttle = Throttle::default();
        let (guesser, other) = (Some([192, 0, 2, 1].into()), Some([192, 0, 2, 2].into()));
        for _ in 0..FAILURES_MAX {
            assert_eq!(throttle.wait(guesser), None);
            throttle.failed(guesser);
        }
        assert!(throttle.wait(guesser).is_some_and(|wait| wait <= WINDOW));
        assert_eq!(throttle.wait(other), None);
    }

    #[test]
    fn addresses_are_bounded() {
        let throttle = Throttle::default();
        for number in 0..2 * ADDRESSES_MAX as u32 {
            throttle.failed(Some(IpAddr::from(number.to_be_bytes())));
        }
        assert!(throttle.failures.lock().unwrap().len() <= ADDRESSES_MAX);
    }
}

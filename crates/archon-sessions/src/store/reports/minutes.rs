//! Requests by the minute: how it goes now.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::session::Timestamp;

/// Minutes that are kept, and that a report has at most: a day.
pub const MINUTES_MAX: u32 = 24 * 60;

const MINUTE: Duration = Duration::from_secs(60);
const MINUTE_MICROS: i64 = MINUTE.as_micros() as i64;

/// The requests that arrived in one minute and are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minute {
    /// When it began.
    pub start: Timestamp,
    /// How many.
    pub counts: Counts,
}

/// How many requests, and how many of them failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All requests.
    pub requests: i64,
    /// Those that ended with an error.
    pub errors: i64,
    /// Those that were not answered in time.
    pub timeouts: i64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.timeouts += other.timeouts;
    }
}

/// Returns when the minute of a moment began.
pub(crate) fn minute_of(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros().div_euclid(MINUTE_MICROS).saturating_mul(MINUTE_MICROS))
}

/// Returns when the first of so many minutes begins, of which that of this moment is the last.
pub(crate) fn first_minute(now: Timestamp, count: u32) -> Timestamp {
    minute_of(now).minus(MINUTE * (count.clamp(1, MINUTES_MAX) - 1))
}

/// Returns so many minutes in a row, with or without requests.
pub(crate) fn in_a_row(
    now: Timestamp,
    count: u32,
    found: &BTreeMap<Timestamp, Counts>,
) -> Vec<Minute> {
    let first = first_minute(now, count);
    let minute = |place: u32| {
        let start = first.plus(MINUTE * place);
        Minute { start, counts: found.get(&start).copied().unwrap_or_default() }
    };
    (0..count.clamp(1, MINUTES_MAX)).map(minute).collect()
}

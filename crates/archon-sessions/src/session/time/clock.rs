//! Which clock says what time it is.
//!
//! Processes that share a database compare moments that others wrote, and their machines' clocks differ, or are set. So a
//! process follows the clock of its database, which all of them share, and counts on from there with a clock that nobody
//! sets. Without such a database it is the machine's.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What [`OFFSET`] is until a database has said what time it is.
const UNKNOWN: i64 = i64::MIN;

/// Moments are counted from here.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
/// When that was, in microseconds since 1970 by the database's clock. One for the process, as its rows have one time.
static OFFSET: AtomicI64 = AtomicI64::new(UNKNOWN);

/// Returns the microseconds since 1970.
pub(super) fn now() -> i64 {
    match OFFSET.load(Relaxed) {
        UNKNOWN => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            micros(since)
        }
        offset => offset.saturating_add(micros(BEGAN.elapsed())),
    }
}

/// Takes the time that a database said between these two moments.
pub(super) fn follow(said: super::Timestamp, asked: Instant, answered: Instant) {
    let began = *BEGAN;
    let since = |moment: Instant| micros(moment.saturating_duration_since(began));
    let offset = corrected(OFFSET.load(Relaxed), said.as_micros(), since(asked), since(answered));
    OFFSET.store(offset, Relaxed);
}

/// Returns the offset with which what was said is possible, and that is nearest to the present one: the way there and back
/// takes a different time on each occasion, and time must not jump by that.
fn corrected(present: i64, said: i64, asked: i64, answered: i64) -> i64 {
    let (earliest, latest) = (said.saturating_sub(answered), said.saturating_sub(asked));
    if present == UNKNOWN {
        return earliest.midpoint(latest);
    }
    present.clamp(earliest, latest.max(earliest))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_corrected_by_what_is_certain_only() {
        // Said at 1000 for a question of 10 that was answered at 14: the offset is 986 to 990.
        for (present, expected) in [(UNKNOWN, 988), (987, 987), (986, 986), (980, 986), (1200, 990)]
        {
            assert_eq!(corrected(present, 1000, 10, 14), expected, "{present}");
        }
    }
}

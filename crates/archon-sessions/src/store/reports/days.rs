//! A range of whole days in UTC: what reports on use are about.

use std::time::Duration;

use crate::session::Timestamp;

/// Days of a report at most: ten years.
pub const DAYS_MAX: u32 = 3660;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const DAY_MICROS: i64 = DAY.as_micros() as i64;

/// Some days in a row, [`DAYS_MAX`] at most, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    /// Counted from 1970-01-01.
    first: i64,
    count: u32,
}

impl Days {
    /// Returns so many days, of which the day of this moment is the last.
    pub fn until(last: Timestamp, count: u32) -> Self {
        let count = count.clamp(1, DAYS_MAX);
        Self { first: day_of(last) - i64::from(count) + 1, count }
    }

    /// Returns the days from that of one moment to that of another, which is the last.
    pub fn between(first: Timestamp, last: Timestamp) -> Self {
        let count = day_of(last).saturating_sub(day_of(first)).saturating_add(1);
        Self::until(last, u32::try_from(count.max(1)).unwrap_or(DAYS_MAX))
    }

    /// Returns as many days before these.
    pub fn previous(self) -> Self {
        Self { first: self.first - i64::from(self.count), ..self }
    }

    /// Returns how many.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Returns when the first begins.
    pub fn start(self) -> Timestamp {
        start_of(self.first)
    }

    /// Returns when the last is over.
    pub fn end(self) -> Timestamp {
        start_of(self.first + i64::from(self.count))
    }

    /// Returns the beginning of each.
    pub fn each(self) -> impl Iterator<Item = Timestamp> {
        (0..i64::from(self.count)).map(move |day| start_of(self.first + day))
    }
}

fn day_of(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(DAY_MICROS)
}

fn start_of(day: i64) -> Timestamp {
    Timestamp::from_micros(day.saturating_mul(DAY_MICROS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_in_a_row() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let week = Days::until(at("2026-03-02T23:59:59.999999Z"), 7);
        assert_eq!(week.start(), at("2026-02-24T00:00:00Z"));
        assert_eq!(week.end(), at("2026-03-03T00:00:00Z"));
        assert_eq!(week.previous().end(), week.start());
        assert_eq!((week.each().count(), week.each().next()), (7, Some(week.start())));
        let same = Days::between(at("2026-02-24T12:00:00Z"), at("2026-03-02T00:00:00Z"));
        assert_eq!(same, week);
        let wrong = Days::between(at("2026-03-03T00:00:00Z"), at("2026-03-02T00:00:00Z"));
        assert_eq!(wrong.count(), 1);
        assert_eq!(Days::until(at("2026-03-02T00:00:00Z"), u32::MAX).count(), DAYS_MAX);
    }
}

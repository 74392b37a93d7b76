//! Time as this library keeps it: microseconds since the Unix epoch.

mod clock;
mod forms;

use std::fmt;
use std::time::{Duration, Instant};

/// A moment, in microseconds since 1970-01-01 UTC.
///
/// Its text form is fixed-width RFC 3339 (`2026-01-11T00:20:45.123456Z`), so that texts sort as the
/// moments do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Returns the present moment, by the clock of the database where that has one: see [`clock`]. Only the edges of the
    /// system call this.
    pub fn now() -> Self {
        Self(clock::now())
    }

    /// Takes the time that the database said between two moments for the present from now on.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))]
    pub(crate) fn follow(said: Self, asked: Instant, answered: Instant) {
        clock::follow(said, asked, answered);
    }

    /// Returns the moment `micros` microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Returns the microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Returns the moment `seconds` seconds after the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Returns the whole seconds since the epoch.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Returns the time from `earlier` to this moment, zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Returns this moment moved forward.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Returns this moment moved back.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Returns true for a moment of the years 0000 to 9999, which its text can show.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))]
    pub(crate) fn is_of_our_calendar(self) -> bool {
        forms::READABLE.contains(&self.0)
    }

    /// Parses RFC 3339 text; `None` if it is not that.
    pub fn parse(text: &str) -> Option<Self> {
        fixed_width(text)
            .or_else(|| text.parse::<jiff::Timestamp>().ok().map(|t| t.as_microsecond()))
            .map(Self)
    }

    /// Reads a moment in any form that people and databases write: see `forms`. `None` if it is none of the years
    /// 0000 to 9999.
    pub fn read(text: &str) -> Option<Self> {
        fixed_width(text).or_else(|| forms::read(text)).map(Self)
    }
}

/// Reads the form that we write: a start reads it some hundred thousand times. `None` for anything else, the
/// leap second and the impossible date included, of which the whole parser knows more.
fn fixed_width(text: &str) -> Option<i64> {
    let bytes: &[u8; 27] = text.as_bytes().try_into().ok()?;
    for (at, mark) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.')] {
        if bytes[at] != mark {
            return None;
        }
    }
    if bytes[26] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| {
        bytes[from..to].iter().try_fold(0_i64, |value, byte| {
            byte.is_ascii_digit().then(|| 10 * value + i64::from(byte - b'0'))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // Days that each month has are left to the whole parser.
    let is_certain = (1..=12).contains(&month)
        && (1..=28).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !is_certain {
        return None;
    }
    // The year begins in March here, so that the day that only some years have comes last. 719,468 days
    // lie between the first of March of year 0 and the epoch.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000_000 + number(20, 26)?)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(t) => write!(f, "{t:.6}"),
            Err(_) => f.write_str("9999-12-31T23:59:59.999999Z"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_fixed_width_and_reads_back() {
        for micros in [0, 1, 1_768_090_845_123_000, 1_768_090_845_123_456] {
            let t = Timestamp::from_micros(micros);
            let text = t.to_string();
            assert_eq!(text.len(), "2026-01-11T00:20:45.123456Z".len(), "{text}");
            assert_eq!(Timestamp::parse(&text), Some(t));
        }
    }

    #[test]
    fn the_form_that_we_write_is_read_as_the_whole_parser_reads_it() {
        let whole = |text: &str| text.parse::<jiff::Timestamp>().ok().map(|t| t.as_microsecond());
        // A step that is no round number of anything, from year 0 to 9999.
        let mut micros = -62_167_219_200_000_000_i64;
        let mut fast = 0;
        while micros < 253_402_300_799_000_000 {
            let text = Timestamp(micros).to_string();
            assert_eq!(Timestamp::parse(&text), Some(Timestamp(micros)), "{text}");
            fast += u32::from(fixed_width(&text).is_some());
            micros += 1_234_567_890_123;
        }
        assert!(fast > 200_000, "the short way is taken: {fast}");
        for text in [
            "2026-02-29T00:00:00.000000Z",
            "2024-02-29T23:59:59.999999Z",
            "2026-01-31T00:00:60.000000Z",
            "2026-13-01T00:00:00.000000Z",
            "2026-01-11T24:00:00.000000Z",
            "2026-01-11T00:20:45.12345 Z",
            "2026-01-11t00:20:45.123456z",
            "2026-01-11T00:20:45+01:00:0",
            "+026-01-11T00:20:45.123456Z",
            "",
        ] {
            assert_eq!(Timestamp::parse(text).map(|t| t.0), whole(text), "{text}");
        }
    }

    #[test]
    fn a_difference_is_never_negative() {
        let (a, b) = (Timestamp::from_micros(5), Timestamp::from_micros(9));
        assert_eq!(b.since(a), Duration::from_micros(4));
        assert_eq!(a.since(b), Duration::ZERO);
    }
}

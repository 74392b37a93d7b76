//! Reads moments as people and databases write them: text, and numbers of three kinds.
//!
//! SQLite has no type for a time. `datetime('now')`, `unixepoch()` and `julianday()` are its three forms
//! (<https://sqlite.org/lang_datefunc.html>), and what a dump of PostgreSQL holds is a fourth.

use jiff::civil::{Date, Time};

/// The years 0000 to 9999, which text of a fixed width can hold, in microseconds; without the last day, which begins later
/// in some zone.
pub(super) const READABLE: std::ops::RangeInclusive<i64> =
    -62_167_219_200_000_000..=253_402_207_200_999_999;
/// The Julian days of those years. SQLite reads a number in this range as one, too (its modifier `auto`).
const JULIAN_DAYS: std::ops::RangeInclusive<f64> = 1_721_059.5..=5_373_484.5;
const JULIAN_DAY_OF_EPOCH: f64 = 2_440_587.5;
const DAY_MILLIS: f64 = 86_400_000.0;
/// Numbers beyond these are no seconds but milliseconds, then microseconds, then nanoseconds. Seconds would be of the
/// year 5138 there.
const SECONDS_MAX: f64 = 1e11;
const MILLIS_MAX: f64 = 1e14;
const MICROS_MAX: f64 = 1e17;

/// Returns the microseconds since the epoch; `None` if it is no moment of the years 0000 to 9999.
pub(super) fn read(text: &str) -> Option<i64> {
    let text = text.trim();
    number(text).or_else(|| date_and_time(text)).filter(|micros| READABLE.contains(micros))
}

/// Reads a Julian day or a number of seconds, milliseconds, microseconds or nanoseconds since the epoch.
fn number(text: &str) -> Option<i64> {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    // A date has signs inside, which no number has.
    let value: f64 = text.parse().ok().filter(|_| text.chars().all(is_number))?;
    if JULIAN_DAYS.contains(&value) {
        let millis = ((value - JULIAN_DAY_OF_EPOCH) * DAY_MILLIS).round();
        return Some(millis as i64 * 1_000);
    }
    let (whole, micros_each) = (text.parse::<i64>().ok(), micros_each(value.abs()));
    match whole {
        // Exact, where a float is not.
        Some(whole) if micros_each >= 1.0 => whole.checked_mul(micros_each as i64),
        Some(whole) => Some(whole.div_euclid(1_000)),
        None => Some((value * micros_each).round() as i64),
    }
}

fn micros_each(value: f64) -> f64 {
    match value {
        v if v < SECONDS_MAX => 1e6,
        v if v < MILLIS_MAX => 1e3,
        v if v < MICROS_MAX => 1.0,
        _ => 1e-3,
    }
}

/// Reads a date, with a time or without: after `T` or a space, with seconds and fractions or without, in a zone or in
/// UTC.
fn date_and_time(text: &str) -> Option<i64> {
    let mut rest = Cursor(text);
    let (year, month, day) =
        (rest.digits(4)?, rest.after('-')?.digits(2)?, rest.after('-')?.digits(2)?);
    let date = Date::new(year as i16, month as i8, day as i8).ok()?;
    let (mut time, mut fraction, mut offset) = (Time::midnight(), 0, 0);
    if rest.skips(&['T', 't', ' ']) {
        let (hour, minute) = (rest.digits(2)?, rest.after(':')?.digits(2)?);
        let second = match rest.after(':') {
            Some(rest) => rest.digits(2)?,
            None => 0,
        };
        if rest.skips(&['.', ',']) {
            fraction = rest.fraction()?;
        }
        // A leap second is the one before it: no clock of ours has it.
        time = Time::new(hour as i8, minute as i8, second.min(59) as i8, 0)
            .ok()
            .filter(|_| second <= 60)?;
        offset = rest.offset()?;
    }
    if !rest.0.is_empty() {
        return None;
    }
    let moment = date.to_datetime(time).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(moment.timestamp().as_microsecond() + fraction - offset * 1_000_000)
}

/// What is left of a text.
struct Cursor<'a>(&'a str);

impl Cursor<'_> {
    fn after(&mut self, mark: char) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(mark)?;
        Some(self)
    }

    /// Skips one of these marks, if it comes next.
    fn skips(&mut self, marks: &[char]) -> bool {
        let rest = self.0.strip_prefix(marks);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    }

    /// Reads the digits of a fraction as microseconds; those beyond are left out.
    fn fraction(&mut self) -> Option<i64> {
        let count = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at_checked(count).filter(|_| count > 0)?;
        self.0 = rest;
        format!("{:0<6}", &digits[..count.min(6)]).parse().ok()
    }

    /// Reads `Z`, `UTC`, `+01`, `+0100`, `+01:00`, `+01:00:00`, or nothing, as seconds.
    fn offset(&mut self) -> Option<i64> {
        self.0 = self.0.trim_start();
        for name in ["Z", "z", "UTC", "GMT"] {
            if let Some(rest) = self.0.strip_prefix(name) {
                self.0 = rest;
                return Some(0);
            }
        }
        let sign = match self.0.bytes().next() {
            None => return Some(0),
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return None,
        };
        self.0 = &self.0[1..];
        let mut seconds = self.digits(2).filter(|hours| *hours < 24)? * 3600;
        for unit in [60, 1] {
            let has_more = self.after(':').is_some() || !self.0.is_empty();
            if has_more {
                seconds += self.digits(2).filter(|part| *part < 60)? * unit;
            }
        }
        Some(sign * seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Timestamp;

    #[test]
    fn every_form_that_databases_write_is_read() {
        let noon = "2026-01-10T12:00:00.000000Z";
        for (text, expected) in [
            // The guide's INSERT, and what SQLite's own functions give.
            ("2026-01-10 12:00:00", noon),
            ("2026-01-10 12:00", noon),
            ("2026-01-10 12:00:00.000", noon),
            ("2026-01-10T12:00:00", noon),
            ("2026-01-10T12:00", noon),
            ("1768046400", noon),
            ("1768046400.0", noon),
            ("1.7680464e9", noon),
            ("2461051.0", noon),
            ("2461051", noon),
            // In a zone, as SQLite reads and PostgreSQL writes them.
            ("2026-01-10T12:00:00Z", noon),
            ("2026-01-10 12:00:00z", noon),
            ("2026-01-10 12:00:00+00", noon),
            ("2026-01-10 13:30:00+01:30", noon),
            ("2026-01-10 13:00:00 +0100", noon),
            ("2026-01-10 07:00:00-05", noon),
            ("2026-01-10 12:19:32+00:19:32", noon),
            ("2026-01-10 12:00:00 UTC", noon),
            ("2026-01-11 01:00:00+13:00", noon),
            // With fractions of any length, cut to microseconds.
            ("2026-01-10 12:00:00.5", "2026-01-10T12:00:00.500000Z"),
            ("2026-01-10 12:00:00.123", "2026-01-10T12:00:00.123000Z"),
            ("2026-01-10T12:00:00.123456Z", "2026-01-10T12:00:00.123456Z"),
            ("2026-01-10 12:00:00.123456789+00", "2026-01-10T12:00:00.123456Z"),
            ("2026-01-10T12:00:00,25Z", "2026-01-10T12:00:00.250000Z"),
            ("1768046400.25", "2026-01-10T12:00:00.250000Z"),
            ("2461051.25", "2026-01-10T18:00:00.000000Z"),
            // In the units that other languages count in.
            ("1768046400123", "2026-01-10T12:00:00.123000Z"),
            ("1768046400123456", "2026-01-10T12:00:00.123456Z"),
            ("1768046400123456789", "2026-01-10T12:00:00.123456Z"),
            ("0", "1970-01-01T00:00:00.000000Z"),
            ("-1", "1969-12-31T23:59:59.000000Z"),
            // A date alone is its first moment.
            ("2026-01-10", "2026-01-10T00:00:00.000000Z"),
            ("  2026-01-10\n", "2026-01-10T00:00:00.000000Z"),
            ("0000-01-01", "0000-01-01T00:00:00.000000Z"),
            ("9999-12-30 21:59:59.999999", "9999-12-30T21:59:59.999999Z"),
            ("2016-12-31 23:59:60", "2016-12-31T23:59:59.000000Z"),
        ] {
            assert_eq!(
                Timestamp::read(text).map(|t| t.to_string()).as_deref(),
                Some(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_moment_is_not_made_one() {
        for text in [
            "",
            " ",
            "now",
            "yesterday",
            "infinity",
            "-infinity",
            "NaN",
            "inf",
            "null",
            "2026-01",
            "2026-1-1",
            "2026-13-01",
            "2026-02-30",
            "2026-01-10 25:00:00",
            "2026-01-10 12",
            "2026-01-10 12:60",
            "2026-01-10 12:00:61",
            "2026-01-10 12:00:00.",
            "2026-01-10 12:00:00 CET",
            "2026-01-10 12:00:00+",
            "2026-01-10 12:00:00+1",
            "2026-01-10 12:00:00+24",
            "2026-01-10 12:00:00+01:",
            "2026-01-10 12:00:00 BC",
            "2026-01-10T",
            "2026-01-10x",
            "12:00:00",
            "10/01/2026",
            "Sat Jan 10 12:00:00 2026",
            "0000-01-01 00:00:00+01",
            "9999-12-31 23:59:59-01",
            "1e300",
            "-1e300",
            "99999999999999999999999",
            "\u{0662}026-01-10",
            "2026-01-1\u{e9}",
        ] {
            assert_eq!(Timestamp::read(text), None, "{text}");
        }
    }
}

//! Times in settings: numbers of seconds, minutes or days, which may have a fraction.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Deserializer, de};

/// A time that is written as a number of units of `UNIT` seconds. It is positive, or zero where `ZERO` says that this has
/// a meaning.
#[derive(Clone, Copy, Debug)]
pub struct Time<const UNIT: u32, const ZERO: bool = false>(pub Duration);

/// Seconds, more than none.
pub type Seconds = Time<1>;
/// Seconds, or 0 for not at all.
pub type SecondsOrZero = Time<1, true>;
/// Minutes, more than none.
pub type Minutes = Time<60>;
/// Days, more than none.
pub type Days = Time<86_400>;

impl<const UNIT: u32, const ZERO: bool> Time<UNIT, ZERO> {
    /// Returns the time that is set, or else this one.
    pub fn or(set: Option<Self>, default: Duration) -> Duration {
        set.map_or(default, |time| time.0)
    }

    fn of(number: f64) -> anyhow::Result<Self> {
        let time = Duration::try_from_secs_f64(number * f64::from(UNIT)).ok();
        let time = time.filter(|time| !time.is_zero() || (ZERO && number == 0.0));
        time.map(Self).with_context(|| {
            let unit = match UNIT {
                60 => "minutes",
                86_400 => "days",
                _ => "seconds",
            };
            let zero = if ZERO { ", or 0" } else { "" };
            format!("must be a positive number of {unit}{zero}, not {number}")
        })
    }
}

impl<'de, const UNIT: u32, const ZERO: bool> Deserialize<'de> for Time<UNIT, ZERO> {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        Self::of(f64::deserialize(value)?).map_err(de::Error::custom)
    }
}

impl<const UNIT: u32, const ZERO: bool> FromStr for Time<UNIT, ZERO> {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        Self::of(text.trim().parse()?)
    }
}

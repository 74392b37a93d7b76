//! Moments and days, as records write them.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

use crate::session::Timestamp;

pub fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(at)
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    parsed(&String::deserialize(from)?)
}

fn parsed<E: Error>(text: &str) -> Result<Timestamp, E> {
    // Neither database, nor a name of a day, has room for all that the form has.
    let at = Timestamp::parse(text).filter(|at| at.as_micros() >= 0);
    at.ok_or_else(|| E::custom("a time is RFC 3339 text from 1970 on: 2026-01-11T00:20:45Z"))
}

/// A moment that may be missing.
pub mod optional {
    use super::{Deserialize, Deserializer, Serializer, Timestamp, parsed};

    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => to.collect_str(at),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        Option::<String>::deserialize(from)?.as_deref().map(parsed).transpose()
    }
}

/// A day; a time behind it is left out.
pub mod date {
    use super::{Deserialize, Deserializer, Error, Serializer};

    pub fn serialize<S: Serializer>(day: &str, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(day)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        let text = String::deserialize(from)?;
        match text.parse::<jiff::civil::Date>() {
            Ok(day) if day.year() >= 0 => Ok(day.to_string()),
            _ => Err(D::Error::custom("a day is written 2026-01-11")),
        }
    }
}

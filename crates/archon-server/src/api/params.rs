//! What stands in a request's URL, parsed once into types. What is wrong is 422 and names the parameter.

use std::fmt;

use archon_sessions::session::{SessionId, Timestamp};
use archon_sessions::store::reports::Days;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer};

use super::problem::ApiError;

/// Bytes of a query string: room for every parameter at its longest, each character as twelve bytes.
const QUERY_BYTES_MAX: usize = 16 * 1024;

/// The parameters of a query string. None may be unknown or given twice.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        if parts.uri.query().is_some_and(|query| query.len() > QUERY_BYTES_MAX) {
            let complaint = format!("the query string is longer than {QUERY_BYTES_MAX} bytes");
            return Err(ApiError::parameter(&complaint));
        }
        let parsed = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        parsed.map(|axum::extract::Query(read)| Self(read)).map_err(|rejection| {
            let text = rejection.body_text();
            let reason = text.rsplit_once("query string: ").map_or(&*text, |(_, reason)| reason);
            ApiError::parameter(&complaint(reason))
        })
    }
}

/// Says it in our words: a parameter is no field.
fn complaint(reason: &str) -> String {
    let reason = reason.replace("unknown field", "unknown parameter");
    let reason = reason.replace("duplicate field", "more than one parameter");
    match reason.split_once(": ") {
        Some((name, why)) if !why.contains("parameter `") => format!("parameter `{name}`: {why}"),
        Some((_, why)) => why.to_owned(),
        None => reason,
    }
}

/// No parameters at all.
#[derive(Debug)]
pub struct NoParams;

impl<S: Send + Sync> FromRequestParts<S> for NoParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        Query::<Nothing>::from_request_parts(parts, state).await.map(|Query(Nothing {})| Self)
    }
}

/// The session that a path names.
#[derive(Clone, Copy, Debug)]
pub struct SessionPath(pub SessionId);

impl<S: Send + Sync> FromRequestParts<S> for SessionPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let wrong = || ApiError::parameter("parameter `session_id` in the path is not a UUID");
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(|_| wrong())?;
        text.parse().map(Self).map_err(|_| wrong())
    }
}

/// A whole number within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Whole<MIN, MAX> {
    /// Returns the number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// Returns the number, which its bound keeps small.
    pub fn small(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(WholeVisitor)
    }
}

struct WholeVisitor<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Visitor<'_> for WholeVisitor<MIN, MAX> {
    type Value = Whole<MIN, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {MIN} to {MAX}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let number = text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        let number = number.filter(|number| (MIN..=MAX).contains(number));
        number
            .map(Whole)
            .ok_or_else(|| E::custom(format!("not a whole number from {MIN} to {MAX}")))
    }
}

/// A text of at most so many characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<const CHARS_MAX: usize>(String);

impl<const CHARS_MAX: usize> Text<CHARS_MAX> {
    /// Returns the text; `None` for an empty one, which asks for nothing.
    pub fn meant(self) -> Option<String> {
        Some(self.0).filter(|text| !text.is_empty())
    }
}

impl<'de, const CHARS_MAX: usize> Deserialize<'de> for Text<CHARS_MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.chars().count() > CHARS_MAX {
            return Err(D::Error::custom(format!("longer than {CHARS_MAX} characters")));
        }
        Ok(Self(text))
    }
}

/// Where a page begins, in the form that all our cursors have: 25 bytes in URL-safe base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// Returns it as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_one = text.len() == 34
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            // The last character stands for two bits only.
            && text.ends_with(['A', 'Q', 'g', 'w']);
        let wrong = || D::Error::custom("not a cursor; leave it out to begin with the first page");
        is_one.then_some(Self(text)).ok_or_else(wrong)
    }
}

/// A day in UTC, as `2026-01-11`; of a moment, as `2026-01-11T00:20:45Z`, its day counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date(Timestamp);

impl Date {
    /// Returns a moment of it.
    pub fn start(self) -> Timestamp {
        self.0
    }

    fn is_after(self, last: Timestamp) -> bool {
        Days::until(self.0, 1).start() > last
    }

    /// Parses a day alone, or a moment.
    pub fn parse(text: &str) -> Option<Self> {
        let day = (text.len() == 10).then(|| format!("{text}T00:00:00Z"));
        Timestamp::parse(day.as_deref().unwrap_or(text)).map(Self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a day like 2026-01-11"))
    }
}

/// Returns the days that a report is asked for: from the first to the last, else so many up to the last, else thirty.
/// Without a last one they are up to today.
///
/// # Errors
/// If the first comes after the last.
pub fn days_asked(
    first: Option<Date>,
    last: Option<Date>,
    count: Option<Whole<1, 3660>>,
) -> Result<Days, ApiError> {
    let last = last.map_or_else(Timestamp::now, Date::start);
    match first {
        Some(first) if first.is_after(last) => {
            Err(ApiError::parameter("parameter `start_date`: comes after the last day"))
        }
        Some(first) => Ok(Days::between(first.start(), last)),
        None => Ok(Days::until(last, count.map_or(30, Whole::small))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code)]
    struct Asked {
        days: Option<Whole<1, 365>>,
        q: Option<Text<5>>,
    }

    async fn complaint_about(query: &str) -> Option<String> {
        let request = axum::http::Request::get(format!("/x?{query}")).body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        let read = Query::<Asked>::from_request_parts(&mut parts, &()).await;
        read.err().map(|error| format!("{error:?}"))
    }

    #[tokio::test]
    async fn what_is_wrong_is_named() {
        for good in ["", "days=1", "days=365&q=abcde", "q=", "q=%C3%A4%25"] {
            assert_eq!(complaint_about(good).await, None, "{good}");
        }
        for (query, word) in [
            ("days=0", "parameter `days`: not a whole number from 1 to 365"),
            ("days=366", "parameter `days`"),
            ("days=%2B7", "parameter `days`"),
            ("days=", "parameter `days`"),
            ("q=abcdef", "parameter `q`: longer than 5 characters"),
            ("dayz=7", "unknown parameter `dayz`"),
            ("days=1&days=2", "more than one parameter `days`"),
        ] {
            let complaint = complaint_about(query).await.unwrap_or_default();
            assert!(complaint.contains(word), "{query}: {complaint}");
        }
        assert!(
            complaint_about(&"q=1&".repeat(5000)).await.unwrap().contains("query string is longer")
        );
    }
}

//! What a batch's requests have used, summed up before a store adds it to what is there: pure.
//!
//! A thousand calls of a busy moment are a few rows here. They are kept by session, since a store leaves out
//! requests whose session it does not have, and knows whose client and user they are.

mod latency;
mod tool;

pub(crate) use latency::percentiles;
pub use tool::ToolName;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::reports::{Counts, MINUTES_MAX, Usage, first_minute, minute_of};
use super::{Outcome, RequestRow};
use crate::session::{SessionId, Timestamp};

/// Characters of a name that count: clients send what they like, and so do imports.
const NAME_CHARS_MAX: usize = 200;
/// Different names of tools, and of clients, in a day. Both are what clients say: those of one that makes names
/// up count as [`OTHER`], once there are so many.
pub(crate) const NAMES_A_DAY: i64 = 500;
/// The name of those that came when there were too many.
pub(crate) const OTHER: &str = "other";

/// Upstreams that are kept of a session: a client is at one, and few are at more than two.
pub(crate) const UPSTREAMS_MAX: usize = 8;

/// What a row counts for at most: what PostgreSQL's columns hold, so that no client's sums run over.
const TOKENS_MAX: i64 = i32::MAX as i64;
const COST_MICROS_MAX: i64 = 9_999_999_999;
/// A day; calls are given up long before.
const DURATION_US_MAX: i64 = 86_400_000_000;

const HOUR_MICROS: i64 = 3_600_000_000;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// What one session used in one hour of one tool of one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) session: SessionId,
    /// When the hour began.
    pub(crate) hour: Timestamp,
    /// The name of the tool's sums, see [`ToolName`]. Empty for requests that call none.
    pub(crate) tool: String,
    pub(crate) usage: Usage,
    /// Answers by their duration's bucket; what was not answered is in none.
    pub(crate) latency: BTreeMap<u16, i64>,
    /// Requests by the minute in which they arrived.
    pub(crate) minutes: BTreeMap<Timestamp, Counts>,
    /// The upstreams that were used.
    pub(crate) upstreams: BTreeSet<String>,
}

impl Slice {
    /// Returns when the day began.
    pub(crate) fn day(&self) -> Timestamp {
        floor(self.hour, DAY_MICROS)
    }

    /// Forgets minutes that are not of the day before this moment: of rows that were written later, or never were.
    pub(crate) fn keep_minutes_of_a_day(&mut self, now: Timestamp) {
        self.minutes.retain(|minute, _| (first_minute(now, MINUTES_MAX)..=now).contains(minute));
    }

    fn add_upstream(&mut self, name: &str) {
        let name = shortened(name);
        if !name.is_empty()
            && self.upstreams.len() < UPSTREAMS_MAX
            && !self.upstreams.contains(name)
        {
            self.upstreams.insert(writable(name));
        }
    }
}

/// Returns when the hour of a moment began.
pub(crate) fn hour_of(at: Timestamp) -> Timestamp {
    floor(at, HOUR_MICROS)
}

fn floor(at: Timestamp, step: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().div_euclid(step).saturating_mul(step))
}

/// Sums up requests, in an order that is the same for all.
pub(crate) fn slices(rows: &[RequestRow]) -> Vec<Slice> {
    let mut found: BTreeMap<(SessionId, Timestamp, &str, &str), Slice> = BTreeMap::new();
    for row in rows {
        let usage = usage_of(row);
        let (hour, tool) = (hour_of(row.started), row.tool.as_deref().unwrap_or_default());
        let upstream = if tool.is_empty() { "" } else { &*row.upstream };
        let (upstream, tool) = (shortened(upstream), shortened(tool));
        let slice = match found.entry((row.session, hour, upstream, tool)) {
            Entry::Vacant(place) => place.insert(Slice {
                session: row.session,
                hour,
                tool: ToolName::key(upstream, tool),
                usage,
                latency: BTreeMap::new(),
                minutes: BTreeMap::new(),
                upstreams: BTreeSet::new(),
            }),
            Entry::Occupied(place) => {
                let slice = place.into_mut();
                slice.usage.add(&usage);
                slice
            }
        };
        if is_answered(row) {
            *slice.latency.entry(latency::bucket(usage.duration_us)).or_default() += 1;
        }
        let counts =
            Counts { requests: usage.requests, errors: usage.errors, timeouts: usage.timeouts };
        slice.minutes.entry(minute_of(row.started)).or_default().add(counts);
        slice.add_upstream(&row.upstream);
    }
    found.into_values().collect()
}

/// Returns from which minute on minutes are kept, once these slices are written; `None` if there are none.
pub(crate) fn minutes_from(slices: &[Slice]) -> Option<Timestamp> {
    let latest = slices.iter().filter_map(|slice| slice.minutes.keys().next_back()).max()?;
    Some(first_minute(*latest, MINUTES_MAX))
}

fn shortened(name: &str) -> &str {
    name.char_indices().nth(NAME_CHARS_MAX).map_or(name, |(end, _)| &name[..end])
}

/// Returns the name as every database can hold it.
fn writable(name: &str) -> String {
    name.replace('\0', "\u{fffd}")
}

/// Whether an answer came, be it an error: what was given up, taken back or lost has no response time.
fn is_answered(row: &RequestRow) -> bool {
    match row.outcome {
        Outcome::Success => true,
        Outcome::Error => row.response_bytes > 0,
        Outcome::Timeout => false,
    }
}

fn usage_of(row: &RequestRow) -> Usage {
    let duration_us = row.duration_us.clamp(0, DURATION_US_MAX);
    Usage {
        requests: 1,
        errors: i64::from(row.outcome == Outcome::Error),
        timeouts: i64::from(row.outcome == Outcome::Timeout),
        prompt_tokens: row.prompt_tokens.clamp(0, TOKENS_MAX),
        completion_tokens: row.completion_tokens.clamp(0, TOKENS_MAX),
        cost_micros: row.cost_micros.clamp(0, COST_MICROS_MAX),
        duration_us,
        min_duration_us: duration_us,
        max_duration_us: duration_us,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite::{at, request};

    #[test]
    fn requests_of_one_session_hour_and_tool_are_one_slice() {
        let id = SessionId::random();
        let mut rows = vec![request(id); 5];
        rows[1].duration_us = 9_000;
        rows[1].outcome = Outcome::Timeout;
        rows[4].upstream = "other".into();
        rows[2].started = at(3600);
        rows[3].tool = None;
        rows.push(request(SessionId::random()));
        rows[3].upstream = "".into();
        let mut found = slices(&rows);
        found.retain(|slice| slice.session == id);
        assert_eq!(found.len(), 4, "tools of two upstreams are two");
        let both = found.iter().find(|slice| slice.usage.requests == 2).unwrap();
        assert_eq!((both.usage.errors, both.usage.timeouts, both.usage.cost_micros), (1, 1, 138));
        let times =
            (both.usage.min_duration_us, both.usage.max_duration_us, both.usage.duration_us);
        assert_eq!(times, (1_500, 9_000, 10_500));
        assert_eq!(both.latency.values().sum::<i64>(), 1, "a timeout is no answer");
        assert_eq!(both.minutes.values().map(|counts| counts.requests).sum::<i64>(), 2);
        assert!(both.upstreams.iter().eq(["demo"]), "{:?}", both.upstreams);
        assert_eq!(both.tool, ToolName::key("demo", "echo'\""));
        assert!(found.iter().any(|slice| slice.upstreams.is_empty()));
        assert_eq!(both.hour.to_string(), "2026-01-09T23:00:00.000000Z");
        assert_eq!(both.day().to_string(), "2026-01-09T00:00:00.000000Z");
    }

    #[test]
    fn only_answers_have_response_times() {
        let mut rows = vec![request(SessionId::random()); 4];
        rows[1].outcome = Outcome::Success;
        rows[2].outcome = Outcome::Timeout;
        rows[3].response_bytes = 0; // Cancelled, or the connection broke.
        let answers: i64 = slices(&rows).iter().flat_map(|slice| slice.latency.values()).sum();
        assert_eq!(answers, 2);
    }

    #[test]
    fn no_row_counts_for_more_than_columns_hold() {
        let mut row = request(SessionId::random());
        (row.duration_us, row.prompt_tokens, row.cost_micros) = (i64::MAX, i64::MAX, i64::MIN);
        row.tool = Some("\u{1F600}\0".repeat(200).into());
        let found = slices(&[row.clone(), row]);
        assert_eq!(found.len(), 1);
        let usage = found[0].usage;
        assert_eq!(usage.duration_us, 2 * DURATION_US_MAX);
        assert_eq!((usage.prompt_tokens, usage.cost_micros), (2 * TOKENS_MAX, 0));
        assert_eq!(ToolName::of_key(&found[0].tool).tool.chars().count(), NAME_CHARS_MAX);
        assert!(!found[0].tool.contains('\0'));
    }
}

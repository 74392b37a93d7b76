//! Which request is which, when rows of several databases come together.
//!
//! A request is known by its id and its content. Where its id is another request's, it becomes a *guest*: it gets
//! an id that is made of both, negative, so that it is found again when the same file comes a second time, and is
//! told from rows that were written here. A guest that comes back to where it was written is known by its content.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{RequestRecord, TakenIn};
use crate::session::Timestamp;
use crate::store::Outcome;

/// Larger ids are not taken over: the database counts on from its largest, and must not come to an end.
pub const NATIVE_ID_MAX: i64 = 1 << 53;

/// What makes a request itself, whatever its id: two of one session do not begin in the same microsecond and take
/// the same time, unless an older system measured in seconds; then their ids tell them apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Content {
    pub session: Uuid,
    pub started: Timestamp,
    pub method: String,
    pub tool: Option<String>,
    pub duration_us: i64,
    pub outcome: Outcome,
}

/// A stored request: its id and its content.
pub type Stored = (i64, Content);

/// What the store found that concerns a part.
#[derive(Debug, Default)]
pub struct Known {
    /// Sessions that are stored, or written together with the part.
    pub sessions: HashSet<Uuid>,
    /// Requests with an id of the part, or that a guest of it would have.
    pub requests: Vec<Stored>,
    /// Requests that were written here, with the content of a guest of the part.
    pub natives: HashSet<Content>,
}

impl Content {
    /// Returns the content of a record, as both databases hold it: PostgreSQL has no NUL.
    pub fn of(record: &RequestRecord) -> Self {
        let text = |text: &str| text.replace('\0', "\u{fffd}");
        Self {
            session: record.session_id,
            started: record.timestamp,
            method: text(&record.method),
            tool: record.tool_name.as_deref().map(text),
            duration_us: record.duration_us,
            outcome: record.status,
        }
    }
}

/// Returns the id that a request has as a guest.
pub fn guest_id(id: i64, content: &Content) -> i64 {
    let mut hasher = Sha256::new();
    for part in [
        id.to_string().as_str(),
        &content.session.to_string(),
        &content.started.to_string(),
        &content.method,
        content.tool.as_deref().unwrap_or("\0"),
        &content.duration_us.to_string(),
        content.outcome.as_str(),
    ] {
        hasher.update(part.as_bytes());
        hasher.update([0xff]); // Never a byte of a text.
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    i64::from_be_bytes([a, b, c, d, e, f, g, h]) | i64::MIN
}

/// Returns the requests to write, each with the id to write it with, and counts what becomes of all.
pub fn plan(requests: &[RequestRecord], known: Known) -> (Vec<RequestRecord>, TakenIn) {
    let Known { sessions, requests: stored, natives } = known;
    let mut held: HashMap<i64, Content> = stored.into_iter().collect();
    let mut counts = TakenIn::default();
    let mut new = Vec::new();
    for record in requests {
        if !sessions.contains(&record.session_id) {
            counts.requests_without_session += 1;
            continue;
        }
        let content = Content::of(record);
        let guest = guest_id(record.id, &content);
        let is_held = |id: i64| held.get(&id) == Some(&content);
        let is_home = record.id < 0 && natives.contains(&content);
        if is_held(record.id) || is_held(guest) || is_home {
            counts.known_requests += 1;
            continue;
        }
        let keeps_id = record.id <= NATIVE_ID_MAX && !held.contains_key(&record.id);
        let id = if keeps_id { record.id } else { guest };
        if held.contains_key(&id) {
            // Two of 2^63 that are the same: we never see it, and a row must not end a whole import.
            counts.known_requests += 1;
            continue;
        }
        held.insert(id, content);
        counts.requests += 1;
        new.push(RequestRecord { id, ..record.clone() });
    }
    (new, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: i64, method: &str) -> RequestRecord {
        RequestRecord {
            id,
            session_id: Uuid::from_u128(7),
            method: method.into(),
            tool_name: None,
            prompt_tokens: 0,
            completion_tokens: 0,
            estimated_cost: 0.0,
            timestamp: Timestamp::from_micros(1),
            duration_ms: 0,
            status: Outcome::Success,
            error_message: None,
            upstream: String::new(),
            duration_us: 5,
            request_bytes: 0,
            response_bytes: 0,
            model: None,
        }
    }

    /// Takes requests into a database that holds some, and returns what is new.
    fn taken(requests: &[RequestRecord], held: &[RequestRecord]) -> Vec<RequestRecord> {
        let stored = |record: &RequestRecord| (record.id, Content::of(record));
        let known = Known {
            sessions: HashSet::from([Uuid::from_u128(7)]),
            requests: held.iter().map(stored).collect(),
            natives: held.iter().filter(|r| r.id > 0).map(Content::of).collect(),
        };
        plan(requests, known).0
    }

    #[test]
    fn rows_that_differ_only_in_their_ids_are_all_kept_once() {
        let same = [record(1, "a"), record(2, "a"), record(2, "a")];
        assert_eq!(taken(&same, &[]), same[..2]);
        assert_eq!(taken(&same, &same[..2]), []);
    }

    #[test]
    fn a_row_whose_id_is_anothers_becomes_a_guest_that_is_found_again() {
        let here = [record(1, "here")];
        let guests = taken(&[record(1, "a"), record(2, "a")], &here);
        assert!(guests[0].id < 0 && guests[1].id == 2, "{guests:?}");
        let now = [here.to_vec(), guests.clone()].concat();
        assert_eq!(taken(&[record(1, "a"), record(2, "a")], &now), []);
        assert_eq!(taken(&now, &now), [], "its own file changes nothing");
        assert_eq!(taken(&now, &[]), now, "and makes the same elsewhere");
    }

    #[test]
    fn a_guest_that_comes_home_is_known() {
        let home = [record(1, "a"), record(2, "a")];
        let guests = taken(&home, &[record(1, "x"), record(2, "x")]);
        assert!(guests.iter().all(|guest| guest.id < 0));
        assert_eq!(taken(&guests, &home), []);
    }

    #[test]
    fn no_file_brings_the_count_of_ids_to_its_end() {
        let last = taken(&[record(i64::MAX, "a")], &[]);
        assert!(last[0].id < 0, "{last:?}");
        assert_eq!(taken(&[record(i64::MAX, "a")], &last), []);
    }

    #[test]
    fn a_request_without_its_session_is_left_out() {
        let (new, counts) = plan(&[record(1, "a")], Known::default());
        assert_eq!((new.len(), counts.requests_without_session), (0, 1));
    }
}

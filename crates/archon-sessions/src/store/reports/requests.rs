//! Requests as they are shown.

use super::cursor::{BadCursor, Place};
use crate::session::{SessionId, Timestamp};
use crate::store::{Outcome, RequestRow};

/// Rows that a page may leave out at its beginning. Whoever wants more goes by cursor: each row left out is read.
pub const OFFSET_MAX: usize = 10_000;

/// Which requests; the latest come first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestQuery {
    /// Only those of this session.
    pub session: Option<SessionId>,
    /// Only those that ended so; all if it is empty.
    pub outcomes: Vec<Outcome>,
    /// Only calls of this tool.
    pub tool: Option<String>,
    /// Only those whose method, tool or error contains this text, in letters of either case.
    pub text: Option<String>,
    /// Only those that arrived at or after this moment.
    pub from: Option<Timestamp>,
    /// Only those that arrived before this moment.
    pub until: Option<Timestamp>,
    /// Rows to leave out, at most [`OFFSET_MAX`].
    pub offset: usize,
    /// At most [`PAGE_MAX`](super::PAGE_MAX).
    pub limit: usize,
    /// The row that it goes on behind; set it by [`continue_at`](Self::continue_at).
    pub after: Option<(Timestamp, i64)>,
}

impl RequestQuery {
    /// Goes on behind the page that this cursor came with. Set session and outcomes first.
    ///
    /// # Errors
    /// If the cursor is of another list.
    pub fn continue_at(&mut self, cursor: &str) -> Result<(), BadCursor> {
        let place = Place::parse(cursor, self.list())?;
        let id = i64::try_from(place.key).map_err(|_| BadCursor)?;
        self.after = Some((Timestamp::from_micros(place.at), id));
        Ok(())
    }

    /// Returns the cursor for the rows behind one.
    pub(crate) fn cursor(&self, at: Timestamp, id: i64) -> String {
        let key = u128::try_from(id).unwrap_or(0);
        Place { list: self.list(), at: at.as_micros(), key }.to_string()
    }

    /// Returns true where only failed requests of any session are meant: they have an index of their own, in the
    /// order of their beginnings. All others come in the order in which they were written.
    pub(crate) fn is_of_failures(&self) -> bool {
        let is_failed = |outcome: &Outcome| *outcome != Outcome::Success;
        self.session.is_none() && !self.outcomes.is_empty() && self.outcomes.iter().all(is_failed)
    }

    fn list(&self) -> u8 {
        if self.is_of_failures() { b'f' } else { b'r' }
    }
}

/// A whole row of `archon_mcp_requests`.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestRecord {
    /// Its key.
    pub id: i64,
    /// What was tracked.
    pub row: RequestRow,
    /// The type of its session's client; `None` if the session is not stored any more.
    pub client_type: Option<String>,
}

/// How many requests failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// All requests, failed or not.
    pub requests: i64,
    /// Those that ended with an error.
    pub errors: i64,
    /// Those that were not answered in time.
    pub timeouts: i64,
    /// When the latest that failed had arrived.
    pub last_at: Option<Timestamp>,
}

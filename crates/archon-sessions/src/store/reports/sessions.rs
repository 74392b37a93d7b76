//! Sessions as they are shown.

use std::time::Duration;

use super::cursor::{BadCursor, Place};
use crate::session::{Session, SessionId, Status, Timestamp};

/// Sessions in [`SessionHealth::recent`].
pub const RECENT: usize = 10;
/// A session that was not heard of for so long is aging.
pub const AGING_AFTER: Duration = Duration::from_secs(5 * 60);
/// A session that was not heard of for longer is stale.
pub const STALE_AFTER: Duration = Duration::from_secs(10 * 60);

/// Bits of a cursor that hold a duration in seconds: what PostgreSQL's column holds. The others hold the time.
const DURATION_BITS: u32 = 31;
const DURATION_MAX: i64 = (1 << DURATION_BITS) - 1;

/// Which sessions, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionQuery {
    /// Only those.
    pub status: Option<Status>,
    /// Only clients of this type, in just these letters.
    pub client_type: Option<String>,
    /// Only this user's, by `user_id`.
    pub user: Option<String>,
    /// Only those whose client's name or type, or whose user's id, e-mail or name contains this text, in letters of
    /// either case, or whose id begins with it.
    pub text: Option<String>,
    /// Only those heard of at or after this moment.
    pub active_from: Option<Timestamp>,
    /// Only those not heard of at or after this moment.
    pub active_until: Option<Timestamp>,
    /// What the list is ordered by.
    pub sort: SessionSort,
    /// Which way.
    pub order: Order,
    /// At most [`PAGE_MAX`](super::PAGE_MAX).
    pub limit: usize,
    /// The row that it goes on behind; set it by [`continue_at`](Self::continue_at).
    pub after: Option<(i64, SessionId)>,
}

impl SessionQuery {
    /// Goes on behind the page that this cursor came with. Set the order first.
    ///
    /// # Errors
    /// If the cursor is of another list.
    pub fn continue_at(&mut self, cursor: &str) -> Result<(), BadCursor> {
        let place = Place::parse(cursor, self.list())?;
        let id = SessionId::from_uuid(uuid::Uuid::from_u128(place.key));
        let mut at = place.at;
        if let SessionSort::Duration { now } = &mut self.sort {
            // Active sessions grow older from page to page; in one list all are as old as on its first.
            *now = Timestamp::from_seconds(at >> DURATION_BITS);
            at &= DURATION_MAX;
        }
        self.after = Some((at, id));
        Ok(())
    }

    /// Returns the cursor for the rows behind one, of which this is [`SessionRecord::sort_key`].
    pub(crate) fn cursor(&self, key: i64, id: SessionId) -> String {
        let at = match self.sort {
            SessionSort::Duration { now } => {
                (now.as_seconds() << DURATION_BITS) | key.clamp(0, DURATION_MAX)
            }
            SessionSort::LastActivity
            | SessionSort::ConnectedAt
            | SessionSort::Requests
            | SessionSort::Errors
            | SessionSort::Cost
            | SessionSort::ClientType => key,
        };
        Place { list: self.list(), at, key: id.as_uuid().as_u128() }.to_string()
    }

    fn list(&self) -> u8 {
        let letter = match self.sort {
            SessionSort::LastActivity => b'a',
            SessionSort::ConnectedAt => b'c',
            SessionSort::Requests => b'q',
            SessionSort::Errors => b'e',
            SessionSort::Cost => b'u',
            SessionSort::Duration { .. } => b'd',
            SessionSort::ClientType => b't',
        };
        match self.order {
            Order::Descending => letter,
            Order::Ascending => letter.to_ascii_uppercase(),
        }
    }
}

/// What a list of sessions is ordered by: what has an index, at least of sessions that have ended. Of active sessions
/// the latest [`WINDOW`](super::WINDOW) take part in an order by what they used, by duration and, where only active
/// ones are meant, by type of client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionSort {
    /// The latest sign of life.
    #[default]
    LastActivity,
    /// The beginning.
    ConnectedAt,
    /// How many requests.
    Requests,
    /// How many requests that failed or were not answered in time.
    Errors,
    /// The estimated cost.
    Cost,
    /// How long it lasted.
    Duration {
        /// Until when active sessions lasted.
        now: Timestamp,
    },
    /// The type of client, and within one the latest sign of life.
    ClientType,
}

/// Which way a list is ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The latest first.
    #[default]
    Descending,
    /// The earliest first.
    Ascending,
}

/// A whole row of `archon_mcp_sessions`.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecord {
    /// What the tracker knows of it.
    pub session: Session,
    /// The stored type of its client.
    pub client_type: String,
    /// What else is known of it, as JSON.
    pub metadata: Option<String>,
    /// The stored reason of its end, which an older system may have named.
    pub disconnect_reason: Option<String>,
    /// How long it lasted, in seconds, once it has ended.
    pub total_duration: Option<i64>,
    /// What it has used.
    pub totals: Totals,
    /// The upstreams that its requests went to, in the order in which it came to them; the first eight.
    pub upstreams: Vec<String>,
}

impl SessionRecord {
    /// Returns what a list that is ordered so has in its cursors, as its SQL says it.
    pub(crate) fn sort_key(&self, sort: SessionSort) -> i64 {
        match sort {
            SessionSort::LastActivity | SessionSort::ClientType => {
                self.session.last_activity.as_micros()
            }
            SessionSort::ConnectedAt => self.session.connected_at.as_micros(),
            SessionSort::Requests => self.totals.requests,
            SessionSort::Errors => self.totals.errors + self.totals.timeouts,
            SessionSort::Cost => self.totals.cost_micros,
            SessionSort::Duration { now } if self.session.end.is_none() => {
                (now.as_seconds() - self.session.connected_at.as_seconds()).max(0)
            }
            SessionSort::Duration { .. } => self.total_duration.unwrap_or(0),
        }
    }
}

/// What one session has used, of all times: its rows of requests may be gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// All requests.
    pub requests: i64,
    /// Those that ended with an error.
    pub errors: i64,
    /// Those that were not answered in time.
    pub timeouts: i64,
    /// Estimated tokens of requests.
    pub prompt_tokens: i64,
    /// Estimated tokens of answers.
    pub completion_tokens: i64,
    /// Estimated cost in millionths of a dollar.
    pub cost_micros: i64,
}

/// How sessions are at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionHealth {
    /// Sessions that are present.
    pub active: i64,
    /// Sessions that have ended, those from older systems included.
    pub ended: i64,
    /// How long ago active ones were heard of.
    pub ages: Ages,
    /// Those that began in the last 24 hours.
    pub last_day: LastDay,
    /// The latest, by their last sign of life; [`RECENT`] at most.
    pub recent: Vec<SessionRecord>,
}

/// Active sessions by the time since they were heard of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ages {
    /// Under five minutes.
    pub healthy: i64,
    /// Five to ten minutes.
    pub aging: i64,
    /// Over ten minutes.
    pub stale: i64,
}

/// The sessions that began in the last 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastDay {
    /// How many.
    pub sessions: i64,
    /// How many of them have ended.
    pub ended: i64,
    /// How long they lasted in all, in seconds; the active ones until now.
    pub duration_seconds: i64,
}

/// Sessions that ended in a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Disconnected {
    /// The latest of them.
    pub sessions: Vec<SessionRecord>,
    /// How many ended.
    pub total: i64,
    /// By reason, the most frequent first.
    pub reasons: Vec<(String, i64)>,
    /// How long they lasted in all, in seconds.
    pub duration_seconds: i64,
    /// The shortest, in seconds; `None` if there is none.
    pub min_duration_seconds: Option<i64>,
    /// The longest, in seconds.
    pub max_duration_seconds: Option<i64>,
}

impl Disconnected {
    /// Adds the sessions that ended for one reason.
    pub(crate) fn add_reason(
        &mut self,
        reason: String,
        sessions: i64,
        seconds: i64,
        min: i64,
        max: i64,
    ) {
        self.reasons.push((reason, sessions));
        self.total += sessions;
        self.duration_seconds += seconds;
        self.min_duration_seconds =
            Some(self.min_duration_seconds.map_or(min, |least| least.min(min)));
        self.max_duration_seconds = self.max_duration_seconds.max(Some(max));
    }
}

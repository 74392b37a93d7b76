//! What a list of sessions is ordered by, as SQL.
//!
//! Of sessions that have ended the figures stay as they are, so each status of them has an index by each figure. Those of
//! active ones change all the time, and an index on them would be paid for by every call: the latest [`WINDOW`] of
//! them are sorted instead.

use super::{Dialect, Select, Value};
use crate::session::{SessionId, Timestamp};
use crate::store::reports::{Order, SessionQuery, SessionSort, WINDOW};

/// Which sessions are ordered: each kind has its own way to a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Active,
    Ended,
    Any,
}

/// Which of the sessions behind a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// Those that are equal to its session in the first key.
    Equals,
    Others,
}

/// What is compared with what a cursor says, or with what is stored of its session.
#[derive(Clone)]
enum Key {
    Figure(Value),
    Column(&'static str, Value),
    OfSession(&'static str, SessionId),
}

/// The order of a list: a first key, a second where many sessions are equal in the first, and at last their ids.
#[derive(Clone, Copy)]
pub(super) struct Sorting {
    dialect: Dialect,
    sort: SessionSort,
    order: Order,
}

impl Sorting {
    pub(super) fn new(dialect: Dialect, query: &SessionQuery) -> Self {
        Self { dialect, sort: query.sort, order: query.order }
    }

    /// Begins the statement of such sessions: their columns, their figure, and the table, or as much of it as is sorted
    /// where no index leads to the order.
    pub(super) fn select_from(self, select: &mut Select, kind: Kind) {
        select.push("SELECT *");
        if self.is_by_figure() {
            select.push(", ");
            self.figure(select, kind);
            select.push(" AS figure");
        }
        let has_index = match self.sort {
            SessionSort::LastActivity | SessionSort::ConnectedAt => true,
            SessionSort::Requests
            | SessionSort::Errors
            | SessionSort::Cost
            | SessionSort::Duration { .. }
            | SessionSort::ClientType => kind != Kind::Active,
        };
        select.push(" FROM ");
        if has_index {
            select.push("archon_mcp_sessions");
        } else {
            select.push(
                "(SELECT * FROM archon_mcp_sessions WHERE status = 'active' ORDER BY last_activity DESC",
            );
            select.limit(WINDOW).push(") AS present");
        }
    }

    /// Returns the column that a cursor holds.
    pub(super) fn key(self) -> &'static str {
        match self.sort {
            SessionSort::LastActivity | SessionSort::ClientType => "last_activity",
            SessionSort::ConnectedAt => "connected_at",
            SessionSort::Requests
            | SessionSort::Errors
            | SessionSort::Cost
            | SessionSort::Duration { .. } => "figure",
        }
    }

    /// Adds the key as it is before it has its name. Where an index leads to it, it is written as in the index.
    fn figure(self, select: &mut Select, kind: Kind) {
        let column = match self.sort {
            SessionSort::LastActivity | SessionSort::ClientType | SessionSort::ConnectedAt => {
                self.key()
            }
            SessionSort::Requests => "total_requests",
            SessionSort::Errors => "total_errors + total_timeouts",
            SessionSort::Cost => "total_cost_micros",
            SessionSort::Duration { now } => return self.duration(select, kind, now),
        };
        select.push(column);
    }

    fn duration(self, select: &mut Select, kind: Kind, now: Timestamp) {
        let lasted = match self.dialect {
            Dialect::Sqlite => "coalesce(total_duration, 0)",
            Dialect::Postgres => "coalesce(total_duration, 0)::bigint",
        };
        let (begin, end) = match self.dialect {
            Dialect::Sqlite => ("max(0, ", " - unixepoch(connected_at))"),
            Dialect::Postgres => {
                ("greatest(0, ", " - floor(extract(epoch FROM connected_at))::bigint)")
            }
        };
        if kind == Kind::Ended {
            select.push(lasted);
            return;
        }
        if kind == Kind::Any {
            select.push("CASE WHEN status <> 'active' THEN ").push(lasted).push(" ELSE ");
        }
        select.push(begin).bind(Value::Number(now.as_seconds())).push(end);
        if kind == Kind::Any {
            select.push(" END");
        }
    }

    /// Adds the order of a part, or of several together.
    pub(super) fn order_by(self, select: &mut Select, part: Option<Part>) {
        let way = match self.order {
            Order::Descending => "DESC",
            Order::Ascending => "ASC",
        };
        let columns = [
            (self.sort == SessionSort::ClientType).then_some("client_type"),
            Some(self.key()),
            self.is_by_figure().then_some("connected_at"),
            Some("session_id"),
        ];
        // A planner may not see that an expression is the same in all rows, and sort all of them.
        let same = usize::from(part == Some(Part::Equals));
        for (place, column) in columns.into_iter().flatten().skip(same).enumerate() {
            select.push(if place == 0 { " ORDER BY " } else { ", " });
            select.push(column).push(" ").push(way);
        }
    }

    /// Returns the parts in which sessions behind a cursor are read. Very many may have the same figure: an index leads to
    /// the rest of those, and then to the others, but to both at once only where the database compares rows by it.
    pub(super) fn parts(self, kind: Kind, has_cursor: bool) -> &'static [Part] {
        match self.sort {
            SessionSort::LastActivity | SessionSort::ConnectedAt => &[Part::Whole],
            SessionSort::Requests
            | SessionSort::Errors
            | SessionSort::Cost
            | SessionSort::Duration { .. }
            | SessionSort::ClientType => {
                if has_cursor && kind != Kind::Active {
                    &[Part::Equals, Part::Others]
                } else {
                    &[Part::Whole]
                }
            }
        }
    }

    /// Adds that a session comes behind the one of a cursor, and belongs to this part.
    pub(super) fn behind(
        self,
        select: &mut Select,
        kind: Kind,
        part: Part,
        (at, id): (i64, SessionId),
    ) {
        let (beyond, at_least) = match self.order {
            Order::Descending => (" < ", " <= "),
            Order::Ascending => (" > ", " >= "),
        };
        let time = || Value::Time(Timestamp::from_micros(at));
        // What else the list is ordered by stays as it is for as long as that session is stored, so it need not be in
        // the cursor.
        let keys = match self.sort {
            SessionSort::LastActivity | SessionSort::ConnectedAt => {
                vec![Key::Column(self.key(), time())]
            }
            SessionSort::ClientType => {
                vec![Key::OfSession("client_type", id), Key::Column("last_activity", time())]
            }
            SessionSort::Requests
            | SessionSort::Errors
            | SessionSort::Cost
            | SessionSort::Duration { .. } => {
                vec![Key::Figure(Value::Number(at)), Key::OfSession("connected_at", id)]
            }
        };
        let whole = [&keys[..], &[Key::Column("session_id", Value::Session(id))]].concat();
        // The comparison of a first key alone is contained in the next; it is one that every planner finds an index for.
        match part {
            Part::Whole => {
                self.compare(select, kind, &whole[..1], at_least);
                self.compare(select, kind, &whole, beyond);
            }
            Part::Equals => {
                self.compare(select, kind, &whole[..1], " = ");
                self.compare(select, kind, &whole[1..2], at_least);
                self.compare(select, kind, &whole[1..], beyond);
            }
            Part::Others => self.compare(select, kind, &whole[..1], beyond),
        }
    }

    /// Adds a comparison of a row with those of a cursor.
    fn compare(self, select: &mut Select, kind: Kind, keys: &[Key], operator: &str) {
        for (place, key) in keys.iter().enumerate() {
            select.push(if place == 0 { " AND (" } else { ", " });
            match key {
                Key::Figure(_) => self.figure(select, kind),
                Key::Column(name, _) | Key::OfSession(name, _) => _ = select.push(name),
            }
        }
        select.push(")").push(operator);
        for (place, key) in keys.iter().enumerate() {
            select.push(if place == 0 { "(" } else { ", " });
            match key {
                Key::Figure(value) | Key::Column(_, value) => _ = select.bind(value.clone()),
                Key::OfSession(name, id) => {
                    select.push("(SELECT ").push(name);
                    select.push(" FROM archon_mcp_sessions WHERE session_id = ");
                    select.bind(Value::Session(*id)).push(")");
                }
            }
        }
        select.push(")");
    }

    /// Returns true where the key is a number, not a moment.
    pub(super) fn is_by_figure(self) -> bool {
        match self.sort {
            SessionSort::LastActivity | SessionSort::ConnectedAt | SessionSort::ClientType => false,
            SessionSort::Requests
            | SessionSort::Errors
            | SessionSort::Cost
            | SessionSort::Duration { .. } => true,
        }
    }
}

//! The list of sessions.

use uuid::Uuid;

use super::sorting::{Kind, Part, Sorting};
use super::{Dialect, Select, Value};
use crate::session::{SessionId, Status};
use crate::store::reports::{PAGE_MAX, SessionQuery, SessionSort, WINDOW};

/// So many hexadecimal digits are taken for the beginning of an id.
const ID_DIGITS_MIN: usize = 8;
const STATUSES: [Status; 3] = [Status::Active, Status::Disconnected, Status::Expired];
/// Where a text is looked for.
const TEXT_COLUMNS: [&str; 5] =
    ["client_name", "client_type", "user_id", "user_email", "user_name"];

/// What the inner part of the list is read along.
#[derive(Clone, Copy)]
enum Along<'a> {
    Id(SessionId, SessionId),
    User(&'a str),
    ClientType(&'a str),
    Status(Status),
    /// All of them, each along its own part of an index.
    Statuses,
    /// An index of all sessions in their order.
    Order,
}

/// A query as SQL.
pub(crate) struct SessionList<'a> {
    dialect: Dialect,
    query: &'a SessionQuery,
    along: Along<'a>,
    sorting: Sorting,
}

impl<'a> SessionList<'a> {
    pub(crate) fn new(dialect: Dialect, query: &'a SessionQuery) -> Self {
        let sorting = Sorting::new(dialect, query);
        let by_status = query.status.map_or(Along::Statuses, Along::Status);
        let along = match (query.text.as_deref().and_then(id_range), query.sort) {
            (Some((first, last)), _) => Along::Id(first, last),
            (None, SessionSort::ConnectedAt) => Along::Order,
            (None, SessionSort::LastActivity) => match (&query.user, &query.client_type) {
                (Some(user), _) => Along::User(user),
                (None, Some(client_type)) => Along::ClientType(client_type),
                (None, None) => by_status,
            },
            (None, SessionSort::ClientType) => match (&query.client_type, query.status) {
                (Some(client_type), _) => Along::ClientType(client_type),
                (None, Some(Status::Active)) => by_status,
                (None, _) => Along::Order,
            },
            (
                None,
                SessionSort::Requests
                | SessionSort::Errors
                | SessionSort::Cost
                | SessionSort::Duration { .. },
            ) => by_status,
        };
        Self { dialect, query, along, sorting }
    }

    /// Rows of the page.
    pub(crate) fn limit(&self) -> usize {
        self.query.limit.min(PAGE_MAX)
    }

    /// Returns the page and one row more, if there is one.
    pub(crate) fn page(&self, columns: &str) -> Select {
        let rows = if self.is_filtered() { WINDOW } else { self.limit() + 1 };
        let mut select = Select::new(self.dialect);
        select.push("SELECT ").push(columns).push(" FROM (");
        self.inner(&mut select, true, rows);
        select.push(") AS page WHERE ");
        self.filters(&mut select);
        // The inner order holds: nothing here changes it.
        select.limit(self.limit() + 1);
        select
    }

    /// Returns where the window of the page ends, as `at` and `session_id`; nothing if it is the last.
    pub(crate) fn window_end(&self) -> Option<Select> {
        if !self.is_filtered() {
            return None;
        }
        let mut select = Select::new(self.dialect);
        select.push("SELECT ").push(self.sorting.key()).push(" AS at, session_id FROM (");
        self.inner(&mut select, true, WINDOW);
        select.push(") AS page").limit(1).push(&format!(" OFFSET {}", WINDOW - 1));
        Some(select)
    }

    /// Returns the statement for two numbers: rows of the first window, and those of them that are meant. `None`
    /// where [`SessionList::counted_status`] says what to count.
    pub(crate) fn count(&self) -> Option<Select> {
        if matches!(self.along, Along::Statuses | Along::Status(_) | Along::Order)
            && !self.is_filtered_but_by_status()
            && !self.has_range()
        {
            return None;
        }
        let mut select = Select::new(self.dialect);
        if !self.is_filtered() && !matches!(self.along, Along::Statuses) {
            // Which rows does not matter, so the index alone is read.
            select.push("SELECT count(*), count(*) FROM (SELECT 1 FROM archon_mcp_sessions WHERE ");
            self.conditions(&mut select, self.along, None);
            select.limit(WINDOW).push(") AS page");
            return Some(select);
        }
        select.push("SELECT count(*), count(*) FILTER (WHERE ");
        self.filters(&mut select);
        select.push(") FROM (");
        self.inner(&mut select, false, WINDOW);
        select.push(") AS page");
        Some(select)
    }

    /// Returns the status whose sessions are all meant; `None` for all sessions.
    pub(crate) fn counted_status(&self) -> Option<Status> {
        self.query.status
    }

    /// Returns true where a window ends at a number, not at a moment.
    pub(crate) fn is_by_figure(&self) -> bool {
        self.sorting.is_by_figure()
    }

    fn inner(&self, select: &mut Select, from_cursor: bool, rows: usize) {
        let statuses = STATUSES.map(Along::Status);
        let ways = match &self.along {
            Along::Statuses => &statuses[..],
            one => std::slice::from_ref(one),
        };
        let has_cursor = from_cursor && self.query.after.is_some();
        let parts = |along: &Along<'a>| {
            let along = *along;
            let parts = self.sorting.parts(kind(along), has_cursor);
            parts.iter().map(move |part| (along, from_cursor.then_some(*part)))
        };
        let branches: Vec<_> = ways.iter().flat_map(parts).collect();
        if let [(along, part)] = branches[..] {
            return self.branch(select, along, part, rows);
        }
        for (place, (along, part)) in branches.into_iter().enumerate() {
            select.push(if place == 0 { "" } else { " UNION ALL " }).push("SELECT * FROM (");
            self.branch(select, along, part, rows);
            select.push(") AS branch");
        }
        self.sorting.order_by(select, None);
        select.limit(rows);
    }

    /// Adds the sessions along a way: all of them, or a part of those behind the cursor.
    fn branch(&self, select: &mut Select, along: Along, part: Option<Part>, rows: usize) {
        self.sorting.select_from(select, kind(along));
        select.push(" WHERE ");
        self.conditions(select, along, part);
        self.sorting.order_by(select, part);
        select.limit(rows);
    }

    fn conditions(&self, select: &mut Select, along: Along, part: Option<Part>) {
        match along {
            Along::Id(first, last) => {
                select.push("session_id >= ").bind(Value::Session(first));
                select.push(" AND session_id <= ").bind(Value::Session(last));
            }
            Along::User(user) => {
                select.push("user_id = ").bind(Value::Text(user.to_owned()));
            }
            Along::ClientType(client_type) => {
                select.push("client_type = ").bind(Value::Text(client_type.to_owned()));
            }
            Along::Status(Status::Active) => {
                select.push("status = 'active'");
            }
            Along::Status(ended) => {
                // The first comparison is the condition of the indexes that have only what has ended.
                select.push("status <> 'active' AND status = '").push(ended.as_str()).push("'");
            }
            Along::Statuses | Along::Order => {
                select.push("true");
            }
        }
        select.push(self.dialect.readable_session());
        if self.query.sort == SessionSort::LastActivity {
            self.range(select);
        }
        if let (Some(part), Some(after)) = (part, self.query.after) {
            self.sorting.behind(select, kind(along), part, after);
        }
    }

    fn range(&self, select: &mut Select) {
        if let Some(from) = self.query.active_from {
            select.push(" AND last_activity >= ").bind(Value::Time(from));
        }
        if let Some(until) = self.query.active_until {
            select.push(" AND last_activity < ").bind(Value::Time(until));
        }
    }

    fn has_range(&self) -> bool {
        self.query.active_from.is_some() || self.query.active_until.is_some()
    }

    /// Whether rows of the inner part may be left out.
    fn is_filtered(&self) -> bool {
        let is_by_status = matches!(self.along, Along::Status(_) | Along::Statuses);
        self.is_filtered_but_by_status() || (self.query.status.is_some() && !is_by_status)
    }

    fn is_filtered_but_by_status(&self) -> bool {
        let query = self.query;
        (query.text.is_some() && !matches!(self.along, Along::Id(_, _)))
            || (query.user.is_some() && !matches!(self.along, Along::User(_)))
            || (query.client_type.is_some() && !matches!(self.along, Along::ClientType(_)))
            || (self.has_range() && query.sort != SessionSort::LastActivity)
    }

    /// Adds all filters: one that the inner part has served already leaves nothing out.
    fn filters(&self, select: &mut Select) {
        select.push("true");
        if let Some(status) = self.query.status {
            select.push(" AND status = '").push(status.as_str()).push("'");
        }
        if let Some(user) = &self.query.user {
            select.push(" AND user_id = ").bind(Value::Text(user.clone()));
        }
        if let Some(client_type) = &self.query.client_type {
            select.push(" AND client_type = ").bind(Value::Text(client_type.clone()));
        }
        if self.query.sort != SessionSort::LastActivity {
            self.range(select);
        }
        if let Some(text) = self.query.text.as_deref()
            && !matches!(self.along, Along::Id(_, _))
        {
            select.push(" AND ").any_contains(&TEXT_COLUMNS, text);
        }
    }
}

fn kind(along: Along) -> Kind {
    match along {
        Along::Status(Status::Active) => Kind::Active,
        Along::Status(Status::Disconnected | Status::Expired) => Kind::Ended,
        Along::Id(_, _)
        | Along::User(_)
        | Along::ClientType(_)
        | Along::Statuses
        | Along::Order => Kind::Any,
    }
}

/// Returns the first and the last id that begin with this text; `None` if it is not the beginning of one.
fn id_range(text: &str) -> Option<(SessionId, SessionId)> {
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    let is_hexadecimal = digits.chars().all(|c| c.is_ascii_hexdigit());
    if !is_hexadecimal || !(ID_DIGITS_MIN..=32).contains(&digits.len()) {
        return None;
    }
    let first = u128::from_str_radix(&format!("{digits:0<32}"), 16).ok()?;
    let last = u128::from_str_radix(&format!("{digits:f<32}"), 16).ok()?;
    let id = |bits| SessionId::from_uuid(Uuid::from_u128(bits));
    Some((id(first), id(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_an_id_is_a_range() {
        let (first, last) = id_range("3f2b8c1e-00").unwrap();
        assert_eq!(first.to_string(), "3f2b8c1e-0000-0000-0000-000000000000");
        assert_eq!(last.to_string(), "3f2b8c1e-00ff-ffff-ffff-ffffffffffff");
        for text in ["", "3f2b8c1", "cursor-agent", "3f2b8c1g", &"f".repeat(33)] {
            assert!(id_range(text).is_none(), "{text}");
        }
    }
}

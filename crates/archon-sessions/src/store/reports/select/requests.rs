//! The list of requests.

use super::{Dialect, Select, Value};
use crate::store::Outcome;
use crate::store::reports::{OFFSET_MAX, PAGE_MAX, RequestQuery, WINDOW};

const FAILED: [Outcome; 2] = [Outcome::Error, Outcome::Timeout];
/// Where a text is looked for.
const TEXT_COLUMNS: [&str; 3] = ["method", "tool_name", "error_message"];

/// A query as SQL.
pub(crate) struct RequestList<'a> {
    dialect: Dialect,
    query: &'a RequestQuery,
}

impl<'a> RequestList<'a> {
    pub(crate) fn new(dialect: Dialect, query: &'a RequestQuery) -> Self {
        Self { dialect, query }
    }

    /// Rows of the page.
    pub(crate) fn limit(&self) -> usize {
        self.query.limit.min(PAGE_MAX)
    }

    /// Returns the page and one row more, if there is one.
    pub(crate) fn page(&self, columns: &str) -> Select {
        let offset = self.query.offset.min(OFFSET_MAX);
        let rows = if self.is_filtered() { WINDOW } else { offset + self.limit() + 1 };
        let mut select = Select::new(self.dialect);
        select.push("SELECT ").push(columns);
        select.push(
            ", (SELECT s.client_type FROM archon_mcp_sessions s WHERE s.session_id = page.session_id)
                AS client_type FROM (",
        );
        self.inner(&mut select, true, rows);
        select.push(") AS page WHERE ");
        self.filters(&mut select);
        // The inner order holds: nothing here changes it.
        select.limit(self.limit() + 1).push(&format!(" OFFSET {offset}"));
        select
    }

    /// Returns where the window of the page ends, as `at` and `id`; nothing if it is the last.
    pub(crate) fn window_end(&self) -> Option<Select> {
        if !self.is_filtered() {
            return None;
        }
        let mut select = Select::new(self.dialect);
        select.push("SELECT timestamp AS at, id FROM (");
        self.inner(&mut select, true, WINDOW);
        select.push(") AS page").limit(1).push(&format!(" OFFSET {}", WINDOW - 1));
        Some(select)
    }

    /// Returns the statement for two numbers: rows of the first window, and those of them that are meant. `None`
    /// where all requests are, or all that failed in some way: their sums are kept.
    pub(crate) fn count(&self) -> Option<Select> {
        let query = self.query;
        let has_range = query.from.is_some() || query.until.is_some();
        let is_counted = query.session.is_none() && query.tool.is_none() && query.text.is_none();
        if is_counted && !has_range {
            return None;
        }
        let mut select = Select::new(self.dialect);
        select.push("SELECT count(*), count(*) FILTER (WHERE ");
        self.filters(&mut select);
        select.push(") FROM (");
        self.inner(&mut select, false, WINDOW);
        select.push(") AS page");
        Some(select)
    }

    fn inner(&self, select: &mut Select, from_cursor: bool, rows: usize) {
        if !self.query.is_of_failures() {
            return self.branch(select, None, from_cursor, rows);
        }
        let meant = FAILED.into_iter().filter(|failed| self.query.outcomes.contains(failed));
        for (place, outcome) in meant.enumerate() {
            select.push(if place == 0 { "" } else { " UNION ALL " }).push("SELECT * FROM (");
            self.branch(select, Some(outcome), from_cursor, rows);
            select.push(") AS branch");
        }
        self.order(select);
        select.limit(rows);
    }

    fn branch(&self, select: &mut Select, failed: Option<Outcome>, from_cursor: bool, rows: usize) {
        select.push("SELECT * FROM archon_mcp_requests WHERE true");
        select.push(self.dialect.readable_request());
        if let Some(outcome) = failed {
            // The first comparison is the index's own condition.
            select.push(" AND status <> 'success' AND status = '").push(outcome.as_str());
            select.push("'");
        }
        if let Some(session) = self.query.session {
            select.push(" AND session_id = ").bind(Value::Session(session));
        }
        if self.is_range_served() {
            self.range(select);
        }
        if let Some((at, id)) = self.query.after.filter(|_| from_cursor) {
            if failed.is_some() {
                // The first comparison is contained in the second; it is one that every planner finds an index
                // for.
                select.push(" AND timestamp <= ").bind(Value::Time(at));
                select.push(" AND (timestamp, id) < (").bind(Value::Time(at));
                select.push(", ").bind(Value::Number(id)).push(")");
            } else {
                select.push(" AND id < ").bind(Value::Number(id));
            }
        }
        self.order(select);
        select.limit(rows);
    }

    fn order(&self, select: &mut Select) {
        select.push(if self.query.is_of_failures() {
            " ORDER BY timestamp DESC, id DESC"
        } else {
            " ORDER BY id DESC"
        });
    }

    /// Whether the inner part leaves out what is not of the time: along the index of failures, and by the days'
    /// partitions.
    fn is_range_served(&self) -> bool {
        let has_partitions = self.dialect == Dialect::Postgres && self.query.session.is_none();
        self.query.is_of_failures() || has_partitions
    }

    fn range(&self, select: &mut Select) {
        if let Some(from) = self.query.from {
            select.push(" AND timestamp >= ").bind(Value::Time(from));
        }
        if let Some(until) = self.query.until {
            select.push(" AND timestamp < ").bind(Value::Time(until));
        }
    }

    /// Whether rows of the inner part may be left out.
    fn is_filtered(&self) -> bool {
        let query = self.query;
        let has_range = query.from.is_some() || query.until.is_some();
        query.tool.is_some()
            || query.text.is_some()
            || (!query.outcomes.is_empty() && !query.is_of_failures())
            || (has_range && !self.is_range_served())
    }

    /// Adds all filters: one that the inner part has served already leaves nothing out.
    fn filters(&self, select: &mut Select) {
        select.push("true");
        if !self.query.outcomes.is_empty() {
            let words: Vec<_> =
                self.query.outcomes.iter().map(|o| format!("'{}'", o.as_str())).collect();
            select.push(&format!(" AND status IN ({})", words.join(", ")));
        }
        if let Some(tool) = &self.query.tool {
            select.push(" AND tool_name = ").bind(Value::Text(tool.clone()));
        }
        if !self.is_range_served() {
            self.range(select);
        }
        if let Some(text) = &self.query.text {
            select.push(" AND ").any_contains(&TEXT_COLUMNS, text);
        }
    }
}

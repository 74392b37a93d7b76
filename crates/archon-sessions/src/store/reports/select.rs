//! Lists as SQL: what is read along an index, and what is then left out.
//!
//! Both databases take the same statements, but for placeholders and the comparison of text. A list has an inner
//! part, which an index serves from its beginning to its limit, and filters around it. Where there are any, the
//! inner part is a window.

pub(crate) mod history;
mod requests;
mod sessions;
mod sorting;

pub(crate) use requests::RequestList;
pub(crate) use sessions::SessionList;

use crate::session::{SessionId, Timestamp};

/// Characters of a text to look for that count. SQLite refuses patterns of some ten thousand.
const TEXT_CHARS_MAX: usize = 200;

/// Whose SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// Returns what leaves out sessions that others wrote and nobody can read.
    fn readable_session(self) -> &'static str {
        match self {
            Self::Sqlite => " AND coalesce(intake, 1) = 1",
            Self::Postgres => " AND isfinite(connected_at) AND isfinite(last_activity)",
        }
    }

    /// Returns the same for requests.
    fn readable_request(self) -> &'static str {
        match self {
            Self::Sqlite => " AND coalesce(intake, 1) = 1",
            Self::Postgres => " AND isfinite(timestamp)",
        }
    }
}

/// What is bound to a placeholder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Time(Timestamp),
    Session(SessionId),
    Text(String),
    Number(i64),
}

/// A statement in the making. Whatever comes from outside is bound, never written.
pub(crate) struct Select {
    dialect: Dialect,
    pub(crate) text: String,
    pub(crate) values: Vec<Value>,
}

impl Select {
    fn new(dialect: Dialect) -> Self {
        Self { dialect, text: String::new(), values: Vec::new() }
    }

    fn push(&mut self, sql: &str) -> &mut Self {
        self.text.push_str(sql);
        self
    }

    fn bind(&mut self, value: Value) -> &mut Self {
        self.values.push(value);
        match self.dialect {
            Dialect::Sqlite => self.text.push('?'),
            Dialect::Postgres => self.text.push_str(&format!("${}", self.values.len())),
        }
        self
    }

    fn limit(&mut self, rows: usize) -> &mut Self {
        self.push(&format!(" LIMIT {rows}"))
    }

    /// Adds that one of these columns contains the text, in letters of either case.
    fn any_contains(&mut self, columns: &[&str], text: &str) -> &mut Self {
        let pattern = format!("%{}%", escaped(text));
        let operator = match self.dialect {
            Dialect::Sqlite => " LIKE ",
            Dialect::Postgres => " ILIKE ",
        };
        self.push("(");
        for (place, column) in columns.iter().enumerate() {
            self.push(if place == 0 { "" } else { " OR " }).push(column).push(operator);
            self.bind(Value::Text(pattern.clone())).push(" ESCAPE '\\'");
        }
        self.push(")")
    }
}

/// Returns the text as a pattern that means only itself.
fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars().take(TEXT_CHARS_MAX) {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        // A pattern would end there, and mean more than was asked for.
        pattern.push(if c == '\0' { '\u{fffd}' } else { c });
    }
    pattern
}

//! Rows that others may have written: what cannot be read of them costs itself, and nothing else.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::StoreError;

/// Returns the rows that can be read. One that cannot costs itself, never its list: tables may be written to by
/// anybody.
///
/// # Errors
/// If the store is not available.
pub(crate) fn each_readable<T>(
    table: &'static str,
    rows: impl Iterator<Item = Result<T, StoreError>>,
) -> Result<Vec<T>, StoreError> {
    let mut readable = Vec::with_capacity(rows.size_hint().0);
    for row in rows {
        match row {
            Ok(row) => readable.push(row),
            Err(StoreError::Corrupt { what }) => say_unreadable(table, what),
            Err(error) => match error.of_database() {
                Some(error @ (sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))) => {
                    say_unreadable(table, &error.to_string());
                }
                Some(_) | None => return Err(error),
            },
        }
    }
    Ok(readable)
}

/// Says that a row cannot be read: once, for lists are read again and again.
pub(crate) fn say_unreadable(table: &'static str, what: &str) {
    static IS_SAID: AtomicBool = AtomicBool::new(false);
    if !IS_SAID.swap(true, Relaxed) {
        tracing::warn!(table, what, "a row of {table} cannot be read and is left out ({what})");
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error.into())
    }
}

impl StoreError {
    /// Returns what the database said, where that is why the store is not available.
    pub(crate) fn of_database(&self) -> Option<&sqlx::Error> {
        let Self::Unavailable(cause) = self else { return None };
        cause.downcast_ref()
    }
}

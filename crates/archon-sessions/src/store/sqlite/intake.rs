//! Takes in rows that others than the gateway wrote, with SQL.
//!
//! SQLite has no type for a time: `datetime('now')`, `unixepoch()` and what the guides show are accepted, and are in no
//! order with ours. Triggers mark such rows (`migrations/sqlite/0001_sessions.sql`); whoever reads sessions or
//! requests comes by here first, which costs one look into two empty indexes. Here their times and ids are written in
//! our form, and they are counted. A row that cannot be read is marked, named in the log, and left out from then on.

use std::sync::atomic::Ordering::Relaxed;

use const_format::concatcp;
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Executor, Row, SqliteConnection};

use super::reports::rows as records;
use super::{SqliteStore, rows, usage};
use crate::session::Timestamp;
use crate::store::usage::slices;
use crate::store::{RequestRow, StoreError};

/// Leaves out the rows that are not taken in, or cannot be.
pub(super) const READABLE: &str = "coalesce(intake, 1) = 1";
/// What was marked by the triggers. The first comparison is the index's own condition.
const WAITING: &str = "intake <> 1 AND intake <> 2";
/// Rows that are taken in by one transaction: a client's own rows wait for it.
const ROWS_AT_ONCE: u32 = 500;
/// Transactions that one reader waits for; the next one goes on.
const ROUNDS_MAX: usize = 20;
/// Rows that cannot be read and are named in the log, of each round; the others are counted.
const NAMED_MAX: usize = 5;
/// Characters of a key that the log shows: it is somebody else's text.
const KEY_CHARS_MAX: usize = 64;

impl SqliteStore {
    /// Takes in what waits. What cannot be written now waits on, and nobody's reading fails for it.
    pub(super) async fn take_in_written(&self) {
        for _ in 0..ROUNDS_MAX {
            match self.take_in_some().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(tracing::field::display);
                    tracing::debug!(cause, "could not take in rows that others wrote: {error}");
                    return;
                }
            }
        }
    }

    /// Takes in what waits, and counts what cannot be read.
    pub(super) async fn count_unreadable(&self) -> Result<(), StoreError> {
        self.take_in_written().await;
        let count: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM archon_mcp_sessions WHERE intake <> 1 AND intake = 2)
                  + (SELECT count(*) FROM archon_mcp_requests WHERE intake <> 1 AND intake = 2)",
        )
        .fetch_one(&self.pool())
        .await?;
        self.unreadable.store(u64::try_from(count).unwrap_or(0), Relaxed);
        Ok(())
    }

    /// Returns false where nothing waits any more.
    async fn take_in_some(&self) -> Result<bool, StoreError> {
        const IS_WAITING: &str = concatcp!(
            "SELECT EXISTS (SELECT 1 FROM archon_mcp_sessions WHERE ",
            WAITING,
            ") OR EXISTS (SELECT 1 FROM archon_mcp_requests WHERE ",
            WAITING,
            ")"
        );
        let pool = self.pool();
        if !sqlx::query_scalar::<_, bool>(IS_WAITING).fetch_one(&pool).await? {
            return Ok(false);
        }
        let mut file = self.file.lock().await;
        let taken = take_in(file.begin().await?).await;
        match taken {
            Ok(()) => {
                file.is_through();
                Ok(true)
            }
            Err(error) => {
                file.clear_up().await;
                Err(error)
            }
        }
    }
}

/// Takes in sessions first, since requests are counted for theirs.
async fn take_in(writer: &mut SqliteConnection) -> Result<(), StoreError> {
    // The key of a session may be written anew, and then what refers to it: all is well at the end.
    writer.execute("BEGIN IMMEDIATE; PRAGMA defer_foreign_keys = ON").await?;
    sessions(writer).await?;
    requests(writer, Timestamp::now()).await?;
    writer.execute("COMMIT").await?;
    Ok(())
}

const SESSIONS: &str = concatcp!(
    "SELECT rowid AS place, * FROM archon_mcp_sessions WHERE ",
    WAITING,
    " LIMIT ",
    ROWS_AT_ONCE
);
/// A key that another row has already is no key: that row stays as it is, and is marked with the unreadable ones.
const SESSIONS_READ: &str = "
UPDATE OR IGNORE archon_mcp_sessions SET
    session_id = new.value->>1, connected_at = new.value->>2, last_activity = new.value->>3,
    disconnected_at = new.value->>4, reconnect_expires_at = new.value->>5, intake = 1,
    upstreams = iif(json_valid(upstreams), upstreams, '[]')
FROM json_each(?) AS new WHERE archon_mcp_sessions.rowid = new.value->>0";
const THEIR_REQUESTS: &str = "
UPDATE archon_mcp_requests SET session_id = new.value->>1
FROM json_each(?) AS new WHERE session_id = new.value->>0";
const SESSIONS_UNREADABLE: &str = concatcp!(
    "UPDATE archon_mcp_sessions SET intake = 2
     WHERE rowid IN (SELECT value FROM json_each(?)) AND ",
    WAITING,
    " RETURNING session_id"
);

async fn sessions(writer: &mut SqliteConnection) -> Result<(), StoreError> {
    let found = sqlx::query(SESSIONS).fetch_all(&mut *writer).await?;
    if found.is_empty() {
        return Ok(());
    }
    let (mut places, mut read, mut renamed) = (Vec::new(), Vec::new(), Vec::new());
    for row in &found {
        let place: i64 = row.try_get("place")?;
        places.push(place);
        let Ok(session) = rows::read_session(row) else { continue };
        let (Ok(disconnected_at), Ok(expires_at)) =
            (time_if_any(row, "disconnected_at"), time_if_any(row, "reconnect_expires_at"))
        else {
            continue;
        };
        let (id, written): (_, &str) = (session.id.to_string(), row.try_get("session_id")?);
        if id != written {
            renamed.push((written, id.clone()));
        }
        let (connected_at, last_activity) =
            (session.connected_at.to_string(), session.last_activity.to_string());
        read.push((place, id, connected_at, last_activity, disconnected_at, expires_at));
    }
    sqlx::query(SESSIONS_READ).bind(json!(read).to_string()).execute(&mut *writer).await?;
    if !renamed.is_empty() {
        let renamed = json!(renamed).to_string();
        sqlx::query(THEIR_REQUESTS).bind(renamed).execute(&mut *writer).await?;
    }
    let unreadable = sqlx::query(SESSIONS_UNREADABLE).bind(json!(places).to_string());
    say_unreadable("archon_mcp_sessions", &unreadable.fetch_all(writer).await?);
    Ok(())
}

const REQUESTS: &str = concatcp!(
    "SELECT *, NULL AS client_type FROM archon_mcp_requests WHERE ",
    WAITING,
    " LIMIT ",
    ROWS_AT_ONCE
);
const REQUESTS_READ: &str = "
UPDATE archon_mcp_requests SET
    timestamp = new.value->>1, duration_us = new.value->>3, intake = 1,
    session_id = iif(EXISTS (SELECT 1 FROM archon_mcp_sessions s WHERE s.session_id = new.value->>2),
                     new.value->>2, session_id)
FROM json_each(?) AS new WHERE archon_mcp_requests.id = new.value->>0";
const REQUESTS_UNREADABLE: &str = concatcp!(
    "UPDATE archon_mcp_requests SET intake = 2
     WHERE id IN (SELECT value FROM json_each(?)) AND ",
    WAITING,
    " RETURNING CAST(id AS TEXT)"
);
/// Of a row that was counted before its time was written in another form.
const ONLY_ITS_FORM: i64 = 3;

async fn requests(writer: &mut SqliteConnection, now: Timestamp) -> Result<(), StoreError> {
    let found = sqlx::query(REQUESTS).fetch_all(&mut *writer).await?;
    if found.is_empty() {
        return Ok(());
    }
    let (mut ids, mut read, mut new) = (Vec::new(), Vec::new(), Vec::new());
    for row in &found {
        let id: i64 = row.try_get("id")?;
        ids.push(id);
        let Ok(record) = records::request(row) else { continue };
        let mut request = record.row;
        if request.duration_us == 0 {
            // In microseconds it is ours; others know milliseconds.
            request.duration_us = row.try_get::<i64, _>("duration_ms")?.saturating_mul(1000);
        }
        let (started, session) = (request.started.to_string(), request.session.to_string());
        read.push((id, started, session, request.duration_us));
        if row.try_get::<i64, _>("intake")? != ONLY_ITS_FORM {
            new.push(request);
        }
    }
    sqlx::query(REQUESTS_READ).bind(json!(read).to_string()).execute(&mut *writer).await?;
    count(writer, &new, now).await?;
    let unreadable = sqlx::query(REQUESTS_UNREADABLE).bind(json!(ids).to_string());
    say_unreadable("archon_mcp_requests", &unreadable.fetch_all(writer).await?);
    Ok(())
}

/// Adds requests to the sums.
async fn count(
    writer: &mut SqliteConnection,
    new: &[RequestRow],
    now: Timestamp,
) -> Result<(), StoreError> {
    let used = slices(new);
    let (sums, met) = (usage::json(&used)?, usage::met(&used)?);
    for (statement, given) in [
        (usage::USAGE, &sums),
        (usage::LATENCY, &sums),
        (usage::DAYS, &met),
        (usage::TOTALS, &sums),
        (usage::UPSTREAMS, &met),
    ] {
        sqlx::query(statement).bind(given).execute(&mut *writer).await?;
    }
    let mut recent = used;
    recent.iter_mut().for_each(|slice| slice.keep_minutes_of_a_day(now));
    let minutes = usage::minutes(&recent)?;
    // It forgets nothing here.
    sqlx::query(usage::MINUTES).bind(minutes).bind("").execute(writer).await?;
    Ok(())
}

/// Returns the moment in our form, `None` where there is none.
fn time_if_any(row: &SqliteRow, column: &'static str) -> Result<Option<String>, StoreError> {
    let Some(text) = row.try_get::<Option<&str>, _>(column)? else { return Ok(None) };
    let at = Timestamp::read(text).ok_or(StoreError::Corrupt { what: column })?;
    Ok(Some(at.to_string()))
}

/// Says once of each row that it cannot be read.
fn say_unreadable(table: &'static str, keys: &[SqliteRow]) {
    for row in keys.iter().take(NAMED_MAX) {
        let key: Vec<u8> = row.try_get(0).unwrap_or_default();
        let key: String = String::from_utf8_lossy(&key).chars().take(KEY_CHARS_MAX).collect();
        tracing::warn!(table, key, "the row {key:?} of {table} cannot be read and is left out");
    }
    if let Some(more) = keys.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        tracing::warn!(table, more, "{more} more rows of {table} cannot be read and are left out");
    }
}

#[cfg(test)]
mod tests;

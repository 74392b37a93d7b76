//! Writes requests: the rows of the one table that grows with every call.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;

use sqlx::{PgConnection, Row};

use super::rows::{column, int, text, time};
use super::{Statement, unavailable};
use crate::store::{Batch, CallId, RequestRow, StoreError};

/// The most that `NUMERIC(10,6)` holds, in millionths.
const COST_MICROS_MAX: i64 = 9_999_999_999;

/// Rows whose session is not stored are left out: nothing is orphaned, and one lost session does not make its
/// neighbours' rows unwritable. Answers with the transaction's id.
const REQUESTS: &str = "
WITH written AS (
    INSERT INTO archon_mcp_requests
        (session_id, method, tool_name, upstream, timestamp, duration_ms, duration_us, status, error_message,
         request_bytes, response_bytes, prompt_tokens, completion_tokens, estimated_cost, model)
    SELECT new.session_id, method, tool_name, upstream, timestamp, duration_ms, duration_us, new.status,
           error_message, request_bytes, response_bytes, prompt_tokens, completion_tokens,
           cost_micros::numeric / 1000000, model
    FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::integer[],
                $7::bigint[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::integer[],
                $13::integer[], $14::bigint[], $15::text[]) WITH ORDINALITY
        AS new (session_id, method, tool_name, upstream, timestamp, duration_ms, duration_us, status,
                error_message, request_bytes, response_bytes, prompt_tokens, completion_tokens, cost_micros,
                model, place)
    WHERE EXISTS (SELECT FROM archon_mcp_sessions s WHERE s.session_id = new.session_id)
    ORDER BY place
)
SELECT pg_current_xact_id()::text";

fn statement(all: &[RequestRow]) -> Statement<'_> {
    sqlx::query(REQUESTS)
        .bind(column(all, |row| row.session.as_uuid()))
        .bind(column(all, |row| text(&row.method)))
        .bind(column(all, |row| row.tool.as_deref().map(text)))
        .bind(column(all, |row| text(&row.upstream)))
        .bind(column(all, |row| time(row.started)))
        .bind(column(all, |row| int((row.duration_us + 500) / 1000)))
        .bind(column(all, |row| row.duration_us))
        .bind(column(all, |row| row.outcome.as_str()))
        .bind(column(all, |row| row.error.as_deref().map(text)))
        .bind(column(all, |row| row.request_bytes))
        .bind(column(all, |row| row.response_bytes))
        .bind(column(all, |row| int(row.prompt_tokens)))
        .bind(column(all, |row| int(row.completion_tokens)))
        .bind(column(all, |row| row.cost_micros.clamp(-COST_MICROS_MAX, COST_MICROS_MAX)))
        .bind(column(all, |row| row.model.as_deref().map(text)))
}

/// A transaction whose commit was not answered: what it wrote is there, or it is not. Requests must not be
/// written twice, so it is asked for before its batch comes again.
#[derive(Debug)]
pub(super) struct Doubt {
    transaction: String,
    rows: u64,
}

impl Doubt {
    /// Returns whether the transaction wrote just these rows, once it is known what became of it.
    ///
    /// # Errors
    /// If it is not over, or the database cannot be asked.
    pub(super) async fn has_written(
        &self,
        connection: &mut PgConnection,
        rows: &[RequestRow],
        is_pooled: bool,
    ) -> Result<bool, StoreError> {
        if digest(rows) != self.rows {
            return Ok(false);
        }
        let mut transaction = sqlx::Connection::begin(connection).await?;
        let asked = sqlx::query("SELECT pg_xact_status($1::xid8)")
            .bind(&self.transaction)
            .persistent(!is_pooled)
            .fetch_one(&mut *transaction)
            .await;
        match asked {
            Ok(row) => match row.try_get::<Option<&str>, _>(0)? {
                Some("committed") => Ok(true),
                Some("in progress") => {
                    let why = "the last transaction is not over yet";
                    Err(unavailable(io::ErrorKind::WouldBlock, why))
                }
                // Aborted, or so old that nobody knows.
                _ => Ok(false),
            },
            // One that the database has not come to yet: it is another one now, which took over.
            Err(sqlx::Error::Database(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns the rows without those of calls that another process has settled: they have left the ledger before these.
pub(super) fn ours<'a>(rows: &'a [RequestRow], closed: &HashSet<CallId>) -> Cow<'a, [RequestRow]> {
    let is_ours = |row: &RequestRow| row.call.is_none_or(|call| closed.contains(&call));
    if rows.iter().all(is_ours) {
        return rows.into();
    }
    rows.iter().filter(|row| is_ours(row)).cloned().collect()
}

/// Writes these rows of a batch, and returns what to ask for if the commit is not answered.
pub(super) async fn insert(
    connection: &mut PgConnection,
    batch: &Batch,
    rows: &[RequestRow],
    is_pooled: bool,
) -> Result<Doubt, StoreError> {
    let row = statement(rows).persistent(!is_pooled).fetch_one(connection).await?;
    Ok(Doubt { transaction: row.try_get(0)?, rows: digest(&batch.requests) })
}

/// Tells one batch's rows from another's; both are this process's.
fn digest(rows: &[RequestRow]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for row in rows {
        (row.session, row.started, row.duration_us, row.request_bytes).hash(&mut hasher);
    }
    hasher.finish()
}

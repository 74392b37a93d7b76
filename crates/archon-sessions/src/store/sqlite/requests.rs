//! Writes many requests at once: the rows of the one table that grows with every call.
//!
//! They go as bound values of multi-row statements. Spread from JSON like the other tables a row costs
//! more than twice as much (measured); a few of them cost less that way than a statement of their own.

use std::sync::LazyLock;

use sqlx::SqliteConnection;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};

use crate::store::{RequestRow, StoreError};

/// Statements for so many rows each: few enough to be kept prepared, and a batch is cut into as few
/// as possible. SQLite binds at most 32,766 values.
const SIZES: [usize; 2] = [256, 64];

/// Made once, from constants; they live as long as the process.
static STATEMENTS: LazyLock<[&str; 2]> =
    LazyLock::new(|| SIZES.map(|rows| &*Box::leak(statement(rows).into_boxed_str())));

/// Leaves out rows without a session, as `rows::REQUESTS` does.
fn statement(rows: usize) -> String {
    let row = "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
    let values = vec![row; rows].join(",");
    format!(
        "WITH v(session_id, method, tool_name, upstream, timestamp, duration_ms, duration_us, status,
                error_message, request_bytes, response_bytes, prompt_tokens, completion_tokens,
                estimated_cost, model) AS (VALUES {values})
         INSERT INTO archon_mcp_requests
             (session_id, method, tool_name, upstream, timestamp, duration_ms, duration_us, status,
              error_message, request_bytes, response_bytes, prompt_tokens, completion_tokens,
              estimated_cost, model, intake)
         SELECT v.*, 1 FROM v WHERE EXISTS
             (SELECT 1 FROM archon_mcp_sessions s WHERE s.session_id = v.session_id)"
    )
}

/// Splits rows into those for [`insert`], a multiple of its smallest statement, and the few others.
pub(super) fn split(rows: &[RequestRow]) -> (&[RequestRow], &[RequestRow]) {
    rows.split_at(rows.len() - rows.len() % SIZES[SIZES.len() - 1])
}

/// Writes the rows that [`split`] put first.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    mut rows: &[RequestRow],
) -> Result<(), StoreError> {
    for (size, sql) in SIZES.into_iter().zip(&*STATEMENTS) {
        while let Some((now, later)) = rows.split_at_checked(size) {
            now.iter().fold(sqlx::query(*sql), bind).execute(&mut *connection).await?;
            rows = later;
        }
    }
    Ok(())
}

fn bind<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    row: &'q RequestRow,
) -> Query<'q, Sqlite, SqliteArguments> {
    query
        .bind(row.session.to_string())
        .bind(&*row.method)
        .bind(row.tool.as_deref())
        .bind(&*row.upstream)
        .bind(row.started.to_string())
        .bind((row.duration_us + 500) / 1000)
        .bind(row.duration_us)
        .bind(row.outcome.as_str())
        .bind(row.error.as_deref())
        .bind(row.request_bytes)
        .bind(row.response_bytes)
        .bind(row.prompt_tokens)
        .bind(row.completion_tokens)
        .bind(row.cost_micros as f64 / 1e6)
        .bind(row.model.as_deref())
}

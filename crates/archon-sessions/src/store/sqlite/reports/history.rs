//! What was before and after a session, and who tried to take it back.

use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::super::rows::{parsed, time};
use crate::session::{SessionId, Timestamp};
use crate::store::reports::select::history::{AFTER, ATTEMPTS, BEFORE, REFUSALS};
use crate::store::reports::{AttemptRecord, Chain, ChainLink, RefusalRecord, once};
use crate::store::{StoreError, each_readable};

pub(super) async fn chain(pool: &SqlitePool, id: SessionId) -> Result<Chain, StoreError> {
    let links = async |sql: &'static str| -> Result<Vec<ChainLink>, StoreError> {
        let found = sqlx::query(sql).bind(id.to_string()).fetch_all(pool).await?;
        Ok(once(id, each_readable("archon_mcp_sessions", found.iter().map(link))?))
    };
    Ok(Chain { before: links(BEFORE).await?, after: links(AFTER).await? })
}

fn link(row: &SqliteRow) -> Result<ChainLink, StoreError> {
    let disconnected_at: Option<&str> = row.try_get("disconnected_at")?;
    Ok(ChainLink {
        id: parsed(row, "session_id")?,
        connected_at: time(row, "connected_at")?,
        disconnected_at: disconnected_at.and_then(Timestamp::read),
        disconnect_reason: row.try_get("disconnect_reason")?,
    })
}

pub(super) async fn attempts(
    pool: &SqlitePool,
    id: SessionId,
) -> Result<Vec<AttemptRecord>, StoreError> {
    let found = sqlx::query(ATTEMPTS).bind(id.to_string()).fetch_all(pool).await?;
    let attempt = |row: &SqliteRow| {
        Ok(AttemptRecord {
            at: time(row, "timestamp")?,
            peer: row.try_get("peer")?,
            principal: row.try_get("principal")?,
            result: row.try_get("result")?,
        })
    };
    each_readable("archon_mcp_reconnect_attempts", found.iter().map(attempt))
}

pub(super) async fn refusals(
    pool: &SqlitePool,
    limit: usize,
) -> Result<Vec<RefusalRecord>, StoreError> {
    let found = sqlx::query(REFUSALS).fetch_all(pool).await?;
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let refusal = |row: &SqliteRow| {
        Ok(RefusalRecord {
            minute: time(row, "minute")?,
            last_at: time(row, "last_at")?,
            cause: row.try_get("cause")?,
            upstream: some(row.try_get("upstream")?),
            peer: some(row.try_get("peer")?),
            principal: row.try_get("principal")?,
            client: row.try_get("client")?,
            detail: row.try_get("detail")?,
            count: u64::try_from(row.try_get::<i64, _>("count")?).unwrap_or(0),
        })
    };
    each_readable("archon_mcp_refusals", found.iter().take(limit).map(refusal))
}

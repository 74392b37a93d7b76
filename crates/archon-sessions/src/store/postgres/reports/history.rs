//! What was before and after a session, and who tried to take it back.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::super::PostgresStore;
use super::super::rows::{read_time, read_time_if_any};
use crate::session::SessionId;
use crate::store::reports::select::history::{AFTER, ATTEMPTS, BEFORE, REFUSALS};
use crate::store::reports::{AttemptRecord, Chain, ChainLink, RefusalRecord, once};
use crate::store::{StoreError, each_readable};

pub(super) async fn chain(store: &PostgresStore, id: SessionId) -> Result<Chain, StoreError> {
    let links = async |sql: &'static str| -> Result<Vec<ChainLink>, StoreError> {
        let found = store.read(sqlx::query(sql).bind(id.as_uuid())).await?;
        Ok(once(id, each_readable("archon_mcp_sessions", found.iter().map(link))?))
    };
    Ok(Chain { before: links(BEFORE).await?, after: links(AFTER).await? })
}

fn link(row: &PgRow) -> Result<ChainLink, StoreError> {
    Ok(ChainLink {
        id: SessionId::from_uuid(row.try_get("session_id")?),
        connected_at: read_time(row, "connected_at")?,
        disconnected_at: read_time_if_any(row, "disconnected_at")?,
        disconnect_reason: row.try_get("disconnect_reason")?,
    })
}

pub(super) async fn attempts(
    store: &PostgresStore,
    id: SessionId,
) -> Result<Vec<AttemptRecord>, StoreError> {
    let found = sqlx::query(ATTEMPTS);
    let found = store.read(found.bind(id.as_uuid())).await?;
    let attempt = |row: &PgRow| {
        Ok(AttemptRecord {
            at: read_time(row, "timestamp")?,
            peer: row.try_get("peer")?,
            principal: row.try_get("principal")?,
            result: row.try_get("result")?,
        })
    };
    each_readable("archon_mcp_reconnect_attempts", found.iter().map(attempt))
}

pub(super) async fn refusals(
    store: &PostgresStore,
    limit: usize,
) -> Result<Vec<RefusalRecord>, StoreError> {
    let found = store.read(sqlx::query(REFUSALS)).await?;
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let refusal = |row: &PgRow| {
        Ok(RefusalRecord {
            minute: read_time(row, "minute")?,
            last_at: read_time(row, "last_at")?,
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

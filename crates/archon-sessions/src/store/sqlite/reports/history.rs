//! What was before and after a session, and who tried to take it back.

use const_format::concatcp;
use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::super::rows::{parsed, time};
use crate::session::{SessionId, Timestamp};
use crate::store::StoreError;
use crate::store::reports::{ATTEMPTS_MAX, AttemptRecord, CHAIN_MAX, Chain, ChainLink, once};

const BEFORE: &str = concatcp!(
    "WITH RECURSIVE chain (place, session_id, continues, connected_at, disconnected_at, disconnect_reason) AS (
         SELECT 0, session_id, continues, connected_at, disconnected_at, disconnect_reason
         FROM archon_mcp_sessions WHERE session_id = ?
         UNION ALL
         SELECT place + 1, s.session_id, s.continues, s.connected_at, s.disconnected_at, s.disconnect_reason
         FROM chain JOIN archon_mcp_sessions s ON s.session_id = chain.continues WHERE place < ",
    CHAIN_MAX,
    ") SELECT * FROM chain WHERE place > 0 ORDER BY place"
);
const AFTER: &str = concatcp!(
    "WITH RECURSIVE chain (place, session_id, connected_at, disconnected_at, disconnect_reason) AS (
         SELECT 0, session_id, connected_at, disconnected_at, disconnect_reason
         FROM archon_mcp_sessions WHERE session_id = ?
         UNION ALL
         SELECT place + 1, s.session_id, s.connected_at, s.disconnected_at, s.disconnect_reason
         FROM chain JOIN archon_mcp_sessions s ON s.session_id =
             (SELECT n.session_id FROM archon_mcp_sessions n WHERE n.continues = chain.session_id
              ORDER BY n.connected_at, n.session_id LIMIT 1)
         WHERE place < ",
    CHAIN_MAX,
    ") SELECT * FROM chain WHERE place > 0 ORDER BY place"
);

pub(super) async fn chain(pool: &SqlitePool, id: SessionId) -> Result<Chain, StoreError> {
    let links = async |sql: &'static str| -> Result<Vec<ChainLink>, StoreError> {
        let found = sqlx::query(sql).bind(id.to_string()).fetch_all(pool).await?;
        Ok(once(id, found.iter().map(link).collect::<Result<_, _>>()?))
    };
    Ok(Chain { before: links(BEFORE).await?, after: links(AFTER).await? })
}

fn link(row: &SqliteRow) -> Result<ChainLink, StoreError> {
    let disconnected_at: Option<&str> = row.try_get("disconnected_at")?;
    Ok(ChainLink {
        id: parsed(row, "session_id")?,
        connected_at: time(row, "connected_at")?,
        disconnected_at: disconnected_at.and_then(Timestamp::parse),
        disconnect_reason: row.try_get("disconnect_reason")?,
    })
}

pub(super) async fn attempts(
    pool: &SqlitePool,
    id: SessionId,
) -> Result<Vec<AttemptRecord>, StoreError> {
    let found = sqlx::query(concatcp!(
        "SELECT timestamp, peer, principal, result FROM archon_mcp_reconnect_attempts
         WHERE session_id = ? ORDER BY id DESC LIMIT ",
        ATTEMPTS_MAX
    ))
    .bind(id.to_string())
    .fetch_all(pool)
    .await?;
    let attempt = |row: &SqliteRow| {
        Ok(AttemptRecord {
            at: time(row, "timestamp")?,
            peer: row.try_get("peer")?,
            principal: row.try_get("principal")?,
            result: row.try_get("result")?,
        })
    };
    found.iter().map(attempt).collect()
}

//! What was before and after a session, and who tried to take it back.

use const_format::concatcp;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::super::PostgresStore;
use super::super::rows::{read_time, read_time_if_any};
use crate::session::SessionId;
use crate::store::StoreError;
use crate::store::reports::{ATTEMPTS_MAX, AttemptRecord, CHAIN_MAX, Chain, ChainLink, once};

const BEFORE: &str = concatcp!(
    "WITH RECURSIVE chain (place, session_id, continues, connected_at, disconnected_at, disconnect_reason) AS (
         SELECT 0, session_id, continues, connected_at, disconnected_at, disconnect_reason
         FROM archon_mcp_sessions WHERE session_id = $1
         UNION ALL
         SELECT place + 1, s.session_id, s.continues, s.connected_at, s.disconnected_at, s.disconnect_reason
         FROM chain JOIN archon_mcp_sessions s ON s.session_id = chain.continues WHERE place < ",
    CHAIN_MAX,
    ") SELECT * FROM chain WHERE place > 0 ORDER BY place"
);
const AFTER: &str = concatcp!(
    "WITH RECURSIVE chain (place, session_id, connected_at, disconnected_at, disconnect_reason) AS (
         SELECT 0, session_id, connected_at, disconnected_at, disconnect_reason
         FROM archon_mcp_sessions WHERE session_id = $1
         UNION ALL
         SELECT place + 1, s.session_id, s.connected_at, s.disconnected_at, s.disconnect_reason
         FROM chain JOIN archon_mcp_sessions s ON s.session_id =
             (SELECT n.session_id FROM archon_mcp_sessions n WHERE n.continues = chain.session_id
              ORDER BY n.connected_at, n.session_id LIMIT 1)
         WHERE place < ",
    CHAIN_MAX,
    ") SELECT * FROM chain WHERE place > 0 ORDER BY place"
);

pub(super) async fn chain(store: &PostgresStore, id: SessionId) -> Result<Chain, StoreError> {
    let links = async |sql: &'static str| -> Result<Vec<ChainLink>, StoreError> {
        let found = store.read(sqlx::query(sql).bind(id.as_uuid())).await?;
        Ok(once(id, found.iter().map(link).collect::<Result<_, _>>()?))
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
    let found = sqlx::query(concatcp!(
        "SELECT timestamp, peer, principal, result FROM archon_mcp_reconnect_attempts
         WHERE session_id = $1 ORDER BY id DESC LIMIT ",
        ATTEMPTS_MAX
    ));
    let found = store.read(found.bind(id.as_uuid())).await?;
    let attempt = |row: &PgRow| {
        Ok(AttemptRecord {
            at: read_time(row, "timestamp")?,
            peer: row.try_get("peer")?,
            principal: row.try_get("principal")?,
            result: row.try_get("result")?,
        })
    };
    found.iter().map(attempt).collect()
}

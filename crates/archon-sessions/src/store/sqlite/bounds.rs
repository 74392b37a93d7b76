//! What a database in memory forgets: on a disk people decide what is old, memory has an end.

use const_format::concatcp;
use sqlx::{Executor, SqliteConnection};

use crate::store::StoreError;

/// Requests that are kept: some 50 MB.
const REQUESTS_MAX: u32 = 100_000;
/// Sessions, of which those that have ended are not kept beyond: some 100 MB.
const SESSIONS_MAX: u32 = 100_000;

/// Rows are numbered in the order in which they came, so what is surplus is found at the beginning.
const SURPLUS: &str = concatcp!(
    "rowid <= (SELECT max(rowid) FROM archon_mcp_sessions) - ",
    SESSIONS_MAX,
    " AND status <> 'active'"
);

/// Forgets the oldest.
pub(super) async fn forget_surplus(writer: &mut SqliteConnection) -> Result<(), StoreError> {
    writer
        .execute(concatcp!(
            "DELETE FROM archon_mcp_requests
             WHERE id <= (SELECT max(id) FROM archon_mcp_requests) - ",
            REQUESTS_MAX,
            ";
             DELETE FROM archon_mcp_connections
             WHERE session_id IN (SELECT session_id FROM archon_mcp_sessions WHERE ",
            SURPLUS,
            ");
             DELETE FROM archon_mcp_sessions WHERE ",
            SURPLUS
        ))
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::session::{DisconnectReason, SessionId};
    use crate::store::reports::RequestQuery;
    use crate::store::sqlite::SqliteStore;
    use crate::store::suite::{connection, request, session};
    use crate::store::{Batch, Reports, SessionStore};

    #[tokio::test]
    async fn a_database_in_memory_forgets_the_oldest() {
        let store = SqliteStore::in_memory().await.unwrap();
        let (active, mut ended) = (session(), session());
        ended.disconnect(DisconnectReason::Operator, ended.connected_at);
        let batch = Batch {
            created: vec![active.clone(), ended.clone()],
            connections: vec![connection(&active), connection(&ended)],
            ended: vec![ended.clone()],
            requests: vec![request(active.id); 2],
            ..Batch::default()
        };
        store.apply(&batch).await.unwrap();
        // As if so many had come since.
        let later = format!(
            "UPDATE archon_mcp_requests SET id = id + {REQUESTS_MAX} WHERE id = 2;
             INSERT INTO archon_mcp_sessions
                 (rowid, session_id, client_type, connected_at, last_activity, status)
             VALUES ({SESSIONS_MAX} + 2, '{}', 'x', '2026-01-11T00:00:00.000000Z',
                     '2026-01-11T00:00:00.000000Z', 'disconnected')",
            SessionId::random()
        );
        sqlx::raw_sql(AssertSqlSafe(later)).execute(&store.pool()).await.unwrap();
        let touched = vec![(active.id, active.connected_at)];
        store.apply(&Batch { touched, ..Batch::default() }).await.unwrap();
        let query = RequestQuery { limit: 9, ..RequestQuery::default() };
        assert_eq!(store.requests(&query).await.unwrap().rows.len(), 1);
        assert_eq!(store.session(ended.id).await.unwrap(), None);
        assert_eq!(store.connections_of(ended.id).await.unwrap(), vec![]);
        assert!(store.session(active.id).await.unwrap().is_some());
        assert_eq!(store.connections_of(active.id).await.unwrap().len(), 1);
        store.close().await;
    }
}

//! How soon a gateway serves that finds many sessions in its database.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use archon_sessions::session::Timestamp;
use archon_sessions::store::sqlite::SqliteStore;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection as _, Row};

use crate::http::Connection;
use crate::mcp::{Call, Endpoint, Era, Session};
use crate::process::gateway;
use crate::process::usage;

/// A handle whose session is among the recovered ones.
const HANDLE: &str = "00000000-0000-4000-8000-000000000001";
/// The name of the database, and of the process.
const NAME: &str = "recovery";
/// A random UUID of version 4 as text.
const UUID: &str = "lower(printf('%s-%s-4%s-a%s-%s', hex(randomblob(4)), hex(randomblob(2)),
    substr(hex(randomblob(2)), 2), substr(hex(randomblob(2)), 2), hex(randomblob(6))))";

/// What is in the database at start.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Stored {
    pub sessions: usize,
    /// Each with a connection.
    pub active: usize,
    pub requests: usize,
}

/// How the starts went.
#[derive(Debug, Serialize)]
pub struct Recovered {
    pub stored: Stored,
    pub file_mib: f64,
    /// From the start of the process to the answer of the first call, in each round.
    pub ready_in: Vec<Duration>,
    /// Resident memory after that call in the last round.
    pub rss_mib: f64,
}

/// Fills a new database in the folder; returns its size in bytes.
pub async fn fill(folder: &Path, stored: Stored) -> Result<u64> {
    let path = folder.join(format!("{NAME}.db"));
    for part in ["", "-wal", "-shm"] {
        // There may be one of the measurement before.
        let _ = std::fs::remove_file(folder.join(format!("{NAME}.db{part}")));
    }
    let store = SqliteStore::open(&path).await.context("could not open a database")?;
    store.close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).foreign_keys(false);
    let mut database = sqlx::SqliteConnection::connect_with(&options).await?;
    let now = Timestamp::now();
    let Stored { sessions, active, requests } = stored;
    // They last for a day, so that none times out between its making and the last round. The first is the one
    // that calls.
    let statements = format!(
        "PRAGMA cache_size = -262144; PRAGMA temp_store = MEMORY; PRAGMA synchronous = OFF;
         BEGIN;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {sessions})
         INSERT INTO archon_mcp_sessions (session_id, client_type, client_name, client_version,
             client_capabilities, connected_at, last_activity, disconnected_at, total_duration, status,
             disconnect_reason, principal, era, protocol_version, idle_timeout_seconds)
         SELECT {UUID}, 'Claude Code', 'claude-code', '2.0.14', '{{\"roots\":{{\"listChanged\":true}}}}',
             '{now}', '{now}', iif(is_active, NULL, '{now}'), iif(is_active, NULL, 60),
             iif(is_active, 'active', 'disconnected'), iif(is_active, NULL, 'timeout_no_activity'),
             'anonymous', 'legacy', '2025-11-25', 86400
         FROM (SELECT i, i * {active} / {sessions} > (i - 1) * {active} / {sessions} AS is_active FROM n);
         INSERT INTO archon_mcp_connections (handle, session_id, upstream, principal,
             protocol_version, initialize, link, opened_at)
         SELECT iif(row_number() OVER (ORDER BY rowid) = 1, '{HANDLE}', {UUID}), session_id, 'echo',
             'anonymous', '2025-11-25', '{{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{{\"roots\":{{\"listChanged\":true}}}},\"clientInfo\":{{\"name\":\"claude-code\",\"version\":\"2.0.14\"}}}}',
             {UUID}, connected_at
         FROM archon_mcp_sessions WHERE status = 'active';
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {requests})
         INSERT INTO archon_mcp_requests (session_id, method, tool_name, prompt_tokens,
             completion_tokens, timestamp, duration_ms, status, upstream, duration_us, request_bytes,
             response_bytes)
         SELECT session_id, 'tools/call', 'echo', 20, 20, '{now}', 5, 'success', 'echo', 5000, 100, 100
         FROM n JOIN archon_mcp_sessions s ON s.rowid = 1 + (i * 7919) % {sessions};
         COMMIT;
         PRAGMA wal_checkpoint(TRUNCATE);"
    );
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut database).await?;
    let found = sqlx::query("SELECT count(*) FROM archon_mcp_connections")
        .fetch_one(&mut database)
        .await?
        .try_get::<i64, _>(0)?;
    ensure!(usize::try_from(found)? == active, "{found} connections were made");
    database.close().await?;
    Ok(std::fs::metadata(&path)?.len())
}

/// Starts a gateway on that database, and returns how long it took to answer a call in a session that was
/// there before, and the memory that it holds then.
pub async fn start_once(
    binary: &Path,
    upstream: &Endpoint,
    more: &[String],
    folder: &Path,
) -> Result<(Duration, u64)> {
    let began = Instant::now();
    let (server, endpoint) = gateway::start(NAME, binary, upstream, more, folder)?;
    let mut connection = Connection::open(endpoint.address).await?;
    let session = Session::known(HANDLE);
    Call::echo(&endpoint, Era::Legacy(&session), 0).exchange(&mut connection).await??;
    let ready_in = began.elapsed();
    Ok((ready_in, usage::rss_bytes(&[server.pid()])))
}

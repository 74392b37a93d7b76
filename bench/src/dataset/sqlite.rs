//! Fills a SQLite file, in SQL and without indexes, which are made at the end: millions of rows a minute.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use archon_sessions::store::sqlite::SqliteStore;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

use super::{TOOLS, USERS, client_of};
use crate::args::GenerateArgs;

/// What is made again at the end.
const MADE_AGAIN: &str = "SELECT type, name, sql FROM sqlite_schema
    WHERE type IN ('index', 'trigger') AND sql IS NOT NULL
      AND tbl_name IN ('archon_mcp_sessions', 'archon_mcp_requests')";
/// A random UUID of version 4 as text.
const UUID: &str = "lower(printf('%s-%s-4%s-a%s-%s', hex(randomblob(4)), hex(randomblob(2)),
    substr(hex(randomblob(2)), 2), substr(hex(randomblob(2)), 2), hex(randomblob(6))))";

pub(super) async fn fill(path: &Path, args: &GenerateArgs) -> Result<()> {
    ensure!(!path.exists(), "{} is there already", path.display());
    SqliteStore::open(path).await.context("could not open a database")?.close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).foreign_keys(false);
    let mut database = SqliteConnection::connect_with(&options).await?;
    let settings =
        "PRAGMA cache_size = -1048576; PRAGMA temp_store = FILE; PRAGMA synchronous = OFF;
                    PRAGMA journal_mode = OFF";
    sqlx::raw_sql(settings).execute(&mut database).await?;
    let made_again: Vec<(String, String, String)> =
        sqlx::query_as(MADE_AGAIN).fetch_all(&mut database).await?;
    let mut steps: Vec<String> =
        made_again.iter().map(|(kind, name, _)| format!("DROP {kind} {name}")).collect();
    steps.extend([sessions(args), requests(args)]);
    let (triggers, indexes): (Vec<_>, Vec<_>) =
        made_again.into_iter().partition(|(kind, _, _)| kind == "trigger");
    steps.extend(indexes.into_iter().map(|(_, _, sql)| sql));
    steps.push(include_str!("sqlite/sums.sql").to_owned());
    steps.extend(triggers.into_iter().map(|(_, _, sql)| sql));
    steps.push("PRAGMA journal_mode = WAL".to_owned());
    for step in steps {
        sqlx::raw_sql(AssertSqlSafe(step)).execute(&mut database).await?;
    }
    database.close().await?;
    Ok(())
}

/// Sessions in the order of their beginnings. The last thousandth is active; the others lasted up to two hours.
fn sessions(args: &GenerateArgs) -> String {
    let (sessions, seconds) = (args.sessions, args.days * 86_400);
    let client = client_of("r1");
    let time = |seconds: &str| format!("strftime('%Y-%m-%dT%H:%M:%f000Z', {seconds}, 'unixepoch')");
    let (began, heard, ended) = (time("began"), time("heard"), time("heard + 300"));
    format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {sessions}),
         drawn AS (
             SELECT i, abs(random() % 100) AS r1, abs(random() % 1000) AS r2, abs(random() % 7200) AS lasted,
                    unixepoch('now') - {seconds} + i * ({seconds} - 200.0) / {sessions} AS began,
                    i > {sessions} - {sessions} / 1000 AS is_active
             FROM n
         ), timed AS (
             SELECT *, iif(is_active, unixepoch('now') - r2 / 4, min(began + lasted, unixepoch('now') - 301)) AS heard
             FROM drawn
         )
         INSERT INTO archon_mcp_sessions (session_id, client_type, client_name, client_version,
             client_capabilities, connected_at, last_activity, disconnected_at, total_duration, status,
             disconnect_reason, user_id, principal, era, protocol_version)
         SELECT {UUID}, {client}, lower(replace({client}, ' ', '-')), '2.0.14', '{{\"roots\":{{\"listChanged\":true}}}}',
             {began}, {heard}, iif(is_active, NULL, {ended}),
             iif(is_active, NULL, cast(heard + 300 - began AS INTEGER)),
             iif(is_active, 'active', 'disconnected'),
             iif(is_active, NULL, iif(r1 % 3, 'timeout_no_activity', 'client_disconnect')),
             iif(r2 < 600, 'user-' || (r2 * 7919 + i) % {USERS}, NULL), 'anonymous', 'legacy', '2025-11-25'
         FROM timed"
    )
}

/// Requests in the order of time, of sessions that began shortly before.
fn requests(args: &GenerateArgs) -> String {
    let (sessions, requests, seconds) = (args.sessions, args.requests, args.days * 86_400);
    format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {requests}),
         drawn AS MATERIALIZED (
             SELECT i, abs(random() % 1000) AS r1, abs(random() % 1000) AS r2, abs(random() % 1000) AS r3,
                    max(1, i * {sessions} / {requests} - abs(random() % 50)) AS session
             FROM n
         )
         INSERT INTO archon_mcp_requests (session_id, method, tool_name, prompt_tokens, completion_tokens,
             estimated_cost, timestamp, duration_ms, status, error_message, upstream, duration_us,
             request_bytes, response_bytes, model)
         SELECT s.session_id, iif(r1 < 150, 'tools/list', 'tools/call'),
             iif(r1 < 150, NULL, 'tool_' || (r2 * r2 * {TOOLS} / 1000000)), 20 + r2, 40 + r3,
             (20 + r2) * 0.000003 + (40 + r3) * 0.000015,
             strftime('%Y-%m-%dT%H:%M:%f000Z',
                      unixepoch('now') - {seconds} + i * ({seconds} - 100.0) / {requests}, 'unixepoch'),
             (500 + r3 * r3 * r3 / 1000) / 1000,
             iif(r1 < 955, 'success', iif(r1 < 995, 'error', 'timeout')),
             iif(r1 < 955, NULL, iif(r1 < 995, 'could not find the file /src/' || r2, 'not answered in time')),
             'demo', 500 + r3 * r3 * r3 / 1000, 100 + r2, 200 + r3 * 10, 'claude-sonnet-4-5'
         FROM drawn CROSS JOIN archon_mcp_sessions s ON s.rowid = session"
    )
}

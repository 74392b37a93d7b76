//! Fills a PostgreSQL database, in SQL and without indexes, which are made at the end.

use anyhow::{Context, Result, ensure};
use archon_sessions::store::postgres::{PostgresStore, PostgresUrl};
use sqlx::{AssertSqlSafe, Executor, Row};

use super::{TOOLS, USERS, client_of};
use crate::args::GenerateArgs;

/// What also sums up tables that are taken over.
const SUMS: &str =
    include_str!("../../../crates/archon-sessions/src/store/postgres/takeover/sums.sql");
/// Indexes of requests that are no keys.
const MADE_AGAIN: &str = "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
    WHERE indrelid IN ('archon_mcp_sessions'::regclass, 'archon_mcp_requests'::regclass) AND NOT indisprimary";

pub(super) async fn fill(url: &PostgresUrl, args: &GenerateArgs) -> Result<()> {
    let store = PostgresStore::open(url).await.context("could not open the database")?;
    let mut database = store.pool().acquire().await?;
    let is_empty: bool = sqlx::query_scalar("SELECT NOT EXISTS (SELECT FROM archon_mcp_sessions)")
        .fetch_one(&mut *database)
        .await?;
    ensure!(is_empty, "there are sessions in it already");
    let made_again = database.fetch_all(MADE_AGAIN).await?;
    let mut steps = vec![
        "BEGIN; SET LOCAL work_mem = '256MB'; SET LOCAL maintenance_work_mem = '512MB';
         ALTER TABLE archon_mcp_sessions DISABLE TRIGGER USER;
         ALTER TABLE archon_mcp_requests DROP CONSTRAINT archon_mcp_requests_session_id_fkey"
            .to_owned(),
    ];
    for row in &made_again {
        steps.push(format!("DROP INDEX {}", row.try_get::<&str, _>(0)?));
    }
    steps.extend([partitions(args), sessions(args), requests(args)]);
    for row in &made_again {
        // Of a partitioned table it describes the index without those of the partitions.
        steps.push(row.try_get::<&str, _>(1)?.replace(" ON ONLY ", " ON "));
    }
    steps.push("ANALYZE archon_mcp_sessions; ANALYZE archon_mcp_requests".to_owned());
    steps.push(SUMS.to_owned());
    // Checked once as a whole, instead of row by row.
    steps.push(
        "ALTER TABLE archon_mcp_requests ADD FOREIGN KEY (session_id) REFERENCES archon_mcp_sessions;
         ALTER TABLE archon_mcp_sessions ENABLE TRIGGER USER; COMMIT"
            .to_owned(),
    );
    steps.push("VACUUM ANALYZE".to_owned());
    for step in steps {
        sqlx::raw_sql(AssertSqlSafe(step)).execute(&mut *database).await?;
    }
    drop(database);
    store.close().await;
    Ok(())
}

fn partitions(args: &GenerateArgs) -> String {
    let days = args.days;
    format!(
        "DO $$
         DECLARE day DATE;
         BEGIN
             FOR back IN 0..{days} LOOP
                 day := (now() AT TIME ZONE 'UTC')::date - back;
                 EXECUTE format(
                     'CREATE TABLE IF NOT EXISTS archon_mcp_requests_%s PARTITION OF archon_mcp_requests
                      FOR VALUES FROM (%L) TO (%L)',
                     to_char(day, 'YYYYMMDD'), day::text || 'T00:00:00Z', (day + 1)::text || 'T00:00:00Z');
             END LOOP;
         END $$"
    )
}

/// Sessions in the order of their beginnings. The last thousandth is active; the others lasted up to two hours.
fn sessions(args: &GenerateArgs) -> String {
    let (sessions, seconds) = (args.sessions, args.days * 86_400);
    let client = client_of("r1");
    format!(
        "CREATE TEMPORARY TABLE drawn ON COMMIT DROP AS
         SELECT i, gen_random_uuid() AS session_id, floor(random() * 100)::int AS r1,
                floor(random() * 1000)::int AS r2, floor(random() * 7200)::int AS lasted,
                now() - interval '1 second' * {seconds}
                    + interval '1 second' * (i * ({seconds} - 200.0) / {sessions}) AS began,
                i > {sessions} - {sessions} / 1000 AS is_active
         FROM generate_series(1, {sessions}) AS i;
         INSERT INTO archon_mcp_sessions (session_id, client_type, client_name, client_version,
             client_capabilities, connected_at, last_activity, disconnected_at, total_duration, status,
             disconnect_reason, user_id, principal, era, protocol_version)
         SELECT session_id, {client}, lower(replace({client}, ' ', '-')), '2.0.14',
             '{{\"roots\":{{\"listChanged\":true}}}}', began, heard,
             CASE WHEN NOT is_active THEN heard + interval '300 seconds' END,
             CASE WHEN NOT is_active THEN extract(epoch FROM heard - began)::int + 300 END,
             CASE WHEN is_active THEN 'active' ELSE 'disconnected' END,
             CASE WHEN is_active THEN NULL WHEN r1 % 3 = 0 THEN 'client_disconnect'
                  ELSE 'timeout_no_activity' END,
             CASE WHEN r2 < 600 THEN 'user-' || (r2 * 7919 + i) % {USERS} END, 'anonymous', 'legacy', '2025-11-25'
         FROM (SELECT *, CASE WHEN is_active THEN now() - interval '1 second' * (r2 / 4)
                              ELSE least(began + interval '1 second' * lasted, now() - interval '301 seconds')
                              END AS heard
               FROM drawn) AS timed
         ORDER BY i"
    )
}

/// Requests in the order of time, of sessions that began shortly before.
fn requests(args: &GenerateArgs) -> String {
    let (sessions, requests, seconds) = (args.sessions, args.requests, args.days * 86_400);
    format!(
        "INSERT INTO archon_mcp_requests (session_id, method, tool_name, prompt_tokens, completion_tokens,
             estimated_cost, timestamp, duration_ms, status, error_message, upstream, duration_us,
             request_bytes, response_bytes, model)
         SELECT d.session_id, CASE WHEN n.r1 < 150 THEN 'tools/list' ELSE 'tools/call' END,
             CASE WHEN n.r1 >= 150 THEN 'tool_' || (n.r2 * n.r2 * {TOOLS} / 1000000) END, 20 + n.r2, 40 + n.r3,
             (20 + n.r2) * 0.000003 + (40 + n.r3) * 0.000015,
             now() - interval '1 second' * {seconds}
                 + interval '1 second' * (n.i * ({seconds} - 100.0) / {requests}),
             (500 + n.r3 * n.r3 * n.r3 / 1000) / 1000,
             CASE WHEN n.r1 < 955 THEN 'success' WHEN n.r1 < 995 THEN 'error' ELSE 'timeout' END,
             CASE WHEN n.r1 < 955 THEN NULL WHEN n.r1 < 995 THEN 'could not find the file /src/' || n.r2
                  ELSE 'not answered in time' END,
             'demo', 500 + n.r3 * n.r3 * n.r3 / 1000, 100 + n.r2, 200 + n.r3 * 10, 'claude-sonnet-4-5'
         FROM (SELECT i, floor(random() * 1000)::int AS r1, floor(random() * 1000)::int AS r2,
                      floor(random() * 1000)::int AS r3,
                      greatest(1, i * {sessions} / {requests} - floor(random() * 50)::bigint) AS session
               FROM generate_series(1::bigint, {requests}) AS i) AS n
         JOIN drawn d ON d.i = n.session
         ORDER BY n.i"
    )
}

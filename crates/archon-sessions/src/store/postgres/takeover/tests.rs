//! Tables as the project had them that this one comes from: what its migrations made, and what its guide shows.

use sqlx::{AssertSqlSafe, PgConnection};

use super::super::{PostgresStore, PostgresUrl, server};
use crate::session::{Status, Timestamp, User};
use crate::store::reports::{Days, Reports, RequestQuery, SessionQuery};
use crate::store::suite::{at, request, session};
use crate::store::{Batch, SessionStore};

/// With what stands on the tables: a view, a view on that, a policy as Supabase has them, rights, and a trigger.
const MIGRATED: &str = "
CREATE SCHEMA auth;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid';
CREATE TABLE archon_mcp_sessions (
    session_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    client_type VARCHAR(50) NOT NULL DEFAULT 'Unknown',
    client_version VARCHAR(50),
    client_capabilities JSONB,
    connected_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    disconnected_at TIMESTAMPTZ,
    last_activity TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    status VARCHAR(20) NOT NULL DEFAULT 'active',
    metadata JSONB DEFAULT '{}',
    total_duration INTEGER,
    disconnect_reason VARCHAR(100),
    user_id UUID,
    user_email VARCHAR(255),
    user_name VARCHAR(255),
    CONSTRAINT valid_status CHECK (status IN ('active', 'idle', 'disconnected'))
);
CREATE INDEX idx_archon_mcp_sessions_status ON archon_mcp_sessions (status);
CREATE INDEX idx_archon_mcp_sessions_user_activity ON archon_mcp_sessions (user_id, last_activity DESC)
    WHERE user_id IS NOT NULL;
CREATE TABLE archon_mcp_requests (
    request_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    session_id UUID NOT NULL REFERENCES archon_mcp_sessions (session_id) ON DELETE CASCADE,
    method VARCHAR(100) NOT NULL,
    tool_name VARCHAR(100),
    prompt_tokens INTEGER DEFAULT 0,
    completion_tokens INTEGER DEFAULT 0,
    total_tokens INTEGER GENERATED ALWAYS AS (prompt_tokens + completion_tokens) STORED,
    estimated_cost DECIMAL(10, 6) DEFAULT 0.000000,
    timestamp TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    duration_ms INTEGER,
    status VARCHAR(20) NOT NULL DEFAULT 'success',
    error_message TEXT,
    CONSTRAINT valid_status CHECK (status IN ('success', 'error', 'timeout'))
);
CREATE INDEX idx_archon_mcp_requests_timestamp ON archon_mcp_requests (timestamp DESC);
CREATE TABLE archon_llm_pricing (
    id SERIAL PRIMARY KEY,
    model_name VARCHAR(100) NOT NULL,
    provider VARCHAR(50) NOT NULL,
    input_price_per_1k DECIMAL(10, 6) NOT NULL,
    output_price_per_1k DECIMAL(10, 6) NOT NULL,
    effective_date DATE NOT NULL DEFAULT CURRENT_DATE,
    notes TEXT,
    CONSTRAINT unique_model_provider_date UNIQUE (model_name, provider, effective_date)
);
INSERT INTO archon_llm_pricing (model_name, provider, input_price_per_1k, output_price_per_1k, effective_date)
VALUES ('gpt-4', 'OpenAI', 0.030, 0.060, '2024-01-01');
CREATE VIEW archon_mcp_user_stats AS
SELECT user_id, user_email, count(*) AS sessions, count(*) FILTER (WHERE status = 'active') AS active,
       (SELECT coalesce(sum(r.total_tokens), 0) FROM archon_mcp_requests r
        WHERE r.session_id IN (SELECT session_id FROM archon_mcp_sessions s2 WHERE s2.user_id = s.user_id)) AS tokens
FROM archon_mcp_sessions s GROUP BY user_id, user_email;
CREATE VIEW best_user AS SELECT * FROM archon_mcp_user_stats ORDER BY sessions DESC LIMIT 1;
GRANT SELECT ON archon_mcp_user_stats TO PUBLIC;
CREATE FUNCTION update_session_status() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
    UPDATE archon_mcp_sessions SET last_activity = NEW.timestamp, status = 'idle' WHERE session_id = NEW.session_id;
    RETURN NEW;
END $$;
CREATE TRIGGER trigger_update_session_status AFTER INSERT ON archon_mcp_requests
    FOR EACH ROW EXECUTE FUNCTION update_session_status();
ALTER TABLE archon_mcp_sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY \"Users can read their own sessions\" ON archon_mcp_sessions FOR SELECT
    USING (user_id = (SELECT auth.uid()) OR user_id IS NULL);
INSERT INTO archon_mcp_sessions (session_id, client_type, connected_at, last_activity, status, user_id, user_email)
VALUES ('550e8400-e29b-41d4-a716-446655440001', 'Claude Code', '2026-01-09 10:00Z', '2026-01-09 11:00Z', 'idle',
        '550e8400-e29b-41d4-a716-446655440009', 'a@b.example');
INSERT INTO archon_mcp_sessions (session_id, client_type, connected_at, last_activity, disconnected_at, status,
                                 disconnect_reason)
VALUES ('550e8400-e29b-41d4-a716-446655440002', 'Cursor', '2026-01-09 10:00Z', '2026-01-09 11:00Z',
        '2026-01-09 11:00Z', 'disconnected', 'timeout');
INSERT INTO archon_mcp_requests (session_id, method, tool_name, prompt_tokens, completion_tokens, timestamp, duration_ms)
VALUES ('550e8400-e29b-41d4-a716-446655440002', 'tools/call', 'late', 10, 20, '2026-01-09 10:59Z', 250),
       ('550e8400-e29b-41d4-a716-446655440002', 'tools/call', 'early', NULL, NULL, '2026-01-09 10:01Z', NULL);
";

/// Nothing has a default, a zone or a word on what may be empty.
const GUIDE: &str = "
CREATE TABLE archon_mcp_sessions (
    session_id UUID PRIMARY KEY,
    client_type TEXT,
    client_version TEXT,
    client_capabilities JSONB,
    connected_at TIMESTAMP,
    last_activity TIMESTAMP,
    disconnected_at TIMESTAMP,
    total_duration INTEGER,
    status TEXT CHECK (status IN ('active', 'disconnected', 'expired')),
    disconnect_reason TEXT,
    user_id UUID,
    user_email TEXT,
    user_name TEXT,
    metadata JSONB
);
CREATE TABLE archon_mcp_requests (
    id SERIAL PRIMARY KEY,
    session_id UUID REFERENCES archon_mcp_sessions(session_id),
    method TEXT,
    tool_name TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    estimated_cost DECIMAL(10, 6),
    timestamp TIMESTAMP,
    duration_ms INTEGER,
    status TEXT CHECK (status IN ('success', 'error', 'timeout')),
    error_message TEXT
);
INSERT INTO archon_mcp_sessions (session_id, connected_at, last_activity, status)
VALUES ('550e8400-e29b-41d4-a716-446655440001', '2026-01-09 10:00', '2026-01-09 11:00', 'active'),
       ('550e8400-e29b-41d4-a716-446655440002', NULL, '2026-01-09 11:00', NULL);
INSERT INTO archon_mcp_requests (session_id, tool_name, prompt_tokens, completion_tokens, timestamp, duration_ms)
VALUES ('550e8400-e29b-41d4-a716-446655440002', 'early', NULL, NULL, '2026-01-09 10:01', NULL),
       ('550e8400-e29b-41d4-a716-446655440002', 'late', 10, 20, '2026-01-09 10:59', 250),
       (NULL, 'of nobody', 1, 1, NULL, 1);
";

async fn database_with(tables: &'static str) -> (PostgresUrl, PgConnection) {
    let url = server::new_database("").await;
    let mut people = sqlx::ConnectOptions::connect(&url.options().unwrap()).await.unwrap();
    sqlx::raw_sql(tables).execute(&mut people).await.unwrap();
    (url, people)
}

async fn scalar(people: &mut PgConnection, sql: &str) -> String {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(people).await.unwrap()
}

async fn what_was_there_is_listed_and_counted(store: &PostgresStore) {
    let page =
        Reports::sessions(store, &SessionQuery { limit: 9, ..Default::default() }).await.unwrap();
    assert_eq!((page.rows.len(), page.total.count), (2, 2));
    let query = RequestQuery { limit: 9, ..Default::default() };
    let requests = store.requests(&query).await.unwrap().rows;
    let tools: Vec<_> = requests.iter().filter_map(|r| r.row.tool.as_deref()).collect();
    assert_eq!(tools[tools.len() - 2..], ["late", "early"]);
    let late = requests.iter().find(|r| r.row.tool.as_deref() == Some("late")).unwrap();
    assert_eq!(
        (late.row.duration_us, late.row.started.to_string().as_str()),
        (250_000, "2026-01-09T10:59:00.000000Z")
    );
    let day = Timestamp::parse("2026-01-09T00:00:00Z").unwrap();
    let usage = store.usage(Days::between(day, day)).await.unwrap();
    assert_eq!((usage.total.requests, usage.total.prompt_tokens, usage.sessions), (2, 10, 1));
}

/// Names longer than the columns were, and a user whose id is no UUID.
async fn the_gateway_goes_on_in_them(store: &PostgresStore) {
    let mut ours = session();
    ours.client.name = Some("x".repeat(300).into());
    ours.user = User::known(Some("auth0|alice".into()), Some("e".repeat(300).into()), None);
    let mut call = request(ours.id);
    call.method = "m".repeat(200).into();
    let created = vec![ours.clone()];
    store.apply(&Batch { created, requests: vec![call], ..Batch::default() }).await.unwrap();
    assert_eq!(store.session(ours.id).await.unwrap(), Some(ours.clone()));
    let record = store.session_record(ours.id).await.unwrap().unwrap();
    assert_eq!(record.totals.requests, 1);
    let newest = store.requests(&RequestQuery { limit: 1, ..Default::default() }).await.unwrap();
    assert_eq!(newest.rows[0].row.session, ours.id);
    assert_eq!(store.drop_requests_before(at(-86_400)).await.unwrap(), 0);
    store.check().await.unwrap();
}

#[tokio::test]
async fn the_tables_of_the_project_that_we_come_from_are_taken_over() {
    let (url, mut people) = database_with(MIGRATED).await;
    let steps = PostgresStore::missing_steps(&url).await.unwrap();
    let first = &steps[0].description;
    assert!(first.contains("take over") && first.contains("archon_mcp_requests"), "{first}");

    let store = PostgresStore::open(&url).await.unwrap();
    what_was_there_is_listed_and_counted(&store).await;
    let idle = store
        .session("550e8400-e29b-41d4-a716-446655440001".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(idle.status(), Status::Active);
    assert_eq!(idle.user.unwrap().id.as_deref(), Some("550e8400-e29b-41d4-a716-446655440009"));
    the_gateway_goes_on_in_them(&store).await;
    assert_eq!(store.price("gpt-4", at(0)).await.unwrap().unwrap().input_per_1k, 0.03);
    assert!(store.price("claude-sonnet-4-5", at(0)).await.unwrap().is_some());

    // What stood on the tables stands on them still.
    let sessions =
        scalar(&mut people, "SELECT sum(sessions)::text FROM archon_mcp_user_stats").await;
    assert_eq!(sessions, "3");
    assert_eq!(scalar(&mut people, "SELECT count(*)::text FROM best_user").await, "1");
    let rights =
        "SELECT has_table_privilege('pg_monitor', 'archon_mcp_user_stats', 'SELECT')::text";
    assert_eq!(scalar(&mut people, rights).await, "true");
    let policy = "SELECT qual FROM pg_policies WHERE tablename = 'archon_mcp_sessions'";
    assert!(scalar(&mut people, policy).await.contains("auth.uid"));
    // And people's own statements work as they did: what they write counts.
    sqlx::raw_sql(
        "INSERT INTO archon_mcp_requests (session_id, method, tool_name, prompt_tokens, completion_tokens)
         VALUES ('550e8400-e29b-41d4-a716-446655440001', 'tools/call', 'theirs', 1, 2);
         INSERT INTO archon_mcp_sessions (client_type, client_version) VALUES ('Claude Code', '1.0.0')",
    )
    .execute(&mut people)
    .await
    .unwrap();
    let theirs = store.session_record(idle.id).await.unwrap().unwrap();
    assert_eq!((theirs.totals.requests, theirs.session.end), (1, None));
    assert_eq!(store.active().await.unwrap().0.len(), 3);
    store.close().await;
    assert!(PostgresStore::missing_steps(&url).await.unwrap().is_empty());
    PostgresStore::open(&url).await.unwrap().close().await;
}

#[tokio::test]
async fn the_tables_of_the_guide_are_taken_over() {
    let (url, _people) = database_with(GUIDE).await;
    let store = PostgresStore::open(&url).await.unwrap();
    what_was_there_is_listed_and_counted(&store).await;
    the_gateway_goes_on_in_them(&store).await;
    store.close().await;
}

#[tokio::test]
async fn tables_that_do_not_fit_are_refused_and_left_alone() {
    let odd = "CREATE TABLE archon_mcp_sessions (session_id TEXT PRIMARY KEY, status TEXT);
               INSERT INTO archon_mcp_sessions VALUES ('x', 'active')";
    let (url, mut people) = database_with(odd).await;
    let refusal = PostgresStore::open(&url).await.err().unwrap().to_string();
    assert!(refusal.contains("could not be taken over"), "{refusal}");
    let columns = "SELECT count(*)::text FROM pg_attribute
                   WHERE attrelid = 'archon_mcp_sessions'::regclass AND attnum > 0";
    assert_eq!(scalar(&mut people, columns).await, "2");
}

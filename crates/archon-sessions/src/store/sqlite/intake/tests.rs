//! What SQLite alone lets people write.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, SqliteConnection};

use super::*;
use crate::session::{DisconnectReason, SessionId};
use crate::store::reports::{
    Days, Order, Reports, RequestQuery, SessionQuery, SessionSort, WINDOW,
};
use crate::store::suite::{request, session};
use crate::store::{Batch, SessionStore};

/// What people use: it checks no foreign keys.
async fn shell(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).foreign_keys(false).connect().await.unwrap()
}

async fn run(shell: &mut SqliteConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(shell).await.unwrap();
}

async fn add(shell: &mut SqliteConnection, id: SessionId, connected: &str, heard: &str) {
    let sql = format!(
        "INSERT INTO archon_mcp_sessions (session_id, client_type, connected_at, last_activity, status)
         VALUES ('{id}', 'people', {connected}, {heard}, 'active')"
    );
    run(shell, &sql).await;
}

async fn listed(store: &SqliteStore, query: SessionQuery) -> Vec<SessionId> {
    let mut query = SessionQuery { limit: 2, ..query };
    let mut found = Vec::new();
    loop {
        let page = Reports::sessions(store, &query).await.unwrap();
        found.extend(page.rows.iter().map(|record| record.session.id));
        let Some(next) = page.next else { return found };
        query.continue_at(&next).unwrap();
    }
}

/// The same moment and others around it, in each form; their order is the one of this list.
const FORMS: [&str; 9] = [
    "'2026-01-10 11:59:59'",
    "1768046400",
    "'2026-01-10 13:00:01+01:00'",
    "2461051.00002",
    "'2026-01-10T12:00:03.5Z'",
    "datetime('2026-01-10 12:00:04')",
    "julianday('2026-01-10 12:01:00')",
    "unixepoch('2026-01-10 12:02:00')",
    "'2026-01-11'",
];

#[tokio::test]
async fn times_in_any_form_are_listed_filtered_and_paged_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let mut shell = shell(&path).await;
    let ids = FORMS.map(|_| SessionId::random());
    for (id, form) in ids.iter().zip(FORMS).rev() {
        add(&mut shell, *id, form, form).await;
    }
    let newest_first: Vec<_> = ids.iter().rev().copied().collect();
    for sort in [SessionSort::LastActivity, SessionSort::ConnectedAt, SessionSort::ClientType] {
        let query = SessionQuery { sort, ..SessionQuery::default() };
        assert_eq!(listed(&store, query.clone()).await, newest_first, "{sort:?}");
        let query = SessionQuery { order: Order::Ascending, ..query };
        assert_eq!(listed(&store, query).await, ids, "{sort:?}");
    }
    let at = |text: &str| Timestamp::parse(text);
    let query = SessionQuery {
        active_from: at("2026-01-10T12:00:00Z"),
        active_until: at("2026-01-10T12:00:04Z"),
        ..SessionQuery::default()
    };
    let mut between = ids[1..5].to_vec();
    between.reverse();
    assert_eq!(listed(&store, query).await, between);
    let query = SessionQuery { limit: 9, ..SessionQuery::default() };
    assert_eq!(Reports::sessions(&store, &query).await.unwrap().total.count, 9);

    // A row that changes its form later is where it belongs, too.
    run(
        &mut shell,
        "UPDATE archon_mcp_sessions SET last_activity = '2026-01-12 00:00'
                     WHERE connected_at LIKE '2026-01-10T11:59%'",
    )
    .await;
    assert_eq!(listed(&store, SessionQuery::default()).await[0], ids[0]);
    let health = store.session_health(Timestamp::now()).await.unwrap();
    assert_eq!((health.active, health.ended), (9, 0));
    assert_eq!(SqliteStore::open(&path).await.unwrap().active().await.unwrap().0.len(), 9);
    assert!(ids.len() < WINDOW);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_costs_itself_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let ours = session();
    let created = vec![ours.clone()];
    store
        .apply(&Batch { created, requests: vec![request(ours.id)], ..Batch::default() })
        .await
        .unwrap();
    let mut shell = shell(&path).await;
    let good = "'2026-01-10 12:00:00'";
    let broken = SessionId::random();
    add(&mut shell, broken, "'yesterday'", good).await;
    add(&mut shell, SessionId::random(), good, "'zzz'").await;
    for sql in [
        "INSERT INTO archon_mcp_sessions (session_id, client_type, connected_at, last_activity, status)
         VALUES ('my-session', 'people', '2026-01-10 12:00:00', '2026-01-10 12:00:00', 'active')",
        "INSERT INTO archon_mcp_sessions (session_id, client_type, connected_at, last_activity, status, user_name)
         VALUES ('550e8400-e29b-41d4-a716-446655440000', 'people', '2026-01-10', '2026-01-10', 'active',
                 CAST(x'ff' AS TEXT))",
        "INSERT INTO archon_mcp_sessions
             (session_id, client_type, connected_at, last_activity, status, disconnected_at)
         VALUES ('650e8400-e29b-41d4-a716-446655440000', 'people', '2026-01-10', '2026-01-10', 'expired', 'soon')",
    ] {
        run(&mut shell, sql).await;
    }
    let id = ours.id.to_string();
    for (session, timestamp) in [(&*id, "'never'"), ("my-session", "'2026-01-10'")] {
        run(
            &mut shell,
            &format!(
            "INSERT INTO archon_mcp_requests (session_id, method, timestamp, duration_ms, status)
             VALUES ('{session}', 'tools/call', {timestamp}, 1, 'error')"
        ),
        )
        .await;
    }

    assert_eq!(listed(&store, SessionQuery::default()).await, [ours.id]);
    let people =
        SessionQuery { client_type: Some("people".into()), limit: 9, ..Default::default() };
    assert_eq!(Reports::sessions(&store, &people).await.unwrap().total.count, 0);
    let page = store.requests(&RequestQuery { limit: 9, ..Default::default() }).await.unwrap();
    assert_eq!((page.rows.len(), page.total.count), (1, 1));
    let health = store.session_health(Timestamp::now()).await.unwrap();
    assert_eq!((health.active, health.ended, health.recent.len()), (1, 0, 1));
    assert!(store.failures(None).await.unwrap().last_at.is_some());
    store.check().await.unwrap();
    assert_eq!(store.unreadable(), 7);
    assert_eq!(store.session(broken).await.unwrap(), None);
    store.close().await;

    let again = SqliteStore::open(&path).await.unwrap();
    assert_eq!(again.active().await.unwrap().0.len(), 1);
    again.check().await.unwrap();
    assert_eq!(again.unreadable(), 7);
    // Whoever mends a row has it back.
    run(
        &mut shell,
        "UPDATE archon_mcp_sessions SET connected_at = '2026-01-10 12:00:00'
                     WHERE connected_at = 'yesterday'",
    )
    .await;
    assert_eq!(again.active().await.unwrap().0.len(), 2);
    again.check().await.unwrap();
    assert_eq!(again.unreadable(), 6);
    again.close().await;
}

#[tokio::test]
async fn an_id_in_another_form_of_a_uuid_is_the_same_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let ours = session();
    store.apply(&Batch { created: vec![ours.clone()], ..Batch::default() }).await.unwrap();
    let mut shell = shell(&path).await;
    let upper = ours.id.to_string().to_uppercase();
    run(&mut shell, &format!(
        "INSERT INTO archon_mcp_requests (session_id, method, timestamp, duration_ms, status)
         VALUES ('{upper}', 'tools/call', datetime('now'), 1, 'success');
         INSERT INTO archon_mcp_sessions (session_id, client_type, connected_at, last_activity, status)
         VALUES ('550E8400E29B41D4A716446655440000', 'people', datetime('now'), datetime('now'), 'active'),
                ('{upper}', 'taken', datetime('now'), datetime('now'), 'active');
         INSERT INTO archon_mcp_requests (session_id, method, timestamp, duration_ms, status)
         VALUES ('550E8400E29B41D4A716446655440000', 'tools/call', datetime('now'), 1, 'success')"
    )).await;
    for id in [ours.id, "550e8400-e29b-41d4-a716-446655440000".parse().unwrap()] {
        let record = store.session_record(id).await.unwrap().unwrap();
        assert_eq!(record.totals.requests, 1, "{id}");
        let query = RequestQuery { session: Some(id), limit: 9, ..RequestQuery::default() };
        assert_eq!(store.requests(&query).await.unwrap().rows.len(), 1, "{id}");
    }
    store.check().await.unwrap();
    assert_eq!(store.unreadable(), 1, "whoever comes second has no key");
    let now = Timestamp::now();
    let minutes = store.minutes(now, 60).await.unwrap();
    assert_eq!(minutes.iter().map(|minute| minute.counts.requests).sum::<i64>(), 2);
    store.close().await;
}

#[tokio::test]
async fn what_people_write_into_our_columns_makes_no_batch_fail() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let mut ours = session();
    store.apply(&Batch { created: vec![ours.clone()], ..Batch::default() }).await.unwrap();
    let mut shell = shell(&path).await;
    run(&mut shell, "UPDATE archon_mcp_sessions SET upstreams = 'demo', metadata = '{', client_capabilities = '[',
                         last_request_day = 'x', continues = 'y', fingerprint = 'z'").await;
    let requests = vec![request(ours.id); 70];
    store.apply(&Batch { requests, ..Batch::default() }).await.unwrap();
    let record = store.session_record(ours.id).await.unwrap().unwrap();
    assert_eq!((record.totals.requests, record.upstreams), (70, vec!["demo".to_owned()]));
    ours.disconnect(DisconnectReason::Operator, ours.connected_at);
    store.apply(&Batch { ended: vec![ours.clone()], ..Batch::default() }).await.unwrap();
    let health = store.session_health(Timestamp::now()).await.unwrap();
    assert_eq!((health.active, health.ended), (0, 1));
    shell.close().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_request_whose_time_is_written_anew_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let ours = session();
    let requests = vec![request(ours.id)];
    store
        .apply(&Batch { created: vec![ours.clone()], requests, ..Batch::default() })
        .await
        .unwrap();
    let mut shell = shell(&path).await;
    run(&mut shell, "UPDATE archon_mcp_requests SET timestamp = '2026-01-10 12:00:00'").await;
    let usage = store.usage(Days::until(Timestamp::now(), 3000)).await.unwrap();
    assert_eq!(usage.total.requests, 1);
    let page = store.requests(&RequestQuery { limit: 9, ..Default::default() }).await.unwrap();
    assert_eq!(page.rows[0].row.started.to_string(), "2026-01-10T12:00:00.000000Z");
    store.close().await;
}

//! What only this backend must show.

use sqlx::FromRow;

use super::*;
use crate::store::reports::Reports;
use crate::store::suite::{at, connection, request, session};

async fn open() -> PostgresStore {
    PostgresStore::open(&server::new_database("").await).await.unwrap()
}

async fn rows<R>(store: &PostgresStore, sql: &'static str) -> Vec<R>
where
    R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    sqlx::query_as(sql).fetch_all(store.pool()).await.unwrap()
}

const COUNT: &str = "SELECT count(*) FROM archon_mcp_requests";

#[test]
fn each_file_is_a_step() {
    assert!(steps::are_those_of("postgres", &migrator()));
}

#[tokio::test]
async fn requests_read_as_the_contract_says() {
    let store = open().await;
    let first = session();
    let requests = vec![request(SessionId::random()), request(first.id)];
    let batch = Batch { created: vec![first.clone()], requests, ..Batch::default() };
    store.apply(&batch).await.unwrap();
    type Read = (uuid::Uuid, String, String, i32, String, String, rows::Time);
    let found: Vec<Read> = rows(
        &store,
        "SELECT r.session_id, client_type, tool_name, duration_ms, r.status, estimated_cost::text, timestamp
         FROM archon_mcp_requests r JOIN archon_mcp_sessions s ON s.session_id = r.session_id",
    )
    .await;
    let expected = (
        first.id.as_uuid(),
        "Claude Code".to_owned(),
        "echo'\"".to_owned(),
        2,
        "error".to_owned(),
        "0.000069".to_owned(),
        rows::time(at(1)),
    );
    assert_eq!(found, vec![expected]);
    let active: Vec<(uuid::Uuid, String, String)> = rows(
        &store,
        "SELECT session_id, client_type, client_version, connected_at, last_activity, status
         FROM archon_mcp_sessions WHERE status='active' ORDER BY last_activity DESC",
    )
    .await;
    assert_eq!(active, vec![(first.id.as_uuid(), "Claude Code".to_owned(), "2.0".to_owned())]);
    let averages = "SELECT client_type, COUNT(*), AVG(total_duration) FROM archon_mcp_sessions
                    GROUP BY client_type";
    let averages: Vec<(String, i64)> = rows(&store, averages).await;
    assert_eq!(averages, vec![("Claude Code".to_owned(), 1)]);
    let price = store.price("claude-sonnet-4-5", at(0)).await.unwrap().unwrap();
    assert_eq!(price.cost_of_call_micros(1000, 1000), 18_000);
    store.close().await;
}

#[tokio::test]
async fn each_day_has_a_partition_and_old_ones_can_be_dropped() {
    const DAY: i64 = 24 * 60 * 60;
    let store = open().await;
    let first = session();
    let mut requests = vec![request(first.id); 3];
    for (request, day) in requests.iter_mut().zip(0..) {
        request.started = at(day * DAY);
    }
    let batch = Batch { created: vec![first], requests, ..Batch::default() };
    store.apply(&batch).await.unwrap();
    let by_table =
        "SELECT tableoid::regclass::text, count(*) FROM archon_mcp_requests GROUP BY 1 ORDER BY 1";
    let expected = [("20260109", 1), ("20260110", 1), ("20260111", 1)]
        .map(|(date, count)| (format!("archon_mcp_requests_{date}"), count));
    assert_eq!(rows::<(String, i64)>(&store, by_table).await, expected);

    assert_eq!(store.drop_requests_before(at(2 * DAY)).await.unwrap(), 2);
    assert_eq!(rows::<(String, i64)>(&store, by_table).await, expected[2..]);
    // A late row of a day that was dropped has a place as well.
    store.apply(&Batch { created: vec![], ..batch.clone() }).await.unwrap();
    assert_eq!(rows::<(i64,)>(&store, COUNT).await, vec![(4,)]);
    assert_eq!(store.drop_requests_before(at(9 * DAY)).await.unwrap(), 4);
    assert_eq!(rows::<(i64,)>(&store, COUNT).await, vec![(0,)]);
    store.close().await;
}

#[tokio::test]
async fn rows_of_a_day_without_a_partition_are_kept_all_the_same() {
    let store = open().await;
    // A view in its place: then the partition cannot be made.
    let obstacle = "CREATE VIEW archon_mcp_requests_20260109 AS SELECT 1";
    store.pool().execute(obstacle).await.unwrap();
    let first = session();
    let requests = vec![request(first.id)];
    let batch = Batch { created: vec![first], requests, ..Batch::default() };
    store.apply(&batch).await.unwrap();
    store.apply(&batch).await.unwrap();
    let default = "SELECT count(*) FROM archon_mcp_requests_default";
    assert_eq!(rows::<(i64,)>(&store, default).await, vec![(2,)]);
    assert_eq!(store.drop_requests_before(at(24 * 60 * 60)).await.unwrap(), 0);
    assert_eq!(rows::<(i64,)>(&store, COUNT).await, vec![(0,)]);
    store.close().await;
}

#[tokio::test]
async fn a_commit_that_was_not_answered_is_not_repeated() {
    let store = open().await;
    let first = session();
    let requests = vec![request(first.id)];
    let batch = Batch { created: vec![first], requests, ..Batch::default() };
    for (end, count) in [("COMMIT", 1), ("ROLLBACK", 2)] {
        // As far as it comes where the answer to the commit is lost.
        let mut connection = store.pool().acquire().await.unwrap();
        connection.execute("BEGIN").await.unwrap();
        for statement in before_requests(&batch, &[]) {
            statement.execute(&mut *connection).await.unwrap();
        }
        let doubt =
            requests::insert(&mut connection, &batch, &batch.requests, false).await.unwrap();
        store.writer.lock().await.doubt = Some(doubt);
        assert!(store.apply(&batch).await.is_err(), "it is not over yet");
        connection.execute(end).await.unwrap();
        store.apply(&batch).await.unwrap();
        assert_eq!(rows::<(i64,)>(&store, COUNT).await, vec![(count,)], "{end}");
    }
    store.close().await;
}

#[tokio::test]
async fn lost_connections_are_replaced() {
    let store = open().await;
    let first = session();
    let batch = Batch {
        created: vec![first.clone()],
        connections: vec![connection(&first)],
        ..Batch::default()
    };
    store.apply(&batch).await.unwrap();
    let name: Vec<(String,)> = rows(&store, "SELECT current_database()::text").await;
    let other = PostgresStore::open(&server::new_database("").await).await.unwrap();
    let kill = format!(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{}'",
        name[0].0
    );
    other.pool().execute(AssertSqlSafe(kill)).await.unwrap();
    assert!(matches!(store.apply(&batch).await, Err(StoreError::Unavailable(_))));
    store.apply(&batch).await.unwrap();
    assert_eq!(store.session(first.id).await.unwrap(), Some(first));
    store.check().await.unwrap();
    store.close().await;
    other.close().await;
}

#[tokio::test]
async fn nothing_is_prepared_where_a_pooler_is_in_between() {
    let url = server::new_database("?pgbouncer=true").await;
    let store = PostgresStore::open(&url).await.unwrap();
    let first = session();
    let requests = vec![request(first.id)];
    let batch = Batch { created: vec![first], requests, ..Batch::default() };
    store.apply(&batch).await.unwrap();
    let mut writer = store.writer.lock().await;
    let prepared = "SELECT name FROM pg_prepared_statements WHERE name <> ''";
    let found = writer.connection.as_mut().unwrap().fetch_all(prepared).await.unwrap();
    assert_eq!(found.len(), 0);
    drop(writer);
    store.close().await;
}

#[tokio::test]
async fn a_database_that_took_all_earlier_steps_opens_with_its_rows() {
    let url = server::new_database("").await;
    let store = PostgresStore::open(&url).await.unwrap();
    let first = session();
    let requests = vec![request(first.id)];
    let batch = Batch { created: vec![first.clone()], requests, ..Batch::default() };
    store.apply(&batch).await.unwrap();
    store.close().await;
    let mut connection = url.options().unwrap().connect().await.unwrap();
    let earlier = steps::as_of_earlier(&EARLIER, EARLIER.count, BYTES);
    connection.execute(AssertSqlSafe(earlier)).await.unwrap();
    let missing = PostgresStore::missing_steps(&url).await.unwrap();
    assert_eq!(missing.iter().map(|step| step.version).collect::<Vec<_>>(), [2]);
    for _ in 0..2 {
        let store = PostgresStore::open(&url).await.unwrap();
        let record = store.session_record(first.id).await.unwrap().unwrap();
        assert_eq!(record.totals.requests, 1);
        let taken = taken(&mut connection).await.unwrap();
        assert_eq!(taken.iter().map(|step| step.0).collect::<Vec<_>>(), [1, 2]);
        store.close().await;
    }
}

#[tokio::test]
async fn a_database_that_took_some_earlier_steps_is_refused() {
    let url = server::new_database("").await;
    PostgresStore::open(&url).await.unwrap().close().await;
    let mut connection = url.options().unwrap().connect().await.unwrap();
    let earlier = steps::as_of_earlier(&EARLIER, 4, BYTES);
    connection.execute(AssertSqlSafe(earlier)).await.unwrap();
    let refusal = PostgresStore::open(&url).await.err().unwrap().to_string();
    assert!(refusal.contains("has 4 of its 11 steps") && refusal.contains(WAY_OUT), "{refusal}");
    assert_eq!(taken(&mut connection).await.unwrap().len(), 4, "nothing was changed");
}

#[tokio::test]
async fn two_processes_may_start_at_once() {
    let url = server::new_database("").await;
    let (one, two) = tokio::join!(PostgresStore::open(&url), PostgresStore::open(&url));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.fingerprint_key().await.unwrap(), two.fingerprint_key().await.unwrap());
    one.close().await;
    two.close().await;
}

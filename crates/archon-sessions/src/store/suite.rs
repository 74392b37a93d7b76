//! What every store must show. Each backend runs all of it.

use std::sync::Arc;

use super::memory::MemoryStore;
use super::postgres::{PostgresStore, server};
use super::sqlite::SqliteStore;
use super::{Batch, CallId, OpenCall, Outcome, RequestRow, SessionStore, StoredEvent};
use crate::protocol::event_id::StreamId;
use crate::session::{
    ClientInfo, Connection, DisconnectReason, Era, IDLE_TIMEOUT, McpSessionId, Principal, Session,
    SessionId, Timestamp, User,
};

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_768_000_000_000_000 + seconds * 1_000_000)
}

pub(super) fn session() -> Session {
    let client = ClientInfo {
        name: Some("claude-code".into()),
        version: Some("2.0".into()),
        capabilities: Some(r#"{"roots":{}}"#.into()),
    };
    Session::new(client, Principal::Anonymous, Era::Legacy, "2025-11-25", IDLE_TIMEOUT, at(0))
}

pub(super) fn connection(session: &Session) -> Connection {
    Connection {
        handle: McpSessionId::random(),
        session: session.id,
        upstream: "demo".into(),
        principal: Principal::Identified { issuer: "i".into(), subject: "s".into() },
        protocol_version: "2025-11-25".into(),
        initialize: r#"{"protocolVersion":"2025-11-25"}"#.into(),
        link: Some("up-1".into()),
        setup: Some(r#"{"level":{}}"#.into()),
        opened_at: at(0),
        ended_at: None,
    }
}

pub(super) fn request(session: SessionId) -> RequestRow {
    RequestRow {
        session,
        method: "tools/call".into(),
        tool: Some("echo'\"".into()),
        upstream: Arc::from("demo"),
        started: at(1),
        duration_us: 1_500,
        outcome: Outcome::Error,
        error: Some("no such \u{1F600}".into()),
        request_bytes: 10,
        response_bytes: 20,
        prompt_tokens: 3,
        completion_tokens: 4,
        cost_micros: 69,
        model: Some("claude-sonnet-4-5".into()),
    }
}

async fn what_is_written_is_found(store: &dyn SessionStore) {
    let mut first = session();
    first.continues = Some(SessionId::random());
    first.principal = connection(&first).principal;
    first.user = User::known(Some("s".into()), Some("s@i.example".into()), Some("S\u{fc}".into()));
    let open = connection(&first);
    let batch =
        Batch { created: vec![first.clone()], connections: vec![open.clone()], ..Batch::default() };
    store.apply(&batch).await.unwrap();
    assert_eq!(store.session(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.connection(open.handle).await.unwrap(), Some(open.clone()));
    assert_eq!(store.connections_of(first.id).await.unwrap(), vec![open.clone()]);
    assert_eq!(store.active().await.unwrap(), (vec![first], vec![open]));
    assert_eq!(store.session(SessionId::random()).await.unwrap(), None);
    assert_eq!(store.connection(McpSessionId::random()).await.unwrap(), None);
    store.check().await.unwrap();
}

async fn a_fingerprint_is_kept_until_it_is_struck_out(store: &dyn SessionStore) {
    let key = store.fingerprint_key().await.unwrap();
    assert_eq!(store.fingerprint_key().await.unwrap(), key);
    let mut first = session();
    first.fingerprint = Some(key.digest([&b"here"[..]]));
    store.apply(&Batch { created: vec![first.clone()], ..Batch::default() }).await.unwrap();
    let found = store.session(first.id).await.unwrap().unwrap();
    assert_eq!(found.fingerprint, first.fingerprint);
    store.apply(&Batch { unguessed: vec![first.id], ..Batch::default() }).await.unwrap();
    assert_eq!(store.session(first.id).await.unwrap().unwrap().fingerprint, None);
}

async fn a_batch_may_be_applied_again(store: &dyn SessionStore) {
    let first = session();
    for moment in [at(9), at(9), at(5)] {
        let touched = vec![(first.id, moment)];
        let batch = Batch { created: vec![first.clone()], touched, ..Batch::default() };
        store.apply(&batch).await.unwrap();
    }
    let found = store.session(first.id).await.unwrap().unwrap();
    assert_eq!(found.last_activity, at(9));
}

async fn the_first_end_wins(store: &dyn SessionStore) {
    let first = session();
    store.apply(&Batch { created: vec![first.clone()], ..Batch::default() }).await.unwrap();
    for (reason, when) in
        [(DisconnectReason::Operator, at(7)), (DisconnectReason::ClientDisconnect, at(8))]
    {
        let mut ended = first.clone();
        ended.disconnect(reason, when);
        store.apply(&Batch { ended: vec![ended], ..Batch::default() }).await.unwrap();
    }
    store.apply(&Batch { touched: vec![(first.id, at(99))], ..Batch::default() }).await.unwrap();
    let found = store.session(first.id).await.unwrap().unwrap();
    let end = found.end.unwrap();
    assert_eq!((end.at, end.reason), (at(7), Some(DisconnectReason::Operator)));
    assert_eq!((found.total_duration(), found.last_activity), (Some(7), at(0)));
    assert_eq!(store.active().await.unwrap().0, vec![]);
}

async fn an_ended_connection_stays_ended(store: &dyn SessionStore) {
    let first = session();
    let mut open = connection(&first);
    let write = |connection: &Connection| Batch {
        created: vec![first.clone()],
        connections: vec![connection.clone()],
        ..Batch::default()
    };
    store.apply(&write(&open)).await.unwrap();
    open.ended_at = Some(at(3));
    store.apply(&write(&open)).await.unwrap();
    assert_eq!(store.connection(open.handle).await.unwrap().unwrap().ended_at, Some(at(3)));
    assert_eq!(store.connections_of(first.id).await.unwrap(), vec![]);
}

async fn a_batch_may_hold_one_key_twice(store: &dyn SessionStore) {
    let first = session();
    let open = connection(&first);
    let relinked = Connection { link: Some("up-2".into()), ..open.clone() };
    let ended = Connection { ended_at: Some(at(3)), ..open.clone() };
    let batch = Batch {
        created: vec![first.clone(), first.clone()],
        connections: vec![open.clone(), ended.clone(), relinked.clone()],
        ..Batch::default()
    };
    store.apply(&batch).await.unwrap();
    let expected = Connection { ended_at: ended.ended_at, ..relinked };
    assert_eq!(store.connection(open.handle).await.unwrap(), Some(expected));
}

async fn text_of_any_kind_harms_nobody(store: &dyn SessionStore) {
    let mut first = session();
    first.client.capabilities = Some(r#"{"a":"\u0000\ud800","b":1e999999}"#.into());
    first.protocol_version = "a\0b".into();
    first.user = User::known(None, Some("\0".into()), Some("\0".into()));
    let mut nul = request(first.id);
    (nul.method, nul.tool, nul.error) = ("\0".into(), Some("a\0".into()), Some("\0\0".into()));
    (nul.duration_us, nul.prompt_tokens, nul.cost_micros) = (i64::MAX / 2, i64::MAX, i64::MAX);
    let batch = Batch {
        created: vec![first.clone()],
        connections: vec![Connection { link: Some("\0".into()), ..connection(&first) }],
        requests: vec![nul],
        ..Batch::default()
    };
    store.apply(&batch).await.unwrap();
    assert!(store.session(first.id).await.unwrap().is_some());
}

async fn a_request_without_a_session_harms_nobody(store: &dyn SessionStore) {
    let first = session();
    let batch = Batch {
        created: vec![first.clone()],
        requests: vec![request(SessionId::random()), request(first.id)],
        ..Batch::default()
    };
    store.apply(&batch).await.unwrap();
}

async fn a_call_is_in_the_ledger_until_it_is_closed(store: &dyn SessionStore) {
    let open = OpenCall {
        id: CallId(i64::MAX),
        session: SessionId::random(),
        handle: Some(McpSessionId::random()),
        request: "\"a\"".into(),
        digest: "00ff".into(),
        method: "tools/call".into(),
        tool: Some("echo".into()),
        upstream: "demo".into(),
        started: at(1),
        request_bytes: 7,
        node: "n1".into(),
    };
    let other = OpenCall { id: CallId(2), handle: None, tool: None, ..open.clone() };
    let opened = vec![open.clone(), other.clone(), open.clone()];
    store.apply(&Batch { opened, ..Batch::default() }).await.unwrap();
    store.apply(&Batch { closed: vec![other.id], ..Batch::default() }).await.unwrap();
    assert_eq!(store.open_calls().await.unwrap(), vec![open]);
}

async fn events_are_kept_until_they_are_forgotten(store: &dyn SessionStore) {
    let event = |stream, seq, moment| StoredEvent {
        stream: StreamId(stream),
        seq,
        handle: McpSessionId::random(),
        bytes: "id: 1\ndata: \u{fc}\n\n".into(),
        is_answered: seq == 1,
        at: moment,
    };
    let all = [event(1, 1, at(5)), event(1, 0, at(1)), event(2, 0, at(5)), event(3, 0, at(9))];
    store.apply(&Batch { events: all.to_vec(), ..Batch::default() }).await.unwrap();
    store.apply(&Batch { events: vec![event(3, 0, at(1))], ..Batch::default() }).await.unwrap();
    let found = store.events_of(StreamId(1)).await.unwrap();
    assert_eq!(found, vec![all[1].clone(), all[0].clone()]);
    let forget_before = Some(at(5));
    let forgotten = vec![StreamId(2)];
    store.apply(&Batch { forgotten, forget_before, ..Batch::default() }).await.unwrap();
    assert_eq!(store.events_of(StreamId(1)).await.unwrap(), vec![all[0].clone()]);
    assert_eq!(store.events_of(StreamId(2)).await.unwrap(), vec![]);
    assert_eq!(store.events_of(StreamId(3)).await.unwrap(), vec![all[3].clone()]);
}

macro_rules! suite {
    ($($test:ident),* $(,)?) => {
        mod memory_store {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::MemoryStore::new()).await;
            })*
        }

        mod sqlite_store {
            $(#[tokio::test]
            async fn $test() {
                let folder = tempfile::tempdir().unwrap();
                let store = super::SqliteStore::open(&folder.path().join("a/b.db")).await.unwrap();
                super::$test(&store).await;
                store.close().await;
            })*
        }

        mod postgres_store {
            $(#[tokio::test]
            async fn $test() {
                let url = super::server::new_database("").await;
                let store = super::PostgresStore::open(&url).await.unwrap();
                super::$test(&store).await;
                store.close().await;
            })*
        }

        mod pooled_postgres_store {
            $(#[tokio::test]
            async fn $test() {
                let url = super::server::new_database("?pgbouncer=true").await;
                let store = super::PostgresStore::open(&url).await.unwrap();
                super::$test(&store).await;
                store.close().await;
            })*
        }
    };
}

suite! {
    what_is_written_is_found,
    a_batch_may_be_applied_again,
    a_fingerprint_is_kept_until_it_is_struck_out,
    the_first_end_wins,
    an_ended_connection_stays_ended,
    a_batch_may_hold_one_key_twice,
    text_of_any_kind_harms_nobody,
    a_request_without_a_session_harms_nobody,
    a_call_is_in_the_ledger_until_it_is_closed,
    events_are_kept_until_they_are_forgotten,
}

#[tokio::test]
async fn requests_in_sqlite_read_as_the_contract_says() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("x.db")).await.unwrap();
    let first = session();
    let requests = vec![request(SessionId::random()), request(first.id)];
    let batch = Batch { created: vec![first.clone()], requests, ..Batch::default() };
    store.apply(&batch).await.unwrap();
    let rows: Vec<(String, String, String, i64, String, f64, String)> = sqlx::query_as(
        "SELECT r.session_id, client_type, tool_name, duration_ms, r.status, estimated_cost, timestamp
         FROM archon_mcp_requests r JOIN archon_mcp_sessions s ON s.session_id = r.session_id",
    )
    .fetch_all(&store.pool())
    .await
    .unwrap();
    let expected = (
        first.id.to_string(),
        "Claude Code".to_owned(),
        "echo'\"".to_owned(),
        2,
        "error".to_owned(),
        0.000069,
        at(1).to_string(),
    );
    assert_eq!(rows, vec![expected]);
    let price = store.price("claude-sonnet-4-5", at(0)).await.unwrap().unwrap();
    assert_eq!(price.cost_micros(1000, 1000), 18_000);
}

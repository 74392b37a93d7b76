//! What every store must show. Each backend runs all of it, and so can a store of your own, with the feature `testing`:
//!
//! ```
//! use archon_sessions::{MemoryStore, store::suite};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // In a test of yours, with your store; each promise has one of its own.
//! suite::run(async || MemoryStore::new()).await;
//! # }
//! ```

#![allow(clippy::unwrap_used)] // A promise that is not kept panics.

mod owners;

use std::sync::Arc;

use futures_util::future::join_all;

use super::{
    Batch, CallId, NodeRow, OpenCall, Outcome, Pruning, ReconnectAttempt, RequestRow, SessionStore,
    StoredEvent, StoredToken, TokenUse, TokenUsed,
};
use crate::protocol::event_id::StreamId;
use crate::session::{
    ClientInfo, Connection, DisconnectReason, Era, IDLE_TIMEOUT, McpSessionId, Principal, Session,
    SessionId, Timestamp, TokenHash, User,
};

use owners::{
    a_notice_is_there_until_it_is_heeded, a_session_is_at_one_node,
    an_active_session_is_found_by_what_its_client_looks_like,
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
        call: None,
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
    let before = SessionId::random();
    first.continues = Some(before);
    first.principal = connection(&first).principal;
    first.user = User::known(Some("s".into()), Some("s@i.example".into()), Some("S\u{fc}".into()));
    let open = connection(&first);
    let batch =
        Batch { created: vec![first.clone()], connections: vec![open.clone()], ..Batch::default() };
    store.apply(&batch).await.unwrap();
    assert_eq!(store.session(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.continued_by(before).await.unwrap(), Some(first.clone()));
    assert_eq!(store.connection(open.handle).await.unwrap(), Some(open.clone()));
    assert_eq!(store.connections_of(first.id).await.unwrap(), vec![open.clone()]);
    assert_eq!(store.active().await.unwrap(), (vec![first], vec![open]));
    assert_eq!(store.session(SessionId::random()).await.unwrap(), None);
    assert_eq!(store.continued_by(SessionId::random()).await.unwrap(), None);
    assert_eq!(store.connection(McpSessionId::random()).await.unwrap(), None);
    store.check().await.unwrap();
}

async fn a_user_may_become_known_later(store: &dyn SessionStore) {
    let [mut first, other] = [session(), session()];
    let created = vec![first.clone(), other.clone()];
    store.apply(&Batch { created, ..Batch::default() }).await.unwrap();
    let known = |name: &str| {
        User::known(Some("s'7".into()), None, Some(name.into())).expect("something is known")
    };
    for name in ["S\u{fc}", "\u{1F600}\""] {
        let users = vec![(SessionId::random(), known(name)), (first.id, known(name))];
        store.apply(&Batch { users, ..Batch::default() }).await.unwrap();
        first.user = Some(known(name));
        assert_eq!(store.session(first.id).await.unwrap(), Some(first.clone()));
    }
    assert_eq!(store.session(other.id).await.unwrap(), Some(other));
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

/// A token of this text, for a session.
fn token(session: &Session, text: &str, expires_at: Timestamp) -> StoredToken {
    StoredToken { session: session.id, hash: TokenHash::of(text), expires_at }
}

async fn of_a_hundred_uses_of_a_token_at_once_one_is_the_first(store: &dyn SessionStore) {
    let first = session();
    let tokens = vec![token(&first, "older", at(900)), token(&first, "a", at(900))];
    store.apply(&Batch { created: vec![first.clone()], tokens, ..Batch::default() }).await.unwrap();
    let uses: Vec<TokenUse> = (0..100)
        .map(|number| TokenUse {
            presented: TokenHash::of("a"),
            next: token(&first, &format!("next {number}"), at(1000)),
            at: at(7),
        })
        .collect();
    let results = join_all(uses.iter().map(|using| store.use_token(using))).await;
    let won: Vec<usize> =
        (0..100).filter(|number| results[*number].as_ref().unwrap().is_some()).collect();
    assert_eq!(won.len(), 1, "{won:?}");
    let used = TokenUsed { reconnect_count: 1, revision: 1 };
    assert_eq!(results[won[0]].as_ref().unwrap(), &Some(used));
    let found = store.session(first.id).await.unwrap().unwrap();
    assert_eq!((found.reconnect_count, found.revision, found.last_activity), (1, 1, at(7)));
    // The token of the first is the session's now, and nobody else's.
    for (number, using) in uses.iter().enumerate() {
        let presented = using.next.hash.clone();
        let next = token(&first, "a", at(1000));
        let again = TokenUse { presented, next, at: at(8) };
        let is_next = store.use_token(&again).await.unwrap().is_some();
        assert_eq!(is_next, number == won[0], "{number}");
    }
}

async fn a_token_is_of_no_use_when_it_is_over_or_its_session_is(store: &dyn SessionStore) {
    let first = session();
    let using = |presented: &str, moment| TokenUse {
        presented: TokenHash::of(presented),
        next: token(&first, "next", at(1000)),
        at: moment,
    };
    assert_eq!(store.use_token(&using("a", at(1))).await.unwrap(), None, "no such session");
    let tokens = vec![token(&first, "a", at(900))];
    store.apply(&Batch { created: vec![first.clone()], tokens, ..Batch::default() }).await.unwrap();
    assert_eq!(store.use_token(&using("b", at(1))).await.unwrap(), None, "another token");
    assert_eq!(store.use_token(&using("a", at(900))).await.unwrap(), None, "expired");
    let mut ended = first.clone();
    ended.disconnect(DisconnectReason::Operator, at(2));
    store.apply(&Batch { ended: vec![ended], ..Batch::default() }).await.unwrap();
    assert_eq!(store.use_token(&using("a", at(3))).await.unwrap(), None, "ended");
    assert_eq!(store.token_secret().await.unwrap(), store.token_secret().await.unwrap());
}

async fn a_timeout_ends_what_nobody_has_heard_of_since(store: &dyn SessionStore) {
    let [touched, retaken, silent, asked] = [session(), session(), session(), session()];
    let created = vec![touched.clone(), retaken.clone(), silent.clone(), asked.clone()];
    let tokens = vec![token(&retaken, "a", at(900))];
    store.apply(&Batch { created, tokens, ..Batch::default() }).await.unwrap();
    store.apply(&Batch { touched: vec![(touched.id, at(3))], ..Batch::default() }).await.unwrap();
    // Nothing newer than what the other node knew, but another revision.
    let next = token(&retaken, "b", at(900));
    let using = TokenUse { presented: TokenHash::of("a"), next, at: at(0) };
    assert!(store.use_token(&using).await.unwrap().is_some());
    let ended = [&touched, &retaken, &silent, &asked].map(|session| {
        let mut ended = session.clone();
        let is_asked = session.id == asked.id;
        let reason = DisconnectReason::TimeoutNoActivity;
        ended.disconnect(if is_asked { DisconnectReason::Operator } else { reason }, at(400));
        ended
    });
    let touched_later = vec![(asked.id, at(399))];
    let batch = Batch { ended: ended.to_vec(), touched: touched_later, ..Batch::default() };
    store.apply(&batch).await.unwrap();
    let ids = [touched.id, retaken.id, silent.id, asked.id, SessionId::random()];
    let mut found = store.sessions_by_id(&ids).await.unwrap();
    found.sort_by_key(|session| ids.iter().position(|id| *id == session.id));
    let has_ended: Vec<bool> = found.iter().map(|session| session.end.is_some()).collect();
    assert_eq!(has_ended, [false, false, true, true]);
    assert_eq!(found[2].revision, 1);
}

async fn the_silent_are_found_unless_they_have_a_call(store: &dyn SessionStore) {
    let [silent, calling, present] = [session(), session(), session()];
    let created = vec![silent.clone(), calling.clone(), present.clone()];
    let call = OpenCall {
        id: CallId(1),
        session: calling.id,
        handle: None,
        request: "1".into(),
        digest: "00".into(),
        method: "tools/call".into(),
        tool: None,
        upstream: "demo".into(),
        started: at(1),
        request_bytes: 1,
        node: "n1".into(),
    };
    let (opened, touched) = (vec![call], vec![(present.id, at(100))]);
    store.apply(&Batch { created, opened, touched, ..Batch::default() }).await.unwrap();
    let ids = async |now, max| {
        let found = store.silent(now, max).await.unwrap();
        found.into_iter().map(|session| session.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(at(298), 9).await, []);
    assert_eq!(ids(at(302), 9).await, [silent.id]);
    store.apply(&Batch { closed: vec![CallId(1)], ..Batch::default() }).await.unwrap();
    assert_eq!(ids(at(999), 9).await.len(), 3);
    assert_eq!(ids(at(999), 2).await.len(), 2);
}

async fn nodes_are_known_until_they_go(store: &dyn SessionStore) {
    let row = |node: &str, moment| NodeRow {
        node: node.into(),
        address: None,
        place: None,
        heard_at: at(moment),
        expected_until: at(moment + 60),
    };
    let heard = vec![row("one", 1), row("two", 2)];
    store.apply(&Batch { heard, ..Batch::default() }).await.unwrap();
    let batch = Batch { heard: vec![row("one", 9)], gone: vec!["two".into()], ..Batch::default() };
    store.apply(&batch).await.unwrap();
    assert_eq!(store.nodes().await.unwrap(), vec![row("one", 9)]);
}

async fn what_is_old_is_deleted_with_all_that_belongs_to_it(store: &dyn SessionStore) {
    let attempt = |session: &Session, moment| ReconnectAttempt {
        at: at(moment),
        session: session.id,
        peer: Some([192, 0, 2, 1].into()),
        principal: Principal::Anonymous,
        result: "token_mismatch",
    };
    let all = [session(), session(), session()];
    let [old, young, active] = &all;
    let mut ended = [old.clone(), young.clone()];
    ended[0].disconnect(DisconnectReason::Operator, at(100));
    ended[1].disconnect(DisconnectReason::Operator, at(5000));
    let batch = Batch {
        created: all.to_vec(),
        connections: all.iter().map(connection).collect(),
        requests: all.iter().map(|session| request(session.id)).collect(),
        attempts: vec![attempt(old, 5000), attempt(young, 10), attempt(active, 5000)],
        ended: ended.to_vec(),
        ..Batch::default()
    };
    store.apply(&batch).await.unwrap();
    let mut pruning =
        Pruning { sessions_before: None, attempts_before: at(9), attempts_max: 10, rows_max: 1 };
    assert_eq!(store.prune(&pruning).await.unwrap(), 0);
    pruning.sessions_before = Some(at(4000));
    while store.prune(&pruning).await.unwrap() > 0 {}
    let ids = all.clone().map(|session| session.id);
    let left = store.sessions_by_id(&ids).await.unwrap();
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|session| session.id != old.id));
    assert_eq!(store.connections_of(old.id).await.unwrap(), vec![]);
    assert_eq!(store.connections_of(young.id).await.unwrap().len(), 1);
}

macro_rules! promises {
    ($($test:ident),* $(,)?) => {
        /// Opens a store for each promise, and sees whether it is kept. The name of each is printed before.
        ///
        /// # Panics
        /// At the first promise that is not.
        pub async fn run<S: SessionStore>(open: impl AsyncFn() -> S) {
            $(
                println!("{}", stringify!($test));
                $test(&open().await).await;
            )*
        }

        #[cfg(test)]
        mod memory_store {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&crate::store::memory::MemoryStore::new()).await;
            })*
        }

        #[cfg(test)]
        on_each_database! { $($test),* }
    };
}

promises! {
    what_is_written_is_found,
    a_user_may_become_known_later,
    a_batch_may_be_applied_again,
    a_fingerprint_is_kept_until_it_is_struck_out,
    the_first_end_wins,
    an_ended_connection_stays_ended,
    a_batch_may_hold_one_key_twice,
    text_of_any_kind_harms_nobody,
    a_request_without_a_session_harms_nobody,
    a_call_is_in_the_ledger_until_it_is_closed,
    of_a_hundred_uses_of_a_token_at_once_one_is_the_first,
    a_token_is_of_no_use_when_it_is_over_or_its_session_is,
    a_timeout_ends_what_nobody_has_heard_of_since,
    the_silent_are_found_unless_they_have_a_call,
    nodes_are_known_until_they_go,
    what_is_old_is_deleted_with_all_that_belongs_to_it,
    events_are_kept_until_they_are_forgotten,
    a_notice_is_there_until_it_is_heeded,
    a_session_is_at_one_node,
    an_active_session_is_found_by_what_its_client_looks_like,
}

#[cfg(test)]
#[tokio::test]
async fn requests_in_sqlite_read_as_the_contract_says() {
    let folder = tempfile::tempdir().unwrap();
    let store = super::sqlite::SqliteStore::open(&folder.path().join("x.db")).await.unwrap();
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
    assert_eq!(price.cost_of_call_micros(1000, 2000), 15_000 + 2 * 3_000, "a request is written");
    assert_eq!(price.cost_of_model_micros(1000, 2000), 3_000 + 2 * 15_000);
}

//! What the store for rmcp must show on each database, without a server around it.

use std::sync::Arc;
use std::time::Duration;

use ::rmcp::model::{ClientCapabilities, Implementation, InitializeRequestParams};
use ::rmcp::transport::streamable_http_server::session::{
    EventStore, EventStream, ServerSseMessage, SessionState, SessionStore as _,
};
use futures_util::StreamExt;

use super::RmcpStore;
use super::events::message;
use crate::session::{DisconnectReason, McpSessionId, Timestamp};
use crate::store::SessionStore;
use crate::store::postgres::{PostgresStore, server};
use crate::store::sqlite::SqliteStore;
use crate::tracker::{Settings, Tracker};

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// One store, opened for each start: a process has one of its own.
type Stores = [Arc<dyn SessionStore>; 2];

async fn start(store: &Arc<dyn SessionStore>, change: impl FnOnce(&mut Settings)) -> RmcpStore {
    let mut settings = Settings { count_tokens: false, ..Settings::default() };
    change(&mut settings);
    RmcpStore::new(Tracker::start(store.clone(), settings).await.unwrap(), "main")
}

async fn stop(store: RmcpStore) {
    store.tracker.shutdown(LIMIT).await;
}

fn state() -> SessionState {
    let client = Implementation::new("some-client", "1");
    SessionState::new(InitializeRequestParams::new(ClientCapabilities::default(), client))
}

fn event(text: &str) -> ServerSseMessage {
    ServerSseMessage::from_message(message(text).unwrap())
}

fn note(number: u32) -> ServerSseMessage {
    let params = format!(r#"{{"progressToken":1,"progress":{number}}}"#);
    event(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#))
}

fn answer() -> ServerSseMessage {
    event(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"unknown":{"b":1.50}}}"#)
}

fn text(event: &ServerSseMessage) -> String {
    serde_json::to_string(event.message.as_ref().unwrap()).unwrap()
}

/// Returns the next event; `None` if there are no more.
async fn next(events: &mut EventStream) -> Option<ServerSseMessage> {
    tokio::time::timeout(LIMIT, events.next()).await.expect("an event, or the end")
}

async fn a_session_is_found_after_a_restart_until_it_is_deleted(stores: Stores) {
    let store = &stores[1];
    let handle = McpSessionId::random();
    let id = handle.to_string();
    let first = start(&stores[0], |_| {}).await;
    assert!(first.load(&id).await.unwrap().is_none());
    first.store(&id, &state()).await.unwrap();
    stop(first).await;

    let second = start(&stores[1], |_| {}).await;
    let found = second.load(&id).await.unwrap().unwrap();
    assert_eq!(found.initialize_params.client_info.name, "some-client");
    let session = store.connection(handle).await.unwrap().unwrap().session;
    let row = store.session(session).await.unwrap().unwrap();
    assert_eq!((row.client.kind(), row.end), ("some-client", None));
    // Names of servers keep their sessions apart.
    let other = RmcpStore::new(second.tracker.clone(), "other");
    assert!(other.load(&id).await.unwrap().is_none());

    second.delete(&id).await.unwrap();
    assert!(second.load(&id).await.unwrap().is_none());
    second.delete(&id).await.unwrap();
    let row = store.session(session).await.unwrap().unwrap();
    assert_eq!(row.end.unwrap().reason, Some(DisconnectReason::ClientDisconnect));
    stop(second).await;
}

async fn a_session_that_nobody_asked_for_in_a_while_is_continued(stores: Stores) {
    let store = &stores[1];
    let handle = McpSessionId::random();
    let id = handle.to_string();
    let first = start(&stores[0], |settings| settings.reap_every = Duration::from_millis(5)).await;
    let first = first.keeping(Duration::from_millis(1));
    first.store(&id, &state()).await.unwrap();
    let session = store.connection(handle).await.unwrap().unwrap().session;
    let limit = std::time::Instant::now() + LIMIT;
    while store.session(session).await.unwrap().unwrap().end.is_none() {
        assert!(std::time::Instant::now() < limit, "it does not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(first.load(&id).await.unwrap().is_some());
    let next = store.connection(handle).await.unwrap().unwrap().session;
    let next = store.session(next).await.unwrap().unwrap();
    assert_eq!(next.continues, Some(session));
    stop(first).await;
}

async fn missed_events_are_found_after_a_restart(stores: Stores) {
    let first = start(&stores[0], |_| {}).await;
    let sent = [note(1), note(2), answer()];
    let mut ids = Vec::new();
    for event in &sent {
        ids.push(first.store_event("stream", event).await.unwrap());
        first.store_event("another", &note(9)).await.unwrap();
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "ids are unique");
    stop(first).await;

    let second = start(&stores[1], |_| {}).await;
    let mut events = second.replay_events_after(&ids[0]).await.unwrap();
    for (event, id) in sent.iter().zip(&ids).skip(1) {
        let found = next(&mut events).await.unwrap();
        assert_eq!((text(&found), found.event_id.as_ref()), (text(event), Some(id)));
    }
    assert!(next(&mut events).await.is_none());
    let mut none = second.replay_events_after(&ids[2]).await.unwrap();
    assert!(next(&mut none).await.is_none());
    stop(second).await;
}

macro_rules! on_each {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                let folder = tempfile::tempdir().unwrap();
                let open = async || super::SqliteStore::open(folder.path().join("x.db")).await.unwrap();
                super::$test([std::sync::Arc::new(open().await), std::sync::Arc::new(open().await)]).await;
            })*
        }

        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                let url = super::server::new_database("").await;
                let open = async || super::PostgresStore::open(&url).await.unwrap();
                super::$test([std::sync::Arc::new(open().await), std::sync::Arc::new(open().await)]).await;
            })*
        }
    };
}

on_each! {
    a_session_is_found_after_a_restart_until_it_is_deleted,
    a_session_that_nobody_asked_for_in_a_while_is_continued,
    missed_events_are_found_after_a_restart,
}

async fn in_memory(change: impl FnOnce(&mut Settings)) -> RmcpStore {
    let store: Arc<dyn SessionStore> = Arc::new(crate::store::memory::MemoryStore::new());
    start(&store, change).await
}

#[tokio::test]
async fn a_replay_goes_on_with_what_comes_until_the_answer() {
    let store = in_memory(|_| {}).await;
    let first = store.store_event("stream", &ServerSseMessage::retry(LIMIT)).await.unwrap();
    let mut events = store.replay_events_after(&first).await.unwrap();
    for number in 1..=50 {
        store.store_event("stream", &note(number)).await.unwrap();
        assert_eq!(text(&next(&mut events).await.unwrap()), text(&note(number)));
    }
    store.store_event("stream", &answer()).await.unwrap();
    assert_eq!(text(&next(&mut events).await.unwrap()), text(&answer()));
    assert!(next(&mut events).await.is_none());
    stop(store).await;
}

#[tokio::test]
async fn a_replay_ends_with_its_session_and_with_the_server() {
    let store = in_memory(|_| {}).await;
    let id = McpSessionId::random().to_string();
    store.store(&id, &state()).await.unwrap();
    let common = format!("{id}:common");
    let first = store.store_event(&common, &note(1)).await.unwrap();
    let mut events = store.replay_events_after(&first).await.unwrap();
    store.delete(&id).await.unwrap();
    assert!(next(&mut events).await.is_none());

    let first = store.store_event("stream", &note(1)).await.unwrap();
    let mut events = store.replay_events_after(&first).await.unwrap();
    store.tracker.close_streams();
    assert!(next(&mut events).await.is_none());
    stop(store).await;
}

#[tokio::test]
async fn events_are_kept_within_a_bound() {
    let store = in_memory(|settings| settings.events_bytes_max = 100_000).await;
    let first = store.store_event("old", &note(1)).await.unwrap();
    store.store_event("old", &note(2)).await.unwrap();
    store.store_event("new", &note(3)).await.unwrap();
    let large = format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{}"}}"#, "x".repeat(99_000));
    store.store_event("new", &event(&large)).await.unwrap();
    // What is to be forgotten is written with the next batch.
    store.store_event("other", &note(5)).await.unwrap();
    let mut events = store.replay_events_after(&first).await.unwrap();
    assert!(next(&mut events).await.is_none());
    stop(store).await;
}

#[tokio::test]
async fn ids_of_others_are_refused() {
    let store = in_memory(|_| {}).await;
    for id in ["", "0/0", "7", "00000000000000ff-1", "-1", "ffffffffffffffff", "+fffffffffffffff-1"]
    {
        assert!(store.replay_events_after(id).await.is_err(), "{id}");
    }
    assert!(store.load("no-uuid").await.unwrap().is_none());
    assert!(store.store("no-uuid", &state()).await.is_err());
    store.delete("no-uuid").await.unwrap();
    stop(store).await;
}

#[test]
fn a_message_without_params_stays_one_that_is_valid() {
    let event = event(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    assert_eq!(text(&event), r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}"#);
}

#[test]
fn a_stored_message_is_the_one_that_was_sent() {
    for text in [
        r#"{"jsonrpc":"2.0","id":"a","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"\n\u2028data: x"}],"isError":true,"x":[null]}}"#,
        r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"t","inputSchema":{"type":"object"},"x-own":1}]}}"#,
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"m","data":{"a":1}}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1,"own":2}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/own","params":{"a":{"b":2.5}}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{}}"#,
    ] {
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let event = event(text);
        assert_eq!(value(&self::text(&event)), value(text));
        let name = super::events::EventName { stream: super::events::stream_of("s"), seq: 3 };
        let now = Timestamp::from_micros(0);
        let stored = super::events::stored(name, "s", &event, now).unwrap();
        let found = super::events::sent(&stored).unwrap();
        assert_eq!(self::text(&found), self::text(&event));
        assert_eq!(found.event_id, Some(name.to_string()));
    }
}

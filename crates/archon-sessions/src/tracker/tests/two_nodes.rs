//! What two trackers on one store must show, on each store that two can share.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::session::{ClientInfo, Connection, Era, McpSessionId, Principal, Session};
use crate::store::postgres::{PostgresStore, server};
use crate::store::sqlite::SqliteStore;
use crate::store::{Batch, CallId, OpenCall};
use crate::tracker::*;

/// Longer than the idle timeout.
const SILENCE: Duration = Duration::from_secs(400);

/// One store, opened twice: two processes would do that.
pub(super) struct Shared {
    pub(super) stores: [Arc<dyn SessionStore>; 2],
    _folder: Option<tempfile::TempDir>,
}

impl Shared {
    pub(super) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let one = Arc::new(SqliteStore::open(&path).await.unwrap());
        let other = Arc::new(SqliteStore::open(&path).await.unwrap());
        Self { stores: [one, other], _folder: Some(folder) }
    }

    pub(super) async fn postgres() -> Self {
        let url = server::new_database("").await;
        let one = Arc::new(PostgresStore::open(&url).await.unwrap());
        let other = Arc::new(PostgresStore::open(&url).await.unwrap());
        Self { stores: [one, other], _folder: None }
    }

    /// Starts a tracker that does by itself nothing but write.
    pub(super) async fn start(&self, which: usize, node: &str) -> Tracker {
        self.start_with(which, node, Settings::default()).await
    }

    /// As [`Self::start`], with some settings of its own.
    pub(super) async fn start_with(&self, which: usize, node: &str, own: Settings) -> Tracker {
        let rate = ReconnectRate { per_token: 0, ..ReconnectRate::default() };
        let settings = Settings {
            node: node.into(),
            reap_every: Duration::from_secs(3600),
            count_tokens: false,
            reconnect: ReconnectSettings { rate, ..ReconnectSettings::default() },
            ..own
        };
        Tracker::start(self.stores[which].clone(), settings).await.unwrap()
    }

    pub(super) async fn row(&self, id: SessionId) -> Session {
        self.stores[0].session(id).await.unwrap().unwrap()
    }

    pub(super) async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let limit = std::time::Instant::now() + Duration::from_secs(60);
        while !condition().await {
            assert!(std::time::Instant::now() < limit, "{what}: not within a minute");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Makes a session at a tracker; it is durable when this returns.
pub(super) async fn session_at(tracker: &Tracker) -> Arc<Presence> {
    let (client, now) = (ClientInfo::default(), Timestamp::now());
    let timeout = Duration::from_secs(300);
    let session = Session::new(client, Principal::Anonymous, Era::Legacy, "", timeout, now);
    let admission =
        tracker.create(session, None, tracker.let_in(&Caller::default()).unwrap()).unwrap();
    assert!(admission.durable.unwrap().wait().await);
    admission.presence
}

pub(super) async fn stop(trackers: impl IntoIterator<Item = Tracker>) {
    for tracker in trackers {
        tracker.shutdown(Duration::from_secs(5)).await;
    }
}

async fn of_a_hundred_reconnects_at_two_nodes_one_succeeds(shared: Shared) {
    let (one, other) = (shared.start(0, "a#1").await, shared.start(1, "b#1").await);
    let presence = session_at(&one).await;
    let (id, now) = (presence.id(), Timestamp::now());
    let issued = one.issue_token(&presence, now).await.unwrap();
    let caller = Caller::default();
    let tries = (0..100).map(|number| {
        let tracker = if number % 2 == 0 { &one } else { &other };
        tracker.reconnect(id, issued.token.reveal(), &caller, now)
    });
    let (won, lost): (Vec<_>, Vec<_>) = join_all(tries).await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 99));
    for refusal in lost {
        assert_eq!(refusal.unwrap_err(), ReconnectRefusal::TokenMismatch);
    }
    assert_eq!(shared.row(id).await.reconnect_count, 1);
    // The next token is good at either node.
    let next = won.into_iter().next().unwrap().unwrap().next;
    let again = other.reconnect(id, next.token.reveal(), &caller, now).await.unwrap();
    assert_eq!(again.reconnect_count, 2);
    stop([one, other]).await;
}

async fn a_session_that_one_node_serves_is_not_ended_by_the_other(shared: Shared) {
    let one = shared.start(0, "a#1").await;
    let presence = session_at(&one).await;
    let id = presence.id();
    let other = shared.start(1, "b#1").await;
    let known = other.presence(id).expect("recovered");
    // Silent in the other's memory, and not in the store.
    let later = Timestamp::now().plus(SILENCE);
    one.heartbeat(&presence, later);
    shared.until("it is touched", async || shared.row(id).await.last_activity == later).await;
    other.sweep(later.plus(Duration::from_secs(1))).await;
    assert!(!known.has_ended() && known.last_activity() == later);

    // Even where the other one did not look, the store does not take the end.
    let later_still = later.plus(SILENCE);
    one.heartbeat(&presence, later_still);
    let touched = async || shared.row(id).await.last_activity == later_still;
    shared.until("it is touched again", touched).await;
    let ended = other.end(&known, DisconnectReason::TimeoutNoActivity, later_still).unwrap();
    assert!(ended.wait().await);
    assert_eq!(shared.row(id).await.end, None);
    stop([one, other]).await;
}

async fn a_silent_session_ends_once(shared: Shared) {
    let one = shared.start(0, "a#1").await;
    let presence = session_at(&one).await;
    let id = presence.id();
    let other = shared.start(1, "b#1").await;
    let known = other.presence(id).unwrap();
    let [now, later] = [1, 2].map(|times| Timestamp::now().plus(times * SILENCE));
    one.sweep(now).await;
    shared.until("it is ended", async || shared.row(id).await.end.is_some()).await;
    other.sweep(later).await;
    let end = shared.row(id).await.end.unwrap();
    assert_eq!((end.at, end.reason), (now, Some(DisconnectReason::TimeoutNoActivity)));
    assert_eq!(known.end_if_any(), Some(end), "the other one takes the end over");
    assert_eq!(shared.row(id).await.revision, 1);
    assert_eq!(other.find(id, later).await.unwrap_err(), NotActive::Ended(end));
    stop([one, other]).await;
}

async fn an_operators_end_at_one_node_ends_the_handle_at_the_other(shared: Shared) {
    let one = shared.start(0, "a#1").await;
    let presence = session_at(&one).await;
    let record = Connection {
        handle: McpSessionId::random(),
        session: presence.id(),
        upstream: "demo".into(),
        principal: Principal::Anonymous,
        protocol_version: "2025-11-25".into(),
        initialize: "{}".into(),
        link: None,
        setup: None,
        opened_at: Timestamp::now(),
        ended_at: None,
    };
    let handle = record.handle;
    one.remember(record.clone(), presence.clone(), Timestamp::now());
    assert!(one.inner.writer.durably(|batch| batch.connections.push(record)).wait().await);
    let other = shared.start(1, "b#1").await;
    let connection = other.inner.memory.connection(handle).unwrap();
    // As it does every few seconds.
    one.others(Timestamp::now()).await.unwrap();
    let ended = one.end(&presence, DisconnectReason::Operator, Timestamp::now()).unwrap();
    assert!(ended.wait().await);
    other.learn_ends().await;
    assert!(connection.has_ended() && connection.presence().has_ended());
    stop([one, other]).await;
}

async fn a_call_belongs_to_its_node_until_that_is_gone(shared: Shared) {
    let one = shared.start(0, "a#1").await;
    let presence = session_at(&one).await;
    let call = OpenCall {
        id: CallId(7),
        session: presence.id(),
        handle: None,
        request: "1".into(),
        digest: "00".into(),
        method: "tools/call".into(),
        tool: None,
        upstream: "demo".into(),
        started: Timestamp::now(),
        request_bytes: 1,
        node: "a#1".into(),
    };
    let opened = Batch { opened: vec![call], ..Batch::default() };
    shared.stores[0].apply(&opened).await.unwrap();
    let is_open = async || !shared.stores[0].open_calls().await.unwrap().is_empty();

    let other = shared.start(1, "b#1").await;
    assert!(is_open().await, "it is in hand");
    // Its session is not silent, however long the call lasts.
    let (id, later) = (presence.id(), Timestamp::now().plus(SILENCE));
    other.end_abandoned(later).await;
    assert_eq!(shared.row(id).await.end, None);
    other.settle_gone(Timestamp::now()).await.unwrap();
    assert!(is_open().await, "it is still in hand");
    other.settle_gone(later).await.unwrap();
    assert!(!is_open().await, "nothing was heard of its node");

    shared.stores[0].apply(&opened).await.unwrap();
    let again = shared.start(0, "a#2").await;
    assert!(!is_open().await, "its node has begun anew");
    stop([one, other, again]).await;
}

async fn what_a_node_that_died_left_active_is_ended(shared: Shared) {
    let other = shared.start(1, "b#1").await;
    let one = shared.start(0, "a#1").await;
    let (left, served) = (session_at(&one).await.id(), session_at(&one).await);
    let later = Timestamp::now().plus(SILENCE);
    one.heartbeat(&served, later);
    let touched = async || shared.row(served.id()).await.last_activity == later;
    shared.until("it is touched", touched).await;
    other.end_abandoned(later).await;
    let end = shared.row(left).await.end.expect("ended");
    assert_eq!((end.at, end.reason), (later, Some(DisconnectReason::TimeoutNoActivity)));
    assert_eq!(shared.row(served.id()).await.end, None);
    stop([one, other]).await;
}

on_each! {
    of_a_hundred_reconnects_at_two_nodes_one_succeeds,
    a_session_that_one_node_serves_is_not_ended_by_the_other,
    a_silent_session_ends_once,
    an_operators_end_at_one_node_ends_the_handle_at_the_other,
    a_call_belongs_to_its_node_until_that_is_gone,
    what_a_node_that_died_left_active_is_ended,
}

#[tokio::test]
async fn a_session_that_is_too_old_ends_however_busy_it_is() {
    let store = Arc::new(crate::store::memory::MemoryStore::new());
    let absolute_timeout = Some(Duration::from_secs(1000));
    let settings = Settings { absolute_timeout, count_tokens: false, ..Settings::default() };
    let tracker = Tracker::start(store.clone(), settings).await.unwrap();
    let presence = session_at(&tracker).await;
    let began = presence.session().connected_at;
    for (seconds, has_ended) in [(900, false), (999, false), (1000, true)] {
        let now = began.plus(Duration::from_secs(seconds));
        tracker.heartbeat(&presence, now);
        tracker.sweep(now).await;
        assert_eq!(presence.has_ended(), has_ended, "{seconds}");
    }
    let session = presence.session();
    assert_eq!(session.total_duration(), Some(1000));
    tracker.shutdown(Duration::from_secs(5)).await;
    let stored = store.sessions().into_iter().next().unwrap();
    assert_eq!(stored.end, session.end);
}

//! What the writer must show while its store is away, without a process around it.

use std::sync::atomic::AtomicU8;

use async_trait::async_trait;
use bytes::Bytes;

use super::*;
use crate::protocol::Text;
use crate::session::{
    ClientInfo, Connection, Era, Fingerprint, FingerprintKey, KeyDigest, McpSessionId, Principal,
    Session,
};
use crate::store::memory::MemoryStore;
use crate::store::{
    NodeRow, OpenCall, Outcome, Price, Pruning, RequestRow, StoreError, StoredEvent, TokenUse,
    TokenUsed,
};
use crate::tracker::call::Notepad;
use crate::tracker::observer::{EndedRequest, Observer};

/// A store that can be away, or not answer at all.
#[derive(Default)]
struct Unsteady {
    inner: MemoryStore,
    is_away: AtomicBool,
    is_mute: AtomicBool,
}

#[async_trait]
impl SessionStore for Unsteady {
    async fn apply(&self, batch: &Batch) -> Result<(), StoreError> {
        while self.is_mute.load(Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if self.is_away.load(Relaxed) {
            return Err(sqlx::Error::PoolTimedOut.into());
        }
        self.inner.apply(batch).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.inner.session(id).await
    }

    async fn continued_by(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.inner.continued_by(id).await
    }

    async fn sessions_of_key(&self, key: KeyDigest, max: u32) -> Result<Vec<Session>, StoreError> {
        self.inner.sessions_of_key(key, max).await
    }

    async fn connection(&self, handle: McpSessionId) -> Result<Option<Connection>, StoreError> {
        self.inner.connection(handle).await
    }

    async fn connections_of(&self, session: SessionId) -> Result<Vec<Connection>, StoreError> {
        self.inner.connections_of(session).await
    }

    async fn active(&self) -> Result<(Vec<Session>, Vec<Connection>), StoreError> {
        self.inner.active().await
    }

    async fn open_calls(&self) -> Result<Vec<OpenCall>, StoreError> {
        self.inner.open_calls().await
    }

    async fn events_of(&self, stream: StreamId) -> Result<Vec<StoredEvent>, StoreError> {
        self.inner.events_of(stream).await
    }

    async fn fingerprint_key(&self) -> Result<FingerprintKey, StoreError> {
        self.inner.fingerprint_key().await
    }

    async fn token_secret(&self) -> Result<String, StoreError> {
        self.inner.token_secret().await
    }

    async fn use_token(&self, using: &TokenUse) -> Result<Option<TokenUsed>, StoreError> {
        self.inner.use_token(using).await
    }

    async fn sessions_by_id(&self, ids: &[SessionId]) -> Result<Vec<Session>, StoreError> {
        self.inner.sessions_by_id(ids).await
    }

    async fn silent(&self, now: Timestamp, max: u32) -> Result<Vec<Session>, StoreError> {
        self.inner.silent(now, max).await
    }

    async fn notices(&self, node: &str, max: u32) -> Result<Vec<SessionId>, StoreError> {
        self.inner.notices(node, max).await
    }

    async fn claim(&self, id: SessionId, node: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.inner.claim(id, node, now).await
    }

    async fn give(&self, id: SessionId, from: &str, to: &str) -> Result<bool, StoreError> {
        self.inner.give(id, from, to).await
    }

    async fn claim_all(&self, node: &str, now: Timestamp) -> Result<u64, StoreError> {
        self.inner.claim_all(node, now).await
    }

    async fn active_of(
        &self,
        principal: &Principal,
        fingerprint: Option<Fingerprint>,
    ) -> Result<Vec<Session>, StoreError> {
        self.inner.active_of(principal, fingerprint).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        self.inner.nodes().await
    }

    async fn prune(&self, pruning: &Pruning) -> Result<u64, StoreError> {
        self.inner.prune(pruning).await
    }

    async fn price(&self, model: &str, now: Timestamp) -> Result<Option<Price>, StoreError> {
        self.inner.price(model, now).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.inner.check().await
    }
}

/// Counts what it hears.
#[derive(Debug, Default)]
struct Hearing {
    ended: AtomicUsize,
    counted: AtomicUsize,
    failed: AtomicUsize,
}

impl Observer for Hearing {
    fn request_ended(&self, request: &EndedRequest<'_>) {
        assert_eq!((request.method, request.tool), ("tools/call", Some("echo")));
        self.ended.fetch_add(1, Relaxed);
    }

    fn request_counted(&self, _row: &RequestRow) {
        self.counted.fetch_add(1, Relaxed);
    }

    fn store_failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }
}

fn start() -> (Arc<Unsteady>, Arc<Writer>) {
    start_with(None)
}

fn start_with(observer: Option<Arc<dyn Observer>>) -> (Arc<Unsteady>, Arc<Writer>) {
    let store = Arc::new(Unsteady::default());
    let settings = Settings { count_tokens: false, observer, ..Settings::default() };
    let writer = Arc::new(Writer::new(store.clone(), &settings));
    writer.start(Remembered::nothing());
    (store, writer)
}

fn session() -> Session {
    let (client, now) = (ClientInfo::default(), Timestamp::now());
    Session::new(client, Principal::Anonymous, Era::Legacy, "", Duration::from_secs(300), now)
}

/// A call whose method and params are parts of one body.
fn facts(session: SessionId, id: i64, body: &Bytes) -> Arc<CallFacts> {
    let text = std::str::from_utf8(body).unwrap();
    let part = |part: &'static str| {
        let at = text.find(part).unwrap();
        Text::within(body, text[at..at + part.len()].into())
    };
    Arc::new(CallFacts {
        id: CallId(id),
        session,
        handle: None,
        request: part("17"),
        method: part("tools/call"),
        tool: Some(part("echo")),
        upstream: "demo".into(),
        protocol_version: Text::default(),
        carried: None,
        started: Timestamp::now(),
        request_bytes: i64::try_from(body.len()).unwrap(),
        params: Mutex::new(body.clone()),
        place: AtomicU8::default(),
        notes: Notepad::default(),
        cancellation: crate::tracker::call::Cancellation::default(),
        is_detached: false,
    })
}

fn draft(facts: Arc<CallFacts>) -> Draft {
    let (outcome, answer) = (Outcome::Success, b"{}".to_vec());
    let (error, code, is_in_ledger) = (None, None, false);
    Draft { facts, duration_us: 1, outcome, error, code, response_bytes: 2, answer, is_in_ledger }
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let limit = std::time::Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(std::time::Instant::now() < limit, "{what}: not within a minute");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_does_not_fit_into_the_queue_is_counted_and_the_rest_is_written_once() {
    let (store, writer) = start();
    let session = session();
    let id = session.id;
    let body = Bytes::from_static(br#"{"id":17,"method":"tools/call","params":{"name":"echo"}}"#);
    assert!(writer.durably(|batch| batch.created.push(session)).wait().await);
    let open = facts(id, 1, &body);
    writer.begun(open.clone());
    until("the call is in the ledger", async || !store.open_calls().await.unwrap().is_empty())
        .await;

    store.is_away.store(true, Relaxed);
    let first = writer.durably(|batch| batch.created.push(self::session()));
    assert!(!first.wait().await, "who waits is let go");
    until("the failure is known", async || !writer.health().is_writing).await;
    let waited = std::time::Instant::now();
    assert!(!writer.barrier().wait().await);
    assert!(waited.elapsed() < DURABLE_LIMIT, "nobody waits for a store that is known to fail");
    for number in 0..QUEUE_MAX + 10 {
        writer.request(draft(facts(id, 2 + number as i64, &body)));
    }
    // The queue is full by now, and a call leaves the ledger all the same.
    writer.request(draft(open));
    let health = writer.health();
    assert_eq!((health.queued, health.dropped), (QUEUE_MAX, 11));
    // A new session has a queue of its own.
    let late = self::session();
    let late_id = late.id;
    writer.durably(|batch| batch.created.push(late));

    store.is_away.store(false, Relaxed);
    until("the queue is empty", async || writer.health().queued == 0).await;
    writer.stop().await;
    let health = writer.health();
    assert!(health.is_writing && health.dropped == 11);
    assert_eq!(store.inner.requests().len(), QUEUE_MAX);
    assert_eq!(store.open_calls().await.unwrap(), vec![]);
    assert!(store.session(late_id).await.unwrap().is_some());
}

#[tokio::test]
async fn rows_that_wait_do_not_keep_all_their_bodies() {
    let (store, writer) = start();
    store.is_away.store(true, Relaxed);
    assert!(!writer.durably(|batch| batch.created.push(session())).wait().await);
    let large = format!(
        r#"{{"id":17,"method":"tools/call","params":{{"name":"echo","x":"{}"}}}}"#,
        "x".repeat(1024 * 1024)
    );
    let bodies: Vec<Bytes> = (0..100).map(|_| Bytes::from(large.clone())).collect();
    for (number, body) in bodies.iter().enumerate() {
        writer.request(draft(facts(SessionId::random(), number as i64, body)));
    }
    let kept = bodies.into_iter().filter(|body| !body.is_unique()).count();
    assert!((60..=66).contains(&kept), "{kept} MiB of {} MiB", TEXT_BYTES_MAX >> 20);
    writer.stop().await;
}

#[tokio::test]
async fn events_that_wait_are_bounded_and_the_rest_is_written() {
    let (store, writer) = start();
    store.is_away.store(true, Relaxed);
    assert!(!writer.durably(|batch| batch.created.push(session())).wait().await);
    let event = |seq| StoredEvent {
        stream: StreamId(-1),
        seq,
        handle: McpSessionId::random(),
        bytes: Bytes::from_static(&[b'x'; 1024 * 1024]),
        is_answered: false,
        at: Timestamp::now(),
    };
    // One batch may be on its way while the next gathers.
    let kept = (0..40).filter(|seq| writer.event(event(*seq)).is_some()).count();
    assert!((16..=32).contains(&kept), "{kept} MiB of {} MiB", EVENT_BYTES_MAX >> 20);
    assert_eq!(writer.health().dropped, 40 - kept as u64);
    store.is_away.store(false, Relaxed);
    let stored = async || store.inner.events_of(StreamId(-1)).await.unwrap().len();
    until("they are written", async || stored().await == kept).await;
    until("it is back", async || writer.health().is_writing).await;
    assert!(writer.event(event(99)).unwrap().wait().await);
    writer.stop().await;
}

#[tokio::test]
async fn a_store_that_does_not_answer_counts_as_failing() {
    let (store, writer) = start();
    store.is_mute.store(true, Relaxed);
    assert!(!writer.durably(|batch| batch.created.push(session())).wait().await);
    until("the failure is known", async || !writer.health().is_writing).await;
    assert!(writer.health().last_error.is_some_and(|error| error.contains("not answered")));
    store.is_mute.store(false, Relaxed);
    until("it is back", async || writer.health().is_writing).await;
    writer.stop().await;
    assert_eq!(store.inner.sessions().len(), 1);
}

#[tokio::test]
async fn what_ends_while_the_store_is_away_is_told_then_and_only_once() {
    let hearing = Arc::<Hearing>::default();
    let (store, writer) = start_with(Some(hearing.clone()));
    let session = session();
    let id = session.id;
    assert!(writer.durably(|batch| batch.created.push(session)).wait().await);
    let body = Bytes::from_static(br#"{"id":17,"method":"tools/call","params":{"name":"echo"}}"#);
    let request = |number| writer.request(draft(facts(id, number, &body)));

    // One that fails, then one that does not even answer.
    for (round, away) in [&store.is_away, &store.is_mute].into_iter().enumerate() {
        let told = 30 * round;
        away.store(true, Relaxed);
        assert!(!writer.durably(|batch| batch.created.push(self::session())).wait().await);
        for part in 1..=3 {
            (0..10).for_each(|number| request((told + part * 10 + number) as i64));
            let all = told + part * 10;
            until("they are told", async || hearing.ended.load(Relaxed) == all).await;
        }
        assert_eq!((writer.health().queued, hearing.counted.load(Relaxed)), (30, told));
        away.store(false, Relaxed);
        until("the queue is empty", async || writer.health().queued == 0).await;
        until("they are stored", async || store.inner.requests().len() == told + 30).await;
    }
    writer.stop().await;
    assert_eq!((hearing.ended.load(Relaxed), hearing.counted.load(Relaxed)), (60, 60));
    assert!(hearing.failed.load(Relaxed) >= 2);
}

//! The one task that writes to the store: rows in batches, and a group commit for what must be durable.
//!
//! It runs on a thread of its own, since it also does what rows cost (estimating tokens, formatting),
//! and none of that may stand between a client and its answer.

mod draft;
mod kept;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, Shared};
use tokio::sync::{Notify, oneshot};

use super::Settings;
use super::ledger::CallFacts;
use super::log::StreamLog;
use super::tokens::Estimator;
use crate::protocol::event_id::StreamId;
use crate::session::{SessionId, Timestamp};
use crate::store::{Batch, CallId, Price, SessionStore, StoreError};
pub(super) use draft::Draft;
use kept::Kept;

/// Rows wait at most this long: what a `kill -9` can lose of them is bounded by it.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// Signs of life are written this often: often enough beside an idle timeout of minutes, and one write
/// for a session that calls a thousand times in between.
const TOUCH_EVERY: Duration = Duration::from_secs(1);
/// Rows of one transaction; more would make what waits for a commit wait for them.
const ROWS_MAX: usize = 1000;
/// Rows that wait while the store is away; then the newest are dropped, counted and shown.
const QUEUE_MAX: usize = 100_000;
/// Bytes of requests and answers that wait for their tokens to be estimated; beyond it, rows are kept
/// and their texts are not.
const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A store that failed is tried again after so long.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// An answer waits at most this long for its durability: the record never outranks the client.
const DURABLE_LIMIT: Duration = Duration::from_secs(2);
/// Prices may be edited while we run.
const PRICE_EVERY: Duration = Duration::from_secs(60);

/// What to wait for until something is durable.
#[derive(Clone)]
pub struct Durable(Shared<BoxFuture<'static, bool>>);

impl Durable {
    /// Waits until it is durable, or until it is clear that it will not be soon. Returns which.
    pub async fn wait(self) -> bool {
        tokio::time::timeout(DURABLE_LIMIT, self.0).await.unwrap_or(false)
    }
}

impl std::fmt::Debug for Durable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Durable")
    }
}

/// How writing goes.
#[derive(Clone, Debug)]
pub struct WriterHealth {
    /// False while the store fails.
    pub is_writing: bool,
    /// What waits to be written.
    pub queued: usize,
    /// Rows dropped since the start because too many waited.
    pub dropped: u64,
    /// Why the store failed last, in words for an operator.
    pub last_error: Option<String>,
}

pub(super) struct Writer {
    store: Arc<dyn SessionStore>,
    queue: Mutex<Queue>,
    nudge: Notify,
    is_stopping: AtomicBool,
    is_failing: AtomicBool,
    dropped: AtomicU64,
    last_error: Mutex<Option<String>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    settings: Settings,
    /// What all logged streams hold together.
    pub(super) logged: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Queue {
    /// Everything but requests and touches: must be durable soon.
    urgent: Batch,
    drafts: Vec<Draft>,
    text_bytes: usize,
    /// Calls that have begun since the writer came by.
    begun: Vec<Arc<CallFacts>>,
    /// Calls whose rows were dropped; they leave the ledger all the same.
    closed: Vec<CallId>,
    /// Streams with events that the store does not have.
    streams: Vec<Arc<StreamLog>>,
    /// Streams whose stored events are no longer needed.
    forgotten: Vec<StreamId>,
    touched: HashMap<SessionId, Timestamp>,
    waiting: Vec<oneshot::Sender<bool>>,
}

impl Queue {
    fn len(&self) -> usize {
        self.drafts.len() + self.urgent_len()
    }

    fn urgent_len(&self) -> usize {
        self.urgent.created.len() + self.urgent.connections.len() + self.urgent.ended.len()
    }
}

impl Writer {
    pub(super) fn new(store: Arc<dyn SessionStore>, settings: &Settings) -> Self {
        Self {
            store,
            queue: Mutex::default(),
            nudge: Notify::new(),
            is_stopping: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            last_error: Mutex::default(),
            thread: Mutex::default(),
            settings: settings.clone(),
            logged: Arc::default(),
        }
    }

    /// Notes that a call has begun: if it is still in flight when the writer comes by, it enters the
    /// ledger. While the store is away it does not.
    pub(super) fn begun(&self, facts: Arc<CallFacts>) {
        if !self.is_failing.load(Relaxed) {
            let mut queue = self.queue();
            if queue.begun.len() < QUEUE_MAX {
                queue.begun.push(facts);
            }
        }
    }

    /// Queues a request's row. Nobody is woken: the writer comes by in a moment.
    pub(super) fn request(&self, mut draft: Draft) {
        let mut queue = self.queue();
        draft.is_in_ledger = draft.facts.leave();
        if queue.drafts.len() >= QUEUE_MAX {
            if draft.is_in_ledger && queue.closed.len() < QUEUE_MAX {
                queue.closed.push(draft.facts.id);
            }
            drop(queue);
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        if queue.text_bytes > TEXT_BYTES_MAX {
            draft.forget_texts();
        }
        queue.text_bytes += draft.text_bytes();
        queue.drafts.push(draft);
    }

    /// Queues a stream that has events which the store does not have.
    pub(super) fn stream(&self, log: Arc<StreamLog>) {
        // As many as there are streams: each is queued once until the writer comes by.
        self.queue().streams.push(log);
    }

    /// Queues that a stream's stored events are no longer needed.
    pub(super) fn forget_stream(&self, id: StreamId) {
        let mut queue = self.queue();
        // What is too much here is forgotten when it is old.
        if queue.forgotten.len() < QUEUE_MAX {
            queue.forgotten.push(id);
        }
    }

    /// Queues a sign of life.
    pub(super) fn touch(&self, id: SessionId, at: Timestamp) {
        let mut queue = self.queue();
        if queue.touched.len() < QUEUE_MAX {
            queue.touched.insert(id, at);
        }
    }

    /// Queues what must be durable before it is answered.
    pub(super) fn durably(&self, add: impl FnOnce(&mut Batch)) -> Durable {
        let (done, wait) = oneshot::channel();
        {
            let mut queue = self.queue();
            if queue.urgent_len() >= QUEUE_MAX {
                self.dropped.fetch_add(1, Relaxed);
            } else {
                add(&mut queue.urgent);
            }
            // While the store is away nobody waits for it.
            if self.is_failing.load(Relaxed) {
                let _ = done.send(false);
            } else {
                queue.waiting.push(done);
            }
        }
        self.nudge.notify_one();
        Durable(async move { wait.await.unwrap_or(false) }.boxed().shared())
    }

    /// Returns what to wait for until all that is queued now is durable.
    pub(super) fn barrier(&self) -> Durable {
        self.durably(|_| {})
    }

    pub(super) fn health(&self) -> WriterHealth {
        WriterHealth {
            is_writing: !self.is_failing.load(Relaxed),
            queued: self.queue().len(),
            dropped: self.dropped.load(Relaxed),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Starts the writer's thread. Without one (the system is out of threads) rows wait and are
    /// dropped in the end, which `/health` shows.
    pub(super) fn start(self: &Arc<Self>) {
        let writer = self.clone();
        let spawned = std::thread::Builder::new().name("archon-writer".into()).spawn(move || {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(writer.run()),
                Err(error) => writer.note_failure(&error.to_string()),
            }
        });
        match spawned {
            Ok(thread) => {
                *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
            }
            Err(error) => self.note_failure(&error.to_string()),
        }
    }

    /// Writes what is queued, once more, and stops.
    pub(super) async fn stop(&self) {
        self.is_stopping.store(true, Relaxed);
        self.nudge.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    async fn run(self: Arc<Self>) {
        let mut estimator = Estimator::new(self.settings.count_tokens);
        let (mut touches, mut kept) = (Touches::default(), Kept::new(&self.settings));
        let mut price = None;
        let mut price_read: Option<tokio::time::Instant> = None;
        loop {
            if price_read.is_none_or(|at| at.elapsed() >= PRICE_EVERY) {
                price = self.read_price().await.or(price);
                price_read = Some(tokio::time::Instant::now());
            }
            let is_stopping = self.is_stopping.load(Relaxed);
            let (mut batch, waiting) =
                self.take(&mut estimator, price, (&mut touches, &mut kept), is_stopping);
            kept.sweep(&self.logged, &mut batch, Timestamp::now());
            let is_full = batch.requests.len() >= ROWS_MAX;
            if self.write(batch, waiting, is_stopping).await && is_full {
                continue;
            }
            if is_stopping {
                return;
            }
            // A nudge lost to the timer is not lost: what is queued is taken either way.
            tokio::select! {
                () = self.nudge.notified() => {}
                () = tokio::time::sleep(FLUSH_EVERY) => {}
            }
        }
    }

    /// Takes the next batch. What is urgent goes along whole, and so does what somebody waits for.
    fn take(
        &self,
        estimator: &mut Estimator,
        price: Option<Price>,
        (touches, kept): (&mut Touches, &mut Kept),
        is_stopping: bool,
    ) -> (Batch, Vec<oneshot::Sender<bool>>) {
        let (mut batch, drafts, begun, touched, streams, waiting) = {
            let mut queue = self.queue();
            let all = queue.drafts.len();
            let count = if queue.waiting.is_empty() { all.min(ROWS_MAX) } else { all };
            let rest = queue.drafts.split_off(count);
            let drafts = std::mem::replace(&mut queue.drafts, rest);
            let bytes: usize = drafts.iter().map(Draft::text_bytes).sum();
            queue.text_bytes = queue.text_bytes.saturating_sub(bytes);
            let mut batch = std::mem::take(&mut queue.urgent);
            batch.closed = std::mem::take(&mut queue.closed);
            batch.forgotten = std::mem::take(&mut queue.forgotten);
            (
                batch,
                drafts,
                std::mem::take(&mut queue.begun),
                std::mem::take(&mut queue.touched),
                std::mem::take(&mut queue.streams),
                std::mem::take(&mut queue.waiting),
            )
        };
        batch.opened = begun.iter().filter_map(|facts| facts.enter(&self.settings.node)).collect();
        let left = drafts.iter().filter(|draft| draft.is_in_ledger).map(|draft| draft.facts.id);
        batch.closed.extend(left);
        for log in streams {
            batch.events.extend(log.take_unstored());
            kept.add(log);
        }
        estimator.begin_batch();
        touched.into_iter().for_each(|(id, at)| touches.add(id, at));
        drafts.iter().for_each(|draft| touches.add(draft.facts.session, draft.ended_at()));
        // An end carries the last sign of life itself.
        batch.ended.iter().for_each(|session| touches.forget(session.id));
        batch.touched = touches.due(is_stopping);
        let model = self.settings.pricing_model.as_ref().filter(|_| price.is_some());
        batch.requests =
            drafts.into_iter().map(|draft| draft.into_row(estimator, price, model)).collect();
        (batch, waiting)
    }

    /// Writes one batch, again and again until it is written; what comes meanwhile waits in the
    /// bounded queue. Returns false if it was given up, which only a stop does.
    async fn write(
        &self,
        batch: Batch,
        waiting: Vec<oneshot::Sender<bool>>,
        is_last: bool,
    ) -> bool {
        let mut waiting = Some(waiting);
        if !batch.is_empty() {
            while let Err(error) = self.store.apply(&batch).await {
                self.note_error(&error);
                release(waiting.take(), false);
                release(Some(std::mem::take(&mut self.queue().waiting)), false);
                if is_last || self.is_stopping.load(Relaxed) {
                    let lost = batch.requests.len();
                    tracing::error!(
                        lost,
                        "stopping with {lost} requests that could not be written"
                    );
                    return false;
                }
                tokio::time::sleep(RETRY_AFTER).await;
            }
            if self.is_failing.swap(false, Relaxed) {
                let dropped = self.dropped.load(Relaxed);
                tracing::info!(dropped, "the session store is back; {dropped} rows were dropped");
            }
        }
        release(waiting, true);
        true
    }

    async fn read_price(&self) -> Option<Price> {
        let model = self.settings.pricing_model.as_ref()?;
        self.store.price(model, Timestamp::now()).await.ok().flatten()
    }

    fn note_error(&self, error: &StoreError) {
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        self.note_failure(&format!("{error}: {cause}"));
    }

    fn note_failure(&self, what: &str) {
        if !self.is_failing.swap(true, Relaxed) {
            tracing::error!("could not write to the session store, calls go on: {what}");
        }
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.to_owned());
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Signs of life on their way to the store, at most one a session.
struct Touches {
    gathered: HashMap<SessionId, Timestamp>,
    written: tokio::time::Instant,
}

impl Default for Touches {
    fn default() -> Self {
        Self { gathered: HashMap::new(), written: tokio::time::Instant::now() }
    }
}

impl Touches {
    fn add(&mut self, id: SessionId, at: Timestamp) {
        // As many as there are sessions in memory, which has a bound.
        self.gathered.entry(id).and_modify(|latest| *latest = at.max(*latest)).or_insert(at);
    }

    fn forget(&mut self, id: SessionId) {
        self.gathered.remove(&id);
    }

    /// Takes those that are due, a batch full at most.
    fn due(&mut self, at_once: bool) -> Vec<(SessionId, Timestamp)> {
        if self.gathered.is_empty() || (!at_once && self.written.elapsed() < TOUCH_EVERY) {
            return Vec::new();
        }
        if self.gathered.len() <= ROWS_MAX || at_once {
            self.written = tokio::time::Instant::now();
            return self.gathered.drain().collect();
        }
        let some: Vec<_> = self.gathered.iter().take(ROWS_MAX).map(|(id, at)| (*id, *at)).collect();
        some.iter().for_each(|(id, _)| self.forget(*id));
        some
    }
}

fn release(waiting: Option<Vec<oneshot::Sender<bool>>>, is_durable: bool) {
    for one in waiting.unwrap_or_default() {
        // Whoever waited may have gone; it is durable all the same.
        let _ = one.send(is_durable);
    }
}

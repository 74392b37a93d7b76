//! The one task that writes to the store: rows in batches, and a group commit for what must be durable.
//!
//! It runs on a thread of its own, since it also does what rows cost (estimating tokens, formatting),
//! and none of that may stand between a client and its answer.

mod draft;
mod failure;
mod kept;
mod prices;
mod refusals;
mod remembered;
mod telling;
#[cfg(test)]
mod tests;
mod tokens;
mod touches;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, Shared};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};

use super::Settings;
use super::call::CallFacts;
use super::log::StreamLog;
use crate::protocol::event_id::StreamId;
use crate::session::{SessionId, Timestamp, User};
use crate::store::{Batch, CallId, ReconnectAttempt, SessionStore, StoredEvent};
pub(super) use draft::Draft;
use failure::Failure;
use kept::Kept;
use prices::Prices;
use refusals::Refusals;
pub use refusals::{Refused, causes};
pub(super) use remembered::{BATCH_ROWS, Remembered};
use tokens::Estimator;
use touches::Touches;

/// Rows wait at most this long: what a `kill -9` can lose of them is bounded by it.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// Rows of one transaction; more would make what waits for a commit wait for them.
const ROWS_MAX: usize = 1000;
/// Rows that wait while the store is away; then the newest are dropped, counted and shown.
const QUEUE_MAX: usize = 100_000;
/// Bytes of requests and answers that rows hold until their tokens are estimated; beyond it, rows are kept
/// and their texts are not.
const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of events that wait for a store that is away; then the newest are dropped, counted and shown.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Attempts to reconnect that wait; beyond it they are logged only. A flood of them must not fill the database.
const ATTEMPTS_MAX: usize = 100;
/// An answer waits at most this long for its durability: the record never outranks the client.
const DURABLE_LIMIT: Duration = Duration::from_secs(2);
/// How often damage is looked for: as often as an operator would like to hear of it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

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
    /// Sessions and requests in a database file that was removed or replaced while it was open.
    pub lost: u64,
    /// Why the store failed last, in words for an operator.
    pub last_error: Option<String>,
}

pub(super) struct Writer {
    store: Arc<dyn SessionStore>,
    queue: Mutex<Queue>,
    nudge: Notify,
    is_stopping: AtomicBool,
    dropped: AtomicU64,
    failure: Failure,
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
    /// So many of the first drafts the observer has heard of.
    told: usize,
    /// Drafts that are taken out for a moment while it hears of them.
    telling: usize,
    text_bytes: usize,
    /// Of events that somebody else than a stream of ours has stored.
    event_bytes: usize,
    /// Calls that have begun since the writer came by.
    begun: Vec<Arc<CallFacts>>,
    /// Calls whose rows were dropped; they leave the ledger all the same.
    closed: Vec<CallId>,
    /// Streams with events that the store does not have.
    streams: Vec<Arc<StreamLog>>,
    /// Streams whose stored events are no longer needed.
    forgotten: Vec<StreamId>,
    touched: HashMap<SessionId, Timestamp>,
    /// Who clients are to people, where that was learnt after their sessions began.
    users: HashMap<SessionId, Arc<User>>,
    attempts: Vec<ReconnectAttempt>,
    refusals: Refusals,
    waiting: Vec<oneshot::Sender<bool>>,
}

impl Queue {
    fn len(&self) -> usize {
        self.drafts_len() + self.urgent_len()
    }

    fn drafts_len(&self) -> usize {
        self.drafts.len() + self.telling
    }

    fn urgent_len(&self) -> usize {
        let Batch { created, connections, ended, tokens, .. } = &self.urgent;
        created.len() + connections.len() + ended.len() + tokens.len()
    }
}

/// What is written next.
struct Taken {
    /// Without the rows of its requests.
    batch: Batch,
    /// Those requests, before it is known what they cost.
    drafts: Vec<Draft>,
    waiting: Vec<oneshot::Sender<bool>>,
}

impl Writer {
    pub(super) fn new(store: Arc<dyn SessionStore>, settings: &Settings) -> Self {
        Self {
            store,
            queue: Mutex::default(),
            nudge: Notify::new(),
            is_stopping: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            failure: Failure::default(),
            thread: Mutex::default(),
            settings: settings.clone(),
            logged: Arc::default(),
        }
    }

    /// Notes that a call has begun: if it is still in flight when the writer comes by, it enters the
    /// ledger. While the store is away it does not.
    pub(super) fn begun(&self, facts: Arc<CallFacts>) {
        if !self.failure.is_now() {
            let mut queue = self.queue();
            if queue.begun.len() < QUEUE_MAX {
                queue.begun.push(facts);
            }
        }
    }

    /// Has a call leave the ledger without a row.
    pub(super) fn forget_call(&self, facts: &CallFacts) {
        let mut queue = self.queue();
        if facts.leave() && queue.closed.len() < QUEUE_MAX {
            queue.closed.push(facts.id);
        }
    }

    /// Queues a request's row. Nobody is woken: the writer comes by in a moment.
    pub(super) fn request(&self, mut draft: Draft) {
        let mut queue = self.queue();
        draft.is_in_ledger = draft.facts.leave();
        if queue.drafts_len() >= QUEUE_MAX {
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
        queue.text_bytes += draft.held_bytes();
        queue.drafts.push(draft);
    }

    /// Queues a stream that has events which the store does not have.
    pub(super) fn stream(&self, log: Arc<StreamLog>) {
        // As many as there are streams: each is queued once until the writer comes by.
        self.queue().streams.push(log);
    }

    /// Queues an event that is no stream's of ours; `None` if too much of that waits.
    pub(super) fn event(&self, event: StoredEvent) -> Option<Durable> {
        {
            let mut queue = self.queue();
            let bytes = queue.event_bytes.saturating_add(event.bytes.len());
            if bytes > EVENT_BYTES_MAX {
                drop(queue);
                self.dropped.fetch_add(1, Relaxed);
                return None;
            }
            queue.event_bytes = bytes;
        }
        Some(self.durably(|batch| batch.events.push(event)))
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

    /// Queues who a session's client is to people.
    pub(super) fn user(&self, id: SessionId, user: Arc<User>) {
        let mut queue = self.queue();
        if queue.users.len() < QUEUE_MAX {
            queue.users.insert(id, user);
        }
    }

    /// Queues an attempt to reconnect.
    pub(super) fn note_attempt(&self, attempt: ReconnectAttempt) {
        let mut queue = self.queue();
        if queue.attempts.len() < ATTEMPTS_MAX {
            queue.attempts.push(attempt);
        }
    }

    /// Queues the count of a request that was turned away.
    pub(super) fn note_refusal(&self, refused: &Refused<'_>, now: Timestamp) {
        self.queue().refusals.add(refused, now);
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
            if self.failure.is_now() {
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
            is_writing: !self.failure.is_now(),
            queued: self.queue().len(),
            dropped: self.dropped.load(Relaxed),
            lost: self.failure.lost(),
            last_error: self.failure.reason(),
        }
    }

    /// Starts the writer's thread. Without one (the system is out of threads) rows wait and are
    /// dropped in the end, which `/health` shows.
    pub(super) fn start(self: &Arc<Self>, remembered: Remembered) {
        let writer = self.clone();
        let spawned = std::thread::Builder::new().name("archon-writer".into()).spawn(move || {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(writer.run(remembered)),
                Err(error) => writer.note_failure(&error.to_string()),
            }
        });
        match spawned {
            Ok(thread) => {
                *self.thread.lock() = Some(thread);
            }
            Err(error) => self.note_failure(&error.to_string()),
        }
    }

    /// Writes what is queued, once more, and stops.
    pub(super) async fn stop(&self) {
        self.is_stopping.store(true, Relaxed);
        self.nudge.notify_one();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    async fn run(self: Arc<Self>, remembered: Remembered) {
        let mut estimator = Estimator::new(self.settings.count_tokens);
        let (mut touches, mut kept) = (Touches::default(), Kept::new(&self.settings));
        let mut prices = Prices::new(self.settings.pricing_model.clone());
        let mut looked = None::<tokio::time::Instant>;
        loop {
            prices.refresh(&*self.store).await;
            if looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
                self.look_for_damage().await;
                looked = Some(tokio::time::Instant::now());
            }
            let is_stopping = self.is_stopping.load(Relaxed);
            let Taken { mut batch, drafts, waiting } =
                self.take((&mut touches, &mut kept), is_stopping);
            prices.learn(&*self.store, &drafts).await;
            estimator.begin_batch();
            let rows = drafts.into_iter().map(|draft| draft.into_row(&mut estimator, &prices));
            batch.requests = rows.collect();
            self.tell_counted(&batch.requests);
            kept.sweep(&self.logged, &mut batch, Timestamp::now());
            let is_full = batch.requests.len() >= ROWS_MAX;
            let is_written = self.write(batch, waiting, &remembered).await;
            if is_written && is_full {
                continue;
            }
            if is_stopping || !is_written {
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
    fn take(&self, (touches, kept): (&mut Touches, &mut Kept), is_stopping: bool) -> Taken {
        let (mut batch, mut drafts, told, begun, touched, streams, waiting) = {
            let mut queue = self.queue();
            let all = queue.drafts.len();
            let count = if queue.waiting.is_empty() { all.min(ROWS_MAX) } else { all };
            let rest = queue.drafts.split_off(count);
            let told = queue.forget_told(count);
            let drafts = std::mem::replace(&mut queue.drafts, rest);
            let bytes: usize = drafts.iter().map(Draft::held_bytes).sum();
            queue.text_bytes = queue.text_bytes.saturating_sub(bytes);
            queue.event_bytes = 0;
            let mut batch = std::mem::take(&mut queue.urgent);
            batch.closed = std::mem::take(&mut queue.closed);
            batch.forgotten = std::mem::take(&mut queue.forgotten);
            batch.attempts = std::mem::take(&mut queue.attempts);
            batch.refusals = queue.refusals.take();
            batch.users = queue.users.drain().collect();
            (
                batch,
                drafts,
                told,
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
        self.tell_ended(&mut drafts[told..]);
        touched.into_iter().for_each(|(id, at)| touches.add(id, at));
        drafts.iter().for_each(|draft| touches.add(draft.facts.session, draft.ended_at()));
        // An end carries the last sign of life itself.
        batch.ended.iter().for_each(|session| touches.forget(session.id));
        let urgent = touches.take(std::mem::take(&mut batch.touched));
        batch.touched = touches.due(is_stopping);
        batch.touched.extend(urgent);
        Taken { batch, drafts, waiting }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }
}

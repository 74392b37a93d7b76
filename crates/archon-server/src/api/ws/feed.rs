//! What all listeners are fed from: events are encoded once, by one task that runs while somebody listens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use archon_sessions::events::{Heard, Subscription};
use archon_sessions::session::Timestamp;
use archon_sessions_api::frames::{FrameData, Snapshot};
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::filter::{Filter, Kind, Wish};
use super::log::{Chunks, Log, Next, Place};
use super::{encode, snapshot};
use crate::config::FeedLimits;
use crate::overview::Overview;

/// Events are gathered for so long, so that a thousand listeners are written to forty times a second and not
/// five thousand times. The first one after a pause does not wait.
const GATHER: Duration = Duration::from_millis(25);
/// How often listeners are told how sessions are.
const HEALTH_EVERY: Duration = Duration::from_secs(5);
/// After its last listener the feed goes on for so long: who lost the network for a moment comes back and
/// misses nothing.
const LINGER: Duration = Duration::from_secs(60);
/// A snapshot is good for so long for others as well: a thousand listeners may come at once.
const SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(1);
/// Listeners that leave with the process get so long to take their last frame.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// What listeners are fed from. Shared by all of them.
pub struct Feed {
    overview: Arc<Overview>,
    limits: FeedLimits,
    /// Held for single operations, never across an await.
    state: Mutex<State>,
    /// Changes when there is something new in the log.
    news: watch::Sender<()>,
    /// The latest snapshot for all; locked while it is taken, so that one is taken for all that wait.
    latest: tokio::sync::Mutex<Option<Taken>>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

struct State {
    log: Log,
    listeners: usize,
    /// Whether the task that encodes runs.
    is_fed: bool,
    /// Since when nobody has listened.
    deserted: Option<Instant>,
}

/// How things were at a place in the log.
#[derive(Clone)]
struct Taken {
    at: Instant,
    place: Place,
    seq: u64,
    snapshot: Arc<Snapshot>,
}

impl Feed {
    /// Returns a feed that does nothing until somebody listens.
    pub fn new(overview: Arc<Overview>, limits: FeedLimits) -> Arc<Self> {
        let log = Log::after(overview.tracker.events().epoch(), limits.backlog_bytes);
        let state = State { log, listeners: 0, is_fed: false, deserted: None };
        Arc::new(Self {
            overview,
            limits,
            state: Mutex::new(state),
            news: watch::Sender::new(()),
            latest: tokio::sync::Mutex::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        })
    }

    /// Takes a place for a listener; `None` if there are as many as there may be.
    pub fn join(self: &Arc<Self>) -> Option<Seat> {
        let mut state = self.state();
        if state.listeners >= self.limits.listeners_max {
            return None;
        }
        if !state.is_fed {
            // What is to come cannot be missing.
            let subscription = self.overview.tracker.events().subscribe(None).ok()?;
            state.log.skip_to(subscription.heard());
            state.is_fed = true;
            let feed = self.clone();
            self.tasks.spawn(async move { feed.run(subscription).await });
        }
        state.listeners += 1;
        state.deserted = None;
        Some(Seat { feed: self.clone(), news: self.news.subscribe() })
    }

    /// Returns true once listeners should go elsewhere.
    pub fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Runs a listener; the feed's end waits for it.
    pub fn spawn(&self, listener: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(listener);
    }

    /// Tells all listeners to come back later, to another process, and waits until they are gone.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        if tokio::time::timeout(CLOSE_LIMIT, self.tasks.wait()).await.is_err() {
            tracing::debug!("some listeners did not take their last frame");
        }
    }

    /// Encodes events until nobody has listened for a while.
    async fn run(self: Arc<Self>, subscription: Subscription) {
        // What loses was between two events or two looks.
        tokio::select! {
            () = self.closing.cancelled() => {}
            () = self.encode(subscription) => {}
            () = self.tell_health() => {}
        }
    }

    async fn encode(&self, mut subscription: Subscription) {
        loop {
            let heard = subscription.next().await;
            self.take_in(heard, &mut subscription);
            tokio::time::sleep(GATHER).await;
        }
    }

    /// Puts into the log what was heard, and what else is there by now.
    fn take_in(&self, heard: Heard, subscription: &mut Subscription) {
        let (mut chunks, mut next) = (Chunks::default(), Some(heard));
        while let Some(heard) = next {
            match heard {
                Heard::Events(events) => {
                    let tracker = &self.overview.tracker;
                    events.iter().for_each(|event| encode::add(event, tracker, &mut chunks));
                }
                Heard::Lost => {
                    tracing::warn!("event backlog exceeded; listeners resync from a snapshot");
                    chunks = Chunks::default();
                    self.state().log.skip_to(subscription.heard());
                }
            }
            next = subscription.try_next();
        }
        self.state().log.push(chunks, subscription.heard());
        self.news.send_replace(());
    }

    /// Tells how sessions are, again and again; returns when nobody has listened for a while.
    async fn tell_health(&self) {
        let mut ticks = tokio::time::interval(HEALTH_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            if self.is_deserted() {
                return;
            }
            let now = Timestamp::now();
            let what = FrameData::HealthUpdate(snapshot::health(&self.overview, now).await);
            {
                let mut state = self.state();
                let (latest, mut chunks) = (state.log.latest(), Chunks::default());
                chunks.add(latest, Kind::HealthUpdate, None, |frames| {
                    encode::append(frames, latest, None, what, now);
                });
                state.log.push(chunks, latest);
            }
            self.news.send_replace(());
        }
    }

    /// Stops feeding if nobody has listened for long enough.
    fn is_deserted(&self) -> bool {
        let mut state = self.state();
        if state.deserted.is_none_or(|since| since.elapsed() < LINGER) {
            return false;
        }
        let latest = state.log.latest();
        state.log.skip_to(latest);
        state.is_fed = false;
        true
    }

    async fn taken(&self) -> Taken {
        let mut latest = self.latest.lock().await;
        let is_good = |taken: &&Taken| {
            taken.at.elapsed() < SNAPSHOT_AGE_MAX && self.state().log.has(taken.place)
        };
        if let Some(taken) = latest.as_ref().filter(is_good) {
            return taken.clone();
        }
        let taken = self.take(None).await;
        *latest = Some(taken.clone());
        taken
    }

    async fn take(&self, session: Option<uuid::Uuid>) -> Taken {
        // First the place, then the look: what happens between them is told twice, and not never.
        let (place, seq) = {
            let state = self.state();
            (state.log.end(), state.log.latest())
        };
        let snapshot = snapshot::take(&self.overview, session, Timestamp::now()).await;
        Taken { at: Instant::now(), place, seq, snapshot: Arc::new(snapshot) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// A listener's place at the feed; given back when dropped.
pub struct Seat {
    feed: Arc<Feed>,
    news: watch::Receiver<()>,
}

impl Seat {
    /// Returns where a listener begins: after the event that it knows, with nothing to be told first; else after
    /// a snapshot.
    pub async fn begin(&self, wish: &Wish) -> (Place, Option<Bytes>) {
        let Some(since) = wish.since else {
            let (place, frame) = self.look(wish.filter, FrameData::Snapshot).await;
            return (place, Some(frame));
        };
        let is_ours =
            wish.epoch.is_none_or(|epoch| epoch == self.feed.overview.tracker.events().epoch());
        let known = self.feed.state().log.place_after(since).filter(|_| is_ours);
        match known {
            Some(place) => (place, None),
            None => {
                let (place, frame) = self.resync(wish.filter).await;
                (place, Some(frame))
            }
        }
    }

    /// Returns where a listener goes on that has missed something, and how things are there.
    pub async fn resync(&self, filter: Filter) -> (Place, Bytes) {
        self.look(filter, FrameData::Resync).await
    }

    async fn look(&self, filter: Filter, what: fn(Snapshot) -> FrameData) -> (Place, Bytes) {
        let taken = match filter.session {
            None => self.feed.taken().await,
            session => self.feed.take(session).await,
        };
        let mut frame = Vec::new();
        let what = what((*taken.snapshot).clone());
        encode::append(&mut frame, taken.seq, filter.session, what, Timestamp::now());
        (taken.place, frame.into())
    }

    /// Returns how often it is asked whether it is there.
    pub fn ping_every(&self) -> Duration {
        self.feed.limits.ping_every
    }

    /// Returns what comes next at a place.
    pub fn next(&self, place: &mut Place) -> Next {
        self.feed.state().log.next(place)
    }

    /// Waits until there may be something new.
    pub async fn news(&mut self) {
        // The sender is in the feed that we hold.
        let _ = self.news.changed().await;
    }

    /// Returns what is cancelled when listeners should leave.
    pub fn closing(&self) -> &CancellationToken {
        &self.feed.closing
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.feed.state();
        state.listeners -= 1;
        if state.listeners == 0 {
            state.deserted = Some(Instant::now());
        }
    }
}

//! The end of connections without a failed call.
//!
//! A client that keeps a connection open may send its next request at any moment, and a server that closes the
//! connection in that moment makes it fail. So nothing is closed when the drain begins: each connection's next
//! answer says `Connection: close`, after which its client opens another one, and only a connection that was
//! idle for a whole grace period is closed from our side.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use archon_sessions::tracker::Tracker;
use bytes::Bytes;
use http::Response;
use http::header::{CONNECTION, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::signals::{Signals, Told};

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was told to stop.
    Stopped,
    /// A successor has taken over.
    Replaced,
}

impl Ending {
    /// Returns how long a connection may stay idle. Nobody waits for a process that was replaced; but while one
    /// that was stopped goes on, its clients find the port closed.
    fn grace(self) -> Duration {
        match self {
            Self::Stopped => Duration::from_secs(1),
            Self::Replaced => Duration::from_secs(10),
        }
    }
}

/// Calls in flight get this long to end when the process is told to stop.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Tells all connections that the drain has begun. Clones are one drain.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// The grace period; set once the drain has begun. Read with each answer, so it takes no lock.
    grace: OnceLock<Duration>,
    begun: CancellationToken,
    /// A token for each port that accepts connections.
    accepting: TaskTracker,
}

impl Drain {
    /// Begins it, and returns once no connection is accepted any more.
    pub async fn begin(&self, ending: Ending) {
        tracing::info!("leaving: no new connections, calls in flight may end");
        let _ = self.0.grace.set(ending.grace());
        self.0.begun.cancel();
        self.0.accepting.close();
        self.0.accepting.wait().await;
    }

    /// Returns when all connections have ended or patience has.
    pub async fn leave<T>(
        &self,
        mut patience: Patience,
        tracker: &Tracker,
        connections: impl Future<Output = T>,
    ) {
        tracker.stop_reaping();
        tracker.close_streams();
        // What loses is said: the calls that took longer than anybody may wait.
        tokio::select! {
            _ = connections => {}
            () = patience.spent() => {
                tracing::warn!("some calls did not end in time and were cut off");
            }
        }
        patience.shut_down(tracker).await;
    }

    /// Waits until it begins.
    pub async fn begun(&self) {
        self.0.begun.cancelled().await;
    }

    /// Returns what a port that accepts connections holds for as long as it does.
    pub fn accepting(&self) -> TaskTrackerToken {
        self.0.accepting.token()
    }

    /// Returns what watches a new connection.
    pub fn watch(&self) -> Watched {
        let drain = self.clone();
        Watched(Arc::new(Uses { drain, begun: AtomicU32::new(0), ended: AtomicU32::new(0) }))
    }
}

/// A connection, as its drain sees it. Clones are one connection.
#[derive(Clone, Debug)]
pub struct Watched(Arc<Uses>);

#[derive(Debug)]
struct Uses {
    drain: Drain,
    /// Requests that came. It may wrap around: only differences count.
    begun: AtomicU32,
    /// Requests whose answers were sent.
    ended: AtomicU32,
}

impl Watched {
    /// Watches a request from its arrival to the end of its answer.
    pub fn answer<F>(&self, answer: F) -> Answering<F> {
        self.0.begun.fetch_add(1, Relaxed);
        Answering { answer, in_use: Some(InUse(self.0.clone())) }
    }

    /// Waits until the drain has begun and nothing has happened here for a whole grace period.
    pub async fn idle(&self) {
        let Uses { drain, begun, ended } = &*self.0;
        drain.begun().await;
        let Some(grace) = drain.0.grace.get() else { return };
        loop {
            let (before, was_idle) =
                (begun.load(Relaxed), begun.load(Relaxed) == ended.load(Relaxed));
            tokio::time::sleep(*grace).await;
            // An answer that ended in this period began a new one: its client may be about to go on.
            if was_idle && begun.load(Relaxed) == before {
                return;
            }
        }
    }
}

/// A request that is not answered to the end.
#[derive(Debug)]
struct InUse(Arc<Uses>);

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Relaxed);
    }
}

pin_project! {
    /// An answer on its way.
    pub struct Answering<F> {
        #[pin]
        answer: F,
        in_use: Option<InUse>,
    }
}

impl<F, B, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<WatchedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.answer.poll(context))?;
        let in_use = this.in_use.take();
        if in_use.as_ref().is_some_and(|InUse(uses)| uses.drain.0.grace.get().is_some()) {
            // hyper closes the connection after an answer that says so (RFC 9112, 9.6).
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response.map(|body| WatchedBody { body, in_use })))
    }
}

pin_project! {
    /// The body of an answer; it is in use until it is dropped.
    pub struct WatchedBody<B> {
        #[pin]
        body: B,
        in_use: Option<InUse>,
    }
}

impl<B: Body<Data = Bytes>> Body for WatchedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How long the way out may take.
#[derive(Debug)]
pub struct Patience {
    deadline: Instant,
    signals: Signals,
}

impl Patience {
    /// Returns how long that is: after an upgrade nobody waits for this process, so that calls may take the time
    /// they may always take.
    pub fn new(ending: Ending, call_time_max: Duration, signals: Signals) -> Self {
        let limit = match ending {
            Ending::Stopped => STOP_LIMIT,
            // A call that began at the last moment, and the idle moment after it.
            Ending::Replaced => call_time_max + STOP_LIMIT,
        };
        Self { deadline: Instant::now() + limit, signals }
    }

    /// Waits until it is spent. A process that leaves and is told to stop hurries.
    async fn spent(&mut self) {
        loop {
            // A signal that loses stays pending.
            tokio::select! {
                () = tokio::time::sleep_until(self.deadline) => return,
                told = self.signals.next() => match told {
                    Told::Stop => self.deadline = self.deadline.min(Instant::now() + STOP_LIMIT),
                    Told::Upgrade => tracing::warn!("SIGUSR2 ignored: this process is leaving"),
                },
            }
        }
    }

    /// Shuts the tracker down: calls whose clients have left may end, and what is queued is written.
    async fn shut_down(mut self, tracker: &Tracker) {
        let limit = self.deadline.saturating_duration_since(Instant::now()).max(STOP_LIMIT);
        // The tracker keeps to its limit itself, and must not be interrupted while it writes its last rows.
        self.deadline = Instant::now() + limit + STOP_LIMIT;
        let is_down = tokio::select! {
            () = tracker.shutdown(limit) => true,
            // We were told to hurry: it is still waiting for calls, and what it would write is written below.
            () = self.spent() => false,
        };
        if !is_down {
            tracker.shutdown(Duration::ZERO).await;
        }
    }
}

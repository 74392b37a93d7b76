//! A future that goes on without its client.
//!
//! MCP 2025-11-25, Transports: "Disconnection SHOULD NOT be interpreted as the client cancelling its
//! request". When the server drops a legacy request because its client is gone, the rest of the work
//! moves to the tracker's own tasks.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};

use crate::tracker::Tracker;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// See the module.
pub struct Detachable<T: Send + 'static> {
    work: Option<Work<T>>,
    must_finish: Arc<AtomicBool>,
    tracker: Tracker,
}

impl<T: Send + 'static> Detachable<T> {
    pub(super) fn new(work: Work<T>, must_finish: Arc<AtomicBool>, tracker: Tracker) -> Self {
        Self { work: Some(work), must_finish, tracker }
    }
}

impl<T: Send + 'static> Future for Detachable<T> {
    type Output = Result<T, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let Poll::Ready(done) = work.as_mut().poll(context) else { return Poll::Pending };
        self.work = None;
        Poll::Ready(Ok(done))
    }
}

impl<T: Send + 'static> Drop for Detachable<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take().filter(|_| self.must_finish.load(Relaxed)) {
            // Its answer is dropped in turn, which reads the stream to its end: see `body`.
            self.tracker.outlive(async move { drop(work.await) });
        }
    }
}

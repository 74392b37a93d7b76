//! Calls that their clients take back (MCP 2025-11-25, Cancellation).

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

use crate::tracker::{LiveConnection, Tracker};

/// Whether a call was taken back, for the one task that waits for its answer.
#[derive(Debug, Default)]
pub(in crate::tracker) struct Cancellation {
    /// Its server is being told.
    is_begun: AtomicBool,
    is_cancelled: AtomicBool,
    waker: AtomicWaker,
}

impl Cancellation {
    pub(in crate::tracker) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        // Registered before it is looked at, so that nothing is missed in between.
        self.waker.register(context.waker());
        if self.is_cancelled.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }

    pub(in crate::tracker) fn is_begun(&self) -> bool {
        self.is_begun.load(SeqCst)
    }

    fn cancel(&self) {
        self.is_cancelled.store(true, SeqCst);
        self.waker.wake();
    }
}

impl Tracker {
    /// Notes that the call of this id (JSON text) on this connection is about to be taken back: a stream that ends
    /// meanwhile ends for that.
    pub fn begin_cancel(&self, connection: &LiveConnection, id: &str) {
        if let [call] = &*connection.calls_of(id) {
            call.cancellation.is_begun.store(true, SeqCst);
        }
    }

    /// Takes back the call of this id (JSON text) on this connection. Whoever waits for its answer ends it. Returns
    /// false if there is none, or more than one: some clients use one id for all, and which is meant is not known.
    pub fn cancel(&self, connection: &LiveConnection, id: &str) -> bool {
        let calls = connection.calls_of(id);
        let [call] = &*calls else { return false };
        call.cancellation.cancel();
        true
    }
}

//! Calls that their clients take back (MCP 2025-11-25, Cancellation).

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

use super::{LiveConnection, Tracker};

/// Whether a call was taken back, for the one task that waits for its answer.
#[derive(Debug, Default)]
pub(super) struct Cancellation {
    is_cancelled: AtomicBool,
    waker: AtomicWaker,
}

impl Cancellation {
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        // Registered before it is looked at, so that nothing is missed in between.
        self.waker.register(context.waker());
        if self.is_cancelled.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn cancel(&self) {
        self.is_cancelled.store(true, SeqCst);
        self.waker.wake();
    }
}

impl Tracker {
    /// Takes back the call of this id (JSON text) on this connection. Whoever waits for its answer ends it. Returns
    /// false if there is none, or more than one: some clients use one id for all, and which is meant is not known.
    pub fn cancel(&self, connection: &LiveConnection, id: &str) -> bool {
        let calls = connection.calls_of(id);
        let [call] = &*calls else { return false };
        call.cancellation.cancel();
        true
    }
}

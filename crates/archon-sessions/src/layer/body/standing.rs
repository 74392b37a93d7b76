//! The body of a stream on which the server speaks by itself. Its client may open another one in its place;
//! then this one goes on without its client, into the log that the other one is read from.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};

use super::theirs::{Next, Theirs};
use crate::tracker::Source;

/// See the module.
pub struct Standing<B> {
    /// Held for single polls, never across an await.
    held: Mutex<Held<B>>,
    /// What becomes of it without its client; knows what `B` can do, where `Drop` may not.
    abandon: fn(Box<Theirs<B>>),
}

struct Held<B> {
    /// `None` once it goes on without its client.
    theirs: Option<Box<Theirs<B>>>,
    waker: Option<Waker>,
}

impl<B> Standing<B> {
    pub fn new(theirs: Box<Theirs<B>>, abandon: fn(Box<Theirs<B>>)) -> Arc<Self> {
        let held = Mutex::new(Held { theirs: Some(theirs), waker: None });
        Arc::new(Self { held, abandon })
    }

    /// Polls it; `None` once it goes on without its client.
    pub fn poll_with(
        &self,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut Theirs<B>, &mut Context<'_>) -> Poll<Next>,
    ) -> Poll<Option<Next>> {
        let mut held = self.held();
        let Some(theirs) = &mut held.theirs else { return Poll::Ready(None) };
        let next = poll(theirs, context);
        if next.is_pending() {
            held.waker = Some(context.waker().clone());
        }
        next.map(Some)
    }

    /// Changes it, if its client is still there.
    pub fn with(&self, change: impl FnOnce(&mut Theirs<B>)) {
        if let Some(theirs) = &mut self.held().theirs {
            change(theirs);
        }
    }

    /// Lets it go on without its client.
    pub fn leave(&self) {
        let (theirs, waker) = {
            let mut held = self.held();
            (held.theirs.take(), held.waker.take())
        };
        if let Some(theirs) = theirs {
            (self.abandon)(theirs);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn held(&self) -> MutexGuard<'_, Held<B>> {
        self.held.lock()
    }
}

impl<B: Send> Source for Standing<B> {
    fn leave_client(&self) {
        self.leave();
    }
}

impl<B> fmt::Debug for Standing<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing").finish_non_exhaustive()
    }
}

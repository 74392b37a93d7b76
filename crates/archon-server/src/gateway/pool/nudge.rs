//! A waker for things that one task polls together and that wake each other.
//!
//! A connection that hands over an answer wakes whoever waits for it: here that is the task which is
//! polling them both at this moment. Woken for real, it would run a second time for nothing; so what wakes
//! it while it polls makes it look again at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::AcqRel};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Looking again so often without an end means there is more to it: others get their turn.
const ROUNDS_MAX: usize = 8;

const POLLING: u8 = 1;
const WOKEN: u8 = 2;

/// See the module.
pub struct Nudge {
    shared: Arc<Shared>,
    waker: Waker,
}

#[derive(Default)]
struct Shared {
    task: AtomicWaker,
    state: AtomicU8,
}

impl Nudge {
    /// Returns one that nobody polls yet.
    pub fn new() -> Self {
        let shared = Arc::<Shared>::default();
        Self { waker: shared.clone().into(), shared }
    }

    /// Polls for the task of `context`, again while something was woken by it.
    pub fn poll<T>(
        &self,
        context: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.shared.task.register(context.waker());
        let mut inner = Context::from_waker(&self.waker);
        for _ in 0..ROUNDS_MAX {
            self.shared.state.swap(POLLING, AcqRel);
            let polled = poll(&mut inner);
            let state = self.shared.state.swap(0, AcqRel);
            if polled.is_ready() || state & WOKEN == 0 {
                return polled;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.fetch_or(WOKEN, AcqRel) & POLLING == 0 {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn what_wakes_it_while_it_polls_makes_it_look_again() {
        let (count, nudge) = (Arc::<Count>::default(), Nudge::new());
        let waker: Waker = count.clone().into();
        let mut rounds = 0;
        let polled = nudge.poll(&mut Context::from_waker(&waker), |context| {
            rounds += 1;
            if rounds < 3 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        });
        assert_eq!((polled, rounds, count.0.load(SeqCst)), (Poll::Ready(()), 3, 0));
    }

    #[test]
    fn what_wakes_it_later_wakes_its_task() {
        let (count, nudge) = (Arc::<Count>::default(), Nudge::new());
        let waker: Waker = count.clone().into();
        let mut kept = None;
        let polled = nudge.poll(&mut Context::from_waker(&waker), |context| {
            kept = Some(context.waker().clone());
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        kept.unwrap().wake();
        assert_eq!(count.0.load(SeqCst), 1);
    }

    #[test]
    fn it_does_not_look_for_ever() {
        let (count, nudge) = (Arc::<Count>::default(), Nudge::new());
        let waker: Waker = count.clone().into();
        let polled = nudge.poll(&mut Context::from_waker(&waker), |context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert_eq!(count.0.load(SeqCst), 1, "the task comes again");
    }
}

//! Tells the observer what happened: from the writer's thread, so that no call waits for it, and while the store
//! is away as well.

use std::time::Duration;

use super::{Draft, Queue, Writer};
use crate::store::RequestRow;
use crate::tracker::observer::Observer;

impl Writer {
    /// Tells of requests that have ended.
    pub(super) fn tell_ended(&self, drafts: &mut [Draft]) {
        if let Some(observer) = self.observer() {
            drafts.iter_mut().for_each(|draft| draft.tell(observer));
        }
    }

    /// Tells of rows whose tokens are known.
    pub(super) fn tell_counted(&self, rows: &[RequestRow]) {
        if let Some(observer) = self.observer() {
            rows.iter().for_each(|row| observer.request_counted(row));
        }
    }

    /// Tells of requests that have ended while their rows cannot be written.
    pub(super) fn tell_waiting(&self) {
        if self.observer().is_none() {
            return;
        }
        // Taken out meanwhile, so that nobody waits for the lock; only this thread takes from the queue.
        let mut fresh = {
            let mut queue = self.queue();
            let told = queue.told.min(queue.drafts.len());
            let fresh = queue.drafts.split_off(told);
            queue.telling = fresh.len();
            fresh
        };
        self.tell_ended(&mut fresh);
        let mut queue = self.queue();
        let told = queue.drafts.len().min(queue.told);
        let mut later = queue.drafts.split_off(told);
        queue.drafts.append(&mut fresh);
        queue.told = queue.drafts.len();
        queue.telling = 0;
        queue.drafts.append(&mut later);
    }

    pub(super) fn tell_written(&self, rows: usize, took: Duration) {
        if let Some(observer) = self.observer() {
            observer.batch_written(rows, took);
        }
    }

    pub(super) fn tell_failed(&self) {
        if let Some(observer) = self.observer() {
            observer.store_failed();
        }
    }

    fn observer(&self) -> Option<&dyn Observer> {
        self.settings.observer.as_deref()
    }
}

impl Queue {
    /// The first drafts are taken out: returns how many of them have been told of.
    pub(super) fn forget_told(&mut self, taken: usize) -> usize {
        let told = self.told.min(taken);
        self.told -= told;
        told
    }
}

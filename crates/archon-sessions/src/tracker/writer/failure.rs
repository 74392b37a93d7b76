//! Writing while the store may fail: again and again, with nobody waiting for it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{DURABLE_LIMIT, FLUSH_EVERY, Remembered, Writer};
use crate::store::{Batch, LostHistory, StoreError};

/// A store that failed is tried again after so long.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Whether the store fails, and what that has cost.
#[derive(Default)]
pub(super) struct Failure {
    is_now: AtomicBool,
    /// True from the loss of all that was stored until what memory holds is stored again.
    is_lost: AtomicBool,
    lost: AtomicU64,
    is_damage_told: AtomicBool,
    /// Rows that had been dropped when it began.
    dropped_before: AtomicU64,
    reason: Mutex<Option<String>>,
}

impl Failure {
    pub(super) fn is_now(&self) -> bool {
        self.is_now.load(Relaxed)
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    pub(super) fn reason(&self) -> Option<String> {
        self.reason.lock().clone()
    }
}

impl Writer {
    /// Writes one batch, again and again until it is written; what comes meanwhile waits in the
    /// bounded queue. Returns false if it was given up, which only a stop does.
    pub(super) async fn write(
        &self,
        batch: Batch,
        waiting: Vec<oneshot::Sender<bool>>,
        remembered: &Remembered,
    ) -> bool {
        let mut waiting = waiting;
        if batch.is_empty() {
            release(&mut waiting, true);
            return true;
        }
        while let Err(error) = self.attempt(&batch, &mut waiting, remembered).await {
            if let StoreError::Lost(history) = error {
                self.note_loss(history);
                continue;
            }
            self.tell_failed();
            self.note_error(&error);
            self.let_go(&mut waiting);
            if self.is_stopping.load(Relaxed) {
                self.give_up(&batch);
                return false;
            }
            self.while_telling(tokio::time::sleep(RETRY_AFTER)).await;
        }
        self.note_success();
        release(&mut waiting, true);
        true
    }

    /// Tries once. Whoever waits is let go after a while: a store that is slow now may be so for long.
    async fn attempt(
        &self,
        batch: &Batch,
        waiting: &mut Vec<oneshot::Sender<bool>>,
        remembered: &Remembered,
    ) -> Result<(), StoreError> {
        let mut work = pin!(async {
            if self.failure.is_lost.load(Relaxed) {
                self.store_again(remembered).await?;
            }
            self.store.apply(batch).await
        });
        let began = Instant::now();
        let done = match tokio::time::timeout(DURABLE_LIMIT, &mut work).await {
            Ok(done) => done,
            Err(_) => {
                self.note_silence();
                self.let_go(waiting);
                self.while_telling(work).await
            }
        };
        if done.is_ok() {
            self.tell_written(batch.requests.len(), began.elapsed());
        }
        done
    }

    /// Waits for something that takes long; what happens meanwhile is told.
    async fn while_telling<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            // The work is polled on, so that nothing of it is lost.
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(FLUSH_EVERY) => self.tell_waiting(),
            }
        }
    }

    fn note_silence(&self) {
        self.tell_failed();
        self.note_failure(&format!(
            "the session store has not answered for {} s",
            DURABLE_LIMIT.as_secs()
        ));
    }

    /// Stores what memory holds, after the store lost what it held.
    async fn store_again(&self, remembered: &Remembered) -> Result<(), StoreError> {
        let (mut sessions, mut connections) = (0, 0);
        for batch in remembered.batches() {
            sessions += batch.created.len();
            connections += batch.connections.len();
            self.store.apply(&batch).await?;
        }
        self.failure.is_lost.store(false, Relaxed);
        tracing::warn!(
            sessions,
            connections,
            "stored {sessions} sessions and {connections} connections again, from memory"
        );
        Ok(())
    }

    /// Says once if the store is damaged: what is damaged may be written to for a long time before that
    /// shows.
    pub(super) async fn look_for_damage(&self) {
        if let Err(error @ StoreError::Damaged { .. }) = self.store.check().await
            && !self.failure.is_damage_told.swap(true, Relaxed)
        {
            tracing::error!("{error}");
        }
    }

    fn note_loss(&self, history: LostHistory) {
        let LostHistory { sessions, requests } = history;
        self.failure.is_lost.store(true, Relaxed);
        self.failure.lost.fetch_add(sessions.unwrap_or(0) + requests.unwrap_or(0), Relaxed);
        let counted = match (sessions, requests) {
            (Some(sessions), Some(requests)) => {
                format!("it held {sessions} sessions and {requests} requests of all times")
            }
            (_, _) => "what it held cannot be counted any more".to_owned(),
        };
        tracing::error!(
            sessions,
            requests,
            "the database file was removed or replaced while it was open; going on with what is at its \
             path now: {counted}"
        );
    }

    fn note_error(&self, error: &StoreError) {
        if matches!(error, StoreError::Damaged { .. }) {
            self.failure.is_damage_told.store(true, Relaxed);
        }
        match std::error::Error::source(error) {
            Some(cause) => self.note_failure(&format!("{error}: {cause}")),
            None => self.note_failure(&error.to_string()),
        }
    }

    pub(super) fn note_failure(&self, what: &str) {
        // The reason first: whoever sees the failure finds it.
        *self.failure.reason.lock() = Some(what.to_owned());
        if !self.failure.is_now.swap(true, Relaxed) {
            self.failure.dropped_before.store(self.dropped.load(Relaxed), Relaxed);
            tracing::error!("could not write to the session store, calls go on: {what}");
        }
    }

    fn note_success(&self) {
        if self.failure.is_now.swap(false, Relaxed) {
            let before = self.failure.dropped_before.load(Relaxed);
            let dropped = self.dropped.load(Relaxed).saturating_sub(before);
            tracing::info!(dropped, "the session store is back; {dropped} rows were dropped");
        }
    }

    fn give_up(&self, batch: &Batch) {
        let lost = batch.requests.len() + self.queue().drafts.len();
        let sessions = batch.created.len() + self.queue().urgent.created.len();
        tracing::error!(
            lost,
            sessions,
            "stopping with {lost} requests and {sessions} new sessions that could not be written"
        );
    }

    /// Lets go whoever waits: for this batch, or for the next.
    fn let_go(&self, waiting: &mut Vec<oneshot::Sender<bool>>) {
        release(waiting, false);
        release(&mut std::mem::take(&mut self.queue().waiting), false);
    }
}

fn release(waiting: &mut Vec<oneshot::Sender<bool>>, is_durable: bool) {
    for one in waiting.drain(..) {
        // Whoever waited may have gone; it is durable all the same.
        let _ = one.send(is_durable);
    }
}

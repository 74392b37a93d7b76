//! Deletes what is older than it is to be kept, a little at a time.

use std::time::Duration;

use crate::session::Timestamp;
use crate::store::Pruning;
use crate::tracker::Tracker;

/// Rows of one table that are deleted at once: so long others wait for the database.
const ROWS_AT_ONCE: u32 = 1000;
/// And so long they have it to themselves then.
const PAUSE: Duration = Duration::from_millis(25);
/// Attempts to reconnect, and requests that were turned away, are of interest for as long as somebody may look into what happened...
const ATTEMPTS_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// ... and so many of them are: strangers cause them.
const ATTEMPTS_MAX: u32 = 100_000;

impl Tracker {
    pub(in crate::tracker) async fn prune_until_stopped(self) {
        let every = self.inner.settings.reap_every;
        loop {
            // Either branch lost loses nothing: what is old stays old.
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                () = self.prune(Timestamp::now()) => {}
            }
        }
    }

    /// Deletes what is too old at `now`, all of it.
    async fn prune(&self, now: Timestamp) {
        let settings = &self.inner.settings;
        let retention = settings.retention;
        // A handle that still leads somewhere keeps what it leads to.
        let kept = retention.map(|retention| retention.max(settings.resume_window));
        let attempts = retention.map_or(ATTEMPTS_AGE_MAX, |r| r.min(ATTEMPTS_AGE_MAX));
        let pruning = Pruning {
            sessions_before: kept.map(|kept| now.minus(kept)),
            attempts_before: now.minus(attempts),
            attempts_max: ATTEMPTS_MAX,
            rows_max: ROWS_AT_ONCE,
        };
        let mut all = 0;
        while self.writer_health().is_writing {
            match self.inner.store.prune(&pruning).await {
                Ok(0) => break,
                Ok(rows) => all += rows,
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(tracing::field::display);
                    tracing::warn!(cause, "could not delete old rows, trying again later: {error}");
                    break;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        if all > 0 {
            tracing::info!(rows = all, "deleted {all} rows that were too old");
        }
    }
}

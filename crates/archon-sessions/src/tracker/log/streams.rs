//! The logged streams of a connection: opened, found again, and let go.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use super::{Purpose, Sent, StreamLog};
use crate::protocol::event_id::{EventId, StreamId};
use crate::session::Timestamp;
use crate::tracker::{LiveConnection, Tracker};

/// Names for calls and streams: numbers that go up, also over restarts, since they begin with the time.
#[derive(Debug)]
pub(in crate::tracker) struct Names {
    first: i64,
    next: AtomicI64,
}

impl Names {
    /// A thousand names a microsecond are free before the next start could use one again.
    pub(in crate::tracker) fn since(now: Timestamp) -> Self {
        let first = now.as_micros() << 10;
        Self { first, next: AtomicI64::new(first) }
    }

    pub(in crate::tracker) fn next(&self) -> i64 {
        self.next.fetch_add(1, Relaxed)
    }
}

impl Tracker {
    /// Opens a log for a stream on this connection.
    pub fn open_log(&self, connection: &LiveConnection, purpose: Purpose) -> Arc<StreamLog> {
        let inner = &self.inner;
        let id = StreamId(inner.names.next());
        let total = inner.writer.logged.clone();
        let log = StreamLog::new(id, connection.handle(), purpose, total);
        let log = Arc::new(log);
        connection.add_log(log.clone());
        log
    }

    /// Keeps what is sent on a stream.
    pub fn record(&self, connection: &LiveConnection, log: &Arc<StreamLog>, sent: Sent<'_>) {
        let inner = &self.inner;
        let (has_grown, must_store) = log.append(&sent, Timestamp::now());
        if must_store {
            inner.writer.stream(log.clone());
        }
        if has_grown {
            connection.trim_logs(inner.settings.events_bytes_per_client);
        }
    }

    /// Finds the stream that a client comes back to: in memory, else, after our restart, in the store.
    pub async fn find_log(
        &self,
        connection: &LiveConnection,
        event: &EventId,
    ) -> Option<Arc<StreamLog>> {
        if let Some(log) = connection.log(event.stream) {
            return Some(log);
        }
        let mut events = self.look_up(self.inner.store.events_of(event.stream)).await.ok()?;
        events.retain(|event| event.handle == connection.handle());
        if events.is_empty() {
            return None;
        }
        let purpose = event.request().map_or(Purpose::Standing, |id| Purpose::Request(id.into()));
        let total = self.inner.writer.logged.clone();
        let log = StreamLog::new(event.stream, connection.handle(), purpose, total);
        let log = Arc::new(log.restored(events));
        connection.add_log(log.clone());
        // It is kept within the same bounds as any other.
        self.inner.writer.stream(log.clone());
        Some(log)
    }

    /// Returns true if a process before this one opened the stream.
    pub fn is_inherited(&self, stream: StreamId) -> bool {
        stream.0 < self.inner.names.first
    }

    /// The connection has ended: nobody will come back to its streams.
    pub(in crate::tracker) fn forget_logs(&self, connection: &LiveConnection) {
        connection.take_logs().iter().for_each(|log| self.let_go(log));
    }

    /// The client of this connection has shown that it has read this stream to its end.
    pub fn has_read(&self, connection: &LiveConnection, stream: StreamId) {
        // Only what is the connection's own: a stream's name is no secret.
        if let Some(log) = connection.log(stream) {
            self.was_read(connection, &log);
        }
    }

    /// Nobody comes back to this stream any more.
    pub fn was_read(&self, connection: &LiveConnection, log: &StreamLog) {
        connection.remove_log(log.id());
        self.let_go(log);
    }

    fn let_go(&self, log: &StreamLog) {
        if log.mark_read() {
            self.inner.writer.forget_stream(log.id());
        }
    }
}

//! One client's transport connection: what shows that the client has read an answer to its end.
//!
//! Another request on the same connection does. That the connection was closed in an orderly way does not:
//! the client may have left before the answer came.

use std::sync::{Arc, Mutex, PoisonError};

use crate::tracker::{LiveConnection, StreamLog, Tracker};

/// A transport connection that carries one request at a time (HTTP/1.1), put into its requests'
/// extensions by whoever accepted it. Without one, what was sent is kept for as long as its bounds allow.
#[derive(Clone, Debug, Default)]
pub struct ClientTransport {
    /// The stream that was sent on it last. Held for single operations, never across an await.
    sent: Arc<Mutex<Option<Sent>>>,
}

#[derive(Debug)]
struct Sent {
    tracker: Tracker,
    connection: Arc<LiveConnection>,
    log: Arc<StreamLog>,
}

impl ClientTransport {
    /// Returns a new transport connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// The client has sent another request on it, so it has read all that was sent before.
    pub(super) fn was_read(&self) {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Sent { tracker, connection, log }) = sent {
            tracker.was_read(&connection, &log);
        }
    }

    /// A stream was handed over to it, to its end.
    pub(super) fn sent(
        &self,
        tracker: &Tracker,
        connection: &Arc<LiveConnection>,
        log: &Arc<StreamLog>,
    ) {
        let (tracker, connection, log) = (tracker.clone(), connection.clone(), log.clone());
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Sent { tracker, connection, log });
    }
}

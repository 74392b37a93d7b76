//! The log beside a stream: its events get our ids as they go by, and are kept.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::protocol::sse::{Ended, Renumber, first_event};
use crate::tracker::{LiveConnection, Purpose, StreamLog, Tracker};

/// An event that may be a repetition is held back up to this length.
const REPETITION_MAX: usize = 1024 * 1024;

/// See the module. The stream is over when this is dropped.
pub struct Logged {
    tracker: Tracker,
    connection: Arc<LiveConnection>,
    log: Arc<StreamLog>,
    renumber: Renumber,
    /// What came since the upstream was asked to go on after an event, until it is clear that it did not
    /// begin with that event.
    resumed: Option<Resumed>,
}

struct Resumed {
    after: Vec<u8>,
    held: BytesMut,
}

impl Logged {
    /// Opens a stream.
    pub fn open(tracker: &Tracker, connection: &Arc<LiveConnection>, purpose: Purpose) -> Self {
        let log = tracker.open_log(connection, purpose);
        let renumber = Renumber::new(log.id(), log.request());
        let (tracker, connection) = (tracker.clone(), connection.clone());
        Self { tracker, connection, log, renumber, resumed: None }
    }

    /// Returns the log.
    pub fn log(&self) -> &Arc<StreamLog> {
        &self.log
    }

    /// Returns the connection.
    pub fn connection(&self) -> &Arc<LiveConnection> {
        &self.connection
    }

    /// Returns the id that the upstream gave its latest event; empty if it gave none.
    pub fn foreign_id(&self) -> &[u8] {
        self.renumber.foreign_id()
    }

    /// Takes what the upstream sent; returns what of it is new.
    pub fn new_in(&mut self, bytes: Bytes) -> Bytes {
        let Some(resumed) = &mut self.resumed else { return bytes };
        resumed.held.extend_from_slice(&bytes);
        let rest = match first_event(&resumed.held) {
            None if resumed.held.len() <= REPETITION_MAX => return Bytes::new(),
            Some((end, id)) if *id == *resumed.after => end,
            None | Some(_) => 0,
        };
        let mut held = std::mem::take(&mut resumed.held);
        self.resumed = None;
        held.split_off(rest).freeze()
    }

    /// Returns the bytes with our ids, and keeps them. `is_answered` says whether they bring the last
    /// answer.
    pub fn pass(&mut self, bytes: Bytes, is_answered: bool) -> Bytes {
        let mut ended: Vec<Ended> = Vec::new();
        let bytes = self.renumber.feed(bytes, &mut ended);
        self.tracker.record(&self.connection, &self.log, &bytes, &ended, is_answered);
        bytes
    }

    /// Returns an event without data that gives the client an id to come back with, if nothing was sent
    /// yet (MCP 2025-11-25, Transports: servers should begin with one; older clients do not expect it).
    pub fn prime(&mut self) -> Option<Bytes> {
        let knows_it = self.connection.protocol_version() >= "2025-11-25";
        let is_due = knows_it && self.resumed.is_none() && self.renumber.is_at_beginning();
        is_due.then(|| self.pass(Bytes::from_static(b"id: \ndata: \n\n"), false))
    }

    /// Another stream of the upstream's goes on; if it was asked to go on after an event, that one may come
    /// again.
    pub fn resumed_after(&mut self, id: Option<Vec<u8>>) {
        self.resumed = id.map(|after| Resumed { after, held: BytesMut::new() });
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        self.log.finish();
    }
}

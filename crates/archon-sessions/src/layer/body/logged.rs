//! The log beside a stream: its events get our ids as they go by, and are kept.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;

use crate::protocol::event_id::{EventOrigin, link_mark};
use crate::protocol::sse::{Ended, Naming, Renumber, first_event};
use crate::tracker::{LiveConnection, Purpose, Sent, StreamLog, Tracker};

/// The first event of a stream that has nothing to say yet. Its client may come back after half a second: what
/// it missed waits for it.
const PRIMING: Bytes = Bytes::from_static(b"retry: 500\ndata: \n\n");
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
        let naming = match log.purpose() {
            Purpose::Request(id) => Naming::same(&EventOrigin::Request(id.clone())),
            Purpose::Batch => Naming::same(&EventOrigin::Nothing),
            Purpose::Standing => Naming::Upstream(mark(connection.link().as_ref())),
        };
        let renumber = Renumber::new(log.id(), naming);
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
    pub fn upstream_id(&self) -> &[u8] {
        self.renumber.upstream_id()
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
        let sent = Sent { bytes: &bytes, ended: &ended, is_answered };
        self.tracker.record(&self.connection, &self.log, sent);
        bytes
    }

    /// Returns true if something was sent.
    pub fn has_begun(&self) -> bool {
        !self.renumber.is_at_beginning()
    }

    /// Returns an event without data that gives the client an id to come back with, if nothing was sent
    /// yet (MCP 2025-11-25, Transports: servers should begin with one; older clients do not expect it).
    pub fn prime(&mut self) -> Option<Bytes> {
        let knows_it = self.connection.protocol_version() >= "2025-11-25";
        let is_due = knows_it && self.resumed.is_none() && self.renumber.is_at_beginning();
        is_due.then(|| self.pass(PRIMING, false))
    }

    /// Another stream of the upstream's goes on, on this link; if it was asked to go on after an event, that
    /// one may come again.
    pub fn go_on(&mut self, link: Option<&HeaderValue>, after: Option<Vec<u8>>) {
        self.renumber.go_on(mark(link));
        self.resumed = after.map(|after| Resumed { after, held: BytesMut::new() });
    }
}

fn mark(link: Option<&HeaderValue>) -> u32 {
    link.map_or(0, |link| link_mark(link.as_bytes()))
}

impl Drop for Logged {
    fn drop(&mut self) {
        self.log.finish();
    }
}

//! The log beside a stream: its events get our ids as they go by, and are kept.
//!
//! Nothing shows that an answer was read, but that its client says so: behind a proxy, the next request on a transport
//! connection is another client's, or the one that comes back for the answer. So what a client may come back for is
//! kept within bounds, and what is not worth that is never made so: a stream that is answered at once begins without
//! an id, and its client has nothing to come back with. Where its server begins it with one, so do we, for clients that
//! expect that.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use tokio::time::Sleep;

use crate::protocol::event_id::{EventOrigin, link_mark};
use crate::protocol::sse::{Ended, Naming, Renumber, Retry, first_event, first_message};
use crate::tracker::{Call, LiveConnection, Purpose, Sent, StreamLog, Tracker};

/// The first event of a stream that has nothing to say yet. Its client may come back after half a second: what
/// it missed waits for it.
const PRIMING: Bytes = Bytes::from_static(b"retry: 500\ndata: \n\n");
/// A stream is answered at once if it is within so long. Longer calls are the ones that are lost, and seldom enough to
/// be kept.
const PRIME_AFTER: Duration = Duration::from_millis(50);
/// Of what comes before the first message, so much is held back: an id, a time to retry after, comments.
const HELD_MAX: usize = 4 * 1024;
/// An event that may be a repetition is held back up to this length.
const REPETITION_MAX: usize = 1024 * 1024;

/// See the module. The stream is over when this is dropped.
pub struct Logged {
    tracker: Tracker,
    connection: Arc<LiveConnection>,
    log: Arc<StreamLog>,
    renumber: Renumber,
    retry: Retry,
    /// What came before the first message.
    held: BytesMut,
    /// When the client needs an id; made at the first wait.
    moment: Option<Pin<Box<Sleep>>>,
    /// What came since the upstream was asked to go on after an event, until it is clear that it did not
    /// begin with that event.
    resumed: Option<Resumed>,
}

struct Resumed {
    after: Vec<u8>,
    held: BytesMut,
}

impl Logged {
    /// Opens a stream that is to answer these calls.
    pub fn of_calls(tracker: &Tracker, on: &Arc<LiveConnection>, calls: &[Call]) -> Self {
        let purpose = match calls {
            [call] => Purpose::Request(call.id().into()),
            _ => Purpose::Batch,
        };
        Self::open(tracker, on, purpose)
    }

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
        let (retry, held) = (Retry::default(), BytesMut::new());
        Self { tracker, connection, log, renumber, retry, held, moment: None, resumed: None }
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
        match first_event(&self.held) {
            Some((_, id)) => id,
            None => self.renumber.upstream_id(),
        }
    }

    /// Returns how long the upstream wants to be left alone before its stream is asked for again.
    pub fn retry(&self) -> Option<Duration> {
        self.retry.latest()
    }

    /// Takes what the upstream sent; returns what of it is new.
    pub fn new_in(&mut self, bytes: Bytes) -> Bytes {
        self.retry.feed(&bytes);
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

    /// Returns true if the client has been sent an id to come back with.
    pub fn has_begun(&self) -> bool {
        !self.renumber.is_at_beginning()
    }

    /// Returns the bytes with our ids, and keeps them. What comes before the first message is held back for a moment.
    pub fn pass(&mut self, bytes: Bytes, is_message: bool) -> Bytes {
        let is_first = !self.has_begun() && *self.log.purpose() != Purpose::Standing;
        if is_first && !is_message && self.held.len() + bytes.len() <= HELD_MAX {
            self.held.extend_from_slice(&bytes);
            let is_primed = self.knows_priming() && is_primed(&self.held);
            return if is_primed { self.release().unwrap_or_default() } else { Bytes::new() };
        }
        let bytes = self.after_held(bytes);
        self.send(bytes)
    }

    /// As [`Logged::pass`], where the bytes bring the last answer. An answer that comes before anything else is not
    /// kept: its client has no id to come back with.
    pub fn pass_answer(&mut self, bytes: Bytes) -> Bytes {
        let bytes = self.after_held(bytes);
        let keeps_all = self.has_begun() || (self.knows_priming() && is_primed(&bytes));
        let bytes = if keeps_all { bytes } else { bytes.slice(first_message(&bytes)..) };
        let mut ended: Vec<Ended> = Vec::new();
        let bytes = self.renumber.feed_answer(bytes, &mut ended);
        if ended.last().is_some_and(|answer| answer.seq == 0) {
            self.tracker.was_read(&self.connection, &self.log);
        } else {
            let sent = Sent { bytes: &bytes, ended: &ended, is_answered: true };
            self.tracker.record(&self.connection, &self.log, sent);
        }
        bytes
    }

    /// Waits until a stream has been silent for so long that its client needs an id to come back with. Returns what the
    /// upstream began it with, or an event without data (MCP 2025-11-25, Transports: servers should begin with one;
    /// older clients do not expect it).
    pub fn poll_prime(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        let has_one = self.knows_priming() || !self.held.is_empty();
        if self.has_begun() || self.resumed.is_some() || !has_one {
            return Poll::Pending;
        }
        if *self.log.purpose() != Purpose::Standing {
            let moment =
                self.moment.get_or_insert_with(|| Box::pin(tokio::time::sleep(PRIME_AFTER)));
            ready!(moment.as_mut().poll(context));
        }
        Poll::Ready(self.release().unwrap_or_else(|| self.send(PRIMING)))
    }

    /// Returns what was held back, if anything was.
    pub fn release(&mut self) -> Option<Bytes> {
        let held = std::mem::take(&mut self.held);
        (!held.is_empty()).then(|| self.send(held.freeze()))
    }

    /// Returns true if the client expects streams that begin with an id and no data.
    fn knows_priming(&self) -> bool {
        self.connection.protocol_version() >= "2025-11-25"
    }

    fn after_held(&mut self, bytes: Bytes) -> Bytes {
        if self.held.is_empty() {
            return bytes;
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(&bytes);
        held.freeze()
    }

    fn send(&mut self, bytes: Bytes) -> Bytes {
        let mut ended: Vec<Ended> = Vec::new();
        let bytes = self.renumber.feed(bytes, &mut ended);
        let sent = Sent { bytes: &bytes, ended: &ended, is_answered: false };
        self.tracker.record(&self.connection, &self.log, sent);
        bytes
    }

    /// Another stream of the upstream's goes on, on this link; if it was asked to go on after an event, that
    /// one may come again.
    pub fn go_on(&mut self, link: Option<&HeaderValue>, after: Option<Vec<u8>>) {
        self.renumber.go_on(mark(link));
        self.resumed = after.map(|after| Resumed { after, held: BytesMut::new() });
    }
}

/// Returns true if a stream begins with an id and no data: its server has it come back to.
fn is_primed(stream: &[u8]) -> bool {
    first_event(stream).is_some_and(|(end, id)| !id.is_empty() && first_message(stream) >= end)
}

fn mark(link: Option<&HeaderValue>) -> u32 {
    link.map_or(0, |link| link_mark(link.as_bytes()))
}

impl Drop for Logged {
    fn drop(&mut self) {
        self.log.finish();
    }
}

//! The event log: what was sent on legacy streams, kept until their clients have shown that they have it.
//!
//! MCP 2025-11-25, Transports, Resumability: a client that lost its stream comes back with the id of the
//! last event it saw. What it missed is here, also an answer that came while it was away; what is here
//! longer than a moment is in the store as well, and survives us.

mod state;
mod streams;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use crate::protocol::event_id::{EventId, StreamId};
use crate::protocol::sse::Ended;
use crate::session::{McpSessionId, Timestamp};
use crate::store::StoredEvent;
use crate::tracker::StreamPlace;
use state::State;
pub(super) use streams::Names;

/// What a stream is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is to answer the request of this id (JSON text).
    Request(Box<str>),
    /// It is to answer several.
    Batch,
    /// The server speaks by itself on it.
    Standing,
}

/// What is sent on a stream.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// The bytes.
    pub bytes: &'a Bytes,
    /// Where events end in them.
    pub ended: &'a [Ended],
    /// Whether the last of them brings the last answer of the stream.
    pub is_answered: bool,
}

/// One stream.
#[derive(Debug)]
pub struct StreamLog {
    id: StreamId,
    handle: McpSessionId,
    purpose: Purpose,
    /// Held for single operations, never across an await.
    state: Mutex<State>,
    /// What all streams hold together.
    total: Arc<AtomicUsize>,
    /// Where it comes from, if that is a stream that its client may open anew.
    source: OnceLock<Weak<dyn Source>>,
}

/// A stream that is read for its client, and can be read into its log alone.
pub trait Source: std::fmt::Debug + Send + Sync {
    /// Goes on without its client.
    fn leave_client(&self);
}

/// What is left to say where a stream is over and its client has not seen the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing: the answer was read.
    Nothing,
    /// The answer came, and is no longer kept.
    Answer,
    /// No answer came that we know of.
    Outcome,
}

impl StreamLog {
    pub(super) fn new(
        id: StreamId,
        handle: McpSessionId,
        purpose: Purpose,
        total: Arc<AtomicUsize>,
    ) -> Self {
        let source = OnceLock::new();
        Self { id, handle, purpose, state: Mutex::default(), total, source }
    }

    /// Returns a stream that is over, from what the store has of it.
    pub(super) fn restored(mut self, events: Vec<StoredEvent>) -> Self {
        let state = self.state.get_mut();
        self.total.fetch_add(state.restore(events), Relaxed);
        self
    }

    /// Returns its name.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Returns the connection it belongs to.
    pub fn handle(&self) -> McpSessionId {
        self.handle
    }

    /// Returns the id (JSON text) of the one request that it is to answer.
    pub fn request(&self) -> Option<&str> {
        match &self.purpose {
            Purpose::Request(id) => Some(id),
            Purpose::Batch | Purpose::Standing => None,
        }
    }

    /// Returns what it is for.
    pub fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// Keeps what is sent. Returns whether that made it larger, and whether the store has to be told.
    pub(super) fn append(&self, sent: &Sent<'_>, now: Timestamp) -> (bool, bool) {
        let (grown, must_store) = {
            let mut state = self.state();
            let grown = state.append(sent, now);
            (grown, state.queue())
        };
        self.total.fetch_add(grown, Relaxed);
        (grown > 0, must_store)
    }

    /// The call that the stream answers has ended: whoever reads it from the log may have the answer. Until then the answer
    /// is kept back, as its row is not on its way yet.
    pub fn show_answer(&self) {
        self.state().show_answer();
    }

    /// Nothing more will come.
    pub fn finish(&self) {
        self.state().finish();
    }

    /// Reads what comes after the event `after`, or waits for it; `None` at the end.
    pub fn poll_read(
        &self,
        after: &mut Option<u64>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Vec<Bytes>>> {
        self.state().poll_read(after, context)
    }

    /// Returns what came after the event `after`.
    pub fn after(&self, after: Option<u64>) -> Vec<Bytes> {
        self.state().after(after).map(|event| event.bytes.clone()).collect()
    }

    /// Returns the id of the last event.
    pub fn last_id(&self) -> Option<EventId> {
        let last = self.state().events.back().map(|event| event.bytes.clone());
        last.and_then(|bytes| EventId::of_event(&bytes))
    }

    /// Returns true if nothing more will come.
    pub fn is_over(&self) -> bool {
        self.state().is_over
    }

    /// Returns how far its readers have come.
    pub fn read_through(&self) -> Option<u64> {
        self.state().read_through
    }

    /// Its client reads it as it is sent, and has come as far as it was sent.
    pub fn sent_all(&self) {
        self.state().sent_all();
    }

    /// Returns what a reader that has read everything, from `after` on, still lacks.
    pub fn missing(&self, after: Option<u64>) -> Missing {
        match &self.purpose {
            Purpose::Request(_) => self.state().missing(after),
            Purpose::Batch | Purpose::Standing => Missing::Nothing,
        }
    }

    /// Waits until a reader has room for more. Without a reader there is nobody to wait for: then
    /// the oldest events are dropped when there are too many.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        self.state().poll_room(context)
    }

    /// Counts a reader, for as long as what is returned lives.
    pub fn reader(self: &Arc<Self>) -> Reader {
        let mut state = self.state();
        state.readers += 1;
        Reader { log: self.clone(), generation: state.generation }
    }

    /// Says where the stream comes from, once.
    pub fn comes_from(&self, source: Weak<dyn Source>) {
        // A stream has one source.
        let _ = self.source.set(source);
    }

    /// Its client opens it anew: whoever reads it now is a connection that the client has given up, and one that
    /// may be dead without a sign of it. It gets nothing more.
    pub fn take_over(&self) {
        let source = self.source.get().and_then(Weak::upgrade);
        if let Some(source) = source {
            source.leave_client();
        }
        let given_back = {
            let mut state = self.state();
            state.generation += 1;
            state.wake();
            state.place.take()
        };
        drop(given_back);
    }

    /// Returns true if somebody reads it now.
    pub fn has_reader(&self) -> bool {
        self.state().readers > 0
    }

    /// Its client has shown that it has everything. Returns true if the store has rows to forget.
    pub(super) fn mark_read(&self) -> bool {
        let (freed, has_rows) = self.state().mark_read();
        self.total.fetch_sub(freed, Relaxed);
        has_rows
    }

    /// Hands out what the store does not have yet.
    pub(super) fn take_unstored(&self) -> Vec<StoredEvent> {
        let found = self.state().take_unstored();
        found
            .into_iter()
            .map(|event| StoredEvent {
                stream: self.id,
                seq: event.seq,
                handle: self.handle,
                bytes: event.bytes,
                is_answered: event.is_answered,
                at: event.at,
            })
            .collect()
    }

    /// Drops events that are older than this; returns true if there are others, or may be.
    pub(super) fn trim_before(&self, moment: Timestamp) -> bool {
        let (freed, is_left) = self.state().expire(moment);
        self.total.fetch_sub(freed, Relaxed);
        is_left
    }

    /// Drops the oldest events until so many bytes are freed; returns how many were.
    pub(super) fn trim_bytes(&self, surplus: usize) -> usize {
        let (freed, _) = self.state().trim(|_, freed| freed < surplus);
        self.total.fetch_sub(freed, Relaxed);
        freed
    }

    /// Returns what it holds.
    pub(super) fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Returns false once it is over and can tell its client nothing, not even that there was an answer.
    pub(super) fn is_of_use(&self) -> bool {
        self.state().is_of_use()
    }

    /// Returns when its oldest event was sent.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.state().events.front().map(|event| event.at)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Drop for StreamLog {
    fn drop(&mut self) {
        let held = self.state.get_mut().bytes;
        self.total.fetch_sub(held, Relaxed);
    }
}

/// A place among a stream's readers, given back when dropped.
#[derive(Debug)]
pub struct Reader {
    log: Arc<StreamLog>,
    generation: u64,
}

impl Reader {
    /// Returns the stream.
    pub fn log(&self) -> &Arc<StreamLog> {
        &self.log
    }

    /// Holds a place among the open streams of its session until it is dropped, or its client reads the stream
    /// elsewhere.
    pub fn hold(&self, place: StreamPlace) {
        self.log.state().place = Some(place);
    }

    /// Returns false once its client reads the stream elsewhere.
    pub fn is_current(&self) -> bool {
        self.log.state().generation == self.generation
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.log.state();
        state.readers -= 1;
        if state.generation == self.generation {
            state.place = None;
        }
        state.wake();
    }
}

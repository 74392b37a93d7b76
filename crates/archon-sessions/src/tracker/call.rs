//! One request from its arrival to its row.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::writer::Draft;
use super::{Presence, Tracker};
use crate::protocol::{Envelope, Text};
use crate::session::Timestamp;
use crate::store::Outcome;

/// A method or tool name is stored with at most this many bytes; longer ones were refused before.
const TEXT_SHARED_MAX: usize = 64 * 1024;
/// Of a larger request, so much is kept to estimate its tokens from.
const TEXT_COPIED: usize = 16 * 1024;

/// When a request came in, by both clocks: one to store, one to measure with.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The moment.
    pub at: Timestamp,
    /// The same by the monotonic clock.
    pub began: Instant,
}

impl Arrival {
    /// Returns the arrival of a request that comes in now.
    pub fn now() -> Self {
        Self { at: Timestamp::now(), began: Instant::now() }
    }
}

/// A tracked request that has not been answered. Ends its session's call when dropped: without a
/// word about how, it counts as given up.
#[derive(Debug)]
pub struct Call {
    tracker: Tracker,
    presence: Arc<Presence>,
    draft: Option<Draft>,
    id: Text,
    began: Instant,
    given_up: &'static str,
}

/// How a call ended.
#[derive(Debug)]
pub struct Ending {
    /// The outcome.
    pub outcome: Outcome,
    /// What went wrong, if we know it without reading the answer.
    pub error: Option<Box<str>>,
    /// Bytes sent in answer.
    pub response_bytes: u64,
    /// The beginning of the answer's JSON, to estimate tokens and find the error's text in.
    pub answer: Vec<u8>,
}

impl Ending {
    /// Returns an ending without an answer.
    pub fn without_answer(outcome: Outcome, error: impl Into<Box<str>>) -> Self {
        Self { outcome, error: Some(error.into()), response_bytes: 0, answer: Vec::new() }
    }
}

impl Tracker {
    /// Begins to track a request; `None` if its session has as many calls in flight as it may, or if the
    /// message is no request.
    pub fn begin(
        &self,
        presence: &Arc<Presence>,
        envelope: &Envelope,
        upstream: &Arc<str>,
        request_bytes: usize,
        arrival: Arrival,
    ) -> Option<Call> {
        let id = envelope.request_id()?.clone();
        if !presence.begin_call(self.inner.settings.calls_max) {
            return None;
        }
        let draft = Draft {
            session: presence.id(),
            method: envelope.method.clone(),
            tool: envelope.tool().cloned(),
            upstream: upstream.clone(),
            started: arrival.at,
            duration_us: 0,
            outcome: Outcome::Error,
            error: None,
            request_bytes: i64::try_from(request_bytes).unwrap_or(i64::MAX),
            response_bytes: 0,
            request: envelope.params.as_ref().map(kept).unwrap_or_default(),
            answer: Vec::new(),
        };
        Some(Call {
            tracker: self.clone(),
            presence: presence.clone(),
            draft: Some(draft),
            id,
            began: arrival.began,
            given_up: "given up before it was answered",
        })
    }
}

/// Shares a small body with the request; copies the beginning of a large one, to let the rest go.
fn kept(params: &Text) -> Bytes {
    if params.len() <= TEXT_SHARED_MAX {
        params.clone().into_bytes()
    } else {
        Bytes::copy_from_slice(&params.as_bytes()[..TEXT_COPIED])
    }
}

impl Call {
    /// Returns the request's id as JSON text.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the session it belongs to.
    pub fn presence(&self) -> &Arc<Presence> {
        &self.presence
    }

    /// Says what it means if nobody ends the call.
    #[must_use]
    pub fn unless_ended(mut self, given_up: &'static str) -> Self {
        self.given_up = given_up;
        self
    }

    /// Returns when the request arrived.
    pub(super) fn started(&self) -> Timestamp {
        self.draft.as_ref().map_or(Timestamp::from_micros(0), |draft| draft.started)
    }

    /// Ends the call and puts its row on the way to the store.
    pub fn end(mut self, ending: Ending) {
        self.record(ending);
    }

    fn record(&mut self, ending: Ending) {
        let Some(mut draft) = self.draft.take() else { return };
        let took = self.began.elapsed();
        draft.duration_us = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        draft.outcome = ending.outcome;
        draft.error = ending.error;
        draft.response_bytes = i64::try_from(ending.response_bytes).unwrap_or(i64::MAX);
        draft.answer = ending.answer;
        self.presence.touch(draft.started.plus(took));
        self.presence.finish_call();
        self.tracker.inner.writer.request(draft);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.record(Ending::without_answer(Outcome::Error, self.given_up));
    }
}

impl std::fmt::Debug for Tracker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tracker")
    }
}

//! One request from its arrival to its row.

mod annotations;
mod cancellation;
mod facts;
mod ledger;

pub use annotations::Annotations;
pub(in crate::tracker) use annotations::Notepad;
pub(in crate::tracker) use cancellation::Cancellation;
pub(in crate::tracker) use facts::CallFacts;
pub(in crate::tracker) use ledger::Interrupted;
#[cfg(test)]
pub(in crate::tracker) use ledger::digest;

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;

use super::writer::Draft;
use super::{Admission, Durable, LiveConnection, Presence, Tracker};
use crate::events::{Failure, FinishedCall, Sign};
use crate::protocol::trace_context::{TraceContext, TraceParent};
use crate::protocol::{Envelope, Text};
use crate::session::Timestamp;
use crate::store::{CallId, Outcome};

/// A method or tool name is stored with at most this many bytes; longer ones were refused before.
const TEXT_SHARED_MAX: usize = 64 * 1024;
/// Of a larger request, so much is kept to estimate its tokens from.
const TEXT_COPIED: usize = 16 * 1024;

/// An answer that says what went wrong is copied for listeners up to this size; a longer one is read from
/// the record.
const FAILURE_BYTES_MAX: usize = 16 * 1024;

/// When a request came in, by both clocks: one to store, one to measure with.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The moment.
    pub at: Timestamp,
    /// The same by the monotonic clock.
    pub began: Instant,
    /// Where the HTTP request stands in a trace; only if somebody wants to know.
    pub http_parent: Option<TraceParent>,
}

impl Arrival {
    /// Returns the arrival of a request that comes in now.
    pub fn now() -> Self {
        Self { at: Timestamp::now(), began: Instant::now(), http_parent: None }
    }
}

/// What a request carries for whoever traces it.
#[derive(Clone, Debug)]
pub struct Carried {
    /// Where the message stands in its client's trace.
    pub context: Option<TraceContext>,
    /// Where the HTTP request around it stands in one.
    pub http_parent: Option<TraceParent>,
    /// The prompt or resource that it is about, if it is about one.
    pub target: Option<Box<str>>,
}

impl Carried {
    /// Texts are copied: they must not keep a large body.
    fn by(envelope: &Envelope, arrival: &Arrival) -> Self {
        Self {
            context: envelope.meta.source.as_deref().and_then(TraceContext::from_meta),
            http_parent: arrival.http_parent,
            target: envelope.target.as_deref().map(Into::into),
        }
    }
}

/// A tracked request that has not been answered. Ends its session's call when dropped: without a
/// word about how, it counts as given up.
#[derive(Debug)]
pub struct Call {
    tracker: Tracker,
    presence: Arc<Presence>,
    /// The legacy connection that it came on.
    connection: Option<Arc<LiveConnection>>,
    /// `None` once it has ended.
    facts: Option<Arc<CallFacts>>,
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
    /// The JSON-RPC error code, where the answer is our own.
    pub code: Option<i64>,
    /// Bytes sent in answer.
    pub response_bytes: u64,
    /// The beginning of the answer's JSON, to estimate tokens and find the error's text in.
    pub answer: Vec<u8>,
}

impl Ending {
    /// Returns an ending without an answer.
    pub fn without_answer(outcome: Outcome, error: impl Into<Box<str>>) -> Self {
        let (error, answer) = (Some(error.into()), Vec::new());
        Self { outcome, error, code: None, response_bytes: 0, answer }
    }

    /// Returns a good ending of what is not answered by a message.
    pub fn without_error(response_bytes: u64) -> Self {
        let (outcome, answer) = (Outcome::Success, Vec::new());
        Self { outcome, error: None, code: None, response_bytes, answer }
    }
}

impl Tracker {
    /// Begins to track a request; `None` if its session has as many calls in flight as it may, or if the
    /// message is no request.
    pub fn begin(
        &self,
        admission: &Admission,
        envelope: &Envelope,
        upstream: &Arc<str>,
        request_bytes: usize,
        arrival: Arrival,
    ) -> Option<Call> {
        let id = envelope.request_id()?.clone();
        let presence = &admission.presence;
        if !presence.begin_call(self.inner.settings.calls_max) {
            return None;
        }
        let facts = Arc::new(CallFacts {
            id: CallId(self.inner.names.next()),
            session: presence.id(),
            handle: admission.connection.as_ref().map(|connection| connection.handle()),
            request: id.clone(),
            method: envelope.method.clone(),
            tool: envelope.tool().cloned(),
            upstream: upstream.clone(),
            protocol_version: protocol_version(admission, envelope),
            carried: self.is_traced().then(|| Box::new(Carried::by(envelope, &arrival))),
            started: arrival.at,
            request_bytes: i64::try_from(request_bytes).unwrap_or(i64::MAX),
            params: Mutex::new(envelope.params.as_ref().map(kept).unwrap_or_default()),
            place: AtomicU8::default(),
            notes: Notepad::default(),
            cancellation: Cancellation::default(),
            is_detached: false,
        });
        let connection = admission.connection.clone();
        if let Some(connection) = &connection {
            connection.begun(facts.clone());
        }
        self.inner.writer.begun(facts.clone());
        Some(Call {
            tracker: self.clone(),
            presence: presence.clone(),
            connection,
            facts: Some(facts),
            id,
            began: arrival.began,
            given_up: "given up before it was answered",
        })
    }

    /// With strict durability, returns what to wait for until all that is queued now is durable: what was begun
    /// before it is sent, and what ended before it is answered.
    pub fn strict_barrier(&self) -> Option<Durable> {
        self.inner.settings.durability.is_strict().then(|| self.inner.writer.barrier())
    }
}

/// A legacy request speaks the version of its connection; a modern one says which.
fn protocol_version(admission: &Admission, envelope: &Envelope) -> Text {
    let connection = admission.connection.as_ref();
    let version = connection.map(|connection| connection.shared_version());
    version.or(envelope.meta.protocol_version.as_ref()).cloned().unwrap_or_default()
}

/// Shares a small body with the request; copies the beginning of a large one, to let the rest go.
pub(in crate::tracker) fn kept(params: &Text) -> Bytes {
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

    /// Returns where the service that answers the call says what it knows of it.
    pub fn annotations(&self) -> Annotations {
        self.facts.as_ref().map(Annotations::of).unwrap_or_default()
    }

    /// Returns true if its client takes it back, and its server is being told.
    pub fn is_being_cancelled(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.cancellation.is_begun())
    }

    /// Waits until its client has taken it back.
    pub fn poll_cancelled(&self, context: &mut Context<'_>) -> Poll<()> {
        self.facts.as_ref().map_or(Poll::Pending, |facts| facts.cancellation.poll(context))
    }

    /// Says what it means if nobody ends the call.
    #[must_use]
    pub fn unless_ended(mut self, given_up: &'static str) -> Self {
        self.given_up = given_up;
        self
    }

    /// Ends the call and puts its row on the way to the store. Returns what to wait for before it is
    /// answered.
    pub fn end(mut self, ending: Ending) -> Option<Durable> {
        self.record(ending)
    }

    /// Ends the call without a row: it was recorded elsewhere.
    pub fn forget(mut self) {
        let Some(facts) = self.facts.take() else { return };
        if let Some(connection) = &self.connection {
            connection.ended(&facts);
        }
        self.presence.finish_call();
        self.tracker.inner.writer.forget_call(&facts);
    }

    fn record(&mut self, ending: Ending) -> Option<Durable> {
        let facts = self.facts.take()?;
        if let Some(connection) = &self.connection {
            connection.ended(&facts);
        }
        let took = self.began.elapsed();
        let now = facts.started.plus(took);
        self.presence.touch(now);
        self.presence.finish_call();
        let draft = Draft {
            facts,
            duration_us: i64::try_from(took.as_micros()).unwrap_or(i64::MAX),
            outcome: ending.outcome,
            error: ending.error,
            code: ending.code,
            response_bytes: i64::try_from(ending.response_bytes).unwrap_or(i64::MAX),
            answer: ending.answer,
            is_in_ledger: false,
        };
        let events = self.tracker.events();
        if events.is_heard() {
            let by = if draft.facts.tool.is_some() { Sign::ToolCall } else { Sign::Request };
            events.updated(self.presence.id(), self.presence.told(), by, now);
            events.finished(now, || finished(&draft));
        }
        self.tracker.inner.writer.request(draft);
        self.tracker.strict_barrier()
    }
}

/// Returns what listeners are told of it, with texts of its own: a part of the body would keep all of it.
fn finished(draft: &Draft) -> FinishedCall {
    let facts = &draft.facts;
    let failure = match (draft.outcome, &draft.error) {
        (Outcome::Success, _) => None,
        (Outcome::Error | Outcome::Timeout, Some(text)) => Some(Failure::Said(text.clone())),
        (Outcome::Error | Outcome::Timeout, None) if draft.answer.len() <= FAILURE_BYTES_MAX => {
            Some(Failure::Answered(Bytes::copy_from_slice(&draft.answer)))
        }
        (Outcome::Error | Outcome::Timeout, None) => None,
    };
    FinishedCall {
        session: facts.session,
        method: (&*facts.method).into(),
        tool: facts.tool.as_deref().map(Into::into),
        upstream: facts.upstream.clone(),
        outcome: draft.outcome,
        duration_us: draft.duration_us,
        request_bytes: facts.request_bytes,
        response_bytes: draft.response_bytes,
        failure,
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Nobody is answered, so nobody waits.
        let _ = self.record(Ending::without_answer(Outcome::Error, self.given_up));
    }
}

impl std::fmt::Debug for Tracker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tracker")
    }
}

//! Looks for the answers of calls in the bytes that go by.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::layer::failure::CallFailed;
use crate::layer::modern::CANCELLED;
use crate::layer::reject::error_message;
use crate::protocol::answer::{Scanner, Verdict};
use crate::protocol::sse::{Events, Part};
use crate::session::Era;
use crate::store::Outcome;
use crate::tracker::{Call, Ending, LiveConnection, StreamPlace, Tracker};

/// Of an answer, so much is kept to estimate its tokens and find its error's text.
const SAMPLE_MAX: usize = 16 * 1024;

/// What is expected of one answer stream.
pub struct Watch {
    pub tracker: Tracker,
    pub era: Era,
    pub upstream: Arc<str>,
    /// The calls that this stream is to answer.
    pub calls: Vec<Call>,
    /// Where calls wait whose own stream ended early.
    pub connection: Option<Arc<LiveConnection>>,
    /// This stream's place among its session's open streams.
    pub place: Option<StreamPlace>,
    /// Whether the stream goes on until its client closes it, without an answer.
    pub is_subscription: bool,
    pub status: StatusCode,
    pub observer: Observer,
}

/// How the bytes hold messages.
pub struct Observer {
    framing: Framing,
    scanner: Scanner,
    bytes: u64,
    sample: Vec<u8>,
}

enum Framing {
    /// The body is one message (or a batch).
    Json,
    /// Each event is one.
    Sse(Events),
    /// The body is no message.
    Opaque,
}

impl Observer {
    /// Returns an observer for an answer with these headers.
    pub fn new(headers: &HeaderMap) -> Self {
        let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        let framing = if kind.starts_with(b"text/event-stream") {
            Framing::Sse(Events::default())
        } else if kind.starts_with(b"application/json") {
            Framing::Json
        } else {
            Framing::Opaque
        };
        Self { framing, scanner: Scanner::default(), bytes: 0, sample: Vec::new() }
    }

    /// Looks at bytes; reports each answer's id, verdict, the bytes so far and its beginning. Returns
    /// whether they hold anything of a message: a comment that keeps a stream open is no sign of one.
    pub fn saw(
        &mut self,
        bytes: &[u8],
        on_answer: &mut impl FnMut(&[u8], Verdict, u64, Vec<u8>),
    ) -> bool {
        let mut is_sign = false;
        self.bytes += bytes.len() as u64;
        let Self { framing, scanner, bytes: count, sample } = self;
        let mut data = |data: &[u8], sample: &mut Vec<u8>, scanner: &mut Scanner| {
            is_sign = true;
            let room = SAMPLE_MAX.saturating_sub(sample.len());
            sample.extend_from_slice(&data[..data.len().min(room)]);
            scanner.feed(data, &mut |id, verdict| {
                on_answer(id, verdict, *count, std::mem::take(sample));
            });
        };
        match framing {
            Framing::Opaque => {}
            Framing::Json => data(bytes, sample, scanner),
            Framing::Sse(events) => events.feed(bytes, &mut |part| match part {
                Part::Data(bytes) => data(bytes, sample, scanner),
                Part::End => {
                    sample.clear();
                    *scanner = Scanner::default();
                }
            }),
        }
        is_sign
    }

    /// Returns true if messages can still be added to the stream.
    pub fn is_sse(&self) -> bool {
        matches!(self.framing, Framing::Sse(_))
    }
}

impl Watch {
    /// Returns true if a call is still to be answered.
    pub fn is_waiting(&self) -> bool {
        !self.calls.is_empty() && !self.is_subscription
    }

    /// Returns when this stream must end, if it is one that goes on by itself.
    pub fn closing(&self) -> Option<WaitForCancellationFutureOwned> {
        self.place.as_ref().map(|_| self.tracker.closing().clone().cancelled_owned())
    }

    /// Looks at bytes that go by, and ends the calls that they answer. Returns whether they were a sign
    /// of life.
    pub fn saw(&mut self, bytes: &Bytes) -> bool {
        let Self { observer, calls, connection, .. } = self;
        observer.saw(bytes, &mut |id, verdict, response_bytes, answer| {
            let call = match calls.iter().position(|call| call.id().as_bytes() == id) {
                Some(at) => Some(calls.swap_remove(at)),
                // A server may write an id in other characters; an answer to the only call is its own.
                None if calls.len() == 1 => calls.pop(),
                None => connection.as_ref().and_then(|connection| connection.unpark(id)),
            };
            if let Some(call) = call {
                let outcome = match verdict {
                    Verdict::Success => Outcome::Success,
                    Verdict::Error => Outcome::Error,
                };
                call.end(Ending { outcome, error: None, response_bytes, answer });
            }
        })
    }

    /// The stream ended. What it did not answer may be answered on another one, if it is legacy.
    pub fn ended(mut self) {
        for call in std::mem::take(&mut self.calls) {
            match &self.connection {
                _ if self.is_subscription => self.close(call),
                Some(connection) if self.observer.is_sse() && !call.presence().has_ended() => {
                    connection.park(call);
                }
                _ => {
                    let error = format!("the upstream answered {} without a message", self.status);
                    call.end(Ending::without_answer(Outcome::Error, error));
                }
            }
        }
    }

    /// The stream broke. Returns what tells its client so, where its form allows that; `Some(None)` if
    /// nothing was missing and the stream simply ends.
    pub fn lost(self) -> Option<Option<Bytes>> {
        let is_whole = self.observer.is_sse() && !self.is_waiting();
        let failed = CallFailed::lost(&self.upstream);
        let message = self.failed(&failed);
        (is_whole || message.is_some()).then_some(message)
    }

    /// The stream gave no sign for too long. Returns what tells its client so.
    pub fn timed_out(self, limit: Duration) -> Option<Bytes> {
        self.failed(&CallFailed::timed_out(limit))
    }

    /// The client closed the stream, which cancels what it asked for (MCP 2026-07-28, Cancellation).
    pub fn cancelled(mut self) {
        for call in std::mem::take(&mut self.calls) {
            if self.is_subscription {
                self.close(call);
            } else {
                call.end(Ending::without_answer(Outcome::Error, CANCELLED));
            }
        }
    }

    /// Returns who runs the stream on without its client, if its calls are to be followed to their ends.
    pub fn outlives_client(&self) -> Option<Tracker> {
        match self.era {
            Era::Legacy => self.is_waiting().then(|| self.tracker.clone()),
            Era::Modern => None,
        }
    }

    fn close(&self, call: Call) {
        let response_bytes = self.observer.bytes;
        let (outcome, answer) = (Outcome::Success, Vec::new());
        call.end(Ending { outcome, error: None, response_bytes, answer });
    }

    fn failed(mut self, failed: &CallFailed) -> Option<Bytes> {
        let mut events = String::new();
        for call in std::mem::take(&mut self.calls) {
            let message = error_message(Some(call.id()), failed.code, &failed.message, None);
            events.push_str("event: message\ndata: ");
            events.push_str(&message);
            events.push_str("\n\n");
            call.end(Ending::without_answer(failed.outcome, failed.message.clone()));
        }
        // A blank line first: what was cut off must not run into what we say.
        (self.observer.is_sse() && !events.is_empty()).then(|| format!("\n\n{events}").into())
    }
}

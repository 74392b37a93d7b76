//! Looks for the answers of calls in the bytes that go by.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::finder::{AnswerFinder, Seen};
use super::in_flight::InFlight;
use super::logged::Logged;
use crate::layer::failure::{CallFailed, error_event};
use crate::protocol::answer::Verdict;
use crate::session::Era;
use crate::store::Outcome;
use crate::tracker::{Call, Durable, Ending, StreamPlace, Tracker};

/// What the row of a call says whose client closed its stream (MCP 2026-07-28, Cancellation).
pub const CANCELLED: &str = "cancelled by its client";
/// The last event of a stream whose call was taken back. A blank line first: what was cut off must not run into it.
const NO_ANSWER: Bytes = Bytes::from_static(b"\n\ndata: \n\n");

/// When an answer is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// When its calls are answered.
    Calls,
    /// Never: its client closes it, and that ends its call (modern `subscriptions/listen`).
    Subscription,
    /// Never: the server speaks by itself on it (legacy GET).
    Standing,
}

/// What is expected of one answer.
pub struct Watch {
    pub tracker: Tracker,
    pub era: Era,
    pub upstream: Arc<str>,
    /// The calls that it is to answer.
    pub calls: Vec<Call>,
    /// The log of a legacy stream.
    pub logged: Option<Logged>,
    /// This stream's place among its session's open streams.
    pub place: Option<StreamPlace>,
    pub nature: Nature,
    /// The id that its call has at the inner service.
    pub in_flight: InFlight,
    pub status: StatusCode,
    pub finder: AnswerFinder,
}

/// What is to be sent on.
pub struct Passed {
    pub bytes: Bytes,
    /// Whether it was a sign of life.
    pub is_sign: bool,
    /// What must be durable before it is sent.
    pub durable: Vec<Durable>,
}

impl Watch {
    /// Returns true if a call is still to be answered.
    pub fn is_waiting(&self) -> bool {
        self.nature == Nature::Calls && !self.calls.is_empty()
    }

    /// Returns true if the server speaks by itself on this legacy stream.
    pub fn is_standing(&self) -> bool {
        self.nature == Nature::Standing
    }

    /// Returns true if the stream is not whole where it is now.
    pub fn expects_more(&self) -> bool {
        self.is_waiting() || self.is_standing()
    }

    /// Returns when this stream must end, if it is one that goes on by itself.
    pub fn closing(&self) -> Option<WaitForCancellationFutureOwned> {
        self.place.as_ref().map(|_| self.tracker.closing().clone().cancelled_owned())
    }

    /// Returns true if what is sent may be longer or shorter than what came.
    pub fn changes_length(&self) -> bool {
        self.logged.is_some() || self.in_flight.is_renamed()
    }

    /// Looks at bytes that go by, and ends the calls that they answer.
    pub fn pass(&mut self, bytes: Bytes) -> Passed {
        let bytes = self.in_flight.restore(bytes);
        let bytes = match &mut self.logged {
            Some(logged) => logged.new_in(bytes),
            None => bytes,
        };
        let mut seen = Vec::new();
        let is_sign = self.finder.saw(&bytes, &mut |answer| seen.push(answer));
        let answered = self.answered(seen);
        let is_answered = !answered.is_empty() && self.calls.is_empty();
        // The log comes first, so that an answer is stored in the commit of its call's end.
        let bytes = match &mut self.logged {
            Some(logged) if is_answered => logged.pass_answer(bytes),
            Some(logged) => logged.pass(bytes, is_sign),
            None => bytes,
        };
        let durable = answered.into_iter().filter_map(|(call, ending)| call.end(ending)).collect();
        if is_answered {
            self.show_answer();
        }
        Passed { bytes, is_sign, durable }
    }

    /// The calls that were answered have ended: who reads the log may know.
    fn show_answer(&self) {
        if let Some(logged) = &self.logged {
            logged.log().show_answer();
        }
    }

    /// Takes out the calls that were answered.
    fn answered(&mut self, seen: Vec<Seen>) -> Vec<(Call, Ending)> {
        let calls = &mut self.calls;
        let ended = seen.into_iter().filter_map(|Seen { id, verdict, bytes, sample }| {
            let call = match calls.iter().position(|call| call.id().as_bytes() == id) {
                Some(at) => calls.swap_remove(at),
                // A server may write an id in other characters; an answer to the only call is its own.
                None if calls.len() == 1 => calls.pop()?,
                None => return None,
            };
            let outcome = match verdict {
                Verdict::Success => Outcome::Success,
                Verdict::Error => Outcome::Error,
            };
            let (error, code, response_bytes, answer) = (None, None, bytes, sample);
            Some((call, Ending { outcome, error, code, response_bytes, answer }))
        });
        ended.collect()
    }

    /// The stream goes on with another answer of the upstream's.
    pub fn go_on(
        &mut self,
        headers: &HeaderMap,
        link: Option<&HeaderValue>,
        after: Option<Vec<u8>>,
    ) {
        self.finder.begin_again(headers);
        self.in_flight.begin_again();
        if let Some(logged) = &mut self.logged {
            logged.go_on(link, after);
        }
    }

    /// The stream ended. Returns what tells its client of answers that did not come, where its form allows
    /// that.
    pub fn ended(&mut self) -> Passed {
        let mut seen = Vec::new();
        self.finder.ended(&mut |answer| seen.push(answer));
        let mut durable: Vec<Durable> =
            self.answered(seen).into_iter().filter_map(|(call, ending)| call.end(ending)).collect();
        if self.nature == Nature::Subscription {
            self.close();
        } else if self.finder.is_sse() && !self.calls.is_empty() {
            return self.failed(&CallFailed::lost(&self.upstream));
        }
        for call in std::mem::take(&mut self.calls) {
            let error = format!("the upstream answered {} without a message", self.status);
            durable.extend(call.end(Ending::without_answer(Outcome::Error, error)));
        }
        Passed { bytes: Bytes::new(), is_sign: false, durable }
    }

    /// Ends what is left of the calls. Returns what tells the client so, where its form allows that.
    pub fn failed(&mut self, failed: &CallFailed) -> Passed {
        let (mut events, mut durable) = (String::new(), Vec::new());
        let calls = std::mem::take(&mut self.calls);
        if self.finder.is_sse() && !calls.is_empty() {
            // A blank line first: what was cut off must not run into what we say.
            events.push_str("\n\n");
            calls.iter().for_each(|call| events.push_str(&error_event(call.id(), failed)));
        }
        let bytes = match &mut self.logged {
            Some(logged) if !events.is_empty() => logged.pass_answer(events.into()),
            _ => events.into(),
        };
        for call in calls {
            let ending = Ending::without_answer(failed.outcome, &*failed.message);
            durable.extend(call.end(Ending { code: Some(failed.code), ..ending }));
        }
        self.show_answer();
        Passed { bytes, is_sign: false, durable }
    }

    /// Waits until its client has taken back all of its calls (MCP 2025-11-25, Cancellation). Each ends at once.
    pub fn poll_cancelled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.is_waiting() {
            return Poll::Pending;
        }
        let are_over = self.end_cancelled(|call| call.poll_cancelled(context).is_ready());
        if are_over { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Returns true if its calls are being taken back. Where the stream ends meanwhile, it ends for that.
    pub fn is_being_cancelled(&mut self) -> bool {
        self.is_waiting() && self.end_cancelled(Call::is_being_cancelled)
    }

    /// Ends calls that are taken back; returns true if none is left.
    fn end_cancelled(&mut self, mut is_cancelled: impl FnMut(&Call) -> bool) -> bool {
        for call in self.calls.extract_if(.., |call| is_cancelled(call)) {
            // Nobody is answered, so nobody waits.
            let _ = call.end(Ending::without_answer(Outcome::Error, CANCELLED));
        }
        self.calls.is_empty()
    }

    /// Its calls were taken back: the stream ends without an answer. A client that has an id to come back with gets
    /// another, which says that nothing more comes.
    pub fn close_cancelled(&mut self) -> Passed {
        let bytes = match &mut self.logged {
            Some(logged) if logged.has_begun() => logged.pass_answer(NO_ANSWER),
            Some(_) | None => Bytes::new(),
        };
        self.show_answer();
        Passed { bytes, is_sign: false, durable: Vec::new() }
    }

    /// The client closed the stream, which cancels what it asked for (MCP 2026-07-28, Cancellation).
    pub fn cancelled(mut self) {
        if self.nature == Nature::Subscription {
            return self.close();
        }
        for call in std::mem::take(&mut self.calls) {
            let _ = call.end(Ending::without_answer(Outcome::Error, CANCELLED));
        }
    }

    /// Returns who runs the stream on without its client, if it is to be followed to its end.
    pub fn outlives_client(&self) -> Option<Tracker> {
        match self.era {
            Era::Legacy if self.expects_more() => Some(self.tracker.clone()),
            Era::Legacy | Era::Modern => None,
        }
    }

    /// How long a call may go without a sign of its answer is over.
    pub fn timed_out(&mut self, limit: Duration) -> Passed {
        self.failed(&CallFailed::timed_out(limit))
    }

    fn close(&mut self) {
        let response_bytes = self.finder.bytes();
        for call in std::mem::take(&mut self.calls) {
            let ending = Ending::without_error(response_bytes);
            let _ = call.end(ending);
        }
    }
}

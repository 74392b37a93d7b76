//! What a client missed of a stream, from the log, and what comes on it from now on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http_body::Frame;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::silence::Silence;
use crate::layer::failure::{CallFailed, error_event};
use crate::protocol::event_id::{EventId, EventOrigin, StreamId};
use crate::tracker::{Missing, Purpose, Reader, StreamLog, StreamPlace, Tracker};

/// See the module.
pub struct Replay {
    tracker: Tracker,
    reader: Reader,
    /// What was read, and what must be durable before it is sent.
    held: Option<(BoxFuture<'static, bool>, Vec<Bytes>)>,
    _place: Option<StreamPlace>,
    /// The last event that the client has.
    after: Option<u64>,
    ready: VecDeque<Bytes>,
    silence: Silence,
    /// For a stream on which the server speaks by itself: when it must end.
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    is_over: bool,
}

impl Replay {
    /// Puts events that have their ids before the rest.
    pub fn put_before(&mut self, missed: VecDeque<Bytes>) {
        self.ready = missed;
    }

    /// Returns what comes on a stream after the event `after`.
    pub fn new(
        tracker: &Tracker,
        log: &Arc<StreamLog>,
        after: Option<u64>,
        place: StreamPlace,
    ) -> Self {
        let reader = log.reader();
        let place = if *log.purpose() == Purpose::Standing {
            reader.hold(place);
            None
        } else {
            Some(place)
        };
        let closing = tracker.closing().clone().cancelled_owned();
        Self {
            tracker: tracker.clone(),
            reader,
            held: None,
            _place: place,
            after,
            ready: VecDeque::new(),
            silence: Silence::new(),
            closing: log.request().is_none().then(|| Box::pin(closing)),
            is_over: false,
        }
    }

    pub fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.silence.sent(&bytes);
                return Poll::Ready(Some(Frame::data(bytes)));
            }
            if let Some((durable, _)) = &mut self.held {
                ready!(durable.as_mut().poll(context));
                self.ready.extend(self.held.take().into_iter().flat_map(|(_, found)| found));
                continue;
            }
            if !self.reader.is_current() {
                return Poll::Ready(None);
            }
            if self.is_over {
                return Poll::Ready(None);
            }
            match self.reader.log().poll_read(&mut self.after, context) {
                // What is read may be the answer of a call whose row waits to be written.
                Poll::Ready(Some(found)) => match self.tracker.strict_barrier() {
                    Some(durable) => self.held = Some((durable.wait().boxed(), found)),
                    None => self.ready.extend(found),
                },
                Poll::Ready(None) => {
                    self.is_over = true;
                    self.ready.extend(self.last_words());
                }
                Poll::Pending => return self.poll_waiting(context),
            }
        }
    }

    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        if self.closing.as_mut().is_some_and(|closing| closing.as_mut().poll(context).is_ready()) {
            return Poll::Ready(None);
        }
        self.silence.poll(context).map(|comment| Some(Frame::data(comment)))
    }

    /// What the client is told where its answer is not among the events.
    fn last_words(&self) -> Option<Bytes> {
        let log = self.reader.log();
        let failed = match log.missing(self.after) {
            Missing::Nothing => return None,
            Missing::Answer => CallFailed::answer_gone(),
            Missing::Outcome => CallFailed::interrupted(),
        };
        let seq = self.after.map_or(0, |seen| seen.saturating_add(1));
        Some(last_event(log.id(), seq, log.request()?, &failed))
    }
}

/// Returns the event that ends a stream by answering its request (the JSON text of its id) with an error.
pub fn last_event(stream: StreamId, seq: u64, request: &str, failed: &CallFailed) -> Bytes {
    let id = EventId { stream, seq, origin: EventOrigin::Answered };
    format!("id: {id}\n{}", error_event(request, failed)).into()
}

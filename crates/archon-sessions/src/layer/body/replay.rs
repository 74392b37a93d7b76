//! What a client missed of a stream, from the log, and what comes on it from now on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::silence::Silence;
use crate::layer::failure::CallFailed;
use crate::layer::reject::error_event;
use crate::layer::transport::ClientTransport;
use crate::protocol::event_id::{EventId, EventOrigin};
use crate::tracker::{LiveConnection, Missing, Reader, StreamLog, StreamPlace, Tracker};

/// See the module.
pub struct Replay {
    tracker: Tracker,
    connection: Arc<LiveConnection>,
    reader: Reader,
    transport: Option<ClientTransport>,
    _place: StreamPlace,
    /// The last event that the client has.
    after: Option<u64>,
    ready: VecDeque<Bytes>,
    silence: Silence,
    /// For a stream on which the server speaks by itself: when it must end.
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    is_over: bool,
}

impl Replay {
    /// Returns what comes on a stream after the event `after`.
    pub fn new(
        tracker: &Tracker,
        connection: &Arc<LiveConnection>,
        log: &Arc<StreamLog>,
        after: Option<u64>,
        place: StreamPlace,
        transport: Option<ClientTransport>,
    ) -> Self {
        let closing = tracker.closing().clone().cancelled_owned();
        Self {
            tracker: tracker.clone(),
            connection: connection.clone(),
            reader: log.reader(),
            transport,
            _place: place,
            after,
            ready: VecDeque::new(),
            silence: Silence::new(),
            closing: log.request().is_none().then(|| Box::pin(closing)),
            is_over: false,
        }
    }

    /// Puts events that were read from it back.
    pub fn after(&mut self, read: VecDeque<Bytes>) {
        for event in read.into_iter().rev() {
            self.ready.push_front(event);
        }
    }

    pub fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.silence.sent(&bytes);
                return Poll::Ready(Some(Frame::data(bytes)));
            }
            if self.is_over {
                let log = self.reader.log();
                if let Some(transport) = self.transport.take() {
                    transport.sent(&self.tracker, &self.connection, log);
                }
                return Poll::Ready(None);
            }
            match self.reader.log().poll_read(&mut self.after, context) {
                Poll::Ready(Some(found)) => self.ready.extend(found),
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
        let seq = self.after.map_or(0, |seen| seen + 1);
        let origin = EventOrigin::Request(log.request()?.into());
        Some(event_of(&EventId { stream: log.id(), seq, origin }, &failed))
    }
}

/// Returns an event that answers the request which its id names with an error.
pub fn event_of(id: &EventId, failed: &CallFailed) -> Bytes {
    let event = error_event(id.request().unwrap_or("null"), failed);
    format!("id: {id}\n{event}").into()
}

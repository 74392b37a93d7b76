//! The body of an answer, watched as it goes by: its bytes are not touched.

mod watch;

pub(super) use watch::{Observer, Watch};

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::BoxError;

/// The body of every answer of the layer: one we wrote, or the inner service's, watched.
pub struct SessionBody<B>(Kind<B>);

enum Kind<B> {
    Ours(Option<Bytes>),
    Theirs(Box<Theirs<B>>),
}

/// The inner service's body.
struct Theirs<B> {
    /// `None` once it has ended or moved to a task of its own.
    body: Option<B>,
    /// What was read of it before the answer's headers could be written.
    read_ahead: VecDeque<Bytes>,
    watch: Option<Watch>,
    timer: Timer,
    /// For a stream that goes on by itself: when it must end.
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// What to do with the rest when the client has left; knows what `B` can do, where `Drop` may not.
    abandon: fn(B, Watch, Duration),
}

/// Sees that a stream with calls on it shows signs of life.
struct Timer {
    limit: Duration,
    /// Made at the first wait; most answers never wait.
    sleep: Option<Pin<Box<Sleep>>>,
    is_running: bool,
}

impl<B> SessionBody<B> {
    /// Returns a body that we wrote.
    pub(super) fn ours(bytes: Bytes) -> Self {
        Self(Kind::Ours(Some(bytes)))
    }

    /// Returns the inner service's body. What `watch` waits for ends with it.
    pub(super) fn theirs(
        body: B,
        read_ahead: VecDeque<Bytes>,
        watch: Option<Watch>,
        limit: Duration,
    ) -> Self
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let timer = Timer { limit, sleep: None, is_running: false };
        let closing = watch.as_ref().and_then(Watch::closing).map(Box::pin);
        let theirs =
            Theirs { body: Some(body), read_ahead, watch, timer, closing, abandon: abandon::<B> };
        Self(Kind::Theirs(Box::new(theirs)))
    }
}

impl<B> Body for SessionBody<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Ours(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Theirs(theirs) => theirs.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Ours(bytes) => bytes.is_none(),
            // A watched body must be polled to its end: that is when its calls end.
            Kind::Theirs(theirs) => theirs.body.is_none() && theirs.read_ahead.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Ours(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Theirs(theirs) => theirs.size_hint(),
        }
    }
}

impl<B> Theirs<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(bytes) = self.read_ahead.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match Pin::new(body).poll_frame(context) {
            Poll::Pending => self.poll_waiting(context),
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(bytes), Some(watch)) = (frame.data_ref(), &mut self.watch)
                    && watch.saw(bytes)
                {
                    self.timer.is_running = false;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => self.broke(error.into()),
            Poll::Ready(None) => {
                self.body = None;
                if let Some(watch) = self.watch.take() {
                    watch.ended();
                }
                Poll::Ready(None)
            }
        }
    }

    fn poll_waiting(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.closing.as_mut().is_some_and(|closing| closing.as_mut().poll(context).is_ready()) {
            self.body = None;
            if let Some(watch) = self.watch.take() {
                watch.ended();
            }
            return Poll::Ready(None);
        }
        let Some(watch) = self.watch.take_if(|watch| watch.is_waiting()) else {
            return Poll::Pending;
        };
        let Timer { limit, sleep, is_running } = &mut self.timer;
        let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(*limit)));
        if !std::mem::replace(is_running, true) {
            sleep.as_mut().reset(Instant::now() + *limit);
        }
        if sleep.as_mut().poll(context).is_pending() {
            self.watch = Some(watch);
            return Poll::Pending;
        }
        self.body = None;
        Poll::Ready(watch.timed_out(*limit).map(|bytes| Ok(Frame::data(bytes))))
    }

    /// The inner service's stream broke: its client is told in the protocol's own form where it can be.
    fn broke(&mut self, error: BoxError) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.body = None;
        match self.watch.take().and_then(|watch| watch.lost()) {
            Some(message) => Poll::Ready(message.map(|bytes| Ok(Frame::data(bytes)))),
            None => Poll::Ready(Some(Err(error))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let ahead: u64 = self.read_ahead.iter().map(|bytes| bytes.len() as u64).sum();
        let Some(body) = &self.body else { return SizeHint::with_exact(ahead) };
        match body.size_hint().exact() {
            // Exact sizes go on as they are, so that `Content-Length` does. What we may have to add
            // to a stream, we add to streams without one.
            Some(rest) => SizeHint::with_exact(ahead + rest),
            None => SizeHint::default(),
        }
    }
}

impl<B> Drop for SessionBody<B> {
    fn drop(&mut self) {
        let Kind::Theirs(theirs) = &mut self.0 else { return };
        if let (Some(watch), Some(body)) = (theirs.watch.take(), theirs.body.take()) {
            (theirs.abandon)(body, watch, theirs.timer.limit);
        }
    }
}

/// The client has left. To a modern server that is cancellation: the stream is closed and that is all.
/// To a legacy one it is not: the stream is read to its end, to learn how the call ended.
fn abandon<B>(body: B, watch: Watch, limit: Duration)
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    match watch.outlives_client() {
        Some(tracker) => tracker.outlive(drain(body, watch, limit)),
        None => watch.cancelled(),
    }
}

/// Reads a body to its end for its watch's sake.
async fn drain<B>(mut body: B, mut watch: Watch, limit: Duration)
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let mut deadline = Instant::now() + limit;
    while watch.is_waiting() {
        match tokio::time::timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                if frame.data_ref().is_some_and(|bytes| watch.saw(bytes)) {
                    deadline = Instant::now() + limit;
                }
            }
            Ok(None) => return watch.ended(),
            Ok(Some(Err(_))) => return drop(watch.lost()),
            Err(_) => return drop(watch.timed_out(limit)),
        }
    }
}

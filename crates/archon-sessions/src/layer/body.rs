//! The body of an answer, watched as it goes by. What it says is not touched; legacy streams are kept in
//! the event log beside it.

mod alone;
mod logged;
mod message;
mod observer;
mod replay;
mod silence;
mod theirs;
mod watch;

pub(super) use logged::Logged;
pub(super) use observer::{Observer, Seen};
pub(super) use replay::{Replay, event_of};
pub(super) use silence::SILENCE_MAX;
pub(super) use theirs::{Arrived, Coming, Renew, Rest};
pub(super) use watch::{Nature, Watch};

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::BoxError;
use theirs::{Next, Theirs};

/// The body of every answer of the layer: one we wrote, the inner service's, or what a client missed.
pub struct SessionBody<B>(Kind<B>);

enum Kind<B> {
    Ours(Option<Bytes>),
    Theirs {
        /// `None` once its client has left.
        theirs: Option<Box<Theirs<B>>>,
        /// What to do with the rest when the client has left; knows what `B` can do, where `Drop` may not.
        abandon: fn(Box<Theirs<B>>),
    },
    Replay(Box<Replay>),
}

impl<B> SessionBody<B> {
    /// Returns a body that we wrote.
    pub(super) fn ours(bytes: Bytes) -> Self {
        Self(Kind::Ours(Some(bytes)))
    }

    /// Returns what a client missed of a stream, and what comes on it.
    pub(super) fn replay(replay: Replay) -> Self {
        Self(Kind::Replay(Box::new(replay)))
    }

    /// Returns the inner service's body. What `watch` waits for ends with it, or with what `renew` finds in
    /// its place.
    pub(super) fn theirs(
        body: B,
        read_ahead: VecDeque<Bytes>,
        watch: Option<Watch>,
        renew: Option<Box<dyn Renew<B>>>,
        limit: Duration,
    ) -> Self
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let theirs = Box::new(Theirs::new(body, read_ahead, watch, renew, limit));
        Self(Kind::Theirs { theirs: Some(theirs), abandon: alone::abandon::<B> })
    }

    /// Returns a stream of events for an answer that has not begun.
    pub(super) fn coming(coming: Coming<B>, watch: Watch, limit: Duration) -> Self
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let theirs = Some(Box::new(Theirs::coming(coming, watch, limit)));
        Self(Kind::Theirs { theirs, abandon: alone::abandon::<B> })
    }

    /// Puts events that have their ids before the rest.
    pub(super) fn after(mut self, missed: VecDeque<Bytes>) -> Self {
        match &mut self.0 {
            Kind::Theirs { theirs: Some(theirs), .. } => theirs.missed = missed,
            Kind::Replay(replay) => replay.after(missed),
            Kind::Ours(_) | Kind::Theirs { theirs: None, .. } => {
                return Self::ours(missed.into_iter().flatten().collect());
            }
        }
        self
    }
}

impl<B> Default for SessionBody<B> {
    /// Returns an empty body.
    fn default() -> Self {
        Self::ours(Bytes::new())
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
        let theirs = match &mut self.0 {
            Kind::Ours(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            Kind::Replay(replay) => return replay.poll_frame(context).map(|f| f.map(Ok)),
            Kind::Theirs { theirs: Some(theirs), .. } => theirs,
            Kind::Theirs { theirs: None, .. } => return Poll::Ready(None),
        };
        let next = std::task::ready!(theirs.poll_next(context));
        Poll::Ready(match next {
            Next::Frame(frame) => Some(Ok(frame)),
            Next::Error(error) => Some(Err(error)),
            Next::End => {
                if let Some(watch) = theirs.watch.take() {
                    watch.was_sent();
                }
                None
            }
            // What is dropped here goes on without its client.
            Next::GoOnAlone => {
                self.0 = Kind::Ours(None);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Ours(bytes) => bytes.is_none(),
            // A watched body must be polled to its end: that is when its calls end.
            Kind::Theirs { theirs, .. } => {
                theirs.as_ref().is_none_or(|theirs| theirs.is_over() && theirs.watch.is_none())
            }
            Kind::Replay(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Ours(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Theirs { theirs, .. } => {
                theirs.as_ref().map_or_else(SizeHint::default, |theirs| theirs.size_hint())
            }
            Kind::Replay(_) => SizeHint::default(),
        }
    }
}

impl<B> Drop for Kind<B> {
    fn drop(&mut self) {
        if let Self::Theirs { theirs, abandon } = self
            && let Some(theirs) = theirs.take()
        {
            abandon(theirs);
        }
    }
}

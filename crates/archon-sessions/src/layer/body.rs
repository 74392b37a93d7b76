//! The body of an answer, watched as it goes by. What it says is not touched; legacy streams are kept in
//! the event log beside it.

mod alone;
mod finder;
mod in_flight;
mod logged;
mod message;
mod replay;
mod silence;
mod standing;
mod theirs;
mod watch;

pub(super) use finder::{AnswerFinder, SAMPLE_MAX, Seen};
pub(super) use in_flight::InFlight;
pub(super) use logged::Logged;
pub(super) use replay::{Replay, last_event};
pub(super) use silence::SILENCE_MAX;
pub(super) use theirs::{Arrived, Coming, Renew, Rest};
pub(super) use watch::{CANCELLED, Nature, Watch};

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::failure::BoxError;
use crate::tracker::{PeerBody, Source};
use standing::Standing;
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
    Standing(Arc<Standing<B>>),
    /// What another node answers.
    Passed(PeerBody),
    Replay(Box<Replay>),
}

impl<B> SessionBody<B> {
    /// Returns a body that we wrote.
    pub(super) fn ours(bytes: Bytes) -> Self {
        Self(Kind::Ours(Some(bytes)))
    }

    /// Returns the body of what another node answers.
    pub(super) fn passed(body: PeerBody) -> Self {
        Self(Kind::Passed(body))
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
        Self::of(Theirs::new(body, read_ahead, watch, renew, limit))
    }

    /// Returns a stream of events for an answer that has not begun.
    pub(super) fn coming(coming: Coming<B>, watch: Watch, limit: Duration) -> Self
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        Self::of(Theirs::coming(coming, watch, limit))
    }

    fn of(theirs: Theirs<B>) -> Self
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let theirs = Box::new(theirs);
        let Some(log) = theirs.standing_log() else {
            return Self(Kind::Theirs { theirs: Some(theirs), abandon: alone::abandon::<B> });
        };
        let standing = Standing::new(theirs, alone::abandon::<B>);
        let source: Weak<dyn Source> = Arc::<Standing<B>>::downgrade(&standing);
        log.comes_from(source);
        Self(Kind::Standing(standing))
    }

    /// Puts events that have their ids before the rest.
    pub(super) fn after(mut self, missed: VecDeque<Bytes>) -> Self {
        match &mut self.0 {
            Kind::Theirs { theirs: Some(theirs), .. } => theirs.missed = missed,
            Kind::Standing(standing) => standing.with(|theirs| theirs.missed = missed),
            Kind::Replay(replay) => replay.put_before(missed),
            Kind::Ours(_) | Kind::Passed(_) | Kind::Theirs { theirs: None, .. } => {
                return Self::ours(missed.into_iter().flatten().collect());
            }
        }
        self
    }
}

impl<B> SessionBody<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Has a standing stream opened later, as one that broke is: the inner service does not open it now.
    pub(super) fn opened_later(self) -> Self {
        if let Kind::Standing(standing) = &self.0 {
            standing.with(Theirs::begin_renewed);
        }
        self
    }
}

impl<B> Default for SessionBody<B> {
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
        let poll = |theirs: &mut Theirs<B>, context: &mut Context<'_>| {
            let next = ready!(theirs.poll_next(context));
            if matches!(next, Next::End) {
                theirs.watch = None;
            }
            Poll::Ready(next)
        };
        let next = match &mut self.0 {
            Kind::Ours(bytes) => bytes.take().map(|bytes| Next::Frame(Frame::data(bytes))),
            Kind::Replay(replay) => ready!(replay.poll_frame(context)).map(Next::Frame),
            Kind::Theirs { theirs: Some(theirs), .. } => Some(ready!(poll(theirs, context))),
            Kind::Theirs { theirs: None, .. } => None,
            Kind::Standing(standing) => ready!(standing.poll_with(context, poll)),
            Kind::Passed(body) => return Pin::new(body).poll_frame(context),
        };
        Poll::Ready(match next {
            Some(Next::Frame(frame)) => Some(Ok(frame)),
            Some(Next::Error(error)) => Some(Err(error)),
            Some(Next::End) | None => None,
            // What is dropped here goes on without its client.
            Some(Next::GoOnAlone) => {
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
            Kind::Passed(body) => body.is_end_stream(),
            Kind::Standing(_) | Kind::Replay(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Ours(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Theirs { theirs, .. } => {
                theirs.as_ref().map_or_else(SizeHint::default, |theirs| theirs.size_hint())
            }
            Kind::Passed(body) => body.size_hint(),
            Kind::Standing(_) | Kind::Replay(_) => SizeHint::default(),
        }
    }
}

impl<B> Drop for Kind<B> {
    fn drop(&mut self) {
        match self {
            Self::Theirs { theirs, abandon } => {
                if let Some(theirs) = theirs.take() {
                    abandon(theirs);
                }
            }
            Self::Standing(standing) => standing.leave(),
            Self::Ours(_) | Self::Passed(_) | Self::Replay(_) => {}
        }
    }
}

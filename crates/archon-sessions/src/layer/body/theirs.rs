//! The inner service's body, from its first byte to its last, and beyond where it broke off.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::message::AsEvent;
use super::silence::Silence;
use super::watch::{Passed, Watch};
use crate::layer::failure::{BoxError, CallFailed};
use crate::protocol::sse::is_event_stream;
use crate::tracker::{Reader, StreamLog};

/// The rest of an answer.
pub struct Rest<B> {
    pub response: Response<B>,
    /// The event after which it goes on, by the upstream's id, where it was asked to.
    pub after: Option<Vec<u8>>,
    /// The link that it comes on.
    pub link: Option<HeaderValue>,
}

/// An answer whose head came after ours was sent.
pub struct Arrived<B> {
    pub rest: Rest<B>,
    /// What was read of it already.
    pub read_ahead: VecDeque<Bytes>,
    /// How it goes on if it breaks off.
    pub renew: Option<Box<dyn Renew<B>>>,
}

/// An answer of which nothing has come yet, not even its head.
pub type Coming<B> = BoxFuture<'static, Result<Arrived<B>, CallFailed>>;

/// Gets the rest of an answer that is not whole.
pub trait Renew<B>: Send {
    /// Returns how; `None` where there is no way. `last` is the upstream's id of the last event, and `retry` how long
    /// it wants to be left alone first, if it said so.
    fn renew(
        &mut self,
        last: &[u8],
        retry: Option<Duration>,
    ) -> Option<BoxFuture<'static, Result<Rest<B>, CallFailed>>>;

    /// The answer goes on, on this link.
    fn went_on(&mut self, link: Option<HeaderValue>);
}

/// See the module.
pub struct Theirs<B> {
    source: Source<B>,
    /// What goes before it, as it is.
    pub(super) missed: VecDeque<Bytes>,
    /// What was read of it before the answer's headers could be written.
    read_ahead: VecDeque<Bytes>,
    /// What may be sent once it is durable.
    held: Option<(BoxFuture<'static, ()>, Bytes)>,
    pub(super) watch: Option<Watch>,
    renew: Option<Box<dyn Renew<B>>>,
    is_renewed: bool,
    /// All that its client needs to come back was sent.
    goes_on_alone: bool,
    timer: Timer,
    /// For a stream of events.
    silence: Option<Silence>,
    /// For a message that is to be an event of a stream.
    as_event: Option<AsEvent>,
    /// For a stream that goes on by itself: when it must end.
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// The client, where it may leave a stream that goes on without it.
    pub(super) reader: Option<Reader>,
}

enum Source<B> {
    Coming(Coming<B>),
    Open(B),
    /// It ended, and what came of it is looked at.
    Ended,
    Renewing(BoxFuture<'static, Result<Rest<B>, CallFailed>>),
    Over,
}

/// Sees that a stream with calls on it shows signs of life.
struct Timer {
    limit: Duration,
    /// Made at the first wait; most answers never wait.
    sleep: Option<Pin<Box<Sleep>>>,
    is_running: bool,
}

/// What comes next.
pub enum Next {
    Frame(Frame<Bytes>),
    /// Nothing more, for anybody.
    End,
    /// Nothing more on this stream; its answer is to be waited for without the client.
    GoOnAlone,
    Error(BoxError),
}

impl<B> Theirs<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub fn new(
        body: B,
        read_ahead: VecDeque<Bytes>,
        watch: Option<Watch>,
        renew: Option<Box<dyn Renew<B>>>,
        limit: Duration,
    ) -> Self {
        Self { read_ahead, renew, ..Self::from(Source::Open(body), watch, limit) }
    }

    /// Returns a stream of events that is to bring an answer.
    pub fn coming(coming: Coming<B>, watch: Watch, limit: Duration) -> Self {
        Self::from(Source::Coming(coming), Some(watch), limit)
    }

    fn from(source: Source<B>, watch: Option<Watch>, limit: Duration) -> Self {
        let timer = Timer { limit, sleep: None, is_running: false };
        let closing = watch.as_ref().and_then(Watch::closing).map(Box::pin);
        let standing = watch.as_ref().filter(|watch| watch.is_standing());
        let reader = standing.and_then(|watch| watch.logged.as_ref()).map(|l| l.log().reader());
        let is_stream = watch.as_ref().is_some_and(|watch| watch.finder.is_sse());
        Self {
            source,
            missed: VecDeque::new(),
            read_ahead: VecDeque::new(),
            held: None,
            watch,
            renew: None,
            is_renewed: false,
            goes_on_alone: false,
            timer,
            silence: is_stream.then(Silence::new),
            as_event: None,
            closing,
            reader,
        }
    }

    /// Returns what comes next for the client. On a stream of events that is a comment at the latest when it was
    /// silent for long.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let next = self.poll_theirs(context);
        let Some(silence) = &mut self.silence else { return next };
        match &next {
            Poll::Pending => silence.poll(context).map(|comment| Next::Frame(Frame::data(comment))),
            Poll::Ready(Next::Frame(frame)) => {
                frame.data_ref().inspect(|bytes| silence.sent(bytes));
                next
            }
            Poll::Ready(_) => next,
        }
    }

    fn poll_theirs(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        if std::mem::take(&mut self.goes_on_alone) {
            return Poll::Ready(Next::GoOnAlone);
        }
        loop {
            if let Some((durable, _)) = &mut self.held {
                ready!(durable.as_mut().poll(context));
                if let Some((_, bytes)) = self.held.take().filter(|(_, bytes)| !bytes.is_empty()) {
                    return Poll::Ready(Next::Frame(Frame::data(bytes)));
                }
            }
            if let Some(bytes) = self.missed.pop_front() {
                return Poll::Ready(Next::Frame(Frame::data(bytes)));
            }
            if let Some(bytes) = self.read_ahead.pop_front() {
                match self.pass(bytes) {
                    Some(frame) => return Poll::Ready(Next::Frame(frame)),
                    None => continue,
                }
            }
            let next = match &mut self.source {
                Source::Over => return Poll::Ready(Next::End),
                Source::Ended => self.ended(),
                Source::Coming(coming) => match coming.as_mut().poll(context) {
                    Poll::Pending => ready!(self.poll_waiting(context)),
                    Poll::Ready(Ok(arrived)) => {
                        self.arrived(arrived);
                        None
                    }
                    Poll::Ready(Err(failed)) => self.give_up(&failed),
                },
                Source::Renewing(rest) => match rest.as_mut().poll(context) {
                    Poll::Pending => ready!(self.poll_waiting(context)),
                    Poll::Ready(Ok(rest)) => {
                        self.go_on(rest);
                        None
                    }
                    Poll::Ready(Err(failed)) => self.give_up(&failed),
                },
                Source::Open(body) => match Pin::new(body).poll_frame(context) {
                    Poll::Pending => ready!(self.poll_waiting(context)),
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(bytes) => self.pass(bytes).map(Next::Frame),
                        Err(other) => Some(Next::Frame(other)),
                    },
                    Poll::Ready(Some(Err(error))) => self.broke(error.into()),
                    Poll::Ready(None) => self.ended(),
                },
            };
            if let Some(next) = next {
                return Poll::Ready(next);
            }
        }
    }

    /// Looks at bytes on their way; `None` if there is nothing to send yet.
    fn pass(&mut self, bytes: Bytes) -> Option<Frame<Bytes>> {
        let bytes = match &mut self.as_event {
            Some(event) => event.pass(&bytes),
            None => bytes,
        };
        let Some(watch) = &mut self.watch else { return Some(Frame::data(bytes)) };
        let passed = watch.pass(bytes);
        if passed.is_sign {
            self.timer.is_running = false;
        }
        self.send(passed)
    }

    /// Holds back what must be durable first.
    fn send(&mut self, Passed { bytes, durable, .. }: Passed) -> Option<Frame<Bytes>> {
        if durable.is_empty() {
            return (!bytes.is_empty()).then(|| Frame::data(bytes));
        }
        let all = async move {
            for one in durable {
                one.wait().await;
            }
        };
        self.held = Some((Box::pin(all), bytes));
        None
    }

    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<Option<Next>> {
        if self.closing.as_mut().is_some_and(|closing| closing.as_mut().poll(context).is_ready()) {
            self.source = Source::Over;
            self.watch = None;
            return Poll::Ready(None);
        }
        let Some(watch) = &mut self.watch else { return Poll::Pending };
        if watch.poll_cancelled(context).is_ready() {
            return Poll::Ready(self.close_cancelled());
        }
        if let Some(logged) = &mut watch.logged
            && let Poll::Ready(bytes) = logged.poll_prime(context)
        {
            return Poll::Ready(Some(Next::Frame(Frame::data(bytes))));
        }
        if !watch.is_waiting() {
            return Poll::Pending;
        }
        let Timer { limit, sleep, is_running } = &mut self.timer;
        let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(*limit)));
        if !std::mem::replace(is_running, true) {
            sleep.as_mut().reset(Instant::now() + *limit);
        }
        ready!(sleep.as_mut().poll(context));
        let limit = *limit;
        let passed = watch.timed_out(limit);
        self.source = Source::Over;
        Poll::Ready(self.send(passed).map(Next::Frame))
    }

    /// The body ended. Where calls wait for their answers on a legacy stream, the upstream closed it early,
    /// to be asked again (MCP 2025-11-25, Transports: servers may close the stream at any time); so do we.
    fn ended(&mut self) -> Option<Next> {
        if self.as_event.take().is_some() {
            // The message is whole, and so is its event; what comes then is the end of the stream.
            self.source = Source::Ended;
            return self.pass(AsEvent::END).map(Next::Frame);
        }
        if self.watch.as_mut().is_some_and(Watch::is_being_cancelled) {
            return self.close_cancelled();
        }
        let Some(watch) = &mut self.watch else {
            self.source = Source::Over;
            return None;
        };
        if watch.expects_more() && self.renews() {
            let is_first = !std::mem::replace(&mut self.is_renewed, true);
            let watch = self.watch.as_mut().filter(|watch| is_first && watch.is_waiting());
            let logged = watch.and_then(|watch| watch.logged.as_mut())?;
            if let Some(bytes) = logged.release() {
                self.goes_on_alone = true;
                return Some(Next::Frame(Frame::data(bytes)));
            }
            // A client without an id could not come back.
            return logged.has_begun().then_some(Next::GoOnAlone);
        }
        self.source = Source::Over;
        let passed = self.watch.as_mut().map(Watch::ended)?;
        self.send(passed).map(Next::Frame)
    }

    /// The inner service's stream broke: it goes on elsewhere, or its client is told in the protocol's own
    /// form where it can be.
    fn broke(&mut self, error: BoxError) -> Option<Next> {
        if self.watch.as_mut().is_some_and(Watch::is_being_cancelled) {
            return self.close_cancelled();
        }
        let Some(watch) = &self.watch else {
            self.source = Source::Over;
            return Some(Next::Error(error));
        };
        // Of a message that broke off nothing can go on in its event.
        let is_message = self.as_event.take().is_some();
        if watch.expects_more() && !is_message && self.renews() {
            self.is_renewed = true;
            return None;
        }
        self.source = Source::Over;
        let watch = self.watch.as_mut()?;
        let is_whole = watch.finder.is_sse() && !watch.is_waiting();
        let failed = CallFailed::lost(&watch.upstream);
        let passed = watch.failed(&failed);
        if passed.bytes.is_empty() && !is_whole {
            return Some(Next::Error(error));
        }
        self.send(passed).map(Next::Frame)
    }

    /// Its calls were taken back.
    fn close_cancelled(&mut self) -> Option<Next> {
        self.source = Source::Over;
        let passed = self.watch.as_mut().map(Watch::close_cancelled)?;
        self.send(passed).map(Next::Frame)
    }

    fn renews(&mut self) -> bool {
        let logged = self.watch.as_ref().and_then(|watch| watch.logged.as_ref());
        let last = logged.map(|logged| logged.upstream_id()).unwrap_or_default();
        let retry = logged.and_then(|logged| logged.retry());
        let Some(rest) = self.renew.as_mut().and_then(|renew| renew.renew(last, retry)) else {
            return false;
        };
        self.source = Source::Renewing(rest);
        true
    }

    /// The answer has come to a stream that waits for it.
    fn arrived(&mut self, Arrived { rest, read_ahead, renew }: Arrived<B>) {
        (self.read_ahead, self.renew) = (read_ahead, renew);
        if is_event_stream(rest.response.headers()) {
            return self.go_on(rest);
        }
        self.as_event = Some(AsEvent::default());
        self.source = Source::Open(rest.response.into_body());
    }

    fn go_on(&mut self, Rest { response, after, link }: Rest<B>) {
        let (parts, body) = response.into_parts();
        let headers: &HeaderMap = &parts.headers;
        if let Some(watch) = &mut self.watch {
            watch.go_on(headers, link.as_ref(), after);
        }
        if let Some(renew) = &mut self.renew {
            renew.went_on(link);
        }
        self.source = Source::Open(body);
    }

    /// There is no rest.
    fn give_up(&mut self, failed: &CallFailed) -> Option<Next> {
        self.source = Source::Over;
        let passed = self.watch.as_mut().map(|watch| watch.failed(failed))?;
        self.send(passed).map(Next::Frame)
    }

    /// As [`Theirs::poll_next`], where nobody but the log takes what comes: on a standing stream not faster
    /// than a client that came back reads it.
    pub fn poll_alone(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let logged = self.watch.as_ref().filter(|watch| watch.is_standing());
        if let Some(logged) = logged.and_then(|watch| watch.logged.as_ref()) {
            ready!(logged.log().poll_room(context));
        }
        self.poll_theirs(context)
    }

    /// Returns true if the server speaks by itself on this stream.
    pub fn is_standing(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::is_standing)
    }

    /// Returns the log of a stream on which the server speaks by itself.
    pub fn standing_log(&self) -> Option<Arc<StreamLog>> {
        let standing = self.watch.as_ref().filter(|watch| watch.is_standing());
        standing.and_then(|watch| watch.logged.as_ref()).map(|logged| logged.log().clone())
    }

    /// Has the stream opened as a renewed one is: what was there in its place is let go.
    pub fn begin_renewed(&mut self) {
        if !self.renews() {
            self.source = Source::Over;
        }
    }

    /// Returns true if its client came back to it.
    pub fn is_read_again(&self) -> bool {
        let logged = self.watch.as_ref().and_then(|watch| watch.logged.as_ref());
        logged.is_some_and(|logged| logged.log().has_reader())
    }

    /// Returns true for as long as something is expected of it: an answer, or what the server says by
    /// itself to a session that is not over.
    pub fn is_wanted(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| {
            let logged = watch.logged.as_ref();
            let is_present = logged.is_some_and(|l| !l.connection().presence().has_ended());
            watch.is_waiting() || (watch.is_standing() && is_present)
        })
    }

    /// Returns true if nothing is left to send.
    pub fn is_over(&self) -> bool {
        matches!(self.source, Source::Over) && self.read_ahead.is_empty() && self.held.is_none()
    }

    pub fn size_hint(&self) -> SizeHint {
        let held = self.held.iter().map(|(_, bytes)| bytes.len());
        let ahead = held.chain(self.read_ahead.iter().map(Bytes::len)).sum::<usize>() as u64;
        let body = match &self.source {
            Source::Open(body) => body,
            Source::Ended | Source::Over => return SizeHint::with_exact(ahead),
            Source::Coming(_) | Source::Renewing(_) => return SizeHint::default(),
        };
        let is_changed = self.watch.as_ref().is_some_and(Watch::changes_length);
        match body.size_hint().exact() {
            // Exact sizes go on as they are, so that `Content-Length` does. What we add to a stream, we
            // add to streams without one.
            Some(rest) if !is_changed => SizeHint::with_exact(ahead + rest),
            Some(_) | None => SizeHint::default(),
        }
    }
}

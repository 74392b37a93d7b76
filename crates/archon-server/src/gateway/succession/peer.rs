//! The predecessor or the successor of this process: our requests to it, and its requests to us.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use archon_sessions::layer::{BoxError, CallFailed};
use archon_sessions::protocol::sse::is_event_stream;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Body, Frame as BodyFrame};
use http_body_util::BodyExt;
use parking_lot::{Mutex, MutexGuard};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::channel::{self, Frame, Reader};
use super::said::{Asked, Headers, Said, VERSION};
use crate::gateway::wire::{Answer, GatewayBody};

/// The time limit of its first message: it is a running process, on a machine that may be busy.
const HELLO_LIMIT: Duration = Duration::from_secs(20);
/// Bytes of one part of a stream.
const PART_BYTES_MAX: usize = 1024 * 1024;
/// What is kept of an answer on its way: its head, a part, its end. The next part is sent when one was taken.
const EVENTS_MAX: usize = 4;

/// Handles the messages of a peer.
pub trait Household: Send + Sync + 'static {
    /// Answers a request of its clients; `None` if what it is for is not here.
    fn answer(&self, from: Origin, upstream: String, asked: Asked, body: Bytes) -> Served;
    /// Takes over something; called in the order in which it was said.
    fn take(&self, from: Origin, said: Said, frame: Frame);
}

/// An answer to a peer.
pub type Served = Pin<Box<dyn Future<Output = Result<Option<Answer>, CallFailed>> + Send>>;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client of ours.
    Client,
    /// The process that started this one.
    Predecessor,
    /// The process that this one started.
    Successor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its first message has not arrived.
    Silent,
    Open,
    /// It has ended, or does not have this protocol.
    Closed,
}

/// See the module.
pub struct Peer {
    role: Origin,
    /// Holds a frame for each request on its way, and what is handed over: as much as there are clients and children.
    outgoing: mpsc::UnboundedSender<Outgoing>,
    next: AtomicU64,
    /// Our requests. Held for single operations, never across an await.
    asked: Mutex<HashMap<u64, mpsc::Sender<Event>>>,
    /// Its requests. Held for single operations, never across an await.
    serving: Mutex<HashMap<u64, Serving>>,
    state: watch::Sender<State>,
}

enum Outgoing {
    Frame(Frame),
    /// Notified when everything before it is written.
    Flush(oneshot::Sender<()>),
}

/// What comes for a request of ours.
enum Event {
    Head { status: u16, headers: Headers, is_stream: bool, body: Bytes },
    Failed(CallFailed),
    NotHere,
    Part(Bytes),
    End { is_broken: bool },
}

/// A request of its.
#[derive(Clone)]
struct Serving {
    /// Parts that may be sent.
    room: Arc<Semaphore>,
    gone: CancellationToken,
}

impl Peer {
    /// Begins to speak with the process at the other end of this socket. What is said before our own hello belongs to
    /// `first`; a successor says its hello first, since a predecessor may not know that one can speak at all.
    pub fn start(
        socket: UnixStream,
        role: Origin,
        household: Arc<dyn Household>,
        first: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) -> Arc<Self> {
        let (outgoing, queue) = mpsc::unbounded_channel();
        let peer = Arc::new(Self {
            role,
            outgoing,
            next: AtomicU64::new(1),
            asked: Mutex::default(),
            serving: Mutex::default(),
            state: watch::Sender::new(State::Silent),
        });
        let socket = Arc::new(socket);
        tokio::spawn(write(socket.clone(), queue, peer.state.subscribe()));
        if role == Origin::Predecessor {
            peer.say(&Said::Hello { version: VERSION });
        }
        let reader = peer.clone();
        tokio::spawn(async move {
            let limit = async {
                let mut state = reader.state.subscribe();
                let spoke = state.wait_for(|state| *state != State::Silent);
                if tokio::time::timeout(HELLO_LIMIT, spoke).await.is_ok() {
                    std::future::pending().await
                }
            };
            // Messages of a process whose first one came too late are dropped.
            tokio::select! {
                () = reader.read(socket, &household, first) => {}
                () = limit => {}
            }
            reader.close();
        });
        peer
    }

    /// Returns which of the two it is.
    pub fn role(&self) -> Origin {
        self.role
    }

    /// Waits for its first message; returns whether it has this protocol.
    pub async fn is_open(&self) -> bool {
        let mut state = self.state.subscribe();
        let state = state.wait_for(|state| *state != State::Silent).await;
        state.is_ok_and(|state| *state == State::Open)
    }

    /// Returns whether one can speak with it now.
    pub fn is_open_now(&self) -> bool {
        *self.state.borrow() == State::Open
    }

    /// Waits until it is gone.
    pub async fn is_gone(&self) {
        let mut state = self.state.subscribe();
        let _ = state.wait_for(|state| *state == State::Closed).await;
    }

    /// Says something.
    pub fn say(&self, said: &Said) {
        self.send(said, Bytes::new(), Vec::new());
    }

    /// Sends a message with bytes and descriptors; false if it is too large, or the peer has ended.
    pub fn send(&self, said: &Said, body: Bytes, files: Vec<std::os::fd::OwnedFd>) -> bool {
        let frame = Frame { head: said.head(), body, files };
        frame.fits() && self.outgoing.send(Outgoing::Frame(frame)).is_ok()
    }

    /// Waits until all messages are written, or the peer has ended.
    pub async fn flush(&self) {
        let (written, is_written) = oneshot::channel();
        if self.outgoing.send(Outgoing::Flush(written)).is_ok() {
            let _ = is_written.await;
        }
    }

    /// Has it answer a request; `None` if it does not have what that is for, or does not have it any more: then we do.
    pub async fn relay(
        self: &Arc<Self>,
        upstream: &str,
        asked: &Asked,
        body: &Bytes,
    ) -> Option<Result<Answer, CallFailed>> {
        if !self.is_open().await {
            return None;
        }
        let (mut question, mut events) = self.begin();
        let number = question.number;
        let request = Said::Request { number, upstream: upstream.to_owned(), asked: asked.clone() };
        if !self.send(&request, body.clone(), Vec::new()) {
            return None;
        }
        let lost = || Some(Err(CallFailed::lost(upstream)));
        match events.recv().await {
            Some(Event::NotHere) => {
                question.is_over = true;
                None
            }
            Some(Event::Failed(failed)) => {
                question.is_over = true;
                Some(Err(failed))
            }
            Some(Event::Head { status, headers, is_stream, body }) => {
                let body = if is_stream {
                    GatewayBody::stream(Parts { events, question }.boxed_unsync())
                } else {
                    question.is_over = true;
                    GatewayBody::ours(body)
                };
                let mut answer = Response::new(body);
                *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
                *answer.headers_mut() = headers.map();
                Some(Ok(answer))
            }
            // It is gone, and what it did we do not know.
            Some(Event::Part(_) | Event::End { .. }) | None => lost(),
        }
    }

    /// Asks for a link of one of these sessions, which is with us by the time that this returns, if there is one.
    pub async fn ask_link(self: &Arc<Self>, upstream: &str, sessions: Vec<String>) {
        if !self.is_open().await {
            return;
        }
        let (mut question, mut events) = self.begin();
        let number = question.number;
        self.say(&Said::AskLink { number, upstream: upstream.to_owned(), sessions });
        let _ = events.recv().await;
        question.is_over = true;
    }

    fn begin(self: &Arc<Self>) -> (Question, mpsc::Receiver<Event>) {
        let number = self.next.fetch_add(1, Relaxed);
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        self.asked().insert(number, sender);
        if !self.is_open_now() {
            // It has just closed, and would never answer.
            self.asked().remove(&number);
        }
        (Question { peer: self.clone(), number, is_over: false }, events)
    }

    async fn read(
        self: &Arc<Self>,
        socket: Arc<UnixStream>,
        household: &Arc<dyn Household>,
        first: impl FnOnce(&Arc<Self>),
    ) {
        let mut reader = Reader::new(socket);
        let mut first = Some(first);
        loop {
            let frame = match reader.next().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!("what the other process of this gateway says ended: {error}");
                    return;
                }
            };
            let Some(said) = Said::read(&frame.head) else { return };
            match said {
                Said::Hello { version } if version != VERSION => {
                    tracing::info!(
                        "the other process of this gateway hands over as version {version}, and this one as version \
                         {VERSION}: each keeps its own children"
                    );
                    return;
                }
                Said::Hello { .. } => {
                    if let Some(first) = first.take() {
                        first(self);
                    }
                    if self.role == Origin::Successor {
                        self.say(&Said::Hello { version: VERSION });
                    }
                    self.state.send_replace(State::Open);
                }
                said => self.dispatch(said, frame, household),
            }
        }
    }

    fn dispatch(self: &Arc<Self>, said: Said, frame: Frame, household: &Arc<dyn Household>) {
        match said {
            Said::Request { number, upstream, asked } => {
                let answer = household.answer(self.role, upstream, asked, frame.body);
                self.serve(number, answer);
            }
            Said::Head { number, status, headers, is_stream } => {
                let body = frame.body;
                self.tell(number, Event::Head { status, headers, is_stream, body });
            }
            Said::Part { number } => self.tell(number, Event::Part(frame.body)),
            Said::End { number, is_broken } => self.tell(number, Event::End { is_broken }),
            Said::Failed { number, failed } => self.tell(number, Event::Failed(failed.into())),
            Said::NotHere { number } => self.tell(number, Event::NotHere),
            Said::More { number } => {
                if let Some(serving) = self.serving().get(&number) {
                    serving.room.add_permits(1);
                }
            }
            Said::Leave { number } => {
                if let Some(serving) = self.serving().remove(&number) {
                    serving.gone.cancel();
                }
            }
            said @ (Said::Child { .. }
            | Said::Link { .. }
            | Said::AskLink { .. }
            | Said::Eras { .. }) => household.take(self.role, said, frame),
            Said::Hello { .. } | Said::Other => {}
        }
    }

    fn tell(&self, number: u64, event: Event) {
        let mut asked = self.asked();
        // It keeps to one part at a time; what does not is given up, and its reader told.
        if asked.get(&number).is_some_and(|events| events.try_send(event).is_err()) {
            asked.remove(&number);
        }
    }

    /// Answers one of its requests.
    fn serve(self: &Arc<Self>, number: u64, answer: Served) {
        let serving = Serving { room: Arc::new(Semaphore::new(1)), gone: CancellationToken::new() };
        self.serving().insert(number, serving.clone());
        let peer = self.clone();
        tokio::spawn(async move {
            // Without a reader its stream is dropped, as that of any client that leaves.
            let Serving { room, gone } = serving;
            gone.run_until_cancelled(peer.send_answer(number, answer, &room)).await;
            peer.serving().remove(&number);
        });
    }

    async fn send_answer(&self, number: u64, answer: Served, room: &Semaphore) {
        let answer = match answer.await {
            Ok(Some(answer)) => answer,
            Ok(None) => return self.say(&Said::NotHere { number }),
            Err(failed) => return self.say(&Said::Failed { number, failed: failed.into() }),
        };
        let (parts, mut body) = answer.into_parts();
        let is_stream = is_event_stream(&parts.headers);
        let (status, headers) = (parts.status.as_u16(), Headers::of(&parts.headers, |_| true));
        let head = Said::Head { number, status, headers, is_stream };
        if !is_stream {
            // It is in memory already, and cannot fail.
            let whole = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            self.send(&head, whole, Vec::new());
            return;
        }
        self.say(&head);
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return self.say(&Said::End { number, is_broken: true });
            };
            let mut data = frame.into_data().unwrap_or_default();
            while !data.is_empty() {
                let part = data.split_to(data.len().min(PART_BYTES_MAX));
                if let Ok(room) = room.acquire().await {
                    room.forget();
                }
                self.send(&Said::Part { number }, part, Vec::new());
            }
        }
        self.say(&Said::End { number, is_broken: false });
    }

    /// Notes that it has ended: its requests have no reader any more, and ours are lost.
    fn close(&self) {
        self.state.send_replace(State::Closed);
        self.asked().clear();
        for (_, serving) in self.serving().drain() {
            serving.gone.cancel();
        }
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<u64, mpsc::Sender<Event>>> {
        self.asked.lock()
    }

    fn serving(&self) -> MutexGuard<'_, HashMap<u64, Serving>> {
        self.serving.lock()
    }
}

/// Writes what is said, in order, until the other process is gone.
async fn write(
    socket: Arc<UnixStream>,
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
    mut state: watch::Receiver<State>,
) {
    loop {
        // Nothing is lost when the peer has ended: there is no reader.
        let outgoing = tokio::select! {
            outgoing = queue.recv() => outgoing,
            _ = state.wait_for(|state| *state == State::Closed) => return,
        };
        match outgoing {
            Some(Outgoing::Frame(frame)) => {
                if channel::write(&socket, &frame).await.is_err() {
                    return;
                }
            }
            Some(Outgoing::Flush(written)) => drop(written.send(())),
            None => return,
        }
    }
}

/// A request of ours; when it is dropped before its end, the other process is notified that nothing waits for it.
struct Question {
    peer: Arc<Peer>,
    number: u64,
    is_over: bool,
}

impl Drop for Question {
    fn drop(&mut self) {
        self.peer.asked().remove(&self.number);
        if !self.is_over {
            self.peer.say(&Said::Leave { number: self.number });
        }
    }
}

/// The body of an answer, as it comes.
struct Parts {
    events: mpsc::Receiver<Event>,
    question: Question,
}

impl Body for Parts {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, BoxError>>> {
        if self.question.is_over {
            return Poll::Ready(None);
        }
        let event = ready!(self.events.poll_recv(context));
        if let Some(Event::Part(part)) = event {
            let number = self.question.number;
            self.question.peer.say(&Said::More { number });
            return Poll::Ready(Some(Ok(BodyFrame::data(part))));
        }
        self.question.is_over = true;
        match event {
            Some(Event::End { is_broken: false }) => Poll::Ready(None),
            _ => Poll::Ready(Some(Err("the process that had the child is gone".into()))),
        }
    }
}

#[cfg(test)]
mod tests;

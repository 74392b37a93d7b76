//! A call at a legacy upstream, from its sending to its answer: where its messages come from, and what becomes of a
//! stream that the server closes before its answer.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use archon_sessions::layer::{CallFailed, InnerRequest};
use archon_sessions::protocol::forgotten::Asked;
use archon_sessions::protocol::names::LAST_EVENT_ID;
use archon_sessions::protocol::sse::is_event_stream;
use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderValue;
use tokio::time::Instant;

use super::Shared;
use super::link::{Inbox, Link};
use super::links::Lease;
use crate::gateway::wire::Answer;
use crate::gateway::wire::incoming::{Incoming, Said};
use crate::gateway::wire::message::Message;

/// A server that closed a stream and did not say when to come back is asked again after this.
const RESUME_AFTER: Duration = Duration::from_millis(200);
/// The longest that we wait because a server said so. A call that goes on for longer without a sign has timed out.
pub const RETRY_MAX: Duration = Duration::from_secs(300);
/// A stream that was resumed and is over within this time, with nothing new on it, was resumed in vain...
const VAIN_WITHIN: Duration = Duration::from_secs(1);
/// ... and after this number of those in a row there is no answer to wait for.
const VAIN_MAX: u32 = 3;

/// See the module. Dropped before its end, the call is cancelled at the upstream.
pub struct Flight {
    shared: Arc<Shared>,
    /// `None` once it is over.
    lease: Option<Lease>,
    source: Source,
    /// What the server says to it on the GET stream; `None` while it is parked.
    inbox: Option<Inbox>,
    /// Its id, and progress token, at the upstream: JSON text.
    id: String,
    /// When it was resumed last, and after which event.
    resumed: Option<(Instant, Bytes)>,
    vain: u32,
}

/// Where its messages come from.
enum Source {
    /// The upstream has not begun to answer: it may first ask something on the GET stream.
    Sent(OnItsWay),
    /// An answer that is read.
    Read(Box<Incoming>),
    /// The rest of one whose stream was closed: nothing if there is none.
    Resumed(Pin<Box<dyn Future<Output = Option<Incoming>> + Send>>),
    Over,
}

/// An answer whose head has not come: whether the upstream knows the link, and the answer.
type OnItsWay = Pin<Box<dyn Future<Output = Result<(bool, Answer), CallFailed>> + Send>>;

/// What comes next of a call.
pub enum Next {
    /// A message of the server's.
    Message(Message),
    /// The server does not know the link any more; the call did not run.
    Forgotten,
    /// An answer that is not of the protocol: it means to the client what it means to us.
    Refused(Answer),
    /// No answer will come.
    Failed(CallFailed),
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.inbox = None;
        if let Some(lease) = self.lease.take() {
            let source = std::mem::replace(&mut self.source, Source::Over);
            self.shared.cancel_later(lease, self.id.clone(), source);
        }
    }
}

impl Flight {
    /// Sends a call on a link; `body` is told the call's id there, and the link's request for it is like `like`.
    pub fn send(
        shared: Arc<Shared>,
        lease: Lease,
        like: &InnerRequest,
        body: impl FnOnce(&str) -> String,
    ) -> Self {
        let (link, id) = (lease.link().clone(), lease.new_id());
        let (plain, request) = (shared.plain.clone(), link.request(like, body(&id)));
        let (asking, call) = (link.clone(), id.clone());
        let answer = async move {
            let answer = plain.call(request).await?;
            Ok(asking.is_forgotten(&plain, Asked::Messages(&[&*call]), answer).await)
        };
        Self {
            shared,
            lease: Some(lease),
            source: Source::Sent(Box::pin(answer)),
            inbox: Some(link.begin_call()),
            id,
            resumed: None,
            vain: 0,
        }
    }

    /// Returns its id, and progress token, at the upstream: JSON text.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns its link, until it is over.
    pub fn link(&self) -> Option<&Arc<Link>> {
        self.lease.as_ref().map(Lease::link)
    }

    /// The upstream has answered, or will not.
    pub fn is_over(&mut self) {
        if let Source::Read(incoming) = &mut self.source {
            incoming.finish();
        }
        self.source = Source::Over;
        (self.lease, self.inbox) = (None, None);
    }

    /// Nothing is said to it on the GET stream while its client thinks.
    pub fn pause(&mut self) {
        self.inbox = None;
    }

    /// Goes on in the name of this request of the client's.
    pub fn go_on(&mut self, like: &InnerRequest) {
        if let Some(lease) = &self.lease {
            lease.refresh(like);
            self.inbox = Some(lease.link().begin_call());
        }
    }

    /// Says something to the server.
    ///
    /// # Errors
    /// If the upstream does not take it.
    pub async fn tell(&mut self, message: String) -> Result<(), CallFailed> {
        match &self.lease {
            Some(lease) => lease.tell(&self.shared.plain, message).await,
            None => Ok(()),
        }
    }

    /// Returns what comes next, on either stream. Nothing is lost when this is dropped before it is done.
    pub async fn next(&mut self) -> Next {
        loop {
            let said = async {
                match &mut self.inbox {
                    // It never ends: its sender is with the link, for as long as the inbox lives.
                    Some(inbox) => inbox.messages.recv().await,
                    None => std::future::pending().await,
                }
            };
            // Each source keeps what it has when the other comes first.
            tokio::select! {
                biased;
                Some(message) = said => return Next::Message(message),
                next = self.source.next() => match next {
                    Came::Head(Ok((true, _))) => return Next::Forgotten,
                    Came::Head(Ok((false, answer))) => match Said::of(answer) {
                        Said::Messages(incoming) => self.source = Source::Read(Box::new(incoming)),
                        Said::Refusal(answer) => return Next::Refused(answer),
                    },
                    Came::Head(Err(failed)) => return Next::Failed(failed),
                    Came::Message(message) => return Next::Message(message),
                    Came::Rest(incoming) => self.source = Source::Read(Box::new(incoming)),
                    Came::End => match self.resumption() {
                        Some(rest) => self.source = rest,
                        None => return Next::Failed(self.lost()),
                    },
                },
            }
        }
    }

    fn lost(&self) -> CallFailed {
        let name = self.shared.plain.name();
        match &self.source {
            Source::Read(incoming) => incoming.broken(name),
            Source::Sent(_) | Source::Resumed(_) | Source::Over => CallFailed::lost(name),
        }
    }

    /// Returns where the rest of an answer comes from whose stream was closed (MCP 2025-11-25, Transports,
    /// Resumability), unless it names no event or was resumed there in vain.
    fn resumption(&mut self) -> Option<Source> {
        let Source::Read(incoming) = &self.source else { return None };
        let last = incoming.last_id()?.clone();
        let wait = incoming.retry().map_or(RESUME_AFTER, |retry| retry.min(RETRY_MAX));
        let is_vain = self.resumed.as_ref().is_some_and(|(at, after)| {
            *after == last && at.elapsed() < wait.saturating_add(VAIN_WITHIN)
        });
        self.vain = if is_vain { self.vain + 1 } else { 0 };
        if self.vain >= VAIN_MAX {
            return None;
        }
        self.resumed = Some((Instant::now(), last.clone()));
        let mut request = self.link()?.get();
        request.headers_mut().insert(LAST_EVENT_ID, HeaderValue::from_bytes(&last).ok()?);
        let (plain, retry) = (self.shared.plain.clone(), incoming.retry());
        Some(Source::Resumed(Box::pin(async move {
            tokio::time::sleep(wait).await;
            let answer = plain.call(request).await.ok()?;
            let is_stream = answer.status() == StatusCode::OK && is_event_stream(answer.headers());
            let Said::Messages(rest) = Said::of(answer) else { return None };
            is_stream.then(|| rest.after(last, retry))
        })))
    }
}

/// What comes of a source.
enum Came {
    Head(Result<(bool, Answer), CallFailed>),
    Message(Message),
    Rest(Incoming),
    End,
}

impl Source {
    /// Nothing is lost when this is dropped before it is done.
    async fn next(&mut self) -> Came {
        match self {
            Self::Sent(answer) => Came::Head(answer.await),
            Self::Read(incoming) => match incoming.next().await {
                Ok(Some(message)) => Came::Message(message),
                Ok(None) | Err(_) => Came::End,
            },
            Self::Resumed(rest) => rest.await.map_or(Came::End, Came::Rest),
            Self::Over => Came::End,
        }
    }
}

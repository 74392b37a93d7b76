//! A command as upstream: a Streamable HTTP server in this process, in front of children that speak MCP on
//! standard input and output.
//!
//! A legacy connection has a child of its own, found by its link; a client of the modern era has one too,
//! found by its session, unless that is only a guess. With `shared`, all clients of an era have one. Which
//! message belongs to whom is decided in [`table`]. Where a link is unknown, since its child ended or was
//! shut down, the answer is 404, as from any server that forgot a session; the layer then opens it again.

mod backoff;
mod child;
mod children;
pub(super) mod events;
mod handover;
mod handshake;
mod launch;
mod layout;
mod lines;
pub(super) mod mailbox;
mod modern;
mod probe;
mod starting;
mod stderr;
pub(super) mod table;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use archon_sessions::layer::{CallFailed, Exchange, InnerRequest, codes};
use archon_sessions::protocol::Envelope;
use archon_sessions::protocol::names::MCP_SESSION_ID;
use archon_sessions::session::{Era, SessionId};
use archon_sessions::tracker::{Presence, Proof};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use uuid::Uuid;

use super::catalog::Catalog;
use super::eras::{Knowledge, Speaks};
use super::succession::{Origin, Peers};
use super::wire::Answer;
use super::wire::answer::{self, failure, refused};
use super::wire::message::{Kind, Message};
use crate::config::StdioConfig;
pub use child::ChildState;
use child::{Child, InUse, Pending, Unsent};
use children::{Children, Key};
pub use handover::stop_unknown;
use mailbox::Mailbox;
use table::Owner;

/// A command stays what it is for longer than a server far away; a question costs a process.
const ERA_KNOWN_FOR: Duration = Duration::from_secs(600);

/// See the module. Clones are one upstream.
#[derive(Clone)]
pub struct StdioUpstream {
    children: Arc<Children>,
    eras: Arc<Knowledge>,
    /// What its tools want of headers, in the modern era.
    catalog: Arc<Catalog>,
    /// One handshake at a time with a child that clients share.
    greeting: Arc<tokio::sync::Mutex<()>>,
    /// Where children may be, and go to, during an upgrade.
    peers: Arc<Peers>,
}

/// Who sends a request, as far as it matters here.
struct Sender {
    era: Era,
    session: Option<SessionId>,
    /// The session that this one continues.
    continues: Option<SessionId>,
    presence: Option<Arc<Presence>>,
    /// Whether the session may reach what it has here.
    is_proven: bool,
    /// Whether the gateway made the request itself.
    is_ours: bool,
}

impl Sender {
    /// Returns whose child a request of the modern era is for.
    fn modern_key(&self, is_shared: bool) -> Key {
        match self.session {
            Some(id) if self.is_proven && !is_shared => Key::Session(id),
            Some(_) | None => Key::Common,
        }
    }
}

/// A request, taken apart.
struct Incoming {
    sender: Sender,
    link: Option<Uuid>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
    message: Option<Message>,
    envelope: Option<Envelope>,
}

impl Incoming {
    fn is_handshake(&self) -> bool {
        let message = self.message.as_ref();
        message.is_some_and(|one| one.method == "initialize" && one.kind == Kind::Request)
    }
}

impl StdioUpstream {
    /// Returns an upstream; nothing is started yet.
    pub fn new(name: &str, config: &StdioConfig, catalog: Arc<Catalog>, peers: Arc<Peers>) -> Self {
        Self {
            children: Children::new(name, config.clone(), catalog.clone()),
            eras: Arc::new(Knowledge::lasting(ERA_KNOWN_FOR)),
            catalog,
            greeting: Arc::default(),
            peers,
        }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        self.children.name()
    }

    /// Returns what its last start, or its last end, said.
    pub fn state(&self) -> &'static str {
        self.children.condition().word()
    }

    /// Returns how many children it has.
    pub fn children(&self) -> usize {
        self.children.count()
    }

    /// Returns what is known of the eras that it speaks.
    pub fn eras(&self) -> &Knowledge {
        &self.eras
    }

    /// Returns which versions it speaks, asking it if need be.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn speaks(&self) -> Result<Speaks, CallFailed> {
        probe::speaks(&self.children, &self.eras).await
    }

    /// Stops all its children, and waits for their ends.
    pub async fn stop(&self) {
        self.children.stop().await;
    }

    /// Answers a request as a Streamable HTTP server would.
    pub async fn call(self, request: InnerRequest) -> Result<Answer, CallFailed> {
        let answered = self.answer(request).await;
        if answered.is_err() {
            self.children.condition().count_failed_call();
        }
        answered
    }

    async fn answer(&self, request: InnerRequest) -> Result<Answer, CallFailed> {
        let envelope = super::wire::message(&request).cloned();
        let (parts, body) = request.into_parts();
        let Some(exchange) = parts.extensions.get::<Exchange>() else {
            return Err(failure(codes::REFUSED, "the request came past the sessions".to_owned()));
        };
        let presence = exchange.presence.clone();
        let sender = Sender {
            era: exchange.era,
            session: presence.as_ref().map(|presence| presence.id()),
            continues: presence.as_ref().and_then(|presence| presence.continues_from()),
            presence,
            is_proven: exchange.proof.is_some_and(Proof::reaches_upstream_state),
            is_ours: exchange.message.is_none(),
        };
        // Its body is in memory already, and cannot fail.
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let incoming = Incoming {
            sender,
            link: link_of(&parts.headers),
            message: Message::read(body.clone()),
            method: parts.method,
            headers: parts.headers,
            body,
            envelope,
        };
        let answer = self.serve(&incoming, Origin::Client).await?;
        // Only what a successor asks is answered by nobody.
        answer.ok_or_else(|| CallFailed::unreachable(self.name()))
    }

    /// Answers a request in this process; `child` is the one that it is for, if there is one.
    async fn here(&self, child: Option<InUse>, incoming: &Incoming) -> Result<Answer, CallFailed> {
        let Incoming { sender, link, .. } = incoming;
        let on_link = |child: Option<InUse>| {
            let (child, link) = (child?, (*link)?);
            let has_link = child.table().has_link(link);
            has_link.then_some((link, child))
        };
        match incoming.method {
            Method::GET => return Ok(self.listen(on_link(child))),
            Method::DELETE => return Ok(self.delete(on_link(child))),
            _ => {}
        }
        let Some(message) = &incoming.message else {
            return Err(failure(codes::PARSE_ERROR, "the body is no message".to_owned()));
        };
        match sender.era {
            Era::Modern => self.modern(child, incoming, message).await,
            Era::Legacy if incoming.is_handshake() => self.initialize(child, sender, message).await,
            Era::Legacy => self.legacy(on_link(child), sender, message).await,
        }
    }

    /// Passes on what is said on a connection.
    async fn legacy(
        &self,
        found: Option<(Uuid, InUse)>,
        sender: &Sender,
        message: &Message,
    ) -> Result<Answer, CallFailed> {
        let Some((link, child)) = found else { return Ok(unknown(message)) };
        let owner = Owner::Link(link);
        child.touch(owner, sender.presence.as_ref());
        if message.kind != Kind::Request {
            return Ok(self
                .pass(&child, owner, message)
                .await
                .unwrap_or_else(|_| unknown(message)));
        }
        match self.send(&child, owner, sender, message).await {
            // It did not see the request, so that it may be sent to another child.
            Err(Unsent) => Ok(unknown(message)),
            Ok(pending) => Ok(events::events(pending.mailbox().clone(), pending)),
        }
    }

    /// Sends a request to a child.
    async fn send(
        &self,
        child: &Arc<Child>,
        owner: Owner,
        sender: &Sender,
        message: &Message,
    ) -> Result<Pending, Unsent> {
        let mailbox = Arc::<Mailbox>::default();
        let admitted = child.table().admit(message, owner, sender.is_ours, mailbox.clone());
        let admitted = admitted.ok_or(Unsent)?;
        let pending = Pending::new(child.clone(), sender.era, admitted.number, mailbox);
        child.send(&admitted.bytes).await?;
        Ok(pending)
    }

    /// Sends on what wants no answer.
    async fn pass(
        &self,
        child: &Arc<Child>,
        owner: Owner,
        message: &Message,
    ) -> Result<Answer, Unsent> {
        let is_again = self.children.config().shared
            && message.method == "notifications/initialized"
            && child.is_initialized.swap(true, Relaxed);
        let passed = if is_again { None } else { child.table().pass(message, owner) };
        if let Some(bytes) = passed {
            child.send(&bytes).await?;
        }
        Ok(answer::empty(StatusCode::ACCEPTED))
    }

    /// Opens a connection's own stream.
    fn listen(&self, found: Option<(Uuid, InUse)>) -> Answer {
        let Some((link, child)) = found else { return unknown_link(None) };
        let Some(stream) = child.table().listen(link) else { return unknown_link(None) };
        child.touch(Owner::Link(link), None);
        events::events(stream.clone(), Listening { child: (*child).clone(), link, stream })
    }

    /// Ends a connection, and its child with it.
    fn delete(&self, found: Option<(Uuid, InUse)>) -> Answer {
        let Some((link, child)) = found else { return unknown_link(None) };
        child.table().remove_link(link);
        if !self.children.config().shared {
            self.children.stop_child(Key::Link(link));
        }
        answer::empty(StatusCode::OK)
    }
}

/// A GET stream, for as long as it is read.
struct Listening {
    child: Arc<Child>,
    link: Uuid,
    stream: Arc<Mailbox>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.child.table().unlisten(self.link, &self.stream);
        self.child.touch(Owner::Link(self.link), None);
    }
}

fn link_of(headers: &HeaderMap) -> Option<Uuid> {
    headers.get(MCP_SESSION_ID)?.to_str().ok()?.parse().ok()
}

fn unknown(message: &Message) -> Answer {
    unknown_link(
        message.id.as_ref().filter(|_| message.kind == Kind::Request).map(|id| message.text(id)),
    )
}

/// MCP 2025-11-25, Transports, Session Management: 404 for a session that is not known.
fn unknown_link(id: Option<&str>) -> Answer {
    refused(StatusCode::NOT_FOUND, id, codes::NO_SESSION, "session not found")
}

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
use archon_sessions::protocol::names::MCP_SESSION_ID;
use archon_sessions::session::Era;
use archon_sessions::tracker::{Presence, Proof};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use uuid::Uuid;

use super::catalog::Catalog;
use super::eras::{Knowledge, Speaks};
use super::wire::Answer;
use super::wire::answer::{self, failure, refused};
use super::wire::message::{Kind, Message};
use crate::config::StdioConfig;
use child::{Child, Pending, Unsent};
use children::{Children, Key};
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
}

/// Who sends a request, as far as it matters here.
struct Sender {
    era: Era,
    presence: Option<Arc<Presence>>,
    proof: Option<Proof>,
    /// Whether the gateway made the request itself.
    is_ours: bool,
}

impl StdioUpstream {
    /// Returns an upstream; nothing is started yet.
    pub fn new(name: &str, config: &StdioConfig, catalog: Arc<Catalog>) -> Self {
        Self {
            children: Children::new(name, config.clone(), catalog.clone()),
            eras: Arc::new(Knowledge::lasting(ERA_KNOWN_FOR)),
            catalog,
            greeting: Arc::default(),
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
        let sender = Sender {
            era: exchange.era,
            presence: exchange.presence.clone(),
            proof: exchange.proof,
            is_ours: exchange.message.is_none(),
        };
        let link = link_of(&parts.headers);
        match parts.method {
            Method::GET => return Ok(self.listen(link)),
            Method::DELETE => return Ok(self.delete(link)),
            _ => {}
        }
        // Its body is in memory already, and cannot fail.
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let Some(message) = Message::read(body) else {
            return Err(failure(-32700, "the body is no message".to_owned()));
        };
        match sender.era {
            Era::Modern => self.modern(&sender, &message, &parts.headers, envelope.as_ref()).await,
            Era::Legacy if message.method == "initialize" && message.kind == Kind::Request => {
                self.initialize(&sender, &message).await
            }
            Era::Legacy => self.legacy(link, &sender, &message).await,
        }
    }

    /// Passes on what is said on a connection.
    async fn legacy(
        &self,
        link: Option<Uuid>,
        sender: &Sender,
        message: &Message,
    ) -> Result<Answer, CallFailed> {
        let found = link.and_then(|link| Some((link, self.children.of_link(link)?)));
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
    fn listen(&self, link: Option<Uuid>) -> Answer {
        let found = link.and_then(|link| Some((link, self.children.of_link(link)?)));
        let Some((link, child)) = found else { return unknown_link(None) };
        let Some(stream) = child.table().listen(link) else { return unknown_link(None) };
        child.touch(Owner::Link(link), None);
        events::events(stream.clone(), Listening { child: child.clone(), link, stream })
    }

    /// Ends a connection, and its child with it.
    fn delete(&self, link: Option<Uuid>) -> Answer {
        let found = link.and_then(|link| Some((link, self.children.of_link(link)?)));
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

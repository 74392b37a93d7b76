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
mod launch;
mod lines;
pub(super) mod mailbox;
mod modern;
mod probe;
mod stderr;
pub(super) mod table;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use archon_sessions::layer::{CallFailed, Exchange, InnerRequest, codes};
use archon_sessions::protocol::names::MCP_SESSION_ID;
use archon_sessions::session::Era;
use archon_sessions::tracker::{Presence, Proof};
use bytes::Bytes;
use http::header::HeaderValue;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use uuid::Uuid;

use super::catalog::Catalog;
use super::eras::{Knowledge, Speaks};
use super::wire::Answer;
use super::wire::answer::{self, failure, refused};
use super::wire::message::{self, Kind, Message};
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
        self.children.state()
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

    /// Opens a connection: starts its child and passes the handshake on.
    async fn initialize(&self, sender: &Sender, message: &Message) -> Result<Answer, CallFailed> {
        let link = Uuid::new_v4();
        let answered = if self.children.config().shared {
            let _turn = self.greeting.lock().await;
            self.greet_shared(link, sender, message).await
        } else {
            let key = Key::Link(link);
            let child = self.children.find_or_start(key)?;
            self.greet(key, &child, link, sender, message).await
        };
        let (pending, event) = answered?;
        let mut answer = events::events(pending.mailbox().clone(), pending);
        if event.code().is_none()
            && let Ok(link) = HeaderValue::try_from(link.to_string())
        {
            answer.headers_mut().insert(MCP_SESSION_ID, link);
        }
        Ok(answer)
    }

    /// Sends `initialize` to a new child and waits for the answer.
    async fn greet(
        &self,
        key: Key,
        child: &Arc<Child>,
        link: Uuid,
        sender: &Sender,
        message: &Message,
    ) -> Result<(Pending, mailbox::Event), CallFailed> {
        // However this ends without an answer, the child is of no use to anybody.
        let mut unwanted = Unwanted { children: &self.children, key: Some(key) };
        child.table().add_link(link);
        child.touch(Owner::Link(link), sender.presence.as_ref());
        let limit = self.children.config().start_timeout;
        let greeting = async {
            let pending = self.send(child, Owner::Link(link), sender, message).await.ok()?.ok()?;
            let event = pending.mailbox().answer().await?;
            Some((pending, event))
        };
        let Ok(answered) = tokio::time::timeout(limit, greeting).await else {
            let (name, seconds) = (self.name(), limit.as_secs_f32());
            tracing::warn!(upstream = name, "{name} did not answer initialize within {seconds} s");
            return Err(answer::not_running(format!(
                "upstream {name:?} did not answer initialize within {seconds} s"
            )));
        };
        let Some((pending, event)) = answered else {
            child.has_ended(limit).await;
            return Err(self.children.could_not_start(child));
        };
        self.children.answered();
        if event.code().is_none() {
            unwanted.key = None;
        }
        Ok((pending, event))
    }

    /// Opens a connection on the child that all share: it is greeted once, with what the first client said.
    async fn greet_shared(
        &self,
        link: Uuid,
        sender: &Sender,
        message: &Message,
    ) -> Result<(Pending, mailbox::Event), CallFailed> {
        let child = self.children.find_or_start(Key::SharedLegacy)?;
        let Some(greeting) = child.greeting.get() else {
            let greeted = self.greet(Key::SharedLegacy, &child, link, sender, message).await?;
            if greeted.1.code().is_none()
                && let Some(result) = message::result(&greeted.1.json)
            {
                let _ = child.greeting.set(result.into());
            }
            return Ok(greeted);
        };
        child.table().add_link(link);
        child.touch(Owner::Link(link), sender.presence.as_ref());
        let id = message.id.as_ref().map_or("null", |id| message.text(id));
        let json = Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{greeting}}}"#));
        let event = mailbox::Event { json, role: mailbox::Role::Answer(None) };
        let mailbox = Arc::<Mailbox>::default();
        mailbox.push(event.clone());
        // No call at the child has the number 0: there is nothing to leave.
        Ok((Pending::new(child, Era::Legacy, 0, mailbox), event))
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
            Ok(Err(refusal)) => Err(refusal),
            Ok(Ok(pending)) => Ok(events::events(pending.mailbox().clone(), pending)),
        }
    }

    /// Sends a request to a child.
    async fn send(
        &self,
        child: &Arc<Child>,
        owner: Owner,
        sender: &Sender,
        message: &Message,
    ) -> Result<Result<Pending, CallFailed>, Unsent> {
        let mailbox = Arc::<Mailbox>::default();
        let admitted = child.table().admit(message, owner, sender.is_ours, mailbox.clone());
        let Some(admitted) = admitted else {
            let message =
                "a request with this id or progress token is in flight already".to_owned();
            let refusal = failure(-32600, message);
            return Ok(Err(CallFailed { status: StatusCode::BAD_REQUEST, ..refusal }));
        };
        let pending = Pending::new(child.clone(), sender.era, admitted.number, mailbox);
        child.send(&admitted.bytes).await?;
        Ok(Ok(pending))
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
        let Some(mailbox) = child.table().listen(link) else {
            let message = "this connection has a stream open already";
            return refused(StatusCode::CONFLICT, None, -32600, message);
        };
        events::events(mailbox, Listening { child: child.clone(), link })
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

/// Stops a child unless it turns out to be wanted.
struct Unwanted<'a> {
    children: &'a Children,
    key: Option<Key>,
}

impl Drop for Unwanted<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.children.stop_child(key);
        }
    }
}

/// A GET stream; when it is dropped, another one may be opened.
struct Listening {
    child: Arc<Child>,
    link: Uuid,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.child.table().unlisten(self.link);
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

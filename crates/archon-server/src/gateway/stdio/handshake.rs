//! Legacy handshakes: a child is started, or found still starting, and passed what the client said.

use std::sync::Arc;
use std::time::Instant;

use archon_sessions::layer::CallFailed;
use archon_sessions::protocol::names::MCP_SESSION_ID;
use archon_sessions::session::Era;
use bytes::Bytes;
use http::header::HeaderValue;
use uuid::Uuid;

use super::child::{Child, InUse, Pending};
use super::children::{Children, Key};
use super::mailbox::{Event, Mailbox, Next, Role};
use super::starting::Starting;
use super::table::Owner;
use super::{Sender, StdioUpstream, events};
use crate::gateway::wire::Answer;
use crate::gateway::wire::answer::not_running;
use crate::gateway::wire::message::{self, Message};
use crate::gateway::wire::object::Object;

/// An answered handshake.
struct Greeted {
    link: Uuid,
    pending: Pending,
    event: Event,
}

impl StdioUpstream {
    /// Opens a connection: starts its child and passes the handshake on.
    pub(super) async fn initialize(
        &self,
        shared: Option<InUse>,
        sender: &Sender,
        message: &Message,
    ) -> Result<Answer, CallFailed> {
        let greeted = if self.children.config().shared {
            let _turn = self.greeting.lock().await;
            self.greet_shared(shared, sender, message).await?
        } else {
            let params = params_of(message);
            let in_use;
            // Whoever says the same gets what was started for it: it may well be the same client's next try.
            let starting = match self.children.take_starting(|one| one.params == params) {
                Some(starting) => {
                    in_use = starting.child.in_use();
                    starting
                }
                None => {
                    let link = Uuid::new_v4();
                    let child = self.children.find_or_start(Key::Link(link)).await?;
                    let greeted = (*child).clone();
                    in_use = Some(child);
                    self.start_greeting(Key::Link(link), greeted, link, params, message)?
                }
            };
            let greeted = self.greet(starting, sender, message).await?;
            drop(in_use);
            greeted
        };
        let Greeted { link, pending, event } = greeted;
        let mut answer = events::events(pending.mailbox().clone(), pending);
        if event.code().is_none()
            && let Ok(link) = HeaderValue::try_from(link.to_string())
        {
            answer.headers_mut().insert(MCP_SESSION_ID, link);
        }
        Ok(answer)
    }

    /// Opens a connection on the child that all share: it is greeted once, with what the first client said.
    async fn greet_shared(
        &self,
        shared: Option<InUse>,
        sender: &Sender,
        message: &Message,
    ) -> Result<Greeted, CallFailed> {
        let key = Key::SharedLegacy;
        let child = match shared {
            Some(child) if child.is_open() => child,
            Some(_) | None => self.children.find_or_start(key).await?,
        };
        if let Some(greeting) = child.greeting.get() {
            return Ok(greeted_before((*child).clone(), greeting, sender, message));
        }
        let starting = match self.children.take_starting(|one| one.key == key) {
            Some(starting) => starting,
            None => {
                let (child, params) = ((*child).clone(), params_of(message));
                self.start_greeting(key, child, Uuid::new_v4(), params, message)?
            }
        };
        let greeted = self.greet(starting, sender, message).await?;
        if greeted.event.code().is_none()
            && let Some(result) = message::result(&greeted.event.json)
        {
            let _ = child.greeting.set(result.into());
        }
        Ok(greeted)
    }

    /// Has `initialize` sent to a new child.
    fn start_greeting(
        &self,
        key: Key,
        child: Arc<Child>,
        link: Uuid,
        params: String,
        message: &Message,
    ) -> Result<Starting, CallFailed> {
        let mailbox = Arc::<Mailbox>::default();
        child.table().add_link(link, Instant::now());
        let admitted = child.table().admit(message, Owner::Link(link), false, mailbox.clone());
        let Some(admitted) = admitted else {
            return Err(not_running("initialize has no id".to_owned()));
        };
        let pending = Pending::new(child.clone(), Era::Legacy, admitted.number, mailbox.clone());
        // It is written by a task, so that a client that leaves does not cut it off.
        let told = child.clone();
        self.children.spawn(async move {
            if told.send(&admitted.bytes).await.is_err() {
                mailbox.end(Next::Lost);
            }
        });
        Ok(Starting { key, child, link, params, pending })
    }

    /// Waits for the answer to a handshake, within a client's patience. A child that takes longer is kept.
    async fn greet(
        &self,
        starting: Starting,
        sender: &Sender,
        message: &Message,
    ) -> Result<Greeted, CallFailed> {
        let limit = self.children.config().start_timeout;
        let mut starting = Unanswered { children: &self.children, starting: Some(starting) };
        let Some(Starting { child, link, pending, .. }) = &starting.starting else {
            return Err(CallFailed::unreachable(self.name()));
        };
        child.touch(Owner::Link(*link), sender.presence.as_ref());
        let answered = tokio::time::timeout(limit, pending.mailbox().answer()).await;
        let Ok(answered) = answered else {
            let (name, seconds) = (self.name(), limit.as_secs_f32());
            self.children
                .condition()
                .failed(&format!("it did not answer initialize within {seconds} s"));
            return Err(not_running(format!(
                "upstream {name:?} did not answer initialize within {seconds} s (`start_timeout_seconds`); it is \
                 still starting, and the next try goes on from there; the call did not run"
            )));
        };
        let Some(Starting { key, child, link, pending, .. }) = starting.starting.take() else {
            return Err(CallFailed::unreachable(self.name()));
        };
        let Some(event) = answered else {
            child.has_ended(limit).await;
            self.children.stop_child(key);
            return Err(self.children.could_not_start(&child));
        };
        self.children.condition().answered();
        if event.code().is_some() {
            self.children.stop_child(key);
        }
        let id = message.id.as_ref().map_or("null", |id| message.text(id));
        let (mailbox, event) = readdressed(&pending, event, id);
        Ok(Greeted { link, pending: Pending::new(child, Era::Legacy, 0, mailbox), event })
    }
}

/// Keeps a child for the next try, unless its handshake was answered.
struct Unanswered<'a> {
    children: &'a Arc<Children>,
    starting: Option<Starting>,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(starting) = self.starting.take() {
            self.children.keep_starting(starting);
        }
    }
}

/// Returns what a child said to a handshake, as an answer to a request of this id (JSON text): it may be another
/// client's try than the one that was sent.
fn readdressed(pending: &Pending, answer: Event, id: &str) -> (Arc<Mailbox>, Event) {
    let mailbox = Arc::<Mailbox>::default();
    let mut events = pending.mailbox().take_all();
    events.retain(|event| event.role == Role::News);
    let message = Message::read(answer.json.clone());
    let json = message.map_or(answer.json, |message| message.with(&[(message.id.clone(), id)]));
    let answer = Event { json, role: answer.role };
    events.push(answer.clone());
    for event in events {
        mailbox.push(event);
    }
    (mailbox, answer)
}

/// Answers a handshake with what a shared child said to the first one.
fn greeted_before(
    child: Arc<Child>,
    greeting: &str,
    sender: &Sender,
    message: &Message,
) -> Greeted {
    let link = Uuid::new_v4();
    child.table().add_link(link, Instant::now());
    child.touch(Owner::Link(link), sender.presence.as_ref());
    let id = message.id.as_ref().map_or("null", |id| message.text(id));
    let json = Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{greeting}}}"#));
    let event = Event { json, role: Role::Answer(None) };
    let mailbox = Arc::<Mailbox>::default();
    mailbox.push(event.clone());
    // No call at the child has the number 0: there is nothing to leave.
    Greeted { link, pending: Pending::new(child, Era::Legacy, 0, mailbox), event }
}

fn params_of(message: &Message) -> String {
    let whole = std::str::from_utf8(&message.bytes).ok().and_then(Object::read).unwrap_or_default();
    whole.get("params").unwrap_or_default().to_owned()
}

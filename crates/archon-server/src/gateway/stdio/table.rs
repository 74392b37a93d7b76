//! Which message belongs to whom: the calls in flight at one child, and the legacy connections on it. Pure.
//!
//! | a child says | on a child of one client | on a shared one |
//! |---|---|---|
//! | an answer | to the request of this id | the same |
//! | `notifications/progress` | to the request of this token | the same |
//! | something with a subscription's id | to that `subscriptions/listen` | the same |
//! | that a list has changed | GET stream if one is open, else oldest call, else its queue | every open GET stream |
//! | a request, `notifications/message`, anything else | oldest call, else the GET stream | the only call, else dropped |
//!
//! The modern era has no GET streams and no requests from servers (MCP 2026-07-28, Basic).

mod links;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use archon_sessions::session::{Era, SessionId};
use archon_sessions::tracker::Presence;
use bytes::Bytes;
use uuid::Uuid;

use super::mailbox::{Event, Mailbox, Next, Role};
use crate::gateway::wire::message::{self, Kind, Message};

/// Requests of a child's that wait for their answers: a client works on a few at a time.
const ASKED_MAX: usize = 256;

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A legacy connection.
    Link(Uuid),
    /// A client of the modern era.
    Session(SessionId),
    /// One without a session yet.
    Nobody,
}

/// See the module.
#[derive(Debug)]
pub struct Table {
    era: Era,
    /// Whether several clients use the child, so that their ids must be told apart.
    is_shared: bool,
    /// The number of the next call.
    next: u64,
    /// Calls in flight, the oldest first.
    calls: BTreeMap<u64, Call>,
    /// By the id, and the progress token, that the child knows.
    by_id: HashMap<String, u64>,
    by_token: HashMap<String, u64>,
    links: HashMap<Uuid, Link>,
    /// Requests of the child's, and whom each was sent to.
    asked: HashMap<String, Owner>,
}

#[derive(Debug)]
struct Call {
    owner: Owner,
    /// The id and token that the client knows, as JSON text.
    id: String,
    token: Option<String>,
    /// And those that the child knows.
    wire_id: String,
    wire_token: Option<String>,
    mailbox: Arc<Mailbox>,
    is_subscription: bool,
}

/// A legacy connection.
#[derive(Debug, Default)]
struct Link {
    /// What belongs on the GET stream; kept while none is open.
    standalone: Arc<Mailbox>,
    is_listening: bool,
    presence: Option<Arc<Presence>>,
}

/// A request on its way to the child.
#[derive(Debug)]
pub struct Admitted {
    /// The call's number.
    pub number: u64,
    /// The message for the child.
    pub bytes: Bytes,
}

/// What to do with a message that a child said.
#[derive(Debug, Default)]
pub struct Routed {
    /// To a call's own stream.
    pub to_call: Option<(Arc<Mailbox>, Event)>,
    /// To GET streams, over their oldest messages if need be.
    pub to_standalone: Vec<(Arc<Mailbox>, Event)>,
    /// Back to the child.
    pub reply: Option<Bytes>,
    /// Nowhere, for this reason.
    pub dropped: Option<&'static str>,
}

impl Table {
    /// Returns the table of a new child.
    pub fn new(era: Era, is_shared: bool) -> Self {
        Self {
            era,
            is_shared,
            next: 1,
            calls: BTreeMap::new(),
            by_id: HashMap::new(),
            by_token: HashMap::new(),
            links: HashMap::new(),
            asked: HashMap::new(),
        }
    }

    /// Takes a request of a client's; `None` if a request of this id is in flight already.
    ///
    /// `is_ours` marks a request that the gateway makes on a client's connection; its id may meet one of
    /// its own kind. In the modern era each POST has its own stream, and so two may share an id.
    pub fn admit(
        &mut self,
        request: &Message,
        owner: Owner,
        is_ours: bool,
        mailbox: Arc<Mailbox>,
    ) -> Option<Admitted> {
        let id = request.text(request.id.as_ref()?).to_owned();
        let token = request.token.as_ref().map(|token| request.text(token).to_owned());
        let meets = self.by_id.contains_key(&message::canonical(&id))
            || token.as_deref().is_some_and(|t| self.by_token.contains_key(&message::canonical(t)));
        let number = self.next;
        let wire = if self.is_shared {
            Some(number.to_string())
        } else if is_ours || (meets && self.era == Era::Modern) {
            // The child of one client knows that client's own ids, which a text like this does not meet.
            Some(format!("\"archon-{number}\""))
        } else if meets {
            return None;
        } else {
            None
        };
        self.next += 1;
        let wire_id = wire.clone().unwrap_or_else(|| id.clone());
        let wire_token = token.clone().map(|token| wire.unwrap_or(token));
        let mut changes = vec![(request.id.clone(), wire_id.as_str())];
        changes.extend(wire_token.as_deref().map(|wire| (request.token.clone(), wire)));
        let bytes = request.with(&changes);
        self.by_id.insert(message::canonical(&wire_id), number);
        if let Some(token) = &wire_token {
            self.by_token.insert(message::canonical(token), number);
        }
        let is_subscription = request.method == "subscriptions/listen";
        let call = Call { owner, id, token, wire_id, wire_token, mailbox, is_subscription };
        self.calls.insert(number, call);
        Some(Admitted { number, bytes })
    }

    /// Takes a notification or an answer of a client's; returns what to send to the child, if anything.
    pub fn pass(&mut self, message: &Message, owner: Owner) -> Option<Bytes> {
        if let (Kind::Answer { .. }, Some(id)) = (message.kind, &message.id) {
            let asked = self.asked.remove(&message.canonical(id));
            // On a shared child nobody answers in another client's place.
            let is_theirs = !self.is_shared || asked == Some(owner);
            return is_theirs.then(|| message.bytes.clone());
        }
        let Some(place) = &message.cancelled else { return Some(message.bytes.clone()) };
        let id = message.canonical(place);
        let call = self
            .calls
            .values()
            .find(|call| call.owner == owner && message::canonical(&call.id) == id);
        match call {
            Some(call) => Some(message.with(&[(message.cancelled.clone(), &call.wire_id)])),
            None => (!self.is_shared).then(|| message.bytes.clone()),
        }
    }

    /// Forgets a call whose stream nobody reads any more; returns its id at the child if it was not
    /// answered.
    pub fn leave(&mut self, number: u64) -> Option<String> {
        self.remove(number).map(|call| call.wire_id)
    }

    /// Finds out where a message of the child's belongs.
    pub fn route(&mut self, message: &Message) -> Routed {
        match message.kind {
            Kind::Answer { code } => self.route_answer(message, code),
            Kind::Request => self.route_request(message),
            Kind::Notification => self.route_notification(message),
        }
    }

    fn route_answer(&mut self, message: &Message, code: Option<i64>) -> Routed {
        let number = message.id.as_ref().map(|id| message.canonical(id));
        let number = number.and_then(|id| self.by_id.get(&id).copied());
        let Some(call) = number.and_then(|number| self.remove(number)) else {
            return Routed::dropped("it answers no request in flight");
        };
        let mut changes = vec![(message.id.clone(), call.id.as_str())];
        if call.is_subscription && call.id != call.wire_id {
            changes.push((message.subscription.clone(), call.id.as_str()));
        }
        let event = Event { json: message.with(&changes), role: Role::Answer(code) };
        Routed { to_call: Some((call.mailbox, event)), ..Routed::default() }
    }

    fn route_request(&mut self, message: &Message) -> Routed {
        let Some(place) = &message.id else { return Routed::dropped("it has no id") };
        let id = message.text(place).to_owned();
        let target = match self.era {
            Era::Legacy => self.target(),
            Era::Modern => None,
        };
        match target {
            Some((owner, mailbox, is_call)) if self.asked.len() < ASKED_MAX => {
                self.asked.insert(message::canonical(&id), owner);
                Routed::one(mailbox, is_call, message.bytes.clone())
            }
            _ => Routed { reply: Some(reply_to(&message.method, &id)), ..Routed::default() },
        }
    }

    fn route_notification(&mut self, message: &Message) -> Routed {
        if message.method == "notifications/progress" {
            let token = message.token.as_ref().map(|token| message.canonical(token));
            let number = token.and_then(|token| self.by_token.get(&token));
            return match number.and_then(|number| self.calls.get(number)) {
                Some(Call { token: Some(token), mailbox, .. }) => {
                    let json = message.with(&[(message.token.clone(), token)]);
                    Routed::one(mailbox.clone(), true, json)
                }
                _ => Routed::dropped("its progress token is no request's"),
            };
        }
        if let Some(place) = &message.subscription {
            return match self.subscription(message.text(place)) {
                Some(call) if call.id == call.wire_id => {
                    Routed::one(call.mailbox.clone(), true, message.bytes.clone())
                }
                Some(call) => {
                    let json = message.with(&[(message.subscription.clone(), &call.id)]);
                    Routed::one(call.mailbox.clone(), true, json)
                }
                None => Routed::dropped("its subscription is none that is open"),
            };
        }
        let json = message.bytes.clone();
        match (self.era, changes_by_itself(&message.method)) {
            // What has changed for all may be said to all; what one of them subscribed to may not.
            (Era::Legacy, true) if self.is_shared && message.method.ends_with("/list_changed") => {
                let listening = self.links.values().filter(|link| link.is_listening);
                let event = Event { json, role: Role::News };
                let to_standalone =
                    listening.map(|link| (link.standalone.clone(), event.clone())).collect();
                Routed { to_standalone, ..Routed::default() }
            }
            (Era::Legacy, true) if !self.is_shared => {
                match self.links.values().find(|link| link.is_listening) {
                    Some(link) => Routed::one(link.standalone.clone(), false, json),
                    None => self.route_to_target(json),
                }
            }
            (Era::Legacy | Era::Modern, _) => self.route_to_target(json),
        }
    }

    fn route_to_target(&self, json: Bytes) -> Routed {
        match self.target() {
            Some((_, mailbox, is_call)) => Routed::one(mailbox, is_call, json),
            None => Routed::dropped("it names no request"),
        }
    }

    /// Returns where something goes that names no request: to the oldest call or the GET stream of a
    /// legacy client that has the child for itself; else to the only call there is.
    fn target(&self) -> Option<(Owner, Arc<Mailbox>, bool)> {
        let mut calls = self.calls.values().filter(|call| !call.is_subscription);
        let oldest = calls.next();
        if self.is_shared || self.era == Era::Modern {
            let only = oldest.filter(|_| calls.next().is_none());
            return only.map(|call| (call.owner, call.mailbox.clone(), true));
        }
        if let Some(call) = oldest {
            return Some((call.owner, call.mailbox.clone(), true));
        }
        let (id, link) = self.links.iter().next()?;
        Some((Owner::Link(*id), link.standalone.clone(), false))
    }

    /// Returns the subscription of this id, which a server may write as a text where it was a number.
    fn subscription(&self, id: &str) -> Option<&Call> {
        let other = match id.strip_prefix('"').and_then(|id| id.strip_suffix('"')) {
            Some(bare) => bare.to_owned(),
            None => format!("\"{id}\""),
        };
        let number = self.by_id.get(&message::canonical(id)).or_else(|| self.by_id.get(&other))?;
        self.calls.get(number)
    }

    fn remove(&mut self, number: u64) -> Option<Call> {
        let call = self.calls.remove(&number)?;
        self.by_id.remove(&message::canonical(&call.wire_id));
        if let Some(token) = &call.wire_token {
            self.by_token.remove(&message::canonical(token));
        }
        Some(call)
    }

    /// Returns whether nobody waits for anything.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty() && !self.links.values().any(|link| link.is_listening)
    }

    /// The child has ended: no call is answered any more.
    pub fn end_all(&mut self) {
        for call in std::mem::take(&mut self.calls).into_values() {
            call.mailbox.end(Next::Lost);
        }
        for link in std::mem::take(&mut self.links).into_values() {
            link.standalone.end(Next::End);
        }
    }
}

impl Routed {
    fn dropped(reason: &'static str) -> Self {
        Self { dropped: Some(reason), ..Self::default() }
    }

    fn one(mailbox: Arc<Mailbox>, is_call: bool, json: Bytes) -> Self {
        let addressed = (mailbox, Event { json, role: Role::News });
        if is_call {
            Self { to_call: Some(addressed), ..Self::default() }
        } else {
            Self { to_standalone: vec![addressed], ..Self::default() }
        }
    }
}

/// Returns whether a server says this by itself, and not for the sake of a request.
fn changes_by_itself(method: &str) -> bool {
    matches!(
        method,
        "notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/list_changed"
            | "notifications/resources/updated"
            | "notifications/tasks/status"
    )
}

/// Answers a child's request in the place of clients, of whom none can be asked.
fn reply_to(method: &str, id: &str) -> Bytes {
    let reply = if method == "ping" {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
    } else {
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"no client can be asked here"}}}}"#
        )
    };
    message::line(reply.as_bytes())
}

#[cfg(test)]
mod tests;

//! Which message belongs to whom: the calls in flight at one child, and the legacy connections on it. Pure.
//!
//! | a child says | on a child of one client | on a shared one |
//! |---|---|---|
//! | an answer | to the request of this id; one without an id, to the only call | the same |
//! | `notifications/progress` | to the request of this token | the same |
//! | something with a subscription's id | to that `subscriptions/listen` | the same |
//! | that a list has changed | GET stream if one is open, else oldest call, else its queue | every open GET stream |
//! | a request | oldest call, else an open GET stream, else waits for one | the only call, else refused |
//! | `notifications/message`, anything else | oldest call, else the GET stream | the only call, else dropped |
//!
//! Ids and tokens are compared as SDK clients compare them: `"7"` and `7.0` are 7, where no other call can be meant.
//! The modern era has no GET streams and no requests from servers (MCP 2026-07-28, Basic).

mod handover;
mod links;
mod questions;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use archon_sessions::layer::CallFailed;
use archon_sessions::session::{Era, SessionId};
use archon_sessions::tracker::Presence;
use bytes::Bytes;
pub use handover::TableState;
use questions::Questions;
use uuid::Uuid;

use super::mailbox::{Event, Mailbox, Next, Role};
use crate::gateway::wire::message::{self, Kind, Message};

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

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(link) => write!(f, "link {link}"),
            Self::Session(session) => write!(f, "session {session}"),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

impl FromStr for Owner {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        match text.split_once(' ') {
            Some(("link", link)) => link.parse().map(Self::Link).map_err(|_| Unknown),
            Some(("session", id)) => id.parse().map(Self::Session).map_err(|_| Unknown),
            None if text == "nobody" => Ok(Self::Nobody),
            _ => Err(Unknown),
        }
    }
}

/// What another process says is nothing that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown;

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
    questions: Questions,
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
#[derive(Debug)]
struct Link {
    /// What belongs on the GET stream; kept while none is open.
    standalone: Arc<Mailbox>,
    is_listening: bool,
    presence: Option<Arc<Presence>>,
    used: Instant,
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
    pub replies: Vec<Bytes>,
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
            questions: Questions::default(),
        }
    }

    /// Takes a request of a client's; `None` if it has no id.
    ///
    /// `is_ours` marks a request that the gateway makes on a client's connection. Each POST has a stream of its own, so
    /// that two requests in flight may share an id: some clients have one id for all.
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
        } else if is_ours || meets {
            // The child of one client knows that client's own ids, which a text like this does not meet.
            Some(format!("\"archon-{number}\""))
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
        if self.era == Era::Legacy && !self.is_shared {
            self.questions.ask_waiting(owner, Some(number), &mailbox);
        }
        let call = Call { owner, id, token, wire_id, wire_token, mailbox, is_subscription };
        self.calls.insert(number, call);
        Some(Admitted { number, bytes })
    }

    /// Takes a notification or an answer of a client's; returns what to send to the child, if anything.
    ///
    /// A call that its client cancels is over at once, whether or not the child still answers it: the client wants no
    /// answer (MCP 2025-11-25, Cancellation).
    pub fn pass(&mut self, message: &Message, owner: Owner) -> Option<Bytes> {
        if let (Kind::Answer { .. }, Some(id)) = (message.kind, &message.id) {
            return match self.questions.answered(message.text(id)) {
                // On a shared child nobody answers in another client's place.
                Some(asked) if self.is_shared && asked.owner != owner => {
                    self.questions.ask_again(asked);
                    None
                }
                Some(asked) => Some(message.with(&[(message.id.clone(), &asked.id)])),
                None => (!self.is_shared).then(|| message.bytes.clone()),
            };
        }
        let Some(place) = &message.cancelled else { return Some(message.bytes.clone()) };
        let id = message.text(place);
        let theirs = self.calls.iter().filter(|(_, call)| call.owner == owner);
        let number = message::meant(theirs.map(|(number, call)| (*number, &*call.id)), id);
        match number.and_then(|number| self.remove(number)) {
            Some(call) => {
                call.mailbox.end(Next::End);
                Some(message.with(&[(message.cancelled.clone(), &call.wire_id)]))
            }
            None => (!self.is_shared).then(|| message.bytes.clone()),
        }
    }

    /// Forgets a call whose stream nobody reads any more; returns what is left to tell the child.
    pub fn leave(&mut self, number: u64) -> Left {
        let wire_id = self.remove(number).map(|call| call.wire_id);
        // Whoever was asked on an answered call's stream may still be about to answer.
        let replies = match wire_id {
            Some(_) => self.questions.leave(number),
            None => Vec::new(),
        };
        Left { wire_id, replies }
    }

    /// Finds out where a message of the child's belongs.
    pub fn route(&mut self, message: &Message, now: Instant) -> Routed {
        match message.kind {
            Kind::Answer { code } => self.route_answer(message, code),
            Kind::Request => self.route_request(message, now),
            Kind::Notification => self.route_notification(message),
        }
    }

    /// Ends the call that an answer of this id (JSON text) was to answer, since it cannot be read. Without an id, that
    /// is the only call in flight.
    pub fn fail(&mut self, id: Option<&str>, failed: &CallFailed) -> Routed {
        let Some(call) = self.answered(id).and_then(|number| self.remove(number)) else {
            return Routed::dropped("it answers no request in flight");
        };
        let json = failed.message_for(Some(&call.id)).into();
        let event = Event { json, role: Role::Answer(Some(failed.code)) };
        Routed { to_call: Some((call.mailbox, event)), ..Routed::default() }
    }

    /// Returns whether this answers a call in flight.
    pub fn is_awaited(&self, message: &Message) -> bool {
        let id = message.id.as_ref().map(|id| message.text(id));
        matches!(message.kind, Kind::Answer { .. }) && self.answered(id).is_some()
    }

    /// Returns the call that an answer of this id answers. JSON-RPC has `null` where a server could not read the id of
    /// what it answers.
    fn answered(&self, id: Option<&str>) -> Option<u64> {
        let Some(id) = id.filter(|id| *id != "null") else {
            let mut calls = self.calls.iter().filter(|(_, call)| !call.is_subscription);
            return calls.next().filter(|_| calls.next().is_none()).map(|(number, _)| *number);
        };
        let known = self.by_id.get(&message::canonical(id)).copied();
        known.or_else(|| {
            let calls = self.calls.iter().map(|(number, call)| (*number, &*call.wire_id));
            message::meant(calls, id)
        })
    }

    fn route_answer(&mut self, message: &Message, code: Option<i64>) -> Routed {
        let number = self.answered(message.id.as_ref().map(|id| message.text(id)));
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

    fn route_request(&mut self, message: &Message, now: Instant) -> Routed {
        let target = match self.era {
            Era::Legacy => self.asking(),
            Era::Modern => None,
        };
        if let Some((owner, mailbox, via)) = target {
            let replies = self.questions.ask(message, owner, via);
            let routed = Routed::one(mailbox, via.is_some(), message.bytes.clone());
            return Routed { replies, ..routed };
        }
        // The GET stream of a client that has just connected is on its way; a ping wants no client.
        let may_wait = self.era == Era::Legacy && !self.is_shared && message.method != "ping";
        if may_wait && self.questions.wait(message, now) {
            return Routed::default();
        }
        Routed { replies: questions::refusal(message).into_iter().collect(), ..Routed::default() }
    }

    /// Returns who is asked something, and on which call's stream.
    fn asking(&self) -> Option<(Owner, Arc<Mailbox>, Option<u64>)> {
        let mut calls = self.calls.iter().filter(|(_, call)| !call.is_subscription);
        let oldest = calls.next().filter(|_| !self.is_shared || calls.next().is_none());
        if let Some((number, call)) = oldest {
            return Some((call.owner, call.mailbox.clone(), Some(*number)));
        }
        let (id, link) =
            self.links.iter().find(|(_, link)| link.is_listening && !self.is_shared)?;
        Some((Owner::Link(*id), link.standalone.clone(), None))
    }

    /// Returns when [`Table::expire`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.questions.due()
    }

    /// Returns what to tell the child of questions that nobody has come to take.
    pub fn expire(&mut self, now: Instant) -> Vec<Bytes> {
        self.questions.expire(now)
    }

    fn route_notification(&mut self, message: &Message) -> Routed {
        if message.method == "notifications/progress" {
            let number =
                message.token.as_ref().and_then(|token| self.reported(message.text(token)));
            return match number.and_then(|number| self.calls.get(&number)) {
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

    /// Returns the call that a progress token belongs to.
    fn reported(&self, token: &str) -> Option<u64> {
        let known = self.by_token.get(&message::canonical(token)).copied();
        known.or_else(|| {
            let calls = self.calls.iter();
            let tokens =
                calls.filter_map(|(number, call)| Some((*number, &**call.wire_token.as_ref()?)));
            message::meant(tokens, token)
        })
    }

    /// Returns the subscription of this id, which a server may write as a text where it was a number.
    fn subscription(&self, id: &str) -> Option<&Call> {
        self.calls.get(&self.answered(Some(id))?)
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
        self.calls.is_empty() && !self.is_listened_to()
    }

    /// Returns whether a GET stream is open.
    pub fn is_listened_to(&self) -> bool {
        self.links.values().any(|link| link.is_listening)
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

/// What a child is told of a call whose stream nobody reads any more.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Its id at the child, if it was not answered.
    pub wire_id: Option<String>,
    /// Answers to what was asked on its stream.
    pub replies: Vec<Bytes>,
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

#[cfg(test)]
mod tests;

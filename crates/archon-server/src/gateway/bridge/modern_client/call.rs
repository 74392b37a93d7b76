//! A modern client's call at a legacy server. Where the server asks something on the way, the call is parked, and its
//! client told to call again with the answer (MCP 2026-07-28, Multi Round-Trip Requests).

use std::sync::Arc;
use std::time::Instant;

use archon_sessions::layer::{BoxError, CallFailed, Exchange, InnerRequest, codes};
use archon_sessions::protocol::{Envelope, Text};
use archon_sessions::session::Principal;
use archon_sessions::tracker::Proof;
use bytes::Bytes;
use http::StatusCode;

use super::link::{Inbox, Link, is_forgotten};
use super::links::{Lease, Leased};
use super::parked::{Lost, Owner, Waiting};
use super::to_legacy::{self, Wishes};
use super::{ModernClients, Shared, to_modern};
use crate::gateway::catalog::{ASK_LIMIT, Page};
use crate::gateway::wire::Answer;
use crate::gateway::wire::answer::{self, KEEP_ALIVE, failure, refused};
use crate::gateway::wire::incoming::{Incoming, Said};
use crate::gateway::wire::message::{Kind, Message};
use crate::gateway::wire::object::{Object, text};
use crate::gateway::wire::written::{self, Out};

/// A link is opened again so often for one request.
const REOPENS_MAX: usize = 3;
/// The key of a question: a legacy server asks one thing at a time.
const QUESTION: &str = "question";

/// A call at the upstream. Dropped before its end, it is cancelled there.
pub struct Flight {
    shared: Arc<Shared>,
    /// `None` once it is over.
    lease: Option<Lease>,
    /// Where its answer comes from, once it was sent.
    incoming: Option<Incoming>,
    /// What the server says to it on the GET stream; `None` while it is parked.
    inbox: Option<Inbox>,
    /// Its id, and progress token, at the upstream: JSON text.
    id: String,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.inbox = None;
        if let Some(lease) = self.lease.take() {
            self.shared.cancel_later(lease, self.id.clone(), self.incoming.take());
        }
    }
}

impl Flight {
    /// The upstream has answered, or will not.
    fn is_over(&mut self) {
        if let Some(incoming) = &mut self.incoming {
            incoming.finish();
        }
        (self.lease, self.inbox) = (None, None);
    }

    /// Returns what the server says next, on either stream. Nothing is lost when this is dropped before it is done.
    async fn next(&mut self) -> Result<Option<Message>, BoxError> {
        let Some(incoming) = &mut self.incoming else { return Ok(None) };
        let Some(inbox) = &mut self.inbox else { return incoming.next().await };
        tokio::select! {
            biased;
            // It never ends: its sender is with the link, for as long as the inbox lives.
            Some(message) = inbox.messages.recv() => Ok(Some(message)),
            next = incoming.next() => next,
        }
    }

    async fn tell(&mut self, message: String) -> Result<(), CallFailed> {
        match &self.lease {
            Some(lease) => lease.tell(&self.shared.plain, message).await,
            None => Ok(()),
        }
    }
}

/// A client's request, and the call that it is at the upstream.
struct Call {
    clients: ModernClients,
    flight: Flight,
    envelope: Envelope,
    /// What the client knows it by, as JSON text.
    id: Text,
    wishes: Wishes,
    owner: Owner,
}

/// What a message of the server's is to the call.
enum Step {
    /// Something for the client.
    News(Bytes),
    /// The call's answer, and its HTTP status.
    Answer(StatusCode, Bytes),
    /// Nothing that concerns the client.
    Nothing,
}

impl ModernClients {
    /// Passes a request on, and its answer back.
    pub(super) async fn pass(
        &self,
        request: InnerRequest,
        envelope: Envelope,
        id: Text,
    ) -> Result<Answer, CallFailed> {
        let wishes = Wishes::of(&envelope);
        let owner = owner_of(&request, &envelope);
        let flight = match &wishes.state {
            Some(state) => match self.go_on(state, &request, &wishes, &owner, &id).await? {
                Ok(flight) => flight,
                Err(answer) => return Ok(answer),
            },
            None => match self.send(&request, &envelope, &wishes).await? {
                Ok(flight) => flight,
                Err(answer) => return Ok(answer),
            },
        };
        Call { clients: self.clone(), flight, envelope, id, wishes, owner }.begin().await
    }

    /// Sends a call to the upstream, on a new link where the one it has is not known there any more: then it did not
    /// run. Returns the upstream's refusal where it has one.
    async fn send(
        &self,
        request: &InnerRequest,
        envelope: &Envelope,
        wishes: &Wishes,
    ) -> Result<Result<Flight, Answer>, CallFailed> {
        let shared = &self.shared;
        let mut forgotten = None;
        for _ in 0..REOPENS_MAX {
            let lease = match self.lease(request, envelope, forgotten.as_ref()).await? {
                Leased::Link(lease) => lease,
                Leased::Refused(answer) => return Ok(Err(*answer)),
            };
            self.check_mirrored(&lease, request, envelope).await?;
            if wishes.level.is_some() || can_be_asked(envelope) {
                shared.feed(lease.link()).await;
            }
            if let Some(level) = &wishes.level {
                // Without it the client misses messages, and not the answer.
                let _ = lease.set_level(&shared.plain, level).await;
            }
            let (link, wire_id) = (lease.link().clone(), lease.new_id());
            let mut flight = Flight {
                shared: shared.clone(),
                lease: Some(lease),
                incoming: None,
                inbox: Some(link.begin_call()),
                id: wire_id,
            };
            let body = to_legacy::body(envelope, &flight.id);
            let answered = shared.plain.call(link.request(request, body)).await;
            let answer = match answered {
                Ok(answer) => answer,
                Err(failed) => {
                    flight.is_over();
                    return Err(failed);
                }
            };
            let (is_forgotten, answer) = is_forgotten(answer).await;
            if is_forgotten {
                flight.is_over();
                forgotten = Some(link);
                continue;
            }
            return Ok(match Said::of(answer) {
                Said::Messages(incoming) => {
                    flight.incoming = Some(incoming);
                    Ok(flight)
                }
                Said::Refusal(answer) => {
                    flight.is_over();
                    Err(answer)
                }
            });
        }
        Err(CallFailed::unreachable(shared.plain.name()))
    }

    /// Checks the headers that mirror a call's arguments. Schemas are learned from the lists that pass by; before the
    /// first one, we ask for it.
    async fn check_mirrored(
        &self,
        link: &Link,
        request: &InnerRequest,
        envelope: &Envelope,
    ) -> Result<(), CallFailed> {
        let shared = &self.shared;
        if envelope.tool().is_none() {
            return Ok(());
        }
        let ask = |cursor: Option<String>| async move {
            let params = cursor.map(|cursor| format!(r#"{{"cursor":{cursor}}}"#));
            let params = params.as_deref().unwrap_or("{}");
            let page = link.ask(&shared.plain, "tools/list", params).await.ok()??;
            Page::read(&page.bytes)
        };
        shared.catalog.complete(ASK_LIMIT, ask).await;
        let params = envelope.params.as_deref().unwrap_or("{}");
        // MCP 2026-07-28, Transports: -32020 with 400.
        shared.catalog.check_mirrors(request.headers(), params).map_err(|wrong| CallFailed {
            status: StatusCode::BAD_REQUEST,
            ..failure(-32020, wrong)
        })
    }

    /// Goes on with a parked call: tells the upstream what its client said.
    async fn go_on(
        &self,
        state: &str,
        request: &InnerRequest,
        wishes: &Wishes,
        owner: &Owner,
        id: &str,
    ) -> Result<Result<Flight, Answer>, CallFailed> {
        let parked = &self.shared.parked;
        let waiting = match parked.take(state, owner, Instant::now()) {
            Ok(waiting) => waiting,
            Err(Lost::Invalid) => {
                let message = "`requestState` is not that of this call";
                return Ok(Err(refused(StatusCode::OK, Some(id), -32602, message)));
            }
            Err(Lost::Gone) => {
                let message = "the call that waited for this answer is gone: it took too long, or the \
                               gateway was restarted; it may have run, check before you call again";
                return Err(failure(codes::OUTCOME_UNKNOWN, message.to_owned()));
            }
        };
        let responses = wishes.responses.as_deref().and_then(Object::read).unwrap_or_default();
        let Some(response) = responses.get(QUESTION).filter(|json| Object::read(json).is_some())
        else {
            // Nothing that could be passed on: the question stands.
            let requests = waiting.requests.clone();
            return Ok(Err(match parked.park(waiting, owner.clone(), Instant::now()) {
                Ok(state) => {
                    let asks = to_modern::input_required(id, &requests, &state);
                    answer::json(StatusCode::OK, asks)
                }
                Err(_) => refused(StatusCode::OK, Some(id), codes::TOO_MANY, TOO_MANY),
            }));
        };
        let asked = &waiting.asked;
        let said = format!(r#"{{"jsonrpc":"2.0","id":{asked},"result":{response}}}"#);
        let mut flight = waiting.flight;
        if let Some(lease) = &flight.lease {
            lease.refresh(request);
            flight.inbox = Some(lease.link().begin_call());
        }
        if flight.tell(said).await.is_err() {
            flight.is_over();
            return Err(CallFailed::lost(self.shared.plain.name()));
        }
        Ok(Ok(flight))
    }
}

/// What a client is told whose call cannot be parked.
const TOO_MANY: &str =
    "the server asks something, and too many calls wait for answers already; try again later";

impl Call {
    /// Waits for the first message: some answers have a status of their own.
    async fn begin(mut self) -> Result<Answer, CallFailed> {
        loop {
            // Nothing is lost when the time is up: what was read of a message is kept.
            let message = match tokio::time::timeout(KEEP_ALIVE, self.flight.next()).await {
                Ok(Ok(Some(message))) => message,
                Ok(Ok(None) | Err(_)) => {
                    let name = self.clients.shared.plain.name();
                    let incoming = self.flight.incoming.as_ref();
                    let failed = incoming
                        .map_or_else(|| CallFailed::lost(name), |incoming| incoming.broken(name));
                    self.flight.is_over();
                    return Err(failed);
                }
                Err(_) => return Ok(written::stream(|out| self.run(None, out))),
            };
            match self.step(&message).await {
                Step::Nothing => {}
                Step::Answer(status, answer) => return Ok(answer::json(status, answer)),
                Step::News(news) => return Ok(written::stream(|out| self.run(Some(news), out))),
            }
        }
    }

    /// Writes what the server says, until it has answered or asked something.
    async fn run(mut self, first: Option<Bytes>, out: Out) -> Result<(), BoxError> {
        if let Some(first) = first {
            out.send(&first).await;
        }
        loop {
            let message = match self.flight.next().await {
                Ok(Some(message)) => message,
                Ok(None) => {
                    self.flight.is_over();
                    return Err("the upstream's stream ended before its answer".into());
                }
                Err(error) => {
                    self.flight.is_over();
                    return Err(error);
                }
            };
            match self.step(&message).await {
                Step::Nothing => {}
                Step::News(news) => out.send(&news).await,
                Step::Answer(_, answer) => {
                    out.send(&answer).await;
                    return Ok(());
                }
            }
        }
    }

    async fn step(&mut self, message: &Message) -> Step {
        match message.kind {
            Kind::Answer { .. } => {
                let lease = self.flight.lease.as_ref();
                let initialized = lease.map_or("", |lease| lease.initialized());
                let method = &self.envelope.method;
                let (status, answer) =
                    to_modern::answer(&message.bytes, &self.id, method, initialized);
                self.flight.is_over();
                Step::Answer(status, answer)
            }
            Kind::Notification => self.notified(message),
            Kind::Request => self.asked(message).await,
        }
    }

    fn notified(&self, message: &Message) -> Step {
        match message.method.as_str() {
            "notifications/progress" => {
                let is_ours = message.token.as_ref().map(|place| message.canonical(place))
                    == Some(self.flight.id.clone());
                match self.wishes.token.as_deref().filter(|_| is_ours) {
                    Some(token) => Step::News(message.with(&[(message.token.clone(), token)])),
                    None => Step::Nothing,
                }
            }
            // Who names no level wants none (MCP 2026-07-28, Logging).
            "notifications/message" if self.wishes.level.is_some() => {
                Step::News(message.bytes.clone())
            }
            "notifications/message" | "notifications/cancelled" => Step::Nothing,
            _ => {
                if let Some(lease) = &self.flight.lease {
                    lease.publish(message.bytes.clone());
                }
                Step::Nothing
            }
        }
    }

    /// Takes a request of the server's.
    async fn asked(&mut self, message: &Message) -> Step {
        let Some(id) = message.id.as_ref().map(|id| message.text(id).to_owned()) else {
            return Step::Nothing;
        };
        let reply = |said: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},{said}}}"#);
        let cannot = r#""error":{"code":-32601,"message":"the client cannot be asked this"}"#;
        if message.method == "ping" {
            let _ = self.flight.tell(reply(r#""result":{}"#)).await;
            return Step::Nothing;
        }
        let capability = to_modern::capability_for(&message.method);
        let Some(capability) = capability.filter(|_| to_modern::may_ask(&self.envelope.method))
        else {
            let _ = self.flight.tell(reply(cannot)).await;
            return Step::Nothing;
        };
        let declared = self.envelope.meta.client_capabilities.as_deref().and_then(Object::read);
        if declared.is_none_or(|declared| declared.get(capability).is_none()) {
            let _ = self.flight.tell(reply(cannot)).await;
            let (status, error) = to_modern::missing_capability(&self.id, capability);
            return Step::Answer(status, error);
        }
        self.park(message, id)
    }

    /// Holds the call until its client has answered.
    fn park(&mut self, message: &Message, asked: String) -> Step {
        let whole = std::str::from_utf8(&message.bytes).ok().and_then(Object::read);
        let params = whole.as_ref().and_then(|whole| whole.get("params"));
        let mut question = Object::default();
        question.set("method", text(&message.method));
        if let Some(params) = params {
            question.set("params", params);
        }
        let mut requests = Object::default();
        requests.add(QUESTION, question.to_string());
        let requests = requests.to_string();
        let flight = Flight {
            shared: self.flight.shared.clone(),
            lease: self.flight.lease.take(),
            incoming: self.flight.incoming.take(),
            inbox: None,
            id: self.flight.id.clone(),
        };
        self.flight.inbox = None;
        let waiting = Waiting { flight, asked, requests: requests.clone() };
        let parked = &self.clients.shared.parked;
        match parked.park(waiting, self.owner.clone(), Instant::now()) {
            Ok(state) => {
                let asks = to_modern::input_required(&self.id, &requests, &state);
                Step::Answer(StatusCode::OK, asks)
            }
            // Dropping it cancels it at the upstream.
            Err(_) => {
                let failed = failure(codes::TOO_MANY, TOO_MANY.to_owned());
                Step::Answer(StatusCode::OK, failed.message_for(Some(&self.id)).into())
            }
        }
    }
}

/// Returns whether a client declares that a server may ask it something.
fn can_be_asked(envelope: &Envelope) -> bool {
    let declared = envelope.meta.client_capabilities.as_deref().and_then(Object::read);
    let declares = |name| declared.as_ref().is_some_and(|declared| declared.get(name).is_some());
    to_modern::may_ask(&envelope.method)
        && ["elicitation", "sampling", "roots"].map(declares).contains(&true)
}

fn owner_of(request: &InnerRequest, envelope: &Envelope) -> Owner {
    let exchange = request.extensions().get::<Exchange>();
    let is_proven = exchange.and_then(|e| e.proof).is_some_and(|proof| match proof {
        Proof::Header | Proof::Connection | Proof::Cookie | Proof::ClientKey | Proof::Principal => {
            true
        }
        // A new session's client may not know it yet when it comes again.
        Proof::Fingerprint | Proof::New => false,
    });
    let presence = exchange.and_then(|exchange| exchange.presence.as_ref());
    Owner {
        principal: exchange.map_or(Principal::Anonymous, |exchange| exchange.principal.clone()),
        session: presence.filter(|_| is_proven).map(|presence| presence.id()),
        digest: to_legacy::digest(envelope),
    }
}

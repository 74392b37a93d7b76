//! A modern client's call at a legacy server. Where the server asks something on the way, the call is parked, and its
//! client told to call again with the answer (MCP 2026-07-28, Multi Round-Trip Requests).

use std::sync::Arc;
use std::time::Instant;

use archon_sessions::layer::{BoxError, CallFailed, Exchange, InnerRequest, codes};
use archon_sessions::protocol::{Envelope, Text};
use archon_sessions::session::Principal;
use archon_sessions::tracker::{Presence, Proof};
use bytes::Bytes;
use http::StatusCode;

use super::asked::{cannot_be_asked, reply, unasked};
use super::flight::{Flight, Next};
use super::link::Link;
use super::links::Leased;
use super::parked::{Lost, Owner, Waiting};
use super::to_legacy::{self, Wishes};
use super::{ModernClients, to_modern};
use crate::gateway::bridge::unanswered;
use crate::gateway::catalog::{ASK_LIMIT, Page};
use crate::gateway::wire::Answer;
use crate::gateway::wire::answer::{self, KEEP_ALIVE, failure, mismatch, refused};
use crate::gateway::wire::message::{Kind, Message};
use crate::gateway::wire::object::{Object, text};
use crate::gateway::wire::written::{self, Out};

/// A link is opened again so often for one request.
const REOPENS_MAX: usize = 3;
/// The key of a question: a legacy server asks one thing at a time.
const QUESTION: &str = "question";

/// A client's request, and the call that it is at the upstream.
struct Call {
    clients: ModernClients,
    request: InnerRequest,
    envelope: Envelope,
    /// What the client knows it by, as JSON text.
    id: Text,
    wishes: Wishes,
    owner: Owner,
    /// `None` before it is sent.
    flight: Option<Flight>,
    /// How often it was sent on a link that the upstream did not know, and the latest of those.
    reopened: usize,
    forgotten: Option<Arc<Link>>,
}

/// What a message of the server's is to the call.
enum Step {
    /// Something for the client.
    News(Bytes),
    /// The call's answer, and its HTTP status.
    Answer(StatusCode, Bytes),
    /// An answer that passes as it is.
    Refused(Box<Answer>),
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
        let (wishes, owner) = (Wishes::of(&envelope), owner_of(&request, &envelope));
        let (clients, flight, reopened, forgotten) = (self.clone(), None, 0, None);
        let call =
            Call { clients, request, envelope, id, wishes, owner, flight, reopened, forgotten };
        call.begin().await
    }

    /// Sends a call to the upstream; returns the upstream's refusal where it has one. `forgotten` is a link that the
    /// upstream does not know any more: then it did not run there.
    async fn send(
        &self,
        request: &InnerRequest,
        envelope: &Envelope,
        wishes: &Wishes,
        forgotten: Option<&Arc<Link>>,
    ) -> Result<Result<Flight, Answer>, CallFailed> {
        let shared = &self.shared;
        let lease = match self.lease(request, envelope, forgotten).await? {
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
        let body = |id: &str| to_legacy::body(envelope, id);
        Ok(Ok(Flight::send(shared.clone(), lease, request, body)))
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
        let Some(tool) = envelope.tool() else { return Ok(()) };
        let ask = |cursor: Option<String>| async move {
            let params = cursor.map(|cursor| format!(r#"{{"cursor":{cursor}}}"#));
            let params = params.as_deref().unwrap_or("{}");
            let page = link.ask(&shared.plain, "tools/list", params).await.ok()??;
            Page::read(&page.bytes)
        };
        shared.catalog.complete(ASK_LIMIT, ask).await;
        let params = envelope.params.as_deref().unwrap_or("{}");
        shared.catalog.check_mirrors(tool, request.headers(), params).map_err(mismatch)
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
                return Ok(Err(refused(StatusCode::OK, Some(id), codes::INVALID_PARAMS, message)));
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
        let said = reply(&waiting.asked, response);
        let mut flight = waiting.flight;
        flight.go_on(request);
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
    async fn begin(self) -> Result<Answer, CallFailed> {
        let mut first = Box::pin(async move {
            let mut call = self;
            let step = call.next().await;
            (call, step)
        });
        let Ok((call, step)) = tokio::time::timeout(KEEP_ALIVE, &mut first).await else {
            return Ok(written::stream(|out| async move {
                let (call, step) = first.await;
                call.run(step, out).await
            }));
        };
        match step? {
            Step::Answer(status, answer) => Ok(answer::json(status, answer)),
            Step::Refused(answer) => Ok(*answer),
            step @ (Step::News(_) | Step::Nothing) => {
                Ok(written::stream(|out| call.run(Ok(step), out)))
            }
        }
    }

    /// Writes what the server says, from this step on, until it has answered or asked something.
    async fn run(mut self, first: Result<Step, CallFailed>, out: Out) -> Result<(), BoxError> {
        let mut step = first;
        loop {
            match step {
                Ok(Step::Nothing) => {}
                Ok(Step::News(news)) => out.send(&news).await,
                Ok(Step::Answer(_, answer)) => {
                    out.send(&answer).await;
                    return Ok(());
                }
                Ok(Step::Refused(answer)) => {
                    let failed = unanswered(&answer).message_for(Some(&self.id));
                    out.send(failed.as_bytes()).await;
                    return Ok(());
                }
                // The layer knows what to do with a stream that breaks off.
                Err(failed) if failed.code == codes::OUTCOME_UNKNOWN => {
                    return Err(failed.message.into());
                }
                Err(failed) => {
                    out.send(failed.message_for(Some(&self.id)).as_bytes()).await;
                    return Ok(());
                }
            }
            step = self.next().await;
        }
    }

    /// Sends the call, if it was not, and waits for what concerns the client next.
    async fn next(&mut self) -> Result<Step, CallFailed> {
        loop {
            let Some(flight) = &mut self.flight else {
                let Self { clients, request, envelope, id, wishes, owner, forgotten, .. } = self;
                let sent = match &wishes.state {
                    Some(state) => clients.go_on(state, request, wishes, owner, id).await,
                    None => clients.send(request, envelope, wishes, forgotten.as_ref()).await,
                };
                match sent? {
                    Ok(flight) => self.flight = Some(flight),
                    Err(answer) => return Ok(Step::Refused(Box::new(answer))),
                }
                continue;
            };
            let next = flight.next().await;
            if !matches!(next, Next::Message(_)) {
                self.forgotten = flight.link().cloned();
                flight.is_over();
            }
            match next {
                Next::Message(message) => match self.step(&message).await {
                    Step::Nothing => {}
                    step => return Ok(step),
                },
                Next::Forgotten if self.reopened < REOPENS_MAX => {
                    self.reopened += 1;
                    self.flight = None;
                }
                Next::Forgotten => {
                    return Err(CallFailed::unreachable(self.clients.shared.plain.name()));
                }
                Next::Refused(answer) => return Ok(Step::Refused(Box::new(answer))),
                Next::Failed(failed) => return Err(failed),
            }
        }
    }

    async fn step(&mut self, message: &Message) -> Step {
        match message.kind {
            Kind::Answer { .. } => {
                let link = self.flight.as_ref().and_then(Flight::link);
                let initialized = link.map_or("", |link| link.initialized());
                let (status, answer) =
                    to_modern::answer(&message.bytes, &self.id, &self.envelope.method, initialized);
                if let Some(flight) = &mut self.flight {
                    flight.is_over();
                }
                Step::Answer(status, answer)
            }
            Kind::Notification => self.notified(message),
            Kind::Request => self.asked(message).await,
        }
    }

    fn notified(&self, message: &Message) -> Step {
        match message.method.as_str() {
            "notifications/progress" => {
                let token = message.token.as_ref().map(|place| message.canonical(place));
                let is_ours = token.as_deref() == self.flight.as_ref().map(Flight::id);
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
                if let Some(link) = self.flight.as_ref().and_then(Flight::link) {
                    link.publish(message.bytes.clone());
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
        let capability = to_modern::capability_for(&message.method);
        let capability = capability.filter(|_| to_modern::may_ask(&self.envelope.method));
        let declared = self.envelope.meta.client_capabilities.as_deref().and_then(Object::read);
        let is_declared =
            |name| declared.as_ref().is_some_and(|declared| declared.get(name).is_some());
        if capability.is_some_and(is_declared) {
            return self.park(message, id);
        }
        let said = match capability {
            Some(_) => Some(cannot_be_asked(&id, "the client cannot be asked this")),
            None => unasked(message),
        };
        if let (Some(flight), Some(said)) = (&mut self.flight, said) {
            let _ = flight.tell(said).await;
        }
        match capability {
            Some(capability) => {
                let (status, error) = to_modern::missing_capability(&self.id, capability);
                Step::Answer(status, error)
            }
            None => Step::Nothing,
        }
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
        let Some(mut flight) = self.flight.take() else { return Step::Nothing };
        flight.pause();
        let stay = presence_of(&self.request).map(Presence::stay);
        let waiting = Waiting { flight, asked, requests: requests.clone(), _stay: stay };
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

fn presence_of(request: &InnerRequest) -> Option<&Arc<Presence>> {
    request.extensions().get::<Exchange>()?.presence.as_ref()
}

fn owner_of(request: &InnerRequest, envelope: &Envelope) -> Owner {
    let exchange = request.extensions().get::<Exchange>();
    // A new session's client may not know it yet when it comes again.
    let is_proven = exchange.and_then(|exchange| exchange.proof).is_some_and(Proof::is_lasting);
    let presence = presence_of(request).filter(|_| is_proven);
    Owner {
        principal: exchange.map_or(Principal::Anonymous, |exchange| exchange.principal.clone()),
        session: presence.map(|presence| presence.id()),
        continues: presence.and_then(|presence| presence.continues_from()),
        digest: to_legacy::digest(envelope),
    }
}

//! A legacy client's call at a modern server. What the server wants to know on the way is asked on the call's own
//! stream, and the call is repeated with the answers (MCP 2026-07-28, Multi Round-Trip Requests).

use std::sync::Arc;
use std::time::Duration;

use archon_sessions::layer::{BoxError, CallFailed, InnerRequest, codes};
use archon_sessions::protocol::{Envelope, Text};
use bytes::Bytes;

use super::connection::{Connection, Reply, Running};
use super::to_legacy::{self, Answered, Asked};
use super::to_modern::{self, Round};
use super::{LegacyClients, json};
use crate::gateway::catalog::{ASK_LIMIT, Page};
use crate::gateway::wire::Answer;
use crate::gateway::wire::answer::{KEEP_ALIVE, failure};
use crate::gateway::wire::incoming::{Incoming, Said};
use crate::gateway::wire::message::Message;
use crate::gateway::wire::object::{Object, text};
use crate::gateway::wire::written::{self, Out};

/// Rounds of questions in one call; more than any dialogue has.
const ROUNDS_MAX: u32 = 32;
/// A server that only wants to be asked again is not asked at once.
const PAUSE: Duration = Duration::from_millis(250);

impl LegacyClients {
    /// Passes a request on, and its answer back.
    pub(super) async fn pass(
        &self,
        connection: Arc<Connection>,
        request: InnerRequest,
        envelope: Envelope,
    ) -> Result<Answer, CallFailed> {
        let Some(id) = envelope.request_id().cloned() else {
            return Err(failure(-32600, "a call has an id".to_owned()));
        };
        if envelope.tool().is_some() {
            self.list_tools(&connection, &request).await;
        }
        let running = connection.begin(&id);
        let clients = self.clone();
        Call { clients, connection, request, envelope, id, running, rounds: 0 }.begin().await
    }

    /// Learns what the server's tools want of headers, unless that is known.
    async fn list_tools(&self, connection: &Connection, like: &InnerRequest) {
        let ask = |cursor: Option<String>| async move {
            let body = to_modern::list_tools(&connection.meta, cursor.as_deref());
            let page = to_modern::request(like, "tools/list", None, body);
            let Said::Messages(mut page) = Said::of(self.plain.call(page).await.ok()?) else {
                return None;
            };
            let answer = page.answer(self.plain.name()).await.ok()?;
            page.finish();
            Page::read(&answer.bytes)
        };
        self.catalog.complete(ASK_LIMIT, ask).await;
    }
}

struct Call {
    clients: LegacyClients,
    connection: Arc<Connection>,
    request: InnerRequest,
    envelope: Envelope,
    id: Text,
    running: Running,
    rounds: u32,
}

/// What a message of the server's is to the call.
enum Step {
    News(Bytes),
    Answer(Bytes),
    Asks(Asked),
}

impl Call {
    /// Waits for the first message: an answer that comes alone is no stream.
    async fn begin(self) -> Result<Answer, CallFailed> {
        let mut is_relearned = false;
        let cancelled = self.running.cancelled.clone();
        loop {
            let said = async {
                match self.send(&Round::default()).await? {
                    Said::Messages(mut incoming) => {
                        let first = tokio::time::timeout(KEEP_ALIVE, incoming.next()).await;
                        Ok::<_, CallFailed>((Said::Messages(incoming), Some(first)))
                    }
                    refusal => Ok((refusal, None)),
                }
            };
            // When the client cancels it wants no answer; dropping the request cancels it at the server.
            let (mut incoming, first) = tokio::select! {
                said = said => match said? {
                    (Said::Messages(incoming), Some(first)) => (incoming, first),
                    (Said::Messages(incoming), None) => {
                        return Err(incoming.broken(self.clients.plain.name()));
                    }
                    (Said::Refusal(answer), _) => return Ok(answer),
                },
                () = cancelled.cancelled() => return Ok(json(self.cancelled())),
            };
            let message = match first {
                Ok(Ok(Some(message))) => message,
                Ok(Ok(None) | Err(_)) => return Err(incoming.broken(self.clients.plain.name())),
                Err(_) => return Ok(written::stream(|out| self.run(incoming, None, out))),
            };
            if message.method.is_empty() {
                match to_legacy::answered(&message.bytes, &self.id, &self.envelope.method) {
                    Answered::Mismatch if !is_relearned => {
                        is_relearned = true;
                        self.clients.catalog.forget();
                        self.clients.list_tools(&self.connection, &self.request).await;
                        continue;
                    }
                    Answered::Stranger => return Ok(self.clients.forget(&self.connection)),
                    Answered::Whole(answer) => {
                        incoming.finish();
                        return Ok(json(answer));
                    }
                    Answered::Asks(_) | Answered::Mismatch => {}
                }
            }
            return Ok(written::stream(|out| self.run(incoming, Some(message), out)));
        }
    }

    /// Writes what the server says, until it has answered.
    async fn run(
        mut self,
        mut incoming: Incoming,
        first: Option<Message>,
        out: Out,
    ) -> Result<(), BoxError> {
        let cancelled = self.running.cancelled.clone();
        let mut first = first;
        loop {
            let message = match first.take() {
                Some(message) => message,
                // Nothing is lost when the client cancels: it wants no answer.
                None => tokio::select! {
                    next = incoming.next() => match next? {
                        Some(message) => message,
                        None => return Err("the upstream's stream ended before its answer".into()),
                    },
                    () = cancelled.cancelled() => {
                        out.send(&self.cancelled()).await;
                        return Ok(());
                    }
                },
            };
            let asked = match self.step(&message) {
                Step::News(news) => {
                    out.send(&news).await;
                    continue;
                }
                Step::Answer(answer) => {
                    incoming.finish();
                    out.send(&answer).await;
                    return Ok(());
                }
                Step::Asks(asked) => asked,
            };
            incoming.finish();
            let next = tokio::select! {
                next = self.next_round(asked, &out) => next,
                () = cancelled.cancelled() => Err(self.cancelled()),
            };
            match next {
                Ok(next) => incoming = next,
                Err(answer) => {
                    out.send(&answer).await;
                    return Ok(());
                }
            }
        }
    }

    fn step(&self, message: &Message) -> Step {
        if !message.method.is_empty() {
            return Step::News(to_legacy::news(&message.bytes));
        }
        match to_legacy::answered(&message.bytes, &self.id, &self.envelope.method) {
            Answered::Whole(answer) => Step::Answer(answer),
            Answered::Asks(asked) => Step::Asks(asked),
            Answered::Mismatch | Answered::Stranger => {
                Step::Answer(to_legacy::error(&message.bytes, &self.id, &self.envelope.method))
            }
        }
    }

    /// Asks the client, and repeats the call with what it said; the answer to the call if that is not possible.
    async fn next_round(&mut self, asked: Asked, out: &Out) -> Result<Incoming, Bytes> {
        self.rounds += 1;
        if self.rounds > ROUNDS_MAX {
            let message = format!("the server asked more than {ROUNDS_MAX} times");
            return Err(to_legacy::failed(&self.id, -32603, &message));
        }
        if asked.questions.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
        let responses = self.ask(&asked, out).await?;
        let round = Round { responses, state: asked.state };
        match self.send(&round).await {
            Ok(Said::Messages(incoming)) => Ok(incoming),
            Ok(Said::Refusal(answer)) => {
                let message = format!("the upstream answered {}", answer.status());
                Err(to_legacy::failed(&self.id, codes::UPSTREAM_UNREACHABLE, &message))
            }
            Err(failed) => Err(failed.message_for(Some(&self.id)).into()),
        }
    }

    /// Asks the client on the call's stream; returns its answers by the questions' keys.
    async fn ask(&self, asked: &Asked, out: &Out) -> Result<Option<String>, Bytes> {
        let mut open = Vec::new();
        for (key, question) in &asked.questions {
            let Some((asking, reply)) = self.connection.ask() else {
                let message = "too many questions wait for their answers on this connection";
                return Err(to_legacy::failed(&self.id, codes::TOO_MANY, message));
            };
            let mut request = Object::default();
            request.set("jsonrpc", "\"2.0\"");
            request.set("id", text(&asking.id));
            request.set("method", text(&question.method));
            if let Some(params) = &question.params {
                request.set("params", params.as_str());
            }
            out.send(request.to_string().as_bytes()).await;
            open.push((key, asking, reply));
        }
        let mut responses = Object::default();
        for (key, _asking, reply) in open {
            match reply.await {
                Ok(Reply::Result(result)) => responses.add(key.as_str(), result),
                Ok(Reply::Error(error)) => {
                    let id = &*self.id;
                    let error = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#);
                    return Err(error.into());
                }
                Err(_) => {
                    let message = "a question was given up before it was answered";
                    return Err(to_legacy::failed(&self.id, -32603, message));
                }
            }
        }
        Ok((!responses.is_empty()).then(|| responses.to_string()))
    }

    async fn send(&self, round: &Round) -> Result<Said, CallFailed> {
        // Each round is a call of its own (MCP 2026-07-28, Multi Round-Trip Requests): with a new id.
        let id = match self.rounds {
            0 => self.id.to_string(),
            rounds => format!("\"archon-round-{rounds}\""),
        };
        let (connection, envelope) = (&self.connection, &self.envelope);
        let level = connection.level();
        let body = to_modern::body(envelope, &id, &connection.meta, Some(&level), round);
        let target = envelope.target.as_deref();
        let mut request = to_modern::request(&self.request, &envelope.method, target, body);
        if envelope.tool().is_some() {
            let params = envelope.params.as_deref().unwrap_or("{}");
            request.headers_mut().extend(self.clients.catalog.mirroring(params));
        }
        Ok(Said::of(self.clients.plain.call(request).await?))
    }

    fn cancelled(&self) -> Bytes {
        to_legacy::failed(&self.id, -32603, "the call was cancelled by its client")
    }
}

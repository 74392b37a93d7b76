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
use crate::gateway::bridge::unanswered;
use crate::gateway::catalog::{ASK_LIMIT, Page};
use crate::gateway::wire::Answer;
use crate::gateway::wire::answer::failure;
use crate::gateway::wire::incoming::{Incoming, Said};
use crate::gateway::wire::message::{Kind, Message};
use crate::gateway::wire::object::{Object, text};
use crate::gateway::wire::written::{self, Out};

/// Rounds of questions in one call; more than any dialogue has.
const ROUNDS_MAX: u32 = 32;
/// An answer that has not begun by then is a stream: most calls are answered within it, and few that take longer by much.
const STREAM_AFTER: Duration = Duration::from_millis(500);
/// A server that only wants to be asked again is not asked at once.
const PAUSE: Duration = Duration::from_millis(250);

/// The layer ends a call that its client has taken back, as soon as it has told us; it is not ours to end before.
const TAKEN_BACK_WITHIN: Duration = Duration::from_secs(5);

impl LegacyClients {
    /// Passes a request on, and its answer back.
    pub(super) async fn pass(
        &self,
        connection: Arc<Connection>,
        request: InnerRequest,
        envelope: Envelope,
    ) -> Result<Answer, CallFailed> {
        let Some(id) = envelope.request_id().cloned() else {
            return Err(failure(codes::INVALID_REQUEST, "a call has an id".to_owned()));
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
    /// Nothing that concerns the client.
    Nothing,
    News(Bytes),
    Answer(Bytes),
    Asks(Asked),
}

/// How an upstream's answer begins.
enum First {
    /// With a message of the protocol's.
    Message(Box<(Incoming, Message)>),
    /// It is not one, and passes as it is.
    Refused(Box<Answer>),
}

impl Call {
    /// Waits a moment for the first message: an answer that comes at once is no stream. One that does not is a stream
    /// from then on, so that a client that loses its connection can come back to it.
    async fn begin(self) -> Result<Answer, CallFailed> {
        let cancelled = self.running.cancelled.clone();
        let mut first = Box::pin(async move {
            let first = self.first().await;
            (self, first)
        });
        let (call, first) = tokio::select! {
            first = &mut first => first,
            () = cancelled.cancelled() => {
                // That cancels it at the server.
                drop(first);
                let _ = unanswered_for_good().await;
                return Ok(written::stream(async |_| Ok(())));
            }
            () = tokio::time::sleep(STREAM_AFTER) => {
                return Ok(written::stream(|out| async move {
                    let (call, first) = tokio::select! {
                        first = &mut first => first,
                        () = cancelled.cancelled() => {
                            drop(first);
                            return unanswered_for_good().await;
                        }
                    };
                    call.run_from(first, out).await
                }));
            }
        };
        let (mut incoming, message) = match first? {
            First::Message(said) => *said,
            First::Refused(answer) => return Ok(*answer),
        };
        if message.method.is_empty() {
            match to_legacy::answered(&message.bytes, &call.id, &call.envelope.method) {
                Answered::Stranger => return Ok(call.clients.forget(&call.connection)),
                Answered::Whole(answer) => {
                    incoming.finish();
                    return Ok(json(answer));
                }
                Answered::Asks(_) | Answered::Mismatch => {}
            }
        }
        Ok(written::stream(|out| call.run(incoming, Some(message), out)))
    }

    /// Sends the call and waits for the first message; once more where headers did not mirror what the server's tools
    /// want now, since then it did not run.
    async fn first(&self) -> Result<First, CallFailed> {
        let mut is_relearned = false;
        loop {
            let mut incoming = match self.send(&Round::default()).await? {
                Said::Messages(incoming) => incoming,
                Said::Refusal(answer) => return Ok(First::Refused(Box::new(answer))),
            };
            let Ok(Some(message)) = incoming.next().await else {
                return Err(incoming.broken(self.clients.plain.name()));
            };
            let is_mismatch = message.method.is_empty()
                && to_legacy::answered(&message.bytes, &self.id, &self.envelope.method)
                    == Answered::Mismatch;
            if !is_mismatch || std::mem::replace(&mut is_relearned, true) {
                return Ok(First::Message(Box::new((incoming, message))));
            }
            self.clients.catalog.forget();
            self.clients.list_tools(&self.connection, &self.request).await;
        }
    }

    /// Writes what the server says on a stream that has begun.
    async fn run_from(self, first: Result<First, CallFailed>, out: Out) -> Result<(), BoxError> {
        let failed = match first {
            Ok(First::Message(said)) => {
                let (incoming, message) = *said;
                return self.run(incoming, Some(message), out).await;
            }
            Ok(First::Refused(answer)) => unanswered(&answer),
            // The layer knows what to do with a stream that breaks off.
            Err(failed) if failed.code == codes::OUTCOME_UNKNOWN => {
                return Err(failed.message.into());
            }
            Err(failed) => failed,
        };
        out.send(failed.message_for(Some(&self.id)).as_bytes()).await;
        Ok(())
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
                        drop(incoming);
                        return unanswered_for_good().await;
                    }
                },
            };
            let asked = match self.step(&message) {
                Step::Nothing => continue,
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
                () = cancelled.cancelled() => return unanswered_for_good().await,
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
        match message.kind {
            Kind::Notification => return Step::News(to_legacy::news(&message.bytes)),
            // A server of the modern era asks nothing in this way, and could not be answered.
            Kind::Request => return Step::Nothing,
            Kind::Answer { .. } => {}
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
            return Err(to_legacy::failed(&self.id, codes::INTERNAL_ERROR, &message));
        }
        if asked.questions.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
        let responses = self.ask(&asked, out).await?;
        let round = Round { responses, state: asked.state };
        match self.send(&round).await {
            Ok(Said::Messages(incoming)) => Ok(incoming),
            Ok(Said::Refusal(answer)) => {
                Err(unanswered(&answer).message_for(Some(&self.id)).into())
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
                    return Err(to_legacy::failed(&self.id, codes::INTERNAL_ERROR, message));
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
        if let Some(tool) = envelope.tool() {
            let params = envelope.params.as_deref().unwrap_or("{}");
            request.headers_mut().extend(self.clients.catalog.mirroring(tool, params));
        }
        Ok(Said::of(self.clients.plain.call(request).await?))
    }
}

/// A client that cancels wants no answer (MCP 2025-11-25, Cancellation).
async fn unanswered_for_good() -> Result<(), BoxError> {
    tokio::time::sleep(TAKEN_BACK_WITHIN).await;
    Ok(())
}

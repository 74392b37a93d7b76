//! Legacy requests: on a connection, found by its handle.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};

use super::body::{InFlight, Logged, Nature, Observer, SessionBody, Watch};
use super::cancel::no_answer;
use super::early::Said;
use super::exchange::{Rebound, Repeatable};
use super::modern::{caller, end_all, inner_request};
use super::renew::{self, CallOrigin, opens_stream};
use super::restore::Answered;
use super::{
    Answer, CallFailed, Exchange, Flow, Inner, InnerRequest, Session, Shared, refused, reject,
};
use crate::protocol::names::{
    MCP_PROTOCOL_VERSION, MCP_SESSION_ID, TRACEPARENT, X_ARCHON_SESSION_ID,
};
use crate::protocol::trace_context::TraceParent;
use crate::protocol::{Envelope, Message, Presented, legacy};
use crate::session::Era;
use crate::tracker::{Admission, Arrival, Call, LiveConnection, Purpose};

/// The client's own DELETE waits no longer than this for the upstream's.
const DELETE_LIMIT: std::time::Duration = std::time::Duration::from_secs(5);

/// What was sent to the inner service, and what waits for its answer.
pub(super) struct Sent {
    pub(super) request: InnerRequest,
    pub(super) calls: Vec<Call>,
    pub(super) in_flight: InFlight,
}

impl<S: Inner> Flow<S> {
    /// Takes a POST of either era: what it says is decided here, once.
    pub(super) async fn post(self, parts: Parts, body: Bytes) -> Answer<S> {
        let arrival = self.shared.arrival(&parts);
        let (body, message) = match Message::read(body) {
            Ok((body, message)) => (body, Arc::new(message)),
            Err(refused) => return reject::envelope(&refused),
        };
        let mut answer = match era_of(&parts, &message) {
            Era::Modern => self.modern(parts, body, message.clone(), arrival).await,
            Era::Legacy if message.envelopes().iter().any(is_initialize) => match &*message {
                Message::Single(envelope) => {
                    self.initialize(parts, body, envelope.clone(), arrival).await
                }
                Message::Batch(_) => reject::batch(),
            },
            Era::Legacy => self.legacy(parts, body, message.clone(), arrival).await,
        };
        refused::name_client(&mut answer, &message);
        answer
    }

    async fn legacy(
        mut self,
        parts: Parts,
        body: Bytes,
        message: Arc<Message>,
        arrival: Arrival,
    ) -> Answer<S> {
        let id = message.envelopes().iter().find_map(Envelope::request_id).map(|id| &**id);
        let (admission, _) = match self.shared.admit(&parts, id).await {
            Ok(admitted) => admitted,
            Err(refused) => return refused,
        };
        let tracker = self.shared.tracker.clone();
        let version = admission.connection.as_ref().map(|c| c.protocol_version());
        if matches!(*message, Message::Batch(_)) && version != Some(legacy::BATCH_VERSION) {
            return reject::batch();
        }
        let mut calls = Vec::with_capacity(1);
        for envelope in message.envelopes().iter().filter(|e| e.request_id().is_some()) {
            let upstream = &self.shared.upstream;
            match tracker.begin(&admission, envelope, upstream, body.len(), arrival) {
                Some(call) => calls.push(call),
                None => return reject::too_many(id, "calls at once in this session"),
            }
        }
        if let Some(connection) = &admission.connection {
            message.envelopes().iter().for_each(|one| tracker.note_setup(connection, one));
        }
        // From here on the client's leaving does not cancel what it asked for.
        self.must_finish.store(true, std::sync::atomic::Ordering::Relaxed);
        if let Message::Single(envelope) = &*message
            && tracker.was_interrupted(&admission, envelope)
        {
            return failed(id, calls, &CallFailed::interrupted(), &admission).await;
        }
        if let Some(durable) = tracker.strict_barrier().filter(|_| !calls.is_empty()) {
            durable.wait().await;
        }
        let connection = admission.connection.clone();
        let (in_flight, sent, body) = InFlight::enter(connection.as_ref(), message.clone(), body);
        let exchange = Exchange { message: Some(sent), ..exchange_of(&admission) };
        let session = Session::of(&tracker, &admission.presence, &calls);
        let request = inner_request(parts, body, exchange, Some(session));
        let cancelled: Vec<String> =
            message.envelopes().iter().filter_map(Envelope::cancelled_id).collect();
        let said = match &connection {
            Some(connection) if calls.is_empty() && !cancelled.is_empty() => {
                Said::Now(self.take_back(&cancelled, &request, connection).await)
            }
            Some(_) | None => self.ask(&request, connection.as_ref(), &calls).await,
        };
        let sent = Sent { request, calls, in_flight };
        match said {
            Said::Now(Ok(answered)) => self.answer(answered, sent, admission).await,
            Said::Now(Err(error)) => failed(id, sent.calls, &error, &admission).await,
            Said::Later(awaited) => self.answer_later(awaited, sent, admission).await,
            Said::Never => label(no_answer(sent.calls, self.accepts), &admission),
        }
    }

    /// Takes a DELETE: the client ends its connection.
    pub(super) async fn legacy_delete(mut self, parts: Parts) -> Answer<S> {
        let (admission, arrival) = match self.shared.admit(&parts, None).await {
            Ok(admitted) => admitted,
            Err(refused) => return refused,
        };
        self.must_finish.store(true, std::sync::atomic::Ordering::Relaxed);
        let durable = self.shared.tracker.close(&admission, arrival.at);
        let connection = admission.connection.as_ref();
        if let Some((connection, link)) = connection.and_then(|c| Some((c, c.link()?))) {
            let session = Session::of(&self.shared.tracker, &admission.presence, &[]);
            let exchange = exchange_of(&admission);
            let mut request = inner_request(parts, Bytes::new(), exchange, Some(session));
            request.headers_mut().insert(MCP_SESSION_ID, link);
            request.extensions_mut().insert(connection.affinity());
            // The connection has ended whatever the upstream says to it.
            let _ = tokio::time::timeout(DELETE_LIMIT, self.call_inner(request)).await;
        }
        if let Some(durable) = durable {
            durable.wait().await;
        }
        let mut response = Response::new(SessionBody::ours(Bytes::new()));
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().insert(X_ARCHON_SESSION_ID, admission.presence.header().clone());
        response
    }

    /// Calls the inner service, again where the call may be sent again.
    pub(super) async fn call_repeatably(
        &mut self,
        request: &InnerRequest,
        connection: Option<&Arc<LiveConnection>>,
    ) -> Result<Answered<S::Answer>, CallFailed> {
        match self.call_connected(request, connection).await {
            Err(failed) if failed.is_repeatable => {
                renew::repeat(self.clone(), request, connection).await
            }
            answered => answered,
        }
    }

    /// Calls the inner service in the name of a link, if the connection has one, and with what goes with that.
    pub(super) async fn call_linked(
        &mut self,
        request: &InnerRequest,
        connection: &Arc<LiveConnection>,
        link: Option<&HeaderValue>,
    ) -> Result<Response<S::Answer>, CallFailed> {
        let mut request = request.clone();
        if let Some(link) = link {
            request.headers_mut().insert(MCP_SESSION_ID, link.clone());
        }
        request.extensions_mut().insert(connection.affinity());
        let answered = self.call_inner(request).await;
        self.shared.tracker.keep_affinity(connection);
        answered
    }

    /// Makes the answer of the inner service the client's.
    async fn answer(
        self,
        answered: Answered<S::Answer>,
        sent: Sent,
        admission: Admission,
    ) -> Answer<S> {
        let Sent { request, calls, in_flight } = sent;
        if let Some(durable) = &admission.durable {
            durable.clone().wait().await;
        }
        let Answered { response, read_ahead } = answered;
        let (mut parts, body) = response.into_parts();
        let admission = Rebound::apply(&mut parts.extensions, admission);
        let limit = self.shared.call_timeout();
        if calls.is_empty() {
            let body = SessionBody::theirs(body, read_ahead, None, None, limit);
            return label(Response::from_parts(parts, body), &admission);
        }
        let tracker = self.shared.tracker.clone();
        let upstream = self.shared.upstream.clone();
        let is_stream = opens_stream(parts.status, &parts.headers);
        let connection = admission.connection.clone().filter(|_| is_stream);
        let logged = connection.as_ref().map(|c| Logged::open(&tracker, c, purpose(&calls)));
        if logged.is_some() || in_flight.is_renamed() {
            parts.headers.remove(CONTENT_LENGTH);
        }
        let renew = is_stream.then(|| {
            let is_repeatable = parts.extensions.get::<Repeatable>().is_some();
            let origin = CallOrigin::new(self, request, connection, is_repeatable);
            Box::new(origin) as Box<_>
        });
        let watch = Watch {
            tracker,
            era: Era::Legacy,
            upstream,
            calls,
            logged,
            place: None,
            nature: Nature::Calls,
            in_flight,
            status: parts.status,
            observer: Observer::new(&parts.headers),
        };
        let body = SessionBody::theirs(body, read_ahead, Some(watch), renew, limit);
        label(Response::from_parts(parts, body), &admission)
    }
}

impl Shared {
    /// Returns the arrival of a request.
    fn arrival(&self, parts: &Parts) -> Arrival {
        let arrival = Arrival::now();
        if !self.tracker.is_traced() {
            return arrival;
        }
        let parent = parts.headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
        Arrival { http_parent: parent.and_then(TraceParent::parse), ..arrival }
    }

    /// Finds the place of a legacy request, or answers that it has none.
    pub(super) async fn admit<B>(
        &self,
        parts: &Parts,
        id: Option<&str>,
    ) -> Result<(Admission, Arrival), Response<SessionBody<B>>> {
        if parts.method != Method::POST && is_modern(parts) {
            return Err(reject::method_not_allowed("POST"));
        }
        let (presented, caller, arrival) =
            (Presented::read(&parts.headers), caller(parts), Arrival::now());
        let now = arrival.at;
        match self.tracker.admit_legacy(&presented, &self.upstream, &caller, now).await {
            Ok(admission) => Ok((admission, arrival)),
            Err(refusal) => Err(reject::admission(id, refusal)),
        }
    }
}

/// Answers in the inner service's place.
async fn failed<B>(
    id: Option<&str>,
    calls: Vec<Call>,
    failed: &CallFailed,
    admission: &Admission,
) -> Response<SessionBody<B>> {
    if let Some(durable) = &admission.durable {
        durable.clone().wait().await;
    }
    end_all(calls, failed).await;
    label(reject::failure(id, failed), admission)
}

/// Returns what a stream with these calls is for.
pub(super) fn purpose(calls: &[Call]) -> Purpose {
    match calls {
        [call] => Purpose::Request(call.id().into()),
        _ => Purpose::Batch,
    }
}

/// Says on an answer whose it is.
pub(super) fn label<B>(
    mut response: Response<SessionBody<B>>,
    admission: &Admission,
) -> Response<SessionBody<B>> {
    let headers = response.headers_mut();
    headers.insert(X_ARCHON_SESSION_ID, admission.presence.header().clone());
    if let Some(connection) = &admission.connection {
        headers.insert(MCP_SESSION_ID, connection.header().clone());
    }
    response
}

pub(super) fn exchange_of(admission: &Admission) -> Exchange {
    Exchange {
        era: Era::Legacy,
        message: None,
        presence: Some(admission.presence.clone()),
        proof: Some(admission.proof),
        connection: admission.connection.clone(),
        principal: admission.presence.principal().clone(),
    }
}

fn is_initialize(envelope: &Envelope) -> bool {
    &*envelope.method == "initialize"
}

/// Modern requests say so in `_meta`; one that should and does not still says so in its header.
fn era_of(parts: &Parts, message: &Message) -> Era {
    let described = message.envelopes().iter().any(|e| e.meta.protocol_version.is_some());
    if described || is_modern(parts) { Era::Modern } else { Era::Legacy }
}

fn is_modern(parts: &Parts) -> bool {
    let version = parts.headers.get(MCP_PROTOCOL_VERSION).and_then(|value| value.to_str().ok());
    version.is_some_and(|version| Era::of_version(version.trim()) == Era::Modern)
}

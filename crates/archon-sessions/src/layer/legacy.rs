//! Legacy requests: on a connection, found by its handle.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{Response, StatusCode};

use super::answer::{end_all, label, opens_stream};
use super::body::{AnswerFinder, InFlight, Logged, Nature, SessionBody, Watch};
use super::cancel::no_answer;
use super::current::CurrentSession;
use super::early::Said;
use super::elsewhere::MayHaveRun;
use super::exchange::{Exchange, Rebound, Repeatable};
use super::failure::CallFailed;
use super::flow::{Answer, Flow, InnerService};
use super::reject;
use super::renew::CallOrigin;
use super::request::{Sent, exchange_of, inner_request, is_modern};
use super::restore::Answered;
use crate::protocol::names::{MCP_SESSION_ID, X_ARCHON_SESSION_ID};
use crate::protocol::{Envelope, Message, legacy};
use crate::session::Era;
use crate::tracker::{Admission, Arrival, Call};

/// The client's own DELETE waits no longer than this for the upstream's.
const DELETE_LIMIT: std::time::Duration = std::time::Duration::from_secs(5);

impl<S: InnerService> Flow<S> {
    pub(super) async fn legacy(
        mut self,
        parts: Parts,
        body: Bytes,
        message: Arc<Message>,
        arrival: Arrival,
    ) -> Answer<S> {
        let id = message.envelopes().iter().find_map(Envelope::request_id).map(|id| &**id);
        let (admission, _) = match self.shared.admit(&parts).await {
            Ok(admitted) => admitted,
            Err(refusal) => return self.not_here(parts, body, id, refusal).await,
        };
        let may_have_run = parts.extensions.get::<MayHaveRun>().is_some();
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
        let was_begun = match &*message {
            Message::Single(envelope) => tracker.was_interrupted(&admission, envelope),
            Message::Batch(_) => false,
        };
        if was_begun || may_have_run {
            if was_begun && may_have_run {
                // Its row was written when its session was taken over.
                calls.drain(..).for_each(Call::forget);
            }
            return failed(id, calls, &CallFailed::interrupted(), &admission).await;
        }
        if let Some(durable) = tracker.strict_barrier().filter(|_| !calls.is_empty()) {
            durable.wait().await;
        }
        let connection = admission.connection.clone();
        let (in_flight, sent, body) = InFlight::enter(connection.as_ref(), message.clone(), body);
        let exchange = Exchange { message: Some(sent), ..exchange_of(&admission) };
        let session = CurrentSession::of(&tracker, &admission.presence, &calls);
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
        if is_modern(&parts) {
            return reject::method_not_allowed("POST");
        }
        let (admission, arrival) = match self.shared.admit(&parts).await {
            Ok(admitted) => admitted,
            Err(refusal) => return self.not_here(parts, Bytes::new(), None, refusal).await,
        };
        self.must_finish.store(true, std::sync::atomic::Ordering::Relaxed);
        let durable = self.shared.tracker.close(&admission, arrival.at);
        let connection = admission.connection.as_ref();
        if let Some((connection, link)) = connection.and_then(|c| Some((c, c.link()?))) {
            let session = CurrentSession::of(&self.shared.tracker, &admission.presence, &[]);
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
        let logged = connection.as_ref().map(|c| Logged::of_calls(&tracker, c, &calls));
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
            finder: AnswerFinder::new(&parts.headers),
        };
        let body = SessionBody::theirs(body, read_ahead, Some(watch), renew, limit);
        label(Response::from_parts(parts, body), &admission)
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

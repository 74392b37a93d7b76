//! Legacy requests: on a connection, found by its handle.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};

use super::body::{Observer, SessionBody, Watch};
use super::modern::{caller, end_all, inner_request};
use super::restore::Answered;
use super::{Answer, CallFailed, Exchange, Flow, Inner, InnerRequest, reject};
use crate::protocol::names::{MCP_PROTOCOL_VERSION, MCP_SESSION_ID, X_ARCHON_SESSION_ID};
use crate::protocol::{Envelope, Message, Presented, legacy};
use crate::session::Era;
use crate::tracker::{Admission, Arrival, Call, StreamPlace};

/// The client's own DELETE waits no longer than this for the upstream's.
const DELETE_LIMIT: std::time::Duration = std::time::Duration::from_secs(5);

impl<S: Inner> Flow<S> {
    /// Takes a POST of either era: what it says is decided here, once.
    pub(super) async fn post(self, parts: Parts, body: Bytes) -> Answer<S> {
        let arrival = Arrival::now();
        let message = match Message::parse(&body) {
            Ok(message) => message,
            Err(error) => return reject::envelope(&error),
        };
        match era_of(&parts, &message) {
            Era::Modern => self.modern(parts, body, message, arrival).await,
            Era::Legacy if message.envelopes().iter().any(is_initialize) => match message {
                Message::Single(envelope) => self.initialize(parts, body, envelope, arrival).await,
                Message::Batch(_) => reject::batch(),
            },
            Era::Legacy => self.legacy(parts, body, message, arrival).await,
        }
    }

    async fn legacy(
        mut self,
        parts: Parts,
        body: Bytes,
        message: Message,
        arrival: Arrival,
    ) -> Answer<S> {
        let message = Arc::new(message);
        let id = message.envelopes().iter().find_map(Envelope::request_id).map(|id| &**id);
        let (presented, caller) = (Presented::read(&parts.headers), caller(&parts));
        let tracker = self.shared.tracker.clone();
        let upstream = self.shared.upstream.clone();
        let admission = match tracker.admit_legacy(&presented, &upstream, &caller, arrival.at).await
        {
            Ok(admission) => admission,
            Err(refusal) => return reject::admission(id, refusal),
        };
        let version = admission.connection.as_ref().map(|c| c.protocol_version());
        if matches!(*message, Message::Batch(_)) && version != Some(legacy::BATCH_VERSION) {
            return reject::batch();
        }
        let mut calls = Vec::with_capacity(1);
        for envelope in message.envelopes().iter().filter(|e| e.request_id().is_some()) {
            match tracker.begin(&admission.presence, envelope, &upstream, body.len(), arrival) {
                Some(call) => calls.push(call),
                None => return reject::too_many(id, "calls at once in this session"),
            }
        }
        if let Some(connection) = &admission.connection {
            message.envelopes().iter().for_each(|envelope| connection.note_setup(envelope));
        }
        // From here on the client's leaving does not cancel what it asked for.
        self.must_finish.store(true, std::sync::atomic::Ordering::Relaxed);
        let exchange = Exchange {
            era: Era::Legacy,
            message: Some(message.clone()),
            presence: Some(admission.presence.clone()),
            proof: Some(admission.proof),
            connection: admission.connection.clone(),
        };
        let request = inner_request(parts, body, exchange);
        let answered = self.call_connected(request, &admission).await;
        self.answer(answered, id, calls, None, admission).await
    }

    /// Takes a GET: the stream on which the server speaks by itself.
    pub(super) async fn legacy_stream(mut self, parts: Parts) -> Answer<S> {
        if is_modern(&parts) {
            return reject::method_not_allowed("POST");
        }
        let (presented, caller, arrival) =
            (Presented::read(&parts.headers), caller(&parts), Arrival::now());
        let tracker = self.shared.tracker.clone();
        let upstream = self.shared.upstream.clone();
        let admission = match tracker.admit_legacy(&presented, &upstream, &caller, arrival.at).await
        {
            Ok(admission) => admission,
            Err(refusal) => return reject::admission(None, refusal),
        };
        let Some(place) = admission.presence.open_stream(tracker.settings().streams_max) else {
            return reject::too_many(None, "open streams in this session");
        };
        let request = inner_request(parts, Bytes::new(), exchange_of(&admission));
        let answered = self.call_connected(request, &admission).await;
        self.answer(answered, None, Vec::new(), Some(place), admission).await
    }

    /// Takes a DELETE: the client ends its connection.
    pub(super) async fn legacy_delete(mut self, parts: Parts) -> Answer<S> {
        if is_modern(&parts) {
            return reject::method_not_allowed("POST");
        }
        let (presented, caller, arrival) =
            (Presented::read(&parts.headers), caller(&parts), Arrival::now());
        let tracker = self.shared.tracker.clone();
        let upstream = self.shared.upstream.clone();
        let admission = match tracker.admit_legacy(&presented, &upstream, &caller, arrival.at).await
        {
            Ok(admission) => admission,
            Err(refusal) => return reject::admission(None, refusal),
        };
        self.must_finish.store(true, std::sync::atomic::Ordering::Relaxed);
        let durable = tracker.close(&admission, arrival.at);
        if let Some(link) = admission.connection.as_ref().and_then(|c| c.link()) {
            let mut request = inner_request(parts, Bytes::new(), exchange_of(&admission));
            request.headers_mut().insert(MCP_SESSION_ID, link);
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

    /// Calls the inner service on the connection's link; redoes the handshake if it is forgotten there.
    async fn call_connected(
        &mut self,
        mut request: InnerRequest,
        admission: &Admission,
    ) -> Result<Answered<S::Answer>, CallFailed> {
        let Some((connection, link)) =
            admission.connection.as_ref().and_then(|c| Some((c, c.link()?)))
        else {
            return self.call_inner(request).await.map(Answered::from);
        };
        request.headers_mut().insert(MCP_SESSION_ID, link.clone());
        let again = request.clone();
        let response = self.call_inner(request).await?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => {
                self.after_refusal(response.into(), again, connection, &link).await
            }
            _ => Ok(response.into()),
        }
    }

    /// Makes the answer of the inner service, or of a failure, the client's.
    async fn answer(
        self,
        answered: Result<Answered<S::Answer>, CallFailed>,
        id: Option<&str>,
        calls: Vec<Call>,
        place: Option<StreamPlace>,
        admission: Admission,
    ) -> Answer<S> {
        if let Some(durable) = admission.durable {
            durable.wait().await;
        }
        let mut response = match answered {
            Ok(Answered { response, read_ahead }) => {
                let (parts, body) = response.into_parts();
                let tracker = self.shared.tracker.clone();
                let limit = self.shared.call_timeout();
                let watch = (!calls.is_empty() || place.is_some()).then(|| Watch {
                    tracker,
                    era: Era::Legacy,
                    upstream: self.shared.upstream.clone(),
                    calls,
                    connection: admission.connection.clone(),
                    place,
                    is_subscription: false,
                    status: parts.status,
                    observer: Observer::new(&parts.headers),
                });
                let body = SessionBody::theirs(body, read_ahead, watch, limit);
                Response::from_parts(parts, body)
            }
            Err(failed) => {
                end_all(calls, &failed);
                reject::failure(id, &failed)
            }
        };
        let headers = response.headers_mut();
        headers.insert(X_ARCHON_SESSION_ID, admission.presence.header().clone());
        if let Some(connection) = &admission.connection {
            headers.insert(MCP_SESSION_ID, connection.header().clone());
        }
        response
    }
}

fn exchange_of(admission: &Admission) -> Exchange {
    Exchange {
        era: Era::Legacy,
        message: None,
        presence: Some(admission.presence.clone()),
        proof: Some(admission.proof),
        connection: admission.connection.clone(),
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

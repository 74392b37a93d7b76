//! What a request says of itself, and what becomes of it for the service behind the layer.

use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::request::Parts;
use http_body_util::Full;

use super::accept;
use super::body::{InFlight, Nature};
use super::current::CurrentSession;
use super::edge::{self, PeerAddress};
use super::elsewhere::Forwarded;
use super::exchange::Exchange;
use super::flow::{InnerRequest, Shared};
use crate::protocol::names::{
    LAST_EVENT_ID, MCP_PROTOCOL_VERSION, MCP_SESSION_ID, TRACEPARENT, X_ARCHON_CLIENT_KEY,
    X_ARCHON_SESSION_ID, X_MCP_SESSION_ID,
};
use crate::protocol::trace_context::TraceParent;
use crate::protocol::{Envelope, Message, Presented};
use crate::session::{Era, Identity};
use crate::tracker::{Admission, Arrival, Call, Caller, Refusal, StreamPlace};

/// What was sent to the inner service, and what waits for its answer.
pub(super) struct Sent {
    pub(super) request: InnerRequest,
    pub(super) calls: Vec<Call>,
    pub(super) in_flight: InFlight,
}

/// What a modern request has begun: its call, and the place of its stream.
pub(super) struct Begun {
    pub(super) calls: Vec<Call>,
    pub(super) place: Option<StreamPlace>,
    pub(super) nature: Nature,
}

impl Shared {
    pub(super) fn arrival(&self, parts: &Parts) -> Arrival {
        let arrival = Arrival::now();
        if !self.tracker.is_traced() {
            return arrival;
        }
        let parent = parts.headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
        Arrival { http_parent: parent.and_then(TraceParent::parse), ..arrival }
    }

    /// Finds the place of a legacy request.
    pub(super) async fn admit(&self, parts: &Parts) -> Result<(Admission, Arrival), Refusal> {
        let (presented, caller, arrival) =
            (Presented::read(&parts.headers), caller(parts), Arrival::now());
        let now = arrival.at;
        let admitted = self.tracker.admit_legacy(&presented, &self.upstream, &caller, now).await;
        admitted.map(|admission| (admission, arrival))
    }
}

pub(super) fn is_initialize(envelope: &Envelope) -> bool {
    &*envelope.method == "initialize"
}

/// Modern requests say so in `_meta`; one that should and does not still says so in its header.
pub(super) fn era_of(parts: &Parts, message: &Message) -> Era {
    let described = message.envelopes().iter().any(|e| e.meta.protocol_version.is_some());
    if described || is_modern(parts) { Era::Modern } else { Era::Legacy }
}

pub(super) fn is_modern(parts: &Parts) -> bool {
    let version = parts.headers.get(MCP_PROTOCOL_VERSION).and_then(|value| value.to_str().ok());
    version.is_some_and(|version| Era::of_version(version.trim()) == Era::Modern)
}

/// Returns who sends this request, as far as its extensions and headers tell.
pub(super) fn caller(parts: &Parts) -> Caller {
    let Identity { principal, user } =
        parts.extensions.get::<Identity>().cloned().unwrap_or_default();
    Caller {
        principal,
        user,
        peer: parts.extensions.get::<PeerAddress>().map(|peer| peer.0.ip()),
        user_agent: parts.headers.get(USER_AGENT).cloned(),
        is_forwarded: parts.extensions.get::<Forwarded>().is_some(),
    }
}

/// Returns the request for the inner service: the same bytes, without what was meant for us, and what there is to
/// know of its session.
pub(super) fn inner_request(
    mut parts: Parts,
    body: Bytes,
    exchange: Exchange,
    session: Option<CurrentSession>,
) -> InnerRequest {
    let headers = &mut parts.headers;
    headers.remove(MCP_SESSION_ID);
    headers.remove(X_MCP_SESSION_ID);
    headers.remove(X_ARCHON_SESSION_ID);
    headers.remove(X_ARCHON_CLIENT_KEY);
    edge::forget_length(headers);
    accept::complete(headers, &parts.method);
    if let Some(session) = session {
        parts.extensions.insert(session);
    }
    parts.extensions.insert(exchange);
    InnerRequest::from_parts(parts, Full::new(body))
}

/// Returns what the service behind the layer is told of a legacy request.
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

/// A POST of ours to where the client's request goes, with the client's own headers beside ours.
pub(super) fn ours(
    like: &InnerRequest,
    body: String,
    link: Option<HeaderValue>,
    version: Option<HeaderValue>,
) -> InnerRequest {
    let mut request = InnerRequest::new(Full::new(Bytes::from(body)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = like.uri().clone();
    *request.headers_mut() = like.headers().clone();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers.remove(LAST_EVENT_ID);
    let mut set = |name, value: Option<HeaderValue>| match value {
        Some(value) => drop(headers.insert(name, value)),
        None => drop(headers.remove(name)),
    };
    set(MCP_SESSION_ID, link);
    set(MCP_PROTOCOL_VERSION, version);
    if let Some(exchange) = like.extensions().get::<Exchange>() {
        // It is our own message: nobody behind us should take it for the client's.
        let ours = Exchange { message: None, ..exchange.clone() };
        request.extensions_mut().insert(ours);
    }
    request
}

//! A modern POST: it describes itself, and its session comes from its handles or is inferred.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderValue, SET_COOKIE, USER_AGENT};
use http::request::Parts;
use http_body_util::Full;

use super::body::{Observer, SessionBody, Watch};
use super::edge::PeerAddress;
use super::{Answer, Exchange, Flow, Inner, InnerRequest, edge, reject};
use crate::protocol::names::{COOKIE, MCP_SESSION_ID, X_ARCHON_SESSION_ID, X_MCP_SESSION_ID};
use crate::protocol::{Handle, Message, Presented, modern};
use crate::session::{Era, Principal};
use crate::tracker::{Admission, Arrival, Call, Caller, Ending, Proof};

/// What the row of a call says whose client closed its stream (MCP 2026-07-28, Cancellation).
pub(super) const CANCELLED: &str = "cancelled by its client";
/// A method that opens a stream of notifications and has no answer but its end.
const LISTEN: &str = "subscriptions/listen";
/// A method that a client may use to look before it has a session.
const DISCOVER: &str = "server/discover";

impl<S: Inner> Flow<S> {
    pub(super) async fn modern(
        mut self,
        parts: Parts,
        body: Bytes,
        message: Message,
        arrival: Arrival,
    ) -> Answer<S> {
        let message = Arc::new(message);
        let envelope = match &*message {
            Message::Single(envelope) => envelope,
            Message::Batch(_) => return reject::batch(),
        };
        let id = envelope.request_id().map(|id| &**id);
        if let Err(invalid) = modern::validate(&parts.headers, envelope) {
            return reject::modern(id, &invalid);
        }
        let (presented, caller) = (Presented::read(&parts.headers), caller(&parts));
        let tracker = self.shared.tracker.clone();
        let admission = if &*envelope.method == DISCOVER {
            let presence = tracker.peek_modern(&presented, &caller);
            presence.map(|presence| Admission {
                presence,
                proof: Proof::Header,
                connection: None,
                durable: None,
            })
        } else {
            match tracker.admit_modern(&presented, envelope, &caller, arrival.at).await {
                Ok(admission) => Some(admission),
                Err(refusal) => return reject::admission(id, refusal),
            }
        };
        let is_subscription = &*envelope.method == LISTEN;
        let place = match &admission {
            Some(admission) if is_subscription => {
                match admission.presence.open_stream(tracker.settings().streams_max) {
                    Some(place) => Some(place),
                    None => return reject::too_many(id, "open streams in this session"),
                }
            }
            _ => None,
        };
        let mut calls = Vec::new();
        if let (Some(admission), Some(_)) = (&admission, id) {
            let (presence, upstream) = (&admission.presence, &self.shared.upstream);
            match tracker.begin(presence, envelope, upstream, body.len(), arrival) {
                // Nobody drops it before its end but its client, by leaving.
                Some(call) => calls.push(call.unless_ended(CANCELLED)),
                None => return reject::too_many(id, "calls at once in this session"),
            }
        }
        let presence = admission.as_ref().map(|admission| admission.presence.clone());
        let proof = admission.as_ref().map(|admission| admission.proof);
        let exchange = Exchange {
            era: Era::Modern,
            message: Some(message.clone()),
            presence,
            proof,
            connection: None,
        };
        let request = inner_request(parts, body, exchange);
        let answered = self.call_inner(request).await;
        let durable = admission.as_ref().and_then(|admission| admission.durable.clone());
        if let Some(durable) = durable {
            durable.wait().await;
        }
        let mut response = match answered {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let watch = Watch {
                    tracker: tracker.clone(),
                    era: Era::Modern,
                    upstream: self.shared.upstream.clone(),
                    calls,
                    connection: None,
                    place,
                    is_subscription,
                    status: parts.status,
                    observer: Observer::new(&parts.headers),
                };
                let limit = self.shared.call_timeout();
                let body = SessionBody::theirs(body, VecDeque::new(), Some(watch), limit);
                http::Response::from_parts(parts, body)
            }
            Err(failed) => {
                end_all(calls, &failed);
                reject::failure(id, &failed)
            }
        };
        response.headers_mut().remove(MCP_SESSION_ID);
        if let Some(admission) = &admission {
            let id = admission.presence.header();
            response.headers_mut().insert(X_ARCHON_SESSION_ID, id.clone());
            set_cookie(&mut response, &presented, admission);
        }
        response
    }
}

/// Gives the client a handle it can return without knowing us. Not for a session that was only guessed:
/// that would turn the guess into a proof.
fn set_cookie<B>(response: &mut http::Response<B>, presented: &Presented, admission: &Admission) {
    let has_it = presented.cookie == Handle::Sent(admission.presence.id());
    if has_it || admission.proof == Proof::Fingerprint {
        return;
    }
    let id = admission.presence.id();
    let cookie = format!("{COOKIE}={id}; Path=/; Max-Age=86400; HttpOnly; SameSite=Strict");
    if let Ok(value) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// Ends calls that the inner service did not answer.
pub(super) fn end_all(calls: Vec<Call>, failed: &super::CallFailed) {
    for call in calls {
        call.end(Ending::without_answer(failed.outcome, failed.message.as_str()));
    }
}

/// Returns who sends this request, as far as its extensions and headers tell.
pub(super) fn caller(parts: &Parts) -> Caller {
    Caller {
        principal: parts.extensions.get::<Principal>().cloned().unwrap_or_default(),
        peer: parts.extensions.get::<PeerAddress>().map(|peer| peer.0.ip()),
        user_agent: parts.headers.get(USER_AGENT).cloned(),
    }
}

/// Returns the request for the inner service: the same bytes, without what was meant for us.
pub(super) fn inner_request(mut parts: Parts, body: Bytes, exchange: Exchange) -> InnerRequest {
    let headers = &mut parts.headers;
    headers.remove(MCP_SESSION_ID);
    headers.remove(X_MCP_SESSION_ID);
    headers.remove(X_ARCHON_SESSION_ID);
    edge::forget_length(headers);
    if let Some(presence) = &exchange.presence {
        parts.extensions.insert(presence.clone());
    }
    parts.extensions.insert(exchange);
    InnerRequest::from_parts(parts, Full::new(body))
}

//! A modern POST: it describes itself, and its session comes from its handles or is inferred.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderValue, SET_COOKIE, USER_AGENT};
use http::request::Parts;
use http_body_util::Full;

use super::body::{InFlight, Nature, Observer, SessionBody, Watch};
use super::cancel::no_answer;
use super::early::Said;
use super::edge::PeerAddress;
use super::exchange::{Rebound, Repeatable};
use super::renew::CallOrigin;
use super::restore::Answered;
use super::{
    Answer, CallFailed, Exchange, Flow, Inner, InnerRequest, Session, accept, edge, reject,
};
use crate::protocol::names::{
    COOKIE, MCP_SESSION_ID, X_ARCHON_CLIENT_KEY, X_ARCHON_SESSION_ID, X_MCP_SESSION_ID,
};
use crate::protocol::{Message, Presented, modern};
use crate::session::{Cookie, Era, Identity};
use crate::tracker::{Admission, Arrival, Call, Caller, Ending, StreamPlace};

/// What the row of a call says whose client closed its stream (MCP 2026-07-28, Cancellation).
pub(super) const CANCELLED: &str = "cancelled by its client";
/// A method that opens a stream of notifications and has no answer but its end.
const LISTEN: &str = "subscriptions/listen";
/// A method that a client may use to look before it has a session.
const DISCOVER: &str = "server/discover";

impl<S: Inner> Flow<S> {
    pub(super) async fn modern(
        self,
        parts: Parts,
        body: Bytes,
        message: Arc<Message>,
        arrival: Arrival,
    ) -> Answer<S> {
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
            let found = tracker.peek_modern(&presented, &caller);
            found.map(|(presence, proof)| Admission {
                presence,
                proof,
                connection: None,
                durable: None,
            })
        } else {
            match tracker.admit_modern(&presented, envelope, &caller, arrival.at).await {
                Ok(admission) => Some(admission),
                Err(refusal) => return reject::admission(id, refusal),
            }
        };
        let crosses = admission.as_ref().is_some_and(Admission::may_cross);
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
            match tracker.begin(admission, envelope, &self.shared.upstream, body.len(), arrival) {
                // Nobody drops it before its end but its client, by leaving.
                Some(call) => calls.push(call.unless_ended(CANCELLED)),
                None => return reject::too_many(id, "calls at once in this session"),
            }
        }
        let was_interrupted =
            admission.as_ref().is_some_and(|a| tracker.was_interrupted(a, envelope));
        if let Some(durable) =
            tracker.strict_barrier().filter(|_| !calls.is_empty() && !was_interrupted)
        {
            durable.wait().await;
        }
        let exchange = Exchange {
            era: Era::Modern,
            message: Some(message.clone()),
            presence: admission.as_ref().map(|admission| admission.presence.clone()),
            proof: admission.as_ref().map(|admission| admission.proof),
            connection: None,
            principal: caller.principal.clone(),
        };
        let session = admission.as_ref().map(|a| Session::of(&tracker, &a.presence, &calls));
        let request = inner_request(parts, body, exchange, session);
        let said = if was_interrupted {
            Said::Now(Err(CallFailed::interrupted()))
        } else {
            self.ask(&request, None, &calls).await
        };
        if let Some(durable) = admission.as_ref().and_then(|admission| admission.durable.clone()) {
            durable.wait().await;
        }
        let nature = if is_subscription { Nature::Subscription } else { Nature::Calls };
        let mut response = match said {
            Said::Now(Ok(answered)) => self.modern_answer(answered, request, calls, place, nature),
            Said::Now(Err(failed)) => {
                end_all(calls, &failed).await;
                reject::failure(id, &failed)
            }
            Said::Later(awaited) => self.modern_later(awaited, request, calls, place, nature),
            // Taken back by a notification, as only a legacy client does.
            Said::Never => no_answer(calls, self.accepts),
        };
        response.headers_mut().remove(MCP_SESSION_ID);
        if let Some(admission) = admission {
            let admission = Rebound::apply(response.extensions_mut(), admission);
            let id = admission.presence.header();
            response.headers_mut().insert(X_ARCHON_SESSION_ID, id.clone());
            let cookie = tracker.cookie_for(&presented, &caller, &admission);
            if let Some(cookie) = cookie.filter(|_| !crosses) {
                set_cookie(&mut response, &cookie);
            }
        }
        response
    }

    /// Makes the answer of the inner service the client's.
    fn modern_answer(
        self,
        answered: Answered<S::Answer>,
        request: InnerRequest,
        calls: Vec<Call>,
        place: Option<StreamPlace>,
        nature: Nature,
    ) -> Answer<S> {
        let Answered { response, read_ahead } = answered;
        let (parts, body) = response.into_parts();
        let watch = Watch {
            tracker: self.shared.tracker.clone(),
            era: Era::Modern,
            upstream: self.shared.upstream.clone(),
            calls,
            logged: None,
            place,
            nature,
            in_flight: InFlight::default(),
            status: parts.status,
            observer: Observer::new(&parts.headers),
        };
        let limit = self.shared.call_timeout();
        let is_repeatable = parts.extensions.get::<Repeatable>().is_some();
        let renew = (is_repeatable && watch.observer.is_sse()).then(|| {
            let origin = CallOrigin::new(self, request, None, is_repeatable);
            Box::new(origin) as Box<_>
        });
        let body = SessionBody::theirs(body, read_ahead, Some(watch), renew, limit);
        http::Response::from_parts(parts, body)
    }
}

/// Gives the client a handle that it can return without knowing us.
fn set_cookie<B>(response: &mut http::Response<B>, cookie: &Cookie) {
    let cookie = format!("{COOKIE}={cookie}; Path=/; Max-Age=86400; HttpOnly; SameSite=Strict");
    if let Ok(value) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// Ends calls that the inner service did not answer, and waits until that is durable where it has to be.
pub(super) async fn end_all(calls: Vec<Call>, failed: &super::CallFailed) {
    for call in calls {
        let ending = Ending::without_answer(failed.outcome, failed.message.as_str());
        let ending = Ending { code: Some(failed.code), ..ending };
        if let Some(durable) = call.end(ending) {
            durable.wait().await;
        }
    }
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
    }
}

/// Returns the request for the inner service: the same bytes, without what was meant for us, and what there is to
/// know of its session.
pub(super) fn inner_request(
    mut parts: Parts,
    body: Bytes,
    exchange: Exchange,
    session: Option<Session>,
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

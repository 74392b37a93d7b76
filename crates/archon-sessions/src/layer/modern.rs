//! A modern POST: it describes itself, and its session comes from its handles or is inferred.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderValue, SET_COOKIE};
use http::request::Parts;

use super::answer::end_all;
use super::body::{AnswerFinder, CANCELLED, InFlight, Nature, SessionBody, Watch};
use super::cancel::no_answer;
use super::current::CurrentSession;
use super::early::Said;
use super::elsewhere::MayHaveRun;
use super::exchange::{Exchange, Rebound, Repeatable};
use super::failure::CallFailed;
use super::flow::{Answer, Flow, InnerRequest, InnerService};
use super::reject;
use super::renew::CallOrigin;
use super::request::{Begun, caller, inner_request};
use super::restore::Answered;
use crate::protocol::names::{COOKIE, MCP_SESSION_ID, X_ARCHON_SESSION_ID};
use crate::protocol::{Envelope, Message, Presented, modern};
use crate::session::{Cookie, Era};
use crate::tracker::{Admission, Arrival, Call, Caller, Refusal, Tracker};

/// A method that opens a stream of notifications and has no answer but its end.
const LISTEN: &str = "subscriptions/listen";
/// A method that a client may use to look before it has a session.
const DISCOVER: &str = "server/discover";

impl<S: InnerService> Flow<S> {
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
        let admission = match admit(&tracker, envelope, &presented, &caller, arrival).await {
            Ok(admission) => admission,
            Err(refusal) => return self.not_here(parts, body, id, refusal).await,
        };
        let may_have_run = parts.extensions.get::<MayHaveRun>().is_some();
        // Asked before its own call begins.
        let crosses = admission.as_ref().is_some_and(Admission::may_cross);
        let mut begun = match self.open(admission.as_ref(), envelope, body.len(), arrival) {
            Ok(begun) => begun,
            Err(what) => return reject::too_many(id, what),
        };
        let exchange = Exchange {
            era: Era::Modern,
            message: Some(message.clone()),
            presence: admission.as_ref().map(|admission| admission.presence.clone()),
            proof: admission.as_ref().map(|admission| admission.proof),
            connection: None,
            principal: caller.principal.clone(),
        };
        let session = admission.as_ref();
        let session = session.map(|a| CurrentSession::of(&tracker, &a.presence, &begun.calls));
        let request = inner_request(parts, body, exchange, session);
        let was_begun = admission.as_ref().is_some_and(|a| tracker.was_interrupted(a, envelope));
        if was_begun && may_have_run {
            // Its row was written when its session was taken over.
            begun.calls.drain(..).for_each(Call::forget);
        }
        let asked = self.ask(&request, None, &begun.calls);
        let has_run = was_begun || may_have_run;
        let said = call(asked, &tracker, admission.as_ref(), envelope, has_run).await;
        if let Some(durable) = admission.as_ref().and_then(|admission| admission.durable.clone()) {
            durable.wait().await;
        }
        let mut response = self.answer_modern(said, request, begun, id).await;
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

    /// Begins the call of a request and takes the place of its stream. An error says what there is too much of.
    fn open(
        &self,
        admission: Option<&Admission>,
        envelope: &Envelope,
        body_bytes: usize,
        arrival: Arrival,
    ) -> Result<Begun, &'static str> {
        let (tracker, upstream) = (&self.shared.tracker, &self.shared.upstream);
        let is_subscription = &*envelope.method == LISTEN;
        let nature = if is_subscription { Nature::Subscription } else { Nature::Calls };
        let mut begun = Begun { calls: Vec::new(), place: None, nature };
        let Some(admission) = admission else { return Ok(begun) };
        if is_subscription {
            let place = admission.presence.open_stream(tracker.settings().streams_max);
            begun.place = Some(place.ok_or("open streams in this session")?);
        }
        if envelope.request_id().is_some() {
            let call = tracker.begin(admission, envelope, upstream, body_bytes, arrival);
            let call = call.ok_or("calls at once in this session")?;
            // Nobody drops it before its end but its client, by leaving.
            begun.calls.push(call.unless_ended(CANCELLED));
        }
        Ok(begun)
    }

    /// Makes what the inner service says the client's answer.
    async fn answer_modern(
        self,
        said: Said<S::Answer>,
        request: InnerRequest,
        begun: Begun,
        id: Option<&str>,
    ) -> Answer<S> {
        match said {
            Said::Now(Ok(answered)) => self.modern_now(answered, request, begun),
            Said::Now(Err(failed)) => {
                end_all(begun.calls, &failed).await;
                reject::failure(id, &failed)
            }
            Said::Later(awaited) => self.modern_later(awaited, request, begun),
            // Taken back by a notification, as only a legacy client does.
            Said::Never => no_answer(begun.calls, self.accepts),
        }
    }

    fn modern_now(
        self,
        answered: Answered<S::Answer>,
        request: InnerRequest,
        begun: Begun,
    ) -> Answer<S> {
        let Answered { response, read_ahead } = answered;
        let (parts, body) = response.into_parts();
        let Begun { calls, place, nature } = begun;
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
            finder: AnswerFinder::new(&parts.headers),
        };
        let limit = self.shared.call_timeout();
        let is_repeatable = parts.extensions.get::<Repeatable>().is_some();
        let renew = (is_repeatable && watch.finder.is_sse()).then(|| {
            let origin = CallOrigin::new(self, request, None, is_repeatable);
            Box::new(origin) as Box<_>
        });
        let body = SessionBody::theirs(body, read_ahead, Some(watch), renew, limit);
        http::Response::from_parts(parts, body)
    }
}

/// Finds the session of a request, or makes it; who only looks around gets none.
async fn admit(
    tracker: &Tracker,
    envelope: &Envelope,
    presented: &Presented,
    caller: &Caller,
    arrival: Arrival,
) -> Result<Option<Admission>, Refusal> {
    if &*envelope.method == DISCOVER {
        let found = tracker.peek_modern(presented, caller);
        return Ok(found.map(|(presence, proof)| Admission {
            presence,
            proof,
            connection: None,
            durable: None,
        }));
    }
    tracker.admit_modern(presented, envelope, caller, arrival.at).await.map(Some)
}

/// Calls the inner service, unless that was done before and a crash interrupted it.
async fn call<B>(
    asked: impl Future<Output = Said<B>>,
    tracker: &Tracker,
    admission: Option<&Admission>,
    envelope: &Envelope,
    may_have_run: bool,
) -> Said<B> {
    if may_have_run {
        return Said::Now(Err(CallFailed::interrupted()));
    }
    let has_call = admission.is_some() && envelope.request_id().is_some();
    if let Some(durable) = tracker.strict_barrier().filter(|_| has_call) {
        durable.wait().await;
    }
    asked.await
}

/// Gives the client a handle that it can return without knowing us.
fn set_cookie<B>(response: &mut http::Response<B>, cookie: &Cookie) {
    let cookie = format!("{COOKIE}={cookie}; Path=/; Max-Age=86400; HttpOnly; SameSite=Strict");
    if let Ok(value) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

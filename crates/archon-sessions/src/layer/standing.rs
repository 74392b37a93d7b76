//! A legacy GET: the stream on which the server speaks by itself, or a client that comes back to one.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};

use super::accept::Accepts;
use super::answer::{label, opens_stream, stream_head};
use super::body::{
    AnswerFinder, Arrived, InFlight, Logged, Nature, Replay, Rest, SessionBody, Watch, last_event,
};
use super::current::CurrentSession;
use super::early::{Awaited, Said, patiently};
use super::failure::CallFailed;
use super::flow::{Answer, Flow, InnerRequest, InnerService};
use super::reject;
use super::renew::StandingOrigin;
use super::request::{exchange_of, inner_request, is_modern};
use super::restore::Answered;
use crate::protocol::event_id::{EventId, EventOrigin, link_mark};
use crate::protocol::names::LAST_EVENT_ID;
use crate::session::Era;
use crate::tracker::{Admission, Missing, Purpose, StreamLog, StreamPlace};

/// What a client is told that has read what it comes back for.
const ANSWERED: &str = "this stream has brought its answer; nothing more comes on it";

/// What a client is told of a server that has no such stream.
const NO_STREAM: &str = "this server has no stream on which it speaks by itself";

/// What a client missed of a stream that is over.
#[derive(Default)]
struct Missed {
    events: VecDeque<Bytes>,
    /// The last event that it will have then.
    last: Option<EventId>,
}

impl<S: InnerService> Flow<S> {
    /// Takes a GET.
    pub(super) async fn legacy_stream(self, parts: Parts) -> Answer<S> {
        if is_modern(&parts) {
            return reject::method_not_allowed("POST");
        }
        let (admission, _) = match self.shared.admit(&parts).await {
            Ok(admitted) => admitted,
            Err(refusal) => return self.not_here(parts, Bytes::new(), None, refusal).await,
        };
        // Every answer below names the session, which may be one that has just begun to continue another.
        if let Some(durable) = admission.durable.clone() {
            durable.wait().await;
        }
        let last = parts.headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
        // An id that is none of ours is no id to come back to: the stream begins where it is now.
        let last = last.and_then(EventId::parse);
        let tracker = self.shared.tracker.clone();
        if let Some(last) = last.as_ref().filter(|last| last.is_answered()) {
            if let Some(connection) = &admission.connection {
                tracker.has_read(connection, last.stream);
            }
            return label(reject::no_stream(ANSWERED), &admission);
        }
        let Some(place) = admission.presence.open_stream(tracker.settings().streams_max) else {
            return reject::too_many(None, "open streams in this session");
        };
        let Some(connection) = admission.connection.clone() else {
            return self.standing(parts, place, admission, Missed::default()).await;
        };
        let Some(last) = last else {
            return self.standing(parts, place, admission, Missed::default()).await;
        };
        let log = tracker.find_log(&connection, &last).await;
        match (log, last.request()) {
            (Some(log), Some(_)) if log.missing(Some(last.seq)) == Missing::Nothing => {
                label(reject::no_stream(ANSWERED), &admission)
            }
            (Some(log), Some(_)) => self.replayed(&log, Some(last.seq), place, &admission),
            (Some(log), None) if !log.is_over() => {
                log.take_over();
                self.replayed(&log, Some(last.seq), place, &admission)
            }
            (Some(log), None) => {
                let events = log.after(Some(last.seq)).into();
                let missed = Missed { events, last: log.last_id().or(Some(last)) };
                self.standing(parts, place, admission, missed).await
            }
            (None, None) => {
                let missed = Missed { last: Some(last), ..Missed::default() };
                self.standing(parts, place, admission, missed).await
            }
            (None, Some(request)) => {
                // Nothing is known of the stream, but its client said what it waits for.
                let failed = if tracker.is_inherited(last.stream) {
                    CallFailed::interrupted()
                } else {
                    CallFailed::forgotten()
                };
                let seq = last.seq.saturating_add(1);
                let event = last_event(last.stream, seq, request, &failed);
                streamed(SessionBody::ours(event), &admission)
            }
        }
    }

    /// Brings what comes on a stream of the log after the event `after`.
    fn replayed(
        &self,
        log: &Arc<StreamLog>,
        after: Option<u64>,
        place: StreamPlace,
        admission: &Admission,
    ) -> Answer<S> {
        let body = Replay::new(&self.shared.tracker, log, after, place);
        streamed(SessionBody::replay(body), admission)
    }

    /// Returns the request that opens the stream at the inner service, to go on after its event `after`.
    fn standing_request(
        &self,
        parts: Parts,
        admission: &Admission,
        after: Option<&HeaderValue>,
    ) -> InnerRequest {
        let session = CurrentSession::of(&self.shared.tracker, &admission.presence, &[]);
        let mut request = inner_request(parts, Bytes::new(), exchange_of(admission), Some(session));
        request.headers_mut().remove(LAST_EVENT_ID);
        if let Some(after) = after {
            request.headers_mut().insert(LAST_EVENT_ID, after.clone());
        }
        request
    }

    /// Brings what was missed and what the server says from then on: on the stream that is open already, or on one
    /// that is opened at the inner service.
    async fn standing(
        self,
        parts: Parts,
        place: StreamPlace,
        admission: Admission,
        missed: Missed,
    ) -> Answer<S> {
        let connection = admission.connection.clone();
        if let Some(connection) = &connection
            && let Some(log) = connection.standing_log()
        {
            // A server has one such stream for a session; the older one may be dead without a sign of it.
            log.take_over();
            let after = log.read_through();
            let body = self.replayed(&log, after, place, &admission);
            return body.map(|body| body.after(missed.events));
        }
        let link = connection.as_ref().and_then(|connection| connection.link());
        let after = missed.last.and_then(|last| upstream_event(last, link.as_ref()));
        let request = self.standing_request(parts, &admission, after.as_ref());
        let (mut flow, asked, on) = (self.clone(), request.clone(), connection.clone());
        let awaited = Box::pin(async move { flow.call_connected(&asked, on.as_ref()).await });
        let takes_stream = self.accepts == Accepts::Streams && connection.is_some();
        let said = patiently(awaited, &[], takes_stream).await;
        let answered = match said {
            Said::Now(Ok(answered)) => answered,
            Said::Now(Err(failed)) => return label(reject::failure(None, &failed), &admission),
            Said::Later(awaited) => {
                let opening = Opening { awaited, request, link, after };
                return self.standing_later(opening, place, &admission, missed.events);
            }
            Said::Never => return streamed(SessionBody::default(), &admission),
        };
        let (mut parts, body) = answered.response.into_parts();
        if offers_no_stream(&parts) {
            return label(reject::no_stream(NO_STREAM), &admission);
        }
        // The inner service takes a stream for open that is not ours any more, and will find out.
        let is_later = parts.status == StatusCode::CONFLICT && connection.is_some();
        if is_later {
            parts =
                streamed(SessionBody::<S::Answer>::ours(Bytes::new()), &admission).into_parts().0;
        }
        let tracker = self.shared.tracker.clone();
        let is_stream = opens_stream(parts.status, &parts.headers);
        let connection = connection.filter(|_| is_stream);
        if connection.is_some() {
            parts.headers.remove(CONTENT_LENGTH);
        }
        let mut logged = connection.as_ref().map(|c| Logged::open(&tracker, c, Purpose::Standing));
        if let (Some(logged), Some(connection)) = (&mut logged, &connection) {
            let now = connection.link();
            let after = after.filter(|_| now == link).map(|after| after.as_bytes().to_vec());
            logged.go_on(now.as_ref(), after);
        }
        let watch = Watch {
            era: Era::Legacy,
            upstream: self.shared.upstream.clone(),
            calls: Vec::new(),
            logged,
            place: Some(place),
            nature: Nature::Standing,
            in_flight: InFlight::default(),
            status: parts.status,
            finder: AnswerFinder::new(&parts.headers),
            tracker,
        };
        let limit = self.shared.call_timeout();
        let renew = connection
            .map(|connection| Box::new(StandingOrigin::new(self, request, connection)) as Box<_>);
        let read_ahead = if is_later { VecDeque::new() } else { answered.read_ahead };
        let body = SessionBody::theirs(body, read_ahead, Some(watch), renew, limit);
        let body = if is_later { body.opened_later() } else { body };
        label(Response::from_parts(parts, body.after(missed.events)), &admission)
    }

    /// Opens the stream for a client whose server takes its time to: what it says then comes on it.
    fn standing_later(
        self,
        opening: Opening<S::Answer>,
        place: StreamPlace,
        admission: &Admission,
        missed: VecDeque<Bytes>,
    ) -> Answer<S> {
        let Some(connection) = admission.connection.clone() else {
            return streamed(SessionBody::default(), admission);
        };
        let (tracker, limit) = (self.shared.tracker.clone(), self.shared.call_timeout());
        let upstream = self.shared.upstream.clone();
        let watch = Watch {
            era: Era::Legacy,
            upstream: upstream.clone(),
            calls: Vec::new(),
            logged: Some(Logged::open(&tracker, &connection, Purpose::Standing)),
            place: Some(place),
            nature: Nature::Standing,
            in_flight: InFlight::default(),
            status: StatusCode::OK,
            finder: AnswerFinder::of_stream(),
            tracker,
        };
        let coming = Box::pin(async move {
            let Opening { awaited, request, link, after } = opening;
            let Answered { response, read_ahead } = awaited.await?;
            if !opens_stream(response.status(), response.headers()) {
                return Err(CallFailed::lost(&upstream));
            }
            let now = connection.link();
            let after = after.filter(|_| now == link).map(|after| after.as_bytes().to_vec());
            let renew = Some(Box::new(StandingOrigin::new(self, request, connection)) as Box<_>);
            Ok(Arrived { rest: Rest { response, after, link: now }, read_ahead, renew })
        });
        streamed(SessionBody::coming(coming, watch, limit).after(missed), admission)
    }
}

/// A stream that the inner service is asked for.
struct Opening<B> {
    awaited: Awaited<B>,
    request: InnerRequest,
    /// The link that it was asked for on, and the event of that link after which it is to go on.
    link: Option<HeaderValue>,
    after: Option<HeaderValue>,
}

/// Returns what the inner service called an event, if it is on this link that it did: on another, the name would be
/// another event's, or none's.
fn upstream_event(event: EventId, link: Option<&HeaderValue>) -> Option<HeaderValue> {
    let EventOrigin::Upstream(id) = event.origin else { return None };
    let is_of_link = link.is_some_and(|link| link_mark(link.as_bytes()) == id.link_mark);
    HeaderValue::from_str(&id.id).ok().filter(|_| is_of_link)
}

/// Returns true if an answer of the inner service's means that it has no stream on which it speaks by itself. To
/// clients, 404 would mean that their session is gone, and an answer that is no stream that one has ended.
fn offers_no_stream(parts: &http::response::Parts) -> bool {
    match parts.status {
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::NOT_IMPLEMENTED => true,
        status => status.is_success() && !opens_stream(status, &parts.headers),
    }
}

fn streamed<B>(body: SessionBody<B>, admission: &Admission) -> Response<SessionBody<B>> {
    label(stream_head(body), admission)
}

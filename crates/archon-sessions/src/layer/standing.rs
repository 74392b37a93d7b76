//! A legacy GET: the stream on which the server speaks by itself, or a client that comes back to one.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::request::Parts;

use super::body::{Logged, Nature, Observer, Replay, SessionBody, Watch, event_of};
use super::early::stream_head;
use super::legacy::{exchange_of, label};
use super::modern::inner_request;
use super::renew::{StandingOrigin, opens_stream};
use super::transport::ClientTransport;
use super::{Answer, CallFailed, Flow, Inner, Session, reject};
use crate::protocol::event_id::{EventId, EventOrigin, link_mark};
use crate::protocol::names::LAST_EVENT_ID;
use crate::session::Era;
use crate::tracker::{Admission, Purpose, StreamLog, StreamPlace};

/// What a client missed of a stream that is over.
#[derive(Default)]
struct Missed {
    events: VecDeque<Bytes>,
    /// The last event that it will have then.
    last: Option<EventId>,
}

impl<S: Inner> Flow<S> {
    /// Takes a GET.
    pub(super) async fn legacy_stream(self, parts: Parts) -> Answer<S> {
        let (admission, _) = match self.shared.admit(&parts, None).await {
            Ok(admitted) => admitted,
            Err(refused) => return refused,
        };
        let tracker = self.shared.tracker.clone();
        let Some(place) = admission.presence.open_stream(tracker.settings().streams_max) else {
            return reject::too_many(None, "open streams in this session");
        };
        let Some(connection) = admission.connection.clone() else {
            return self.standing(parts, place, admission, Missed::default()).await;
        };
        let transport = parts.extensions.get::<ClientTransport>().cloned();
        let replay = |log: &Arc<StreamLog>, after, place| {
            let body = Replay::new(&tracker, &connection, log, after, place, transport.clone());
            streamed(SessionBody::replay(body), &admission)
        };
        // An id that is none of ours is no id to come back to: the stream begins where it is now.
        let last = parts.headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
        let Some(last) = last.and_then(EventId::parse) else {
            return match connection.lonely_log() {
                Some(log) => replay(&log, log.read_through(), place),
                None => self.standing(parts, place, admission, Missed::default()).await,
            };
        };
        let log = tracker.find_log(&connection, &last).await;
        match (log, last.request()) {
            (Some(log), Some(_)) => replay(&log, Some(last.seq), place),
            (Some(log), None) if !log.is_over() => replay(&log, Some(last.seq), place),
            (Some(log), None) => {
                let events = log.after(Some(last.seq)).into();
                let missed = Missed { events, last: log.last_id().or(Some(last)) };
                self.standing(parts, place, admission, missed).await
            }
            (None, None) => {
                let missed = Missed { last: Some(last), ..Missed::default() };
                self.standing(parts, place, admission, missed).await
            }
            (None, Some(_)) => {
                // Nothing is known of the stream, but its client said what it waits for.
                let next = EventId { seq: last.seq + 1, ..last };
                let event = event_of(&next, &CallFailed::interrupted());
                streamed(SessionBody::ours(event), &admission)
            }
        }
    }

    /// Opens the stream at the inner service, to go on after what was missed.
    async fn standing(
        mut self,
        parts: Parts,
        place: StreamPlace,
        admission: Admission,
        missed: Missed,
    ) -> Answer<S> {
        let connection = admission.connection.clone();
        let session = Session::of(&self.shared.tracker, &admission.presence, &[]);
        let exchange = exchange_of(&admission);
        let mut request = inner_request(parts, Bytes::new(), exchange, Some(session));
        request.headers_mut().remove(LAST_EVENT_ID);
        let link = connection.as_ref().and_then(|connection| connection.link());
        let mark = link.as_ref().map(|link| link_mark(link.as_bytes()));
        let after = match missed.last.map(|last| last.origin) {
            // On another link it would name another event, or none.
            Some(EventOrigin::Upstream(id)) if Some(id.link_mark) == mark => {
                HeaderValue::from_str(&id.id).ok()
            }
            _ => None,
        };
        if let Some(after) = &after {
            request.headers_mut().insert(LAST_EVENT_ID, after.clone());
        }
        let answered = match self.call_connected(&request, connection.as_ref()).await {
            Ok(answered) => answered,
            Err(failed) => return label(reject::failure(None, &failed), &admission),
        };
        if let Some(durable) = &admission.durable {
            durable.clone().wait().await;
        }
        let (mut parts, body) = answered.response.into_parts();
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
            transport: None,
            place: Some(place),
            nature: Nature::Standing,
            status: parts.status,
            observer: Observer::new(&parts.headers),
            tracker,
        };
        let limit = self.shared.call_timeout();
        let renew = connection
            .map(|connection| Box::new(StandingOrigin::new(self, request, connection)) as Box<_>);
        let body = SessionBody::theirs(body, answered.read_ahead, Some(watch), renew, limit);
        label(Response::from_parts(parts, body.after(missed.events)), &admission)
    }
}

fn streamed<B>(body: SessionBody<B>, admission: &Admission) -> Response<SessionBody<B>> {
    label(stream_head(body), admission)
}

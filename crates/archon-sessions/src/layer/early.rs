//! The head of an answer before its first byte: who waits in silence is taken for dead by what is in between.
//!
//! A request that gets no head from its server for a while gets a stream from us, as if the server had opened it:
//! its log, its ids and its end are those of any stream. What comes later is written into it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;

use super::accept::Accepts;
use super::answer::{label, opens_stream, stream_head};
use super::body::{
    AnswerFinder, Arrived, Coming, InFlight, Logged, Nature, Rest, SILENCE_MAX, SessionBody, Watch,
};
use super::cancel::taken_back;
use super::exchange::Repeatable;
use super::failure::{BoxError, CallFailed};
use super::flow::{Answer, Flow, InnerRequest, InnerService};
use super::renew::CallOrigin;
use super::request::{Begun, Sent};
use super::restore::Answered;
use crate::protocol::sse::is_event_stream;
use crate::session::Era;
use crate::tracker::{Admission, Call, LiveConnection};

/// An answer that is no message is read up to this length, for its text.
const REFUSAL_MAX: usize = 64 * 1024;

/// The head of an answer, which may be long in coming.
pub(super) type Awaited<B> = BoxFuture<'static, Result<Answered<B>, CallFailed>>;

/// What the inner service says.
pub(super) enum Said<B> {
    /// It has answered, or will not.
    Now(Result<Answered<B>, CallFailed>),
    /// It is silent, and the client takes a stream.
    Later(Awaited<B>),
    /// The client has taken its calls back.
    Never,
}

/// Waits for the head of an answer: where a stream can be opened in its place, no longer than its client may be left
/// in silence.
pub(super) async fn patiently<B>(
    mut awaited: Awaited<B>,
    calls: &[Call],
    takes_stream: bool,
) -> Said<B> {
    // What loses goes on, or is of no use to anybody.
    tokio::select! {
        biased;
        answered = &mut awaited => Said::Now(answered),
        () = taken_back(calls) => Said::Never,
        () = tokio::time::sleep(SILENCE_MAX), if takes_stream => Said::Later(awaited),
    }
}

impl<S: InnerService> Flow<S> {
    /// Calls the inner service for these calls.
    pub(super) fn ask<'c>(
        &self,
        request: &InnerRequest,
        connection: Option<&Arc<LiveConnection>>,
        calls: &'c [Call],
    ) -> impl Future<Output = Said<S::Answer>> + Send + use<'c, S> {
        let (mut flow, request, connection) = (self.clone(), request.clone(), connection.cloned());
        let awaited = async move { flow.call_repeatably(&request, connection.as_ref()).await };
        // Without a call nothing would ever end the stream.
        let takes_stream = self.accepts == Accepts::Streams && !calls.is_empty();
        patiently(Box::pin(awaited), calls, takes_stream)
    }

    /// Opens the stream that a legacy client waits on.
    pub(super) async fn answer_later(
        self,
        awaited: Awaited<S::Answer>,
        sent: Sent,
        admission: Admission,
    ) -> Answer<S> {
        let Sent { request, calls, in_flight } = sent;
        if let Some(durable) = &admission.durable {
            durable.clone().wait().await;
        }
        let (tracker, limit) = (self.shared.tracker.clone(), self.shared.call_timeout());
        let connection = admission.connection.clone();
        let watch = Watch {
            era: Era::Legacy,
            upstream: self.shared.upstream.clone(),
            logged: connection.as_ref().map(|c| Logged::of_calls(&tracker, c, &calls)),
            calls,
            place: None,
            nature: Nature::Calls,
            in_flight,
            status: StatusCode::OK,
            finder: AnswerFinder::of_stream(),
            tracker,
        };
        let coming = self.coming(awaited, request, connection);
        label(stream_head(SessionBody::coming(coming, watch, limit)), &admission)
    }

    /// Opens the stream that a modern client waits on.
    pub(super) fn modern_later(
        self,
        awaited: Awaited<S::Answer>,
        request: InnerRequest,
        begun: Begun,
    ) -> Answer<S> {
        let Begun { calls, place, nature } = begun;
        let limit = self.shared.call_timeout();
        let watch = Watch {
            tracker: self.shared.tracker.clone(),
            era: Era::Modern,
            upstream: self.shared.upstream.clone(),
            calls,
            logged: None,
            place,
            nature,
            in_flight: InFlight::default(),
            status: StatusCode::OK,
            finder: AnswerFinder::of_stream(),
        };
        let coming = self.coming(awaited, request, None);
        stream_head(SessionBody::coming(coming, watch, limit))
    }

    fn coming(
        self,
        awaited: Awaited<S::Answer>,
        request: InnerRequest,
        connection: Option<Arc<LiveConnection>>,
    ) -> Coming<S::Answer> {
        Box::pin(async move {
            let mut answered = awaited.await?;
            let headers = answered.response.headers();
            let is_message = answered.response.status() == StatusCode::OK && is_json(headers);
            if !is_event_stream(headers) && !is_message {
                must_be_message(&mut answered, &self.shared.upstream).await?;
            }
            let Answered { response, read_ahead } = answered;
            let link = connection.as_ref().and_then(|connection| connection.link());
            let is_repeatable = response.extensions().get::<Repeatable>().is_some();
            let renew = opens_stream(response.status(), response.headers()).then(|| {
                let origin = CallOrigin::new(self, request, connection, is_repeatable);
                Box::new(origin) as Box<_>
            });
            Ok(Arrived { rest: Rest { response, after: None, link }, read_ahead, renew })
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

/// Reads an answer whose status says that it may be no message.
async fn must_be_message<B>(answered: &mut Answered<B>, upstream: &str) -> Result<(), CallFailed>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let Answered { response, read_ahead } = answered;
    let mut finder = AnswerFinder::new(response.headers());
    let (mut is_answer, mut bytes) = (false, 0);
    let mut look = |data: &Bytes| {
        bytes += data.len();
        finder.saw(data, &mut |_| is_answer = true);
        bytes <= REFUSAL_MAX
    };
    let mut goes_on = read_ahead.iter().all(&mut look);
    while goes_on {
        let Some(Ok(frame)) = response.body_mut().frame().await else { break };
        let Ok(data) = frame.into_data() else { continue };
        goes_on = look(&data);
        read_ahead.push_back(data);
    }
    if is_answer {
        return Ok(());
    }
    let text: VecDeque<u8> = read_ahead.iter().flatten().copied().collect();
    Err(CallFailed::no_message(upstream, response.status(), &Vec::from(text)))
}

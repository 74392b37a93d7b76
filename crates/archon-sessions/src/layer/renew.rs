//! Where the rest of an answer comes from, when the stream that brought its beginning is gone.
//!
//! A call that may have run is never sent again, unless the service behind us says that it may be
//! ([`Repeatable`](super::exchange::Repeatable)). What a legacy server offers instead is resumption (MCP 2025-11-25,
//! Transports, Resumability): the rest of the same answer, after the last event that we have.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::Full;
use tokio::time::Instant;

use super::answer::opens_stream;
use super::body::{Renew, Rest};
use super::failure::CallFailed;
use super::flow::{Flow, InnerRequest, InnerService};
use super::restore::Answered;
use crate::protocol::codes;
use crate::protocol::names::{LAST_EVENT_ID, MCP_SESSION_ID};
use crate::protocol::sse::is_event_stream;
use crate::tracker::LiveConnection;

/// A server that closed a stream to be asked again is asked after so long, unless it said when itself.
const RESUME_AFTER: Duration = Duration::from_millis(200);
/// A stream that was resumed and is over within so long, with nothing new on it, was resumed in vain...
const VAIN_WITHIN: Duration = Duration::from_secs(1);
/// ... and after so many of those in a row there is no answer to wait for...
const VAIN_MAX: u32 = 3;
/// ... or after so many, where the server said when it wants to be asked: it may mean to be asked often.
const VAIN_WHEN_TOLD_MAX: u32 = 10;
/// A call that may be sent again is, for as long; a server restarts within seconds.
const REPEAT_FOR: Duration = Duration::from_secs(10);
/// And so often at most: a call that ends its server each time does not go round for ever.
const REPEATS_MAX: u32 = 2;
/// Pauses between attempts: from the first to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A standing stream that is refused so often in a row is not opened again.
const REFUSALS_MAX: u32 = 10;

impl<S: InnerService> Flow<S> {
    /// Calls the inner service, again where the call may be sent again.
    pub(super) async fn call_repeatably(
        &mut self,
        request: &InnerRequest,
        connection: Option<&Arc<LiveConnection>>,
    ) -> Result<Answered<S::Answer>, CallFailed> {
        match self.call_connected(request, connection).await {
            Err(failed) if failed.is_repeatable => repeat(self.clone(), request, connection).await,
            answered => answered,
        }
    }
}

/// The request behind an answer of calls.
pub(super) struct CallOrigin<S> {
    flow: Flow<S>,
    request: InnerRequest,
    connection: Option<Arc<LiveConnection>>,
    /// What it was sent on; no other link knows its stream.
    link: Option<HeaderValue>,
    /// How often it may still be sent again.
    repeats: u32,
    /// When it was last decided to resume it, how long after that, and after which event.
    resumed: Option<(Instant, Duration, Vec<u8>)>,
    vain: u32,
}

impl<S> CallOrigin<S> {
    pub(super) fn new(
        flow: Flow<S>,
        request: InnerRequest,
        connection: Option<Arc<LiveConnection>>,
        is_repeatable: bool,
    ) -> Self {
        let link = connection.as_ref().and_then(|connection| connection.link());
        let repeats = if is_repeatable { REPEATS_MAX } else { 0 };
        Self { flow, request, connection, link, repeats, resumed: None, vain: 0 }
    }

    /// Returns how the answer goes on after the event `last`, unless that was tried in vain.
    fn resumption(&mut self, last: &[u8], retry: Option<Duration>) -> Option<InnerRequest> {
        let is_vain = self.resumed.as_ref().is_some_and(|(at, pause, after)| {
            **after == *last && at.elapsed() < *pause + VAIN_WITHIN
        });
        self.vain = if is_vain { self.vain + 1 } else { 0 };
        if self.vain >= retry.map_or(VAIN_MAX, |_| VAIN_WHEN_TOLD_MAX) {
            return None;
        }
        self.resumed = Some((Instant::now(), retry.unwrap_or(RESUME_AFTER), last.to_vec()));
        let connection = self.connection.as_ref().filter(|c| c.link() == self.link)?;
        resumption(&self.request, connection, last)
    }
}

impl<S: InnerService> Renew<S::Answer> for CallOrigin<S> {
    fn renew(
        &mut self,
        last: &[u8],
        retry: Option<Duration>,
    ) -> Option<BoxFuture<'static, Result<Rest<S::Answer>, CallFailed>>> {
        let resumed = self.resumption(last, retry);
        let (flow, pause) = (self.flow.clone(), retry.unwrap_or(RESUME_AFTER));
        let Some(repeats) = self.repeats.checked_sub(1) else {
            let resumed = resumed?;
            return Some(Box::pin(resume(flow, resumed, last.to_vec(), pause)));
        };
        self.repeats = repeats;
        let (request, connection) = (self.request.clone(), self.connection.clone());
        let last = last.to_vec();
        Some(Box::pin(async move {
            if let Some(resumed) = resumed
                && let Ok(rest) = resume(flow.clone(), resumed, last, pause).await
            {
                return Ok(rest);
            }
            // Its answer came as a whole body, which cannot go on in a stream that has begun: it ran, and what
            // came of it is unknown to the client.
            let lost = CallFailed::lost(&flow.shared.upstream);
            let response = repeat(flow, &request, connection.as_ref()).await?.response;
            if is_event_stream(response.headers()) {
                let link = connection.and_then(|connection| connection.link());
                return Ok(Rest { response, after: None, link });
            }
            Err(lost)
        }))
    }

    fn went_on(&mut self, link: Option<HeaderValue>) {
        self.link = link;
    }
}

/// The request behind a stream on which the server speaks by itself.
pub(super) struct StandingOrigin<S> {
    flow: Flow<S>,
    request: InnerRequest,
    connection: Arc<LiveConnection>,
    /// What it was opened on; no other link knows its events.
    link: Option<HeaderValue>,
}

impl<S> StandingOrigin<S> {
    pub(super) fn new(
        flow: Flow<S>,
        request: InnerRequest,
        connection: Arc<LiveConnection>,
    ) -> Self {
        let link = connection.link();
        Self { flow, request, connection, link }
    }
}

impl<S: InnerService> Renew<S::Answer> for StandingOrigin<S> {
    fn renew(
        &mut self,
        last: &[u8],
        retry: Option<Duration>,
    ) -> Option<BoxFuture<'static, Result<Rest<S::Answer>, CallFailed>>> {
        let connection = self.connection.clone();
        if connection.presence().has_ended() {
            return None;
        }
        let (mut request, opened_on) = (self.request.clone(), self.link.clone());
        let last = HeaderValue::from_bytes(last).ok().filter(|last| !last.is_empty());
        let mut flow = self.flow.clone();
        Some(Box::pin(async move {
            let least = retry.unwrap_or(PAUSE_MIN);
            let (mut pause, mut refusals) = (least, 0);
            loop {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX).max(least);
                request.headers_mut().remove(LAST_EVENT_ID);
                if let Some(last) = last.as_ref().filter(|_| connection.link() == opened_on) {
                    request.headers_mut().insert(LAST_EVENT_ID, last.clone());
                }
                let Ok(answered) = flow.call_connected(&request, Some(&connection)).await else {
                    continue;
                };
                let response = answered.response;
                if opens_stream(response.status(), response.headers()) {
                    let link = connection.link();
                    let after = last.filter(|_| link == opened_on);
                    let after = after.map(|last| last.as_bytes().to_vec());
                    return Ok(Rest { response, after, link });
                }
                refusals += 1;
                if refusals >= REFUSALS_MAX || response.status() == StatusCode::METHOD_NOT_ALLOWED {
                    return Err(CallFailed::lost(&flow.shared.upstream));
                }
            }
        }))
    }

    fn went_on(&mut self, link: Option<HeaderValue>) {
        self.link = link;
    }
}

/// Returns the request for what comes after the event `last` on the connection's link.
fn resumption(
    request: &InnerRequest,
    connection: &LiveConnection,
    last: &[u8],
) -> Option<InnerRequest> {
    let last = HeaderValue::from_bytes(last).ok().filter(|last| !last.is_empty())?;
    let link = connection.link()?;
    let mut resumed = InnerRequest::new(Full::new(Bytes::new()));
    *resumed.method_mut() = Method::GET;
    *resumed.uri_mut() = request.uri().clone();
    *resumed.headers_mut() = request.headers().clone();
    resumed.extensions_mut().insert(connection.affinity());
    let headers = resumed.headers_mut();
    headers.remove(CONTENT_TYPE);
    headers.remove(CONTENT_LENGTH);
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(MCP_SESSION_ID, link);
    headers.insert(LAST_EVENT_ID, last);
    Some(resumed)
}

async fn resume<S: InnerService>(
    mut flow: Flow<S>,
    resumed: InnerRequest,
    last: Vec<u8>,
    pause: Duration,
) -> Result<Rest<S::Answer>, CallFailed> {
    tokio::time::sleep(pause).await;
    let lost = CallFailed::lost(&flow.shared.upstream);
    let link = resumed.headers().get(MCP_SESSION_ID).cloned();
    match flow.call_inner(resumed).await {
        Ok(response) if opens_stream(response.status(), response.headers()) => {
            Ok(Rest { response, after: Some(last), link })
        }
        Ok(_) | Err(_) => Err(lost),
    }
}

/// Sends a call again that may be sent again, until it is answered or enough was tried.
async fn repeat<S: InnerService>(
    mut flow: Flow<S>,
    request: &InnerRequest,
    connection: Option<&Arc<LiveConnection>>,
) -> Result<Answered<S::Answer>, CallFailed> {
    let (began, mut pause, mut lost) = (Instant::now(), PAUSE_MIN, 0);
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
        let failed = match flow.call_connected(request, connection).await {
            Ok(answered) => return Ok(answered),
            Err(failed) => failed,
        };
        let is_unreachable = failed.code == codes::UPSTREAM_UNREACHABLE;
        lost += u32::from(!is_unreachable);
        let may_go_on = is_unreachable || (failed.is_repeatable && lost < REPEATS_MAX);
        if !may_go_on || began.elapsed() >= REPEAT_FOR {
            return Err(failed);
        }
    }
}

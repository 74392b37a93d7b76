//! An answer that is a stream of events: read to its end, and come back to if it is lost.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use reqwest::Response;
use rmcp::model::ErrorData;
use serde_json::Value;

use super::attempt::{is_ours, is_stream, lost, refused_stream};
use super::call::Outgoing;
use super::fault::Fault;
use super::{Inner, Link};
use crate::error::{OutcomeUnknown, Source, UnknownReason};
use crate::session::Era;
use crate::wire::headers::LAST_EVENT_ID;
use crate::wire::http::retry_after;
use crate::wire::message::Incoming;
use crate::wire::sse::{Decoder, Event};

/// A stream is come back to so often without hearing anything new. With the usual waits that is longer than a
/// gateway's restart takes, and nothing is run by it.
const RESUMES_MAX: u32 = 8;
/// A server that asks to wait longer than this before one comes back is not waited for so long.
pub(super) const RETRY_MS_MAX: u64 = 30_000;
/// What comes after an answer is read for so long, so that the connection can be used again.
const REST_LIMIT: Duration = Duration::from_millis(200);

/// Where one is in a stream.
#[derive(Debug, Default)]
struct StreamPlace {
    last_event_id: Option<String>,
    retry_ms: Option<u64>,
    /// Since the last event that was new.
    resumes: u32,
}

/// What a stream came to.
enum Ended {
    /// The answer.
    Answered(Result<Value, ErrorData>),
    /// It was over or broke before.
    Early(Option<Source>),
}

impl Inner {
    /// Reads the stream that answers a request, again from where it broke if that is possible.
    pub(super) async fn follow(
        self: &Arc<Self>,
        link: &Arc<Link>,
        outgoing: &Outgoing,
        id: u64,
        mut response: Response,
    ) -> Result<Result<Value, ErrorData>, Fault> {
        let mut place = StreamPlace::default();
        loop {
            if !is_stream(&response) {
                // Only what is come back to can be that: a document that holds the answer.
                return self.read_document(link, outgoing, id, response).await;
            }
            let cause = match self.read_events(link, outgoing, id, &mut response, &mut place).await
            {
                Ended::Answered(outcome) => {
                    self.read_rest(response);
                    return Ok(outcome);
                }
                Ended::Early(cause) => cause,
            };
            drop(response);
            response = self.resume(link, &mut place, cause).await?;
        }
    }

    async fn read_events(
        self: &Arc<Self>,
        link: &Arc<Link>,
        outgoing: &Outgoing,
        id: u64,
        response: &mut Response,
        place: &mut StreamPlace,
    ) -> Ended {
        let mut decoder = Decoder::default();
        loop {
            let piece = match response.chunk().await {
                Ok(Some(piece)) => piece,
                Ok(None) => {
                    let last = decoder.finish().map(|event| Incoming::all(event.data.as_bytes()));
                    let mut last = last.into_iter().flatten();
                    let found = last.find_map(|one| self.take_message(link, outgoing, id, one));
                    return found.map_or(Ended::Early(None), Ended::Answered);
                }
                Err(error) => return Ended::Early(Some(error.without_url().into())),
            };
            let events = match decoder.take(&piece) {
                Ok(events) => events,
                Err(error) => return Ended::Early(Some(error.into())),
            };
            for event in events {
                if let Some(outcome) = self.take_event(link, outgoing, id, event, place) {
                    return Ended::Answered(outcome);
                }
            }
        }
    }

    /// Takes an event; returns the answer, if it is that.
    fn take_event(
        self: &Arc<Self>,
        link: &Arc<Link>,
        outgoing: &Outgoing,
        id: u64,
        event: Event,
        place: &mut StreamPlace,
    ) -> Option<Result<Value, ErrorData>> {
        place.retry_ms = event.retry_ms.or(place.retry_ms);
        if let Some(event_id) = event.id.filter(|event_id| !event_id.is_empty()) {
            place.last_event_id = Some(event_id);
            place.resumes = 0;
        }
        if event.data.is_empty() {
            return None;
        }
        let mut messages = Incoming::all(event.data.as_bytes()).into_iter();
        messages.find_map(|message| self.take_message(link, outgoing, id, message))
    }

    /// Takes a message; returns the answer, if it is that.
    pub(super) fn take_message(
        self: &Arc<Self>,
        link: &Arc<Link>,
        outgoing: &Outgoing,
        id: u64,
        message: Incoming,
    ) -> Option<Result<Value, ErrorData>> {
        match message {
            Incoming::Answer { id: answered, outcome } if is_ours(answered.as_ref(), id) => {
                return Some(outcome);
            }
            Incoming::Request { id, method, params } => {
                self.answer_beside(link, id, &method, params);
            }
            Incoming::Notification { method, params } => self.hear(Some(outgoing), &method, params),
            Incoming::Answer { .. } => {
                tracing::debug!("the server sent the answer to another request");
            }
        }
        None
    }

    /// Hears a notification, of the call on whose stream it came if it came on one.
    pub(super) fn hear(&self, outgoing: Option<&Outgoing>, method: &str, params: Value) {
        match method {
            "notifications/progress" => {
                let Ok(progress) = serde_json::from_value(params) else { return };
                let tool = outgoing.and_then(Outgoing::tool).unwrap_or_default();
                match outgoing.and_then(|outgoing| outgoing.on_progress.as_ref()) {
                    Some(hear) => hear(progress),
                    None => self.settings.handler.progress(tool, progress),
                }
            }
            "notifications/tools/list_changed" => {
                self.forget_tools();
                self.settings.handler.notification(method, params);
            }
            _ => self.settings.handler.notification(method, params),
        }
    }

    /// Comes back to a stream (MCP 2025-11-25, Resumability). The gateway keeps answers for who does.
    async fn resume(
        &self,
        link: &Link,
        place: &mut StreamPlace,
        mut cause: Option<Source>,
    ) -> Result<Response, Fault> {
        let event_id = place.last_event_id.as_deref().filter(|_| link.era == Era::Legacy);
        let Some(event_id) = event_id.and_then(|id| HeaderValue::try_from(id).ok()) else {
            return Err(broken_off(cause));
        };
        while place.resumes < RESUMES_MAX {
            let asked = place.retry_ms.map(|ms| Duration::from_millis(ms.min(RETRY_MS_MAX)));
            let wait = asked.unwrap_or_else(|| match place.resumes {
                0 => Duration::ZERO,
                retries => self.settings.retry.delay(retries, fastrand::f64()),
            });
            place.resumes += 1;
            tokio::time::sleep(wait).await;
            let mut headers = self.headers(link);
            headers.insert(LAST_EVENT_ID, event_id.clone());
            let response = match self.http.get(headers).await {
                Ok(response) => response,
                Err(error) => {
                    cause = Some(error.without_url().into());
                    continue;
                }
            };
            match response.status() {
                status if status.is_success() => return Ok(response),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    let wait = retry_after(response.headers(), Timestamp::now());
                    let wait =
                        wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(RETRY_MS_MAX));
                    place.retry_ms = wait.or(place.retry_ms);
                }
                status => return Err(refused_stream(status)),
            }
        }
        Err(broken_off(cause))
    }

    /// Reads what comes after an answer, beside everything else.
    fn read_rest(&self, mut response: Response) {
        if self.stop.is_cancelled() {
            return;
        }
        self.tasks.spawn(async move {
            let _ = tokio::time::timeout(REST_LIMIT, async {
                while let Ok(Some(_)) = response.chunk().await {}
            })
            .await;
        });
    }
}

fn broken_off(cause: Option<Source>) -> Fault {
    let message =
        "the answer's stream broke off; the call may have run, check before you call again";
    match cause {
        Some(cause) => {
            Fault::Lost(OutcomeUnknown::new(UnknownReason::ConnectionLost, message).caused(cause))
        }
        None => lost(UnknownReason::ConnectionLost, message),
    }
}

//! One attempt: a request goes out once, and what comes back is read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use reqwest::Response;
use rmcp::model::ErrorData;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::call::{Answered, Outgoing};
use super::fault::{self, Fault, Refusal};
use super::{Inner, Link};
use crate::error::{
    ConnectionError, ConnectionReason, OutcomeUnknown, SessionError, UnknownReason,
};
use crate::session::{ChangeCause, Era};
use crate::state::Secret;
use crate::wire::headers::{self, MCP_SESSION_ID, PROTOCOL_VERSION, X_ARCHON_SESSION_ID};
use crate::wire::http::{Sent, read, read_refusal, retry_after};
use crate::wire::message::{self, Incoming, names};

impl Inner {
    /// Sends a request once.
    pub(super) async fn attempt(
        self: &Arc<Self>,
        link: &Arc<Link>,
        outgoing: &Outgoing,
        deadline: Instant,
    ) -> Result<Answered, Fault> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let sent = Sent::default();
        let mut flight = Flight::begin(self, link, id, &outgoing.method, sent.clone());
        let exchange = timeout_at(deadline, self.exchange(link, outgoing, id, &sent));
        let outcome = tokio::select! {
            outcome = exchange => outcome,
            // The answer is lost; what is said of it below is all that is known.
            () = self.stop.cancelled() => return Err(closed(&sent)),
        };
        match outcome {
            Ok(outcome) => {
                flight.is_over = true;
                outcome
            }
            Err(_) if sent.get() => {
                let message =
                    "no answer in time; the call may still run, check before you call again";
                Err(Fault::Lost(OutcomeUnknown::new(UnknownReason::TimedOut, message)))
            }
            Err(_) => {
                let message = format!("could not connect to {} in time", self.http.url());
                Err(Fault::NotSent(ConnectionError::new(ConnectionReason::Unreachable, message)))
            }
        }
    }

    async fn exchange(
        self: &Arc<Self>,
        link: &Arc<Link>,
        outgoing: &Outgoing,
        id: u64,
        sent: &Sent,
    ) -> Result<Answered, Fault> {
        // Whether it is sent in a session, which the server can forget.
        let is_bound = link.era == Era::Legacy && outgoing.method != "initialize";
        let (headers, params) = self.dress(link, outgoing, id);
        let body = Bytes::from(message::request(id, &outgoing.method, &params));
        let response =
            self.http.post(headers, body, sent).await.map_err(|error| self.broken(error, sent))?;
        let cause = match outgoing.method.as_str() {
            "initialize" => ChangeCause::Renewed,
            _ => ChangeCause::Continued,
        };
        self.learn(response.headers(), cause);
        let status = response.status();
        if !status.is_success() {
            let retry_after = retry_after(response.headers(), Timestamp::now());
            let body = read_refusal(response).await;
            let has_handle = link.handle.is_some();
            let bound = is_bound.then_some(id);
            return Err(Refusal { status, retry_after, body: &body, has_handle, bound }.fault());
        }
        let handle = header_text(&response, &MCP_SESSION_ID).map(Secret::new);
        let outcome = match is_stream(&response) {
            true => self.follow(link, outgoing, id, response).await?,
            // Some servers leave the type out, or give another one.
            false => self.read_document(link, outgoing, id, response).await?,
        };
        let meaning = if is_bound { fault::answered_in_session } else { fault::answered };
        outcome.map(|result| Answered { result, handle }).map_err(meaning)
    }

    /// Reads an answer that is a document, and not a stream.
    pub(super) async fn read_document(
        self: &Arc<Self>,
        link: &Arc<Link>,
        outgoing: &Outgoing,
        id: u64,
        response: Response,
    ) -> Result<Result<Value, ErrorData>, Fault> {
        let status = response.status();
        let body = read(response).await.map_err(|error| {
            let message = format!("{error}; the call may have run, check before you call again");
            let unknown = OutcomeUnknown::new(UnknownReason::ConnectionLost, message);
            Fault::Lost(unknown.caused(error))
        })?;
        for message in Incoming::all(&body) {
            if let Some(outcome) = self.take_message(link, outgoing, id, message) {
                return Ok(outcome);
            }
        }
        let message = format!(
            "the server sent something else than an answer ({status}); the call may have run"
        );
        Err(lost(UnknownReason::ConnectionLost, message))
    }

    /// Returns what a request looks like on the wire: its headers and its params.
    fn dress(&self, link: &Link, outgoing: &Outgoing, id: u64) -> (HeaderMap, Value) {
        let mut params = outgoing.params.clone();
        let mut meta = match params.remove("_meta") {
            Some(Value::Object(meta)) => meta,
            _ => serde_json::Map::new(),
        };
        if outgoing.on_progress.is_some() || self.settings.wants_progress {
            meta.insert("progressToken".to_owned(), id.into());
        }
        let mut headers = self.headers(link);
        if link.era == Era::Modern {
            meta.extend(self.modern_meta(&link.version));
        }
        if !meta.is_empty() {
            params.insert("_meta".to_owned(), Value::Object(meta));
        }
        let params = Value::Object(params);
        if link.era == Era::Modern {
            let tools = self.known_tools();
            let tool = outgoing.tool().and_then(|name| tools.as_deref()?.find(name));
            let schema = tool.map(|tool| &*tool.input_schema);
            headers::mirror(&mut headers, &outgoing.method, &params, schema);
        }
        (headers, params)
    }

    fn modern_meta(&self, version: &str) -> serde_json::Map<String, Value> {
        let Settled { info, capabilities } = self.describe();
        serde_json::Map::from_iter([
            ("io.modelcontextprotocol/protocolVersion".to_owned(), version.into()),
            ("io.modelcontextprotocol/clientCapabilities".to_owned(), capabilities),
            ("io.modelcontextprotocol/clientInfo".to_owned(), info),
        ])
    }

    /// Returns what this client says of itself.
    pub(super) fn describe(&self) -> Settled {
        Settled {
            info: serde_json::to_value(&self.settings.info).unwrap_or_default(),
            capabilities: serde_json::to_value(self.settings.handler.capabilities())
                .unwrap_or_else(|_| json!({})),
        }
    }

    /// Returns the headers that show which session a message belongs to.
    pub(super) fn headers(&self, link: &Link) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !link.version.is_empty()
            && let Ok(version) = HeaderValue::try_from(&link.version)
        {
            headers.insert(PROTOCOL_VERSION, version);
        }
        if let Some(handle) = &link.handle
            && let Ok(mut handle) = HeaderValue::try_from(handle.reveal())
        {
            handle.set_sensitive(true);
            headers.insert(MCP_SESSION_ID, handle);
        }
        let session_id = self.known().session_id;
        if let Some(id) = session_id.and_then(|id| HeaderValue::try_from(id.to_string()).ok()) {
            headers.insert(X_ARCHON_SESSION_ID, id);
        }
        headers
    }

    fn learn(&self, headers: &HeaderMap, cause: ChangeCause) {
        let id = headers.get(X_ARCHON_SESSION_ID).and_then(|id| id.to_str().ok()?.parse().ok());
        if let Some(id) = id {
            self.learn_session(id, cause);
        }
    }

    /// Returns what it is to a request that its HTTP exchange failed before an answer began.
    pub(super) fn broken(&self, error: reqwest::Error, sent: &Sent) -> Fault {
        let url = self.http.url();
        let error = error.without_url();
        if sent.get() {
            let message = format!(
                "the connection to {url} was lost; the call may have run, check before you call again"
            );
            return Fault::Lost(
                OutcomeUnknown::new(UnknownReason::ConnectionLost, message).caused(error),
            );
        }
        let message = format!("could not connect to {url}");
        Fault::NotSent(ConnectionError::new(ConnectionReason::Unreachable, message).caused(error))
    }
}

/// What a client says of itself.
pub(super) struct Settled {
    pub info: Value,
    pub capabilities: Value,
}

/// Returns whether an answer is a stream of events.
pub(super) fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/event-stream")
}

/// Returns whether an answer is to this request. One without an id is to whatever was asked on its stream.
pub(super) fn is_ours(answered: Option<&Value>, id: u64) -> bool {
    answered.is_none_or(|answered| names(answered, id))
}

/// What it is to a request that its client was closed.
fn closed(sent: &Sent) -> Fault {
    if !sent.get() {
        return Fault::Final(SessionError::closed().into());
    }
    let message = "this client was closed before the answer came; the call may have run";
    lost(UnknownReason::ConnectionLost, message)
}

pub(super) fn lost(reason: UnknownReason, message: impl Into<String>) -> Fault {
    Fault::Lost(OutcomeUnknown::new(reason, message))
}

fn header_text<'a>(response: &'a Response, name: &http::HeaderName) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

/// A request in flight. Dropped before its end, whether by the clock or by its caller, it is cancelled at the server:
/// in the legacy era a stream that closes is no cancellation (MCP 2025-11-25, Cancellation).
struct Flight<'a> {
    inner: &'a Arc<Inner>,
    link: &'a Arc<Link>,
    id: u64,
    can_cancel: bool,
    sent: Sent,
    is_over: bool,
}

impl<'a> Flight<'a> {
    fn begin(
        inner: &'a Arc<Inner>,
        link: &'a Arc<Link>,
        id: u64,
        method: &str,
        sent: Sent,
    ) -> Self {
        inner.in_flight.fetch_add(1, Ordering::Relaxed);
        let can_cancel = link.era == Era::Legacy && method != "initialize";
        Self { inner, link, id, can_cancel, sent, is_over: false }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.inner.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.inner.touch();
        // Outside a runtime there is nobody to send it.
        let can_send = tokio::runtime::Handle::try_current().is_ok();
        if !self.is_over && self.can_cancel && self.sent.get() && can_send {
            let params = json!({ "requestId": self.id, "reason": "no longer needed" });
            let text = message::notification("notifications/cancelled", &params);
            self.inner.post_beside(self.link, text, "notifications/cancelled");
        }
    }
}

/// What a GET that opens a stream was refused with.
pub(super) fn refused_stream(status: StatusCode) -> Fault {
    let message = format!(
        "its answer's stream was lost and cannot be resumed ({status}); the call may have run, check before you call again"
    );
    lost(UnknownReason::ConnectionLost, message)
}

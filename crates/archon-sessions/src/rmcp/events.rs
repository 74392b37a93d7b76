//! Events of rmcp's streams as we store them, and streams of those that a client has missed.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::rmcp::model::{
    CustomNotification, CustomRequest, CustomResult, JsonRpcError, JsonRpcMessage, RequestId,
    ServerJsonRpcMessage, ServerNotification, ServerRequest, ServerResult,
};
use ::rmcp::transport::streamable_http_server::session::{EventStream, ServerSseMessage};
use futures_util::stream;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::protocol::event_id::StreamId;
use crate::session::{McpSessionId, Timestamp};
use crate::store::StoredEvent;
use crate::tracker::Tracker;

/// Events that are read for a client ahead of its reading.
const READ_AHEAD: usize = 16;

/// An event's id: its stream, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventName {
    pub(super) stream: StreamId,
    pub(super) seq: u64,
}

impl EventName {
    /// Parses an id that this store gave; `None` for any other text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (stream, seq) = text.split_once('-')?;
        let is_digits = stream.len() == 16 && stream.bytes().all(|b| b.is_ascii_hexdigit());
        let stream = is_digits.then(|| u64::from_str_radix(stream, 16).ok())??.cast_signed();
        // The others are the layer's.
        (stream < 0).then_some(Self { stream: StreamId(stream), seq: seq.parse().ok()? })
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.stream.0.cast_unsigned(), self.seq)
    }
}

/// Returns our name of a stream: the same in every process. rmcp's names hold 122 random bits; 63 of their digest
/// are too many to guess, and to meet by chance. Names of the layer's streams are positive.
pub(super) fn stream_of(stream_id: &str) -> StreamId {
    let digest = Sha256::digest(stream_id.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    StreamId(i64::from_be_bytes(bytes) | i64::MIN)
}

/// Returns our name of the stream on which a session's server speaks by itself.
pub(super) fn common_stream(session_id: &str) -> StreamId {
    stream_of(&format!("{session_id}:common"))
}

/// Returns what to store of an event: its lines, as a client would get them.
pub(super) fn stored(
    name: EventName,
    stream_id: &str,
    event: &ServerSseMessage,
    now: Timestamp,
) -> Result<StoredEvent, serde_json::Error> {
    let mut lines = String::new();
    if let Some(retry) = event.retry {
        lines += &format!("retry: {}\n", retry.as_millis());
    }
    if let Some(message) = &event.message {
        lines += &format!("data: {}\n", serde_json::to_string(message)?);
    }
    lines.push('\n');
    // Streams of a request do not say whose they are.
    let session = stream_id.strip_suffix(":common").and_then(|id| id.parse().ok());
    let is_answered = matches!(
        event.message.as_deref(),
        Some(JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_))
    );
    Ok(StoredEvent {
        stream: name.stream,
        seq: name.seq,
        handle: session.unwrap_or(McpSessionId::from_uuid(Uuid::nil())),
        bytes: lines.into(),
        is_answered,
        at: now,
    })
}

/// Returns the event as rmcp sends it; `None` if it is not readable.
pub(super) fn sent(event: &StoredEvent) -> Option<ServerSseMessage> {
    let mut sent = ServerSseMessage::default();
    sent.event_id = Some(EventName { stream: event.stream, seq: event.seq }.to_string());
    for line in std::str::from_utf8(&event.bytes).ok()?.lines() {
        if let Some(data) = line.strip_prefix("data: ") {
            sent.message = Some(Arc::new(message(data)?));
        } else if let Some(millis) = line.strip_prefix("retry: ") {
            sent.retry = millis.parse().ok().map(Duration::from_millis);
        }
    }
    Some(sent)
}

/// Reads a message into the types of rmcp that hold any: read into those of its kind, it would lose what they do
/// not know, or be taken for another kind, for a result does not say what it is.
pub(super) fn message(text: &str) -> Option<ServerJsonRpcMessage> {
    let mut fields = match serde_json::from_str(text).ok()? {
        Value::Object(fields) => fields,
        _ => return None,
    };
    if fields.contains_key("error") {
        let error: JsonRpcError = serde_json::from_value(Value::Object(fields)).ok()?;
        return Some(JsonRpcMessage::Error(error));
    }
    let mut id = || serde_json::from_value::<RequestId>(fields.remove("id")?).ok();
    let id = id();
    if let Some(result) = fields.remove("result") {
        let result = ServerResult::CustomResult(CustomResult(result));
        return Some(JsonRpcMessage::response(result, id?));
    }
    let Some(Value::String(method)) = fields.remove("method") else { return None };
    // rmcp would write the absence of params as `null`, which they must not be (JSON-RPC 2.0, 4.2).
    let params = fields.remove("params").unwrap_or_else(|| Value::Object(Map::new()));
    Some(match id {
        Some(id) => {
            let request = CustomRequest::new(method, Some(params));
            JsonRpcMessage::request(ServerRequest::CustomRequest(request), id)
        }
        None => {
            let notification = CustomNotification::new(method, Some(params));
            JsonRpcMessage::notification(ServerNotification::CustomNotification(notification))
        }
    })
}

/// Reads a stream's events from the store for a client that comes back.
pub(super) struct Follower {
    tracker: Tracker,
    after: EventName,
    /// `None` where no more will come.
    news: Option<watch::Receiver<u64>>,
    reader: mpsc::Sender<ServerSseMessage>,
}

impl Follower {
    /// Returns the stream of what it reads. The tracker owns its task; it ends with its reader.
    pub(super) fn start(
        tracker: Tracker,
        after: EventName,
        news: Option<watch::Receiver<u64>>,
    ) -> EventStream {
        let (reader, mut events) = mpsc::channel(READ_AHEAD);
        let follower = Self { tracker: tracker.clone(), after, news, reader };
        tracker.outlive(follower.run());
        Box::pin(stream::poll_fn(move |context| events.poll_recv(context)))
    }

    async fn run(mut self) {
        loop {
            // What is told of while we read is read again, at worst.
            let has_news = match &mut self.news {
                Some(news) => {
                    news.borrow_and_update();
                    news.has_changed().is_ok()
                }
                None => false,
            };
            let Some(missed) = self.missed().await else { return };
            if !self.send(missed).await || !has_news || !self.wait().await {
                return;
            }
        }
    }

    /// Returns the events that its client does not have; `None` if the store cannot say.
    async fn missed(&self) -> Option<VecDeque<StoredEvent>> {
        let events = self.tracker.kept_events(self.after.stream).await?;
        Some(events.into_iter().filter(|event| event.seq > self.after.seq).collect())
    }

    /// Sends events; returns false if nothing more is to be sent.
    async fn send(&mut self, events: VecDeque<StoredEvent>) -> bool {
        for event in events {
            self.after.seq = event.seq;
            let Some(message) = sent(&event) else {
                tracing::warn!(id = %self.after, "a stored event is not readable, and was left out");
                continue;
            };
            let closing = self.tracker.closing().clone();
            // What is not sent when the server stops is sent when its client comes back.
            let is_sent = tokio::select! {
                sent = self.reader.send(message) => sent.is_ok(),
                () = closing.cancelled() => false,
            };
            if !is_sent || event.is_answered {
                return false;
            }
        }
        true
    }

    /// Waits until there may be more; returns false if there will be no more, or nobody to read it.
    async fn wait(&mut self) -> bool {
        let Some(news) = &mut self.news else { return false };
        // Nothing is lost: what was told is seen when it is asked for again.
        tokio::select! {
            // The last word comes with its end: what it was about is read once more.
            _ = news.changed() => true,
            () = self.reader.closed() => false,
            () = self.tracker.closing().cancelled() => false,
        }
    }
}

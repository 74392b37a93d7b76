//! Takes batches apart, for upstreams that do not know them: only protocol version 2025-03-26 has
//! JSON-RPC batches, and servers that speak it often leave them out.
//!
//! Each message goes on by itself, in order, with its own bytes; what comes back is one event stream.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use archon_sessions::layer::{BoxError, CallFailed, Exchange, InnerRequest};
use archon_sessions::protocol::sse::is_event_stream;
use archon_sessions::protocol::{Envelope, Message, Text};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::Service;

use super::wire::{Answer, Answering, GatewayBody, Relay};

/// Stands before an upstream and hands it single messages only.
#[derive(Clone)]
pub struct Unbatched<U> {
    upstream: U,
}

impl<U> Unbatched<U> {
    /// Returns the service in front of `upstream`.
    pub fn new(upstream: U) -> Self {
        Self { upstream }
    }
}

impl<U: Relay> Service<InnerRequest> for Unbatched<U> {
    type Response = Answer;
    type Error = CallFailed;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), CallFailed>> {
        self.upstream.poll_ready(context)
    }

    fn call(&mut self, request: InnerRequest) -> Self::Future {
        let exchange = request.extensions().get::<Exchange>();
        match exchange.and_then(|exchange| exchange.message.as_deref()) {
            Some(Message::Batch(envelopes)) => {
                let parts: VecDeque<InnerRequest> =
                    envelopes.iter().map(|envelope| single(&request, envelope)).collect();
                let upstream = self.upstream.clone();
                let has_calls = envelopes.iter().any(|e| e.request_id().is_some());
                Box::pin(async move {
                    if has_calls {
                        Ok(stream_of(upstream, parts))
                    } else {
                        accept(upstream, parts).await
                    }
                })
            }
            Some(Message::Single(_)) | None => self.upstream.call(request),
        }
    }
}

/// Marks a request that is a part of a batch, whose answer is a part of a stream.
#[derive(Clone, Copy, Debug)]
pub struct FromBatch;

/// Returns one message of a batch as a request of its own.
fn single(batch: &InnerRequest, envelope: &Envelope) -> InnerRequest {
    let body = envelope.source.clone().into_bytes();
    let mut request = InnerRequest::new(Full::new(body));
    *request.method_mut() = batch.method().clone();
    *request.uri_mut() = batch.uri().clone();
    *request.headers_mut() = batch.headers().clone();
    request.extensions_mut().insert(FromBatch);
    if let Some(exchange) = batch.extensions().get::<Exchange>() {
        let message = Some(Arc::new(Message::Single(envelope.clone())));
        request.extensions_mut().insert(Exchange { message, ..exchange.clone() });
    }
    request
}

/// Sends what wants no answer; 202 as for each of them alone.
async fn accept<U: Relay>(
    mut upstream: U,
    parts: VecDeque<InnerRequest>,
) -> Result<Answer, CallFailed> {
    for part in parts {
        upstream.call(part).await?;
    }
    let mut answer = Answer::new(GatewayBody::ours(Bytes::new()));
    *answer.status_mut() = StatusCode::ACCEPTED;
    Ok(answer)
}

/// Returns the answers to all of them as they come, one message after the other.
fn stream_of<U: Relay>(upstream: U, parts: VecDeque<InnerRequest>) -> Answer {
    let answers = stream::unfold((upstream, parts), async |(mut upstream, mut parts)| {
        let part = parts.pop_front()?;
        let id = part.extensions().get::<Exchange>().and_then(request_id);
        let answer = upstream.call(part).await;
        Some((events(answer, id), (upstream, parts)))
    });
    let frames = answers.flatten().map(|bytes: Result<Bytes, BoxError>| bytes.map(Frame::data));
    let body = StreamBody::new(frames).boxed_unsync();
    let mut answer = Answer::new(GatewayBody::stream(body));
    let kind = HeaderValue::from_static("text/event-stream");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn request_id(exchange: &Exchange) -> Option<Text> {
    exchange.message.as_deref()?.envelopes().first()?.request_id().cloned()
}

type Events = Pin<Box<dyn stream::Stream<Item = Result<Bytes, BoxError>> + Send>>;

/// Returns an answer's messages as events.
fn events(answer: Result<Answer, CallFailed>, id: Option<Text>) -> Events {
    let answer = match answer {
        Ok(answer) => answer,
        Err(failed) => {
            let message = failed.message_for(id.as_deref());
            return Box::pin(stream::once(async move { Ok(event(message.as_bytes())) }));
        }
    };
    let is_sse = is_event_stream(answer.headers());
    let body = answer.into_body();
    if is_sse {
        return Box::pin(body.into_data_stream());
    }
    Box::pin(stream::once(async move {
        let bytes = body.collect().await?.to_bytes();
        Ok(if bytes.is_empty() { bytes } else { event(&bytes) })
    }))
}

/// Returns a message as an event; each of its lines is a line of data.
fn event(message: &[u8]) -> Bytes {
    let mut event = b"event: message\n".to_vec();
    for line in message.split(|byte| *byte == b'\n') {
        event.extend_from_slice(b"data: ");
        event.extend_from_slice(line);
        event.push(b'\n');
    }
    event.push(b'\n');
    event.into()
}

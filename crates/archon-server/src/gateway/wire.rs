//! What upstreams say and are told: messages, the answers that carry them, and requests of our own.

pub mod answer;
mod body;
pub mod event;
pub mod incoming;
pub mod lenient;
pub mod mended;
pub mod message;
pub mod object;
mod shape;
pub mod written;

pub use body::{GatewayBody, Look};

use std::pin::Pin;

use archon_sessions::layer::{CallFailed, Exchange, InnerRequest};
use archon_sessions::protocol::names::{LAST_EVENT_ID, MCP_METHOD, MCP_NAME, MCP_SESSION_ID};
use archon_sessions::protocol::{Envelope, Message};
use archon_sessions::session::Era;
use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http_body_util::{BodyExt, Full};
use tower::Service;

/// What an upstream answers.
pub type Answer = ::http::Response<GatewayBody>;

/// An answer on its way. One box for all services of the gateway: what passes a request on passes the
/// future on as well.
pub type Answering = Pin<Box<dyn Future<Output = Result<Answer, CallFailed>> + Send>>;

/// What passes requests on: an upstream, or a service in front of one.
pub trait Relay:
    Service<InnerRequest, Response = Answer, Error = CallFailed, Future = Answering>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Relay for S where
    S: Service<InnerRequest, Response = Answer, Error = CallFailed, Future = Answering>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Returns the client's message in a request, where it is a single one.
pub fn message(request: &InnerRequest) -> Option<&Envelope> {
    match request.extensions().get::<Exchange>()?.message.as_deref()? {
        Message::Single(envelope) => Some(envelope),
        Message::Batch(_) => None,
    }
}

/// Returns a request's message, be it the client's or our own.
pub async fn envelope(request: &InnerRequest) -> Option<Envelope> {
    if let Some(envelope) = message(request) {
        return Some(envelope.clone());
    }
    // Its body is in memory already, and cannot fail.
    let body = request.body().clone().collect().await.ok()?.to_bytes();
    match Message::parse(&body).ok()? {
        Message::Single(envelope) => Some(envelope),
        Message::Batch(_) => None,
    }
}

/// Returns a POST of ours in the name of a client's request: with its headers, but for those that describe its
/// message.
pub fn post(like: &InnerRequest, era: Era, body: String) -> InnerRequest {
    let mut request = InnerRequest::new(Full::new(Bytes::from(body)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = like.uri().clone();
    *request.headers_mut() = like.headers().clone();
    let headers = request.headers_mut();
    for name in [&MCP_SESSION_ID, &LAST_EVENT_ID, &MCP_METHOD, &MCP_NAME, &CONTENT_LENGTH] {
        headers.remove(name);
    }
    let is_mirror = |name: &&http::HeaderName| name.as_str().starts_with("mcp-param-");
    while let Some(name) = headers.keys().find(is_mirror).cloned() {
        headers.remove(name);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    if let Some(exchange) = like.extensions().get::<Exchange>() {
        let ours = Exchange { era, message: None, connection: None, ..exchange.clone() };
        request.extensions_mut().insert(ours);
    }
    request
}

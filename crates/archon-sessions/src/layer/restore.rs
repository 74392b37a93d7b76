//! Redoes the handshake when the inner service has forgotten a connection that we still honour.
//!
//! Its client keeps its handle and learns nothing of it. The refused request is sent again, which is safe:
//! a server that does not know the session did not run the call.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};

use super::handshake::read_answer;
use super::{CallFailed, Exchange, Flow, Inner, InnerRequest};
use crate::protocol::legacy;
use crate::protocol::names::{LAST_EVENT_ID, MCP_PROTOCOL_VERSION, MCP_SESSION_ID};
use crate::tracker::{Affinity, LiveConnection};

/// A connection is opened again so often for one request.
const RESTORES_MAX: usize = 3;
/// A refusal longer than this says more than that a session is unknown.
const REFUSAL_MAX: usize = 64 * 1024;

/// An answer of the inner service, and what has been read of its body.
pub(super) struct Answered<B> {
    pub(super) response: Response<B>,
    pub(super) read_ahead: VecDeque<Bytes>,
}

impl<B> From<Response<B>> for Answered<B> {
    fn from(response: Response<B>) -> Self {
        Self { response, read_ahead: VecDeque::new() }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Answered<B> {
    async fn read_ahead(mut self, bytes_max: usize) -> Self {
        let mut bytes = 0;
        while let Some(Ok(frame)) = self.response.body_mut().frame().await {
            let Ok(data) = frame.into_data() else { continue };
            bytes += data.len();
            self.read_ahead.push_back(data);
            if bytes > bytes_max {
                break;
            }
        }
        self
    }

    fn mentions(&self, word: &[u8]) -> bool {
        let text = self.read_ahead.iter().flat_map(|bytes| bytes.to_ascii_lowercase());
        memchr::memmem::find(&text.collect::<Vec<u8>>(), word).is_some()
    }
}

impl<S: Inner> Flow<S> {
    /// Decides whether a 400 or 404 means that the upstream forgot the connection. If so, opens it again
    /// and sends the request once more; if not, returns the refusal as it came. A server that forgets at once
    /// again may be restarting: that too is tried, a few times.
    pub(super) async fn after_refusal(
        &mut self,
        refused: Answered<S::Answer>,
        request: &InnerRequest,
        connection: &Arc<LiveConnection>,
        link: &HeaderValue,
    ) -> Result<Answered<S::Answer>, CallFailed> {
        let (mut refused, mut link) = (refused, link.clone());
        for _ in 0..RESTORES_MAX {
            // Servers on some SDKs answer 400 to an unknown session; but a 400 can also mean what it says.
            if refused.response.status() == StatusCode::BAD_REQUEST {
                refused = refused.read_ahead(REFUSAL_MAX).await;
                if !refused.mentions(b"session") {
                    return Ok(refused);
                }
            }
            self.restore(request, connection, &link).await?;
            let mut again = request.clone();
            // The new link knows no event of the old one.
            again.headers_mut().remove(LAST_EVENT_ID);
            again.headers_mut().remove(MCP_SESSION_ID);
            let renewed = connection.link();
            let response = self.call_linked(&again, connection, renewed.as_ref()).await?;
            let Some(renewed) = renewed else { return Ok(response.into()) };
            link = renewed;
            match response.status() {
                StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => refused = response.into(),
                _ => return Ok(response.into()),
            }
        }
        if refused.response.status() == StatusCode::BAD_REQUEST {
            return Ok(refused);
        }
        // A handle that we honour is never answered with 404, whatever the upstream says to its link.
        Err(CallFailed::unreachable(&self.shared.upstream))
    }

    /// Opens the connection again, unless somebody has by now.
    async fn restore(
        &mut self,
        request: &InnerRequest,
        connection: &Arc<LiveConnection>,
        link: &HeaderValue,
    ) -> Result<(), CallFailed> {
        let upstream = self.shared.upstream.clone();
        let _turn = connection.reopening.lock().await;
        if connection.link().as_ref() != Some(link) {
            return Ok(());
        }
        // Whatever became of our own handshake, the request that waits for it did not run.
        let affinity = Affinity::default();
        let opened = self.open_again(request, connection, &affinity).await;
        let link = opened.map_err(|_| CallFailed::unreachable(&upstream))?;
        self.shared.tracker.relink(connection, link, affinity);
        let id = connection.presence().id();
        tracing::info!(session_id = %id, "session {id} opened again at {upstream}");
        Ok(())
    }

    /// Sends `initialize` and `notifications/initialized` as the client did, and sets up again what it had
    /// set up since; returns the new link, with what goes with it in `affinity`.
    async fn open_again(
        &mut self,
        like: &InnerRequest,
        connection: &LiveConnection,
        affinity: &Affinity,
    ) -> Result<Option<HeaderValue>, CallFailed> {
        let upstream = self.shared.upstream.clone();
        let post = |body, link, version| {
            let mut request = post(like, body, link, version);
            request.extensions_mut().insert(affinity.clone());
            request
        };
        let params = connection.initialize();
        let initialize = format!(
            r#"{{"jsonrpc":"2.0","id":"archon-restore","method":"initialize","params":{params}}}"#
        );
        let response = self.call_inner(post(initialize, None, None)).await?;
        let opened = read_answer(response, &upstream).await?;
        let version = opened.answer.as_deref().and_then(legacy::negotiated_version);
        let Some(version) = version else { return Err(CallFailed::unreachable(&upstream)) };
        let link = opened.parts.headers.get(MCP_SESSION_ID).cloned();
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned();
        let version = HeaderValue::try_from(version).ok();
        self.call_inner(post(initialized, link.clone(), version.clone())).await?;
        for (method, params) in connection.setup().requests() {
            let again = format!(
                r#"{{"jsonrpc":"2.0","id":"archon-restore","method":"{method}","params":{params}}}"#
            );
            let response = self.call_inner(post(again, link.clone(), version.clone())).await?;
            // What the upstream does not take again is lost; the call at hand is not.
            let _ = read_answer(response, &upstream).await;
        }
        Ok(link)
    }
}

/// A POST of ours to where the client's request goes, with the client's own headers beside ours.
fn post(
    like: &InnerRequest,
    body: String,
    link: Option<HeaderValue>,
    version: Option<HeaderValue>,
) -> InnerRequest {
    let mut request = InnerRequest::new(Full::new(Bytes::from(body)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = like.uri().clone();
    *request.headers_mut() = like.headers().clone();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers.remove(LAST_EVENT_ID);
    let mut set = |name, value: Option<HeaderValue>| match value {
        Some(value) => drop(headers.insert(name, value)),
        None => drop(headers.remove(name)),
    };
    set(MCP_SESSION_ID, link);
    set(MCP_PROTOCOL_VERSION, version);
    if let Some(exchange) = like.extensions().get::<Exchange>() {
        // It is our own message: nobody behind us should take it for the client's.
        let ours = Exchange { message: None, ..exchange.clone() };
        request.extensions_mut().insert(ours);
    }
    request
}

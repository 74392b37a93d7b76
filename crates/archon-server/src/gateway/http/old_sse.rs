//! A server of the HTTP+SSE transport (MCP 2024-11-05, Transports), which has long been deprecated and is still out
//! there: a Streamable HTTP server in this process, in front of that server's event streams.
//!
//! Found as MCP 2025-11-25, Transports, Backwards Compatibility, has clients find it: a handshake that is refused with
//! 400, 404 or 405, and a GET that then begins with an `endpoint` event. Such a stream is a link: what its client
//! POSTs goes to that endpoint, and what the server says on the stream goes to whom it belongs. Where a link is
//! unknown, since its stream ended, the answer is 404, as from any server that forgot a session; the layer then opens
//! it again.

mod stream;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use archon_sessions::layer::{CallFailed, Exchange, InnerRequest, codes};
use archon_sessions::protocol::names::{LAST_EVENT_ID, MCP_PROTOCOL_VERSION, MCP_SESSION_ID};
use archon_sessions::protocol::sse::is_event_stream;
use archon_sessions::tracker::Affinity;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;
use uuid::Uuid;

use super::HttpUpstream;
use crate::gateway::stdio::events::events;
use crate::gateway::stdio::mailbox::Mailbox;
use crate::gateway::wire::answer::{self, not_running, refused};
use crate::gateway::wire::incoming::Incoming;
use crate::gateway::wire::message::{Kind, Message};
use crate::gateway::wire::{Answer, GatewayBody};
use stream::{Pending, Stream};

/// Streams open at once; each is a connection to the upstream.
const STREAMS_MAX: usize = 10_000;
/// The `endpoint` event is the first that a server says.
const ENDPOINT_LIMIT: Duration = Duration::from_secs(5);
const ENDPOINT_BYTES_MAX: usize = 8 * 1024;
/// What a server says to a POST is a word: its answer comes on the stream.
const REPLY_BYTES_MAX: usize = 64 * 1024;
/// What our links begin with, so that none is taken for a session of a Streamable HTTP server's.
const LINK_PREFIX: &str = "sse-";
/// How long the ends of streams are waited for when we stop.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Default)]
pub struct OldSse {
    /// Held for single operations, never across an await.
    streams: Mutex<HashMap<Uuid, Arc<Stream>>>,
    /// Whether the upstream was seen to be such a server, and was not seen to be another since.
    is_found: AtomicBool,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// A request of a client's, with the headers that go on, and who sent it.
#[derive(Clone)]
pub struct Asked {
    /// The request.
    pub request: InnerRequest,
    /// Its place, as the layer says.
    pub exchange: Option<Exchange>,
    /// What goes with its link.
    pub affinity: Option<Affinity>,
}

impl OldSse {
    /// Closes all streams.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(STOP_LIMIT, self.tasks.wait()).await;
    }

    /// Returns whether the upstream was found to be such a server.
    pub fn is_found(&self) -> bool {
        self.is_found.load(Relaxed)
    }

    fn stream(&self, link: Uuid) -> Option<Arc<Stream>> {
        self.streams().get(&link).cloned()
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Stream>>> {
        self.streams.lock()
    }
}

/// Returns the link of a request that leads to a stream of ours.
pub fn link_of(headers: &HeaderMap) -> Option<Uuid> {
    headers.get(MCP_SESSION_ID)?.to_str().ok()?.strip_prefix(LINK_PREFIX)?.parse().ok()
}

/// Returns the handshake that a request is; `None` if it is something else.
pub async fn handshake(request: &InnerRequest) -> Option<Message> {
    if request.method() != Method::POST || request.headers().contains_key(MCP_SESSION_ID) {
        return None;
    }
    // Its body is in memory already, and cannot fail.
    let body = request.body().clone().collect().await.ok()?.to_bytes();
    let message = Message::read(body)?;
    (message.kind == Kind::Request && message.method == "initialize").then_some(message)
}

/// Returns whether the refusal of a handshake may be that of such a server.
pub fn may_mean_old(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
    )
}

impl HttpUpstream {
    /// Opens a stream and passes the handshake on; `None` if the upstream has no such streams.
    ///
    /// # Errors
    /// If it has, and does not answer.
    pub(super) async fn open_old(
        &self,
        asked: Asked,
        handshake: &Message,
    ) -> Result<Option<Answer>, CallFailed> {
        let old = &self.shared.old;
        let Some((endpoint, incoming)) = self.find_endpoint(&asked).await else {
            old.is_found.store(false, Relaxed);
            return Ok(None);
        };
        if !old.is_found.swap(true, Relaxed) {
            let name = self.name();
            tracing::info!(
                upstream = name,
                "upstream {name} speaks the HTTP+SSE transport of 2024-11-05"
            );
        }
        if old.streams().len() >= STREAMS_MAX {
            let message =
                format!("upstream {:?} has reached its limit of open streams", self.name());
            return Err(answer::failure(codes::TOO_MANY, message));
        }
        let endpoint = endpoint.map_err(|why| {
            not_running(format!("upstream {:?} cannot be called: {why}", self.name()))
        })?;
        let link = Uuid::new_v4();
        let stream = Stream::new(link, endpoint, old.stopping.child_token());
        old.streams().insert(link, stream.clone());
        // However this ends without an answer, the stream is of no use to anybody.
        let unwanted = stream.lost.clone().drop_guard();
        let live = self.clone().live(stream.clone(), incoming);
        old.tasks.spawn(live);
        let pending = match self.send_old(&stream, asked, handshake).await? {
            Ok(pending) => pending,
            Err(refused) => return Ok(Some(refused)),
        };
        let answered = pending.mailbox().answer().await;
        let Some(event) = answered else { return Err(CallFailed::unreachable(self.name())) };
        let mut opened = events(pending.mailbox().clone(), pending);
        if event.code().is_none()
            && let Ok(link) = HeaderValue::try_from(format!("{LINK_PREFIX}{link}"))
        {
            opened.headers_mut().insert(MCP_SESSION_ID, link);
            unwanted.disarm();
        }
        Ok(Some(opened))
    }

    /// Answers what is said on a link.
    pub(super) async fn call_old(&self, link: Uuid, asked: Asked) -> Result<Answer, CallFailed> {
        let Some(stream) = self.shared.old.stream(link) else { return Ok(unknown(None)) };
        let presence = asked.exchange.as_ref().and_then(|exchange| exchange.presence.as_ref());
        stream.touch(presence);
        match *asked.request.method() {
            Method::GET => return Ok(stream.listen()),
            Method::DELETE => {
                stream.lost.cancel();
                return Ok(answer::empty(StatusCode::OK));
            }
            _ => {}
        }
        // Its body is in memory already, and cannot fail.
        let body = asked.request.body().clone().collect().await;
        let Some(message) = Message::read(body.map(|body| body.to_bytes()).unwrap_or_default())
        else {
            return Err(answer::failure(
                codes::PARSE_ERROR,
                "the body is not a message".to_owned(),
            ));
        };
        if message.kind == Kind::Request {
            return Ok(match self.send_old(&stream, asked, &message).await? {
                Ok(pending) => events(pending.mailbox().clone(), pending),
                Err(refused) => refused,
            });
        }
        let passed = stream.table().pass(&message, stream.owner());
        match passed {
            Some(bytes) => self.clone().tell_old(stream, asked, bytes, None).await,
            None => Ok(answer::empty(StatusCode::ACCEPTED)),
        }
    }

    /// Sends a request to the endpoint of a stream; or returns what the server said instead.
    async fn send_old(
        &self,
        stream: &Arc<Stream>,
        asked: Asked,
        message: &Message,
    ) -> Result<Result<Pending, Answer>, CallFailed> {
        let mailbox = Arc::<Mailbox>::default();
        let is_ours = asked.exchange.as_ref().is_none_or(|exchange| exchange.message.is_none());
        let admitted = stream.table().admit(message, stream.owner(), is_ours, mailbox.clone());
        let Some(admitted) = admitted else {
            let id = message.id.as_ref().map(|id| message.text(id));
            let why = "a request with this id or progress token is in flight already";
            return Ok(Err(refused(StatusCode::BAD_REQUEST, id, codes::INVALID_REQUEST, why)));
        };
        let pending = Pending::new(stream.clone(), admitted.number, mailbox);
        let id = message.id.as_ref().map(|id| message.text(id).to_owned());
        let telling = self.clone().tell_old(stream.clone(), asked, admitted.bytes, id);
        // On its own, since some servers answer the POST after the call. If the stream is first, nothing is lost.
        let telling = self.shared.old.tasks.spawn(telling);
        tokio::select! {
            biased;
            told = telling => match told {
                Ok(Ok(answer)) if answer.status().is_success() => Ok(Ok(pending)),
                Ok(Ok(refused)) => Ok(Err(refused)),
                Ok(Err(failed)) => Err(failed),
                Err(_) => Err(CallFailed::lost(self.name())),
            },
            _ = pending.mailbox().peek() => Ok(Ok(pending)),
        }
    }

    /// POSTs to the endpoint of a stream; returns 202, or what the server said instead.
    async fn tell_old(
        self,
        stream: Arc<Stream>,
        asked: Asked,
        message: Bytes,
        id: Option<String>,
    ) -> Result<Answer, CallFailed> {
        let mut request = like(&asked.request, Method::POST);
        *request.body_mut() = Full::new(message);
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        stream.note_headers(&request);
        let affinity = asked.affinity.as_ref();
        let sent = self.send_from(stream.endpoint.clone(), request, affinity).await;
        let (_, response) = sent.map_err(|unanswered| self.failed(&unanswered))?;
        let answer = self.read(&Method::POST, response).await?;
        match answer.status() {
            status if status.is_success() => {
                // Read to its end, so that the connection can be used again.
                let _ = Limited::new(answer.into_body(), REPLY_BYTES_MAX).collect().await;
                Ok(answer::empty(StatusCode::ACCEPTED))
            }
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::GONE => {
                let (parts, body) = answer.into_parts();
                let body = Limited::new(body, REPLY_BYTES_MAX).collect().await;
                let body = body.map(|body| body.to_bytes()).unwrap_or_default();
                // A 400 can also be about the message.
                let said = body.to_ascii_lowercase();
                let is_about_message = parts.status == StatusCode::BAD_REQUEST
                    && !said.windows(7).any(|word| word == b"session")
                    && !said.windows(9).any(|word| word == b"transport");
                if is_about_message {
                    return Ok(Answer::from_parts(parts, GatewayBody::ours(body)));
                }
                stream.lost.cancel();
                Ok(unknown(id.as_deref()))
            }
            _ => Ok(answer),
        }
    }

    /// Opens a stream, and reads where messages go; `None` if there is none to open.
    async fn find_endpoint(&self, asked: &Asked) -> Option<(Result<Uri, &'static str>, Incoming)> {
        let mut get = like(&asked.request, Method::GET);
        get.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let find = async {
            let (at, response) = self.send(get, asked.affinity.as_ref()).await.ok()?;
            if response.status() != StatusCode::OK || !is_event_stream(response.headers()) {
                return None;
            }
            let (parts, body) = self.read(&Method::GET, response).await.ok()?.into_parts();
            let mut incoming = Incoming::new(&parts, body);
            loop {
                let event = incoming.next_event(ENDPOINT_BYTES_MAX).await.ok()??;
                let Some(data) = &event.data else { continue };
                let is_endpoint = stream::kind(&event.raw) == b"endpoint";
                return is_endpoint.then(|| (endpoint(&at, data), incoming));
            }
        };
        tokio::time::timeout(ENDPOINT_LIMIT, find).await.ok()?
    }
}

/// Returns where messages go. A server must not have us send what is for it elsewhere.
fn endpoint(at: &Uri, data: &[u8]) -> Result<Uri, &'static str> {
    let said = std::str::from_utf8(data).ok();
    let here = Url::parse(&at.to_string()).ok();
    let there = here.as_ref().zip(said).and_then(|(here, said)| here.join(said.trim()).ok());
    let (Some(here), Some(there)) = (here, there) else {
        return Err("the endpoint that it names is not a URL");
    };
    if here.origin() != there.origin() || !there.username().is_empty() {
        return Err("the endpoint that it names is at another origin");
    }
    let target = &there[url::Position::BeforeScheme..url::Position::AfterQuery];
    target.parse().map_err(|_| "the endpoint that it names is not a URL")
}

/// Returns a request in the name of another, without what belongs to that one's message or to newer transports.
fn like(request: &InnerRequest, method: Method) -> InnerRequest {
    let mut like = InnerRequest::new(Full::default());
    *like.method_mut() = method;
    *like.uri_mut() = request.uri().clone();
    *like.headers_mut() = request.headers().clone();
    for name in [CONTENT_TYPE, CONTENT_LENGTH, MCP_SESSION_ID, MCP_PROTOCOL_VERSION, LAST_EVENT_ID]
    {
        like.headers_mut().remove(name);
    }
    like
}

/// MCP 2025-11-25, Transports, Session Management: 404 for a session that is not known.
fn unknown(id: Option<&str>) -> Answer {
    refused(StatusCode::NOT_FOUND, id, codes::NO_SESSION, "session not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_to_the_same_origin_only() {
        let at = Uri::from_static("https://h.example/base/sse?k=v");
        let of = |said: &'static str| endpoint(&at, said.as_bytes()).map(|uri| uri.to_string());
        let found = "https://h.example/messages?session_id=1".to_owned();
        assert_eq!(of("/messages?session_id=1"), Ok(found.clone()));
        assert_eq!(of(" https://h.example:443/messages?session_id=1 "), Ok(found));
        assert_eq!(of("messages"), Ok("https://h.example/base/messages".to_owned()));
        assert_eq!(of("?s=1"), Ok("https://h.example/base/sse?s=1".to_owned()));
        for elsewhere in [
            "http://h.example/m",
            "https://evil.example/m",
            "//evil.example",
            "file:///etc",
            "https://u@h.example/",
        ] {
            assert!(of(elsewhere).unwrap_err().contains("another origin"), "{elsewhere}");
        }
        assert!(of("https://[").is_err());
    }

    #[test]
    fn only_our_links_lead_here() {
        let link = Uuid::new_v4();
        let of = |value: String| {
            let value = HeaderValue::try_from(value).unwrap();
            link_of(&[(MCP_SESSION_ID, value)].into_iter().collect())
        };
        assert_eq!(of(format!("sse-{link}")), Some(link));
        assert_eq!(of(link.to_string()), None);
        assert_eq!(of("sse-1".into()), None);
    }
}

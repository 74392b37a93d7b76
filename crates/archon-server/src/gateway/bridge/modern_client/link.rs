//! A link to a legacy server: a session of the upstream's that we opened for a modern client.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use archon_sessions::layer::{CallFailed, Exchange, InnerRequest};
use archon_sessions::protocol::forgotten::{
    self, Asked, ERROR_BYTES_MAX, LinkState, REFUSAL_BYTES_MAX,
};
use archon_sessions::protocol::names::{MCP_PROTOCOL_VERSION, MCP_SESSION_ID};
use archon_sessions::protocol::{self, Envelope};
use archon_sessions::session::{Era, SessionId};
use archon_sessions::tracker::Affinity;
use bytes::Bytes;
use http::header::{ACCEPT, HeaderValue};
use http::{Method, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Full, Limited};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::asked::unasked;
use super::handover::GivenLink;
use super::to_legacy;
use crate::gateway::plain::Plain;
use crate::gateway::wire::incoming::{Incoming, Said};
use crate::gateway::wire::message::{self, Kind, Message};
use crate::gateway::wire::object::{Object, text};
use crate::gateway::wire::post;
use crate::gateway::wire::{Answer, GatewayBody};

/// News kept for a listener that does not read; it misses the oldest of more.
const NEWS_MAX: usize = 256;
/// Messages kept for a call that is busy.
const INBOX_MAX: usize = 64;
/// What lies between the ids of our requests and those of another process on the same link.
const IDS_APART: u64 = 1 << 32;
/// A server that does not take a goodbye in time goes without.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// A server that takes longer to answer a `ping` is not asked about its sessions.
const PING_LIMIT: Duration = Duration::from_secs(5);

/// See the module.
pub struct Link {
    /// The latest request on it, without its body: what we say by ourselves goes in its client's name, whose token may
    /// be another by now. Held for single operations.
    like: Mutex<InnerRequest>,
    handle: Option<HeaderValue>,
    /// What the upstream is told again with each request on it.
    affinity: Affinity,
    version: HeaderValue,
    /// The result of `initialize`, as JSON text.
    initialized: String,
    /// The number of our next request.
    next: AtomicU64,
    /// The log level that was set last. Held while it is set, so that calls do not overtake it.
    level: tokio::sync::Mutex<Option<String>>,
    /// What the server says by itself.
    news: broadcast::Sender<Bytes>,
    /// Calls in flight, the oldest first, and what is said to them on the GET stream. Held for single operations.
    calls: Mutex<BTreeMap<u64, mpsc::Sender<Message>>>,
    /// Whether somebody reads the GET stream.
    pub is_fed: AtomicBool,
    /// Whether that stream is open, or not to be waited for.
    pub is_open: watch::Sender<bool>,
    /// Set once another process goes on with it: what is said on it here is said as if it were there, and its end is not
    /// ours to say.
    pub given: CancellationToken,
    /// Set once the upstream does not know the link any more, or we do not need it.
    pub lost: CancellationToken,
    /// How many are interested in a resource. Held while the server is told, so that it hears of their beginnings and
    /// ends in order.
    subscriptions: tokio::sync::Mutex<HashMap<String, usize>>,
}

impl Link {
    /// Opens a link as the client that sent this request; or returns what the upstream said instead.
    ///
    /// # Errors
    /// If the upstream does not answer.
    pub async fn open(
        plain: &Plain,
        like: &InnerRequest,
        envelope: &Envelope,
    ) -> Result<Result<Arc<Self>, Answer>, CallFailed> {
        let affinity = Affinity::default();
        let mut request = legacy_post(like, to_legacy::initialize(envelope), None, None);
        request.extensions_mut().insert(affinity.clone());
        let answer = plain.call(request).await?;
        let handle = answer.headers().get(MCP_SESSION_ID).cloned();
        let mut incoming = match Said::of(answer) {
            Said::Messages(incoming) => incoming,
            Said::Refusal(answer) => return Ok(Err(answer)),
        };
        let handle_sent = handle.clone();
        let say = |reply| legacy_post(like, reply, handle_sent.as_ref(), None);
        let answer = answered(&mut incoming, plain, say).await;
        // Whatever became of our own handshake, the request that waits for it did not run.
        let answer = answer.map_err(|_| CallFailed::unreachable(plain.name()))?;
        let result = message::result(&answer.bytes);
        let version = result.as_deref().and_then(Object::read);
        let version = version.and_then(|result| result.text("protocolVersion"));
        let version = version.and_then(|version| HeaderValue::try_from(version).ok());
        let (Some(initialized), Some(version)) = (result, version) else {
            return Err(CallFailed::unreachable(plain.name()));
        };
        let link = Self::after_handshake(like, (handle, affinity), (version, initialized));
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        link.tell(plain, initialized.to_owned())
            .await
            .map_err(|_| CallFailed::unreachable(plain.name()))?;
        Ok(Ok(Arc::new(link)))
    }

    /// Returns one on which nothing was sent since its handshake.
    fn after_handshake(
        like: &InnerRequest,
        (handle, affinity): (Option<HeaderValue>, Affinity),
        (version, initialized): (HeaderValue, String),
    ) -> Self {
        Self {
            like: Mutex::new(post(like, Era::Legacy, String::new())),
            handle,
            affinity,
            version,
            initialized,
            next: AtomicU64::new(1),
            level: tokio::sync::Mutex::default(),
            news: broadcast::Sender::new(NEWS_MAX),
            calls: Mutex::default(),
            is_fed: AtomicBool::new(false),
            is_open: watch::Sender::new(false),
            given: CancellationToken::new(),
            lost: CancellationToken::new(),
            subscriptions: tokio::sync::Mutex::default(),
        }
    }

    /// Returns what another process needs to go on with it.
    pub fn state(&self, session: SessionId) -> GivenLink {
        let next = self.next.load(Relaxed);
        GivenLink {
            session: session.to_string(),
            handle: self.handle.as_ref().and_then(|handle| Some(handle.to_str().ok()?.to_owned())),
            affinity: self.affinity.text().to_string(),
            version: self.version.to_str().unwrap_or_default().to_owned(),
            initialized: self.initialized.clone(),
            next,
            // While it is being set, nobody knows which is in force: then it is set again.
            level: self.level.try_lock().ok().and_then(|level| level.clone()),
        }
    }

    /// Goes on with one that another process had, as the client that sent this request; `None` if it is none.
    pub fn resume(state: GivenLink, like: &InnerRequest) -> Option<Arc<Self>> {
        let affinity = Affinity::default();
        affinity.change(|_| Some(state.affinity));
        let handle = state.handle.map(HeaderValue::try_from).transpose().ok()?;
        let version = HeaderValue::try_from(state.version).ok()?;
        Some(Arc::new(Self {
            // Requests of both are in flight for a while.
            next: AtomicU64::new(state.next.saturating_add(IDS_APART)),
            level: tokio::sync::Mutex::new(state.level),
            ..Self::after_handshake(like, (handle, affinity), (version, state.initialized))
        }))
    }

    /// Notes the latest request on it.
    pub fn refresh(&self, like: &InnerRequest) {
        let like = post(like, Era::Legacy, String::new());
        *self.like.lock() = like;
    }

    fn like(&self) -> InnerRequest {
        self.like.lock().clone()
    }

    /// Returns the result of `initialize`, as JSON text.
    pub fn initialized(&self) -> &str {
        &self.initialized
    }

    /// Returns whether the server has a capability.
    pub fn can(&self, capability: &str) -> bool {
        let result = Object::read(&self.initialized).unwrap_or_default();
        let capabilities = result.get("capabilities").and_then(Object::read);
        capabilities.is_some_and(|capabilities| capabilities.get(capability).is_some())
    }

    /// Returns an id that no other request on this link has, as JSON text.
    pub fn new_id(&self) -> String {
        format!("\"bridge-{}\"", self.next.fetch_add(1, Relaxed))
    }

    /// Notes a call in flight, for as long as what is returned lives.
    pub fn begin_call(self: &Arc<Self>) -> Inbox {
        let number = self.next.fetch_add(1, Relaxed);
        let (sender, messages) = mpsc::channel(INBOX_MAX);
        self.calls().insert(number, sender);
        Inbox { link: self.clone(), number, messages }
    }

    /// Hands a message that names no call to the oldest one in flight: servers send some of what is for a call on the
    /// GET stream. Gives it back if there is no call that takes it.
    pub fn hand_to_oldest(&self, message: Message) -> Option<Message> {
        let calls = self.calls();
        let Some(oldest) = calls.values().next() else { return Some(message) };
        oldest.try_send(message).err().map(mpsc::error::TrySendError::into_inner)
    }

    fn calls(&self) -> MutexGuard<'_, BTreeMap<u64, mpsc::Sender<Message>>> {
        self.calls.lock()
    }

    /// Returns the request that says this on the link, in the name of a request of the client's.
    pub fn request(&self, like: &InnerRequest, body: String) -> InnerRequest {
        let mut request = legacy_post(like, body, self.handle.as_ref(), Some(&self.version));
        request.extensions_mut().insert(self.affinity.clone());
        request
    }

    /// Returns the request for the stream on which the server speaks by itself.
    pub fn get(&self) -> InnerRequest {
        self.bodiless(Method::GET)
    }

    fn bodiless(&self, method: Method) -> InnerRequest {
        let mut request = self.request(&self.like(), String::new());
        *request.method_mut() = method;
        *request.body_mut() = Full::default();
        request.headers_mut().remove(http::header::CONTENT_TYPE);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        request
    }

    /// Says what wants no answer.
    ///
    /// # Errors
    /// If the upstream does not take it.
    pub async fn tell(&self, plain: &Plain, body: String) -> Result<(), CallFailed> {
        told(plain, self.request(&self.like(), body)).await
    }

    /// Asks something for ourselves; returns the answer, `None` if we are not let in.
    ///
    /// # Errors
    /// If the upstream does not answer.
    pub async fn ask(
        &self,
        plain: &Plain,
        method: &str,
        params: &str,
    ) -> Result<Option<Message>, CallFailed> {
        let id = self.new_id();
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        match Said::of(plain.call(self.request(&self.like(), body)).await?) {
            Said::Messages(mut incoming) => {
                let say = |reply| self.request(&self.like(), reply);
                let answer = answered(&mut incoming, plain, say).await?;
                incoming.finish();
                Ok(Some(answer))
            }
            Said::Refusal(_) => Ok(None),
        }
    }

    /// Returns whether an answer means that the server does not know the link any more, and the answer. Where it may
    /// mean that, a `ping` on the link settles it.
    pub async fn is_forgotten(
        &self,
        plain: &Plain,
        asked: Asked<'_>,
        answer: Answer,
    ) -> (bool, Answer) {
        let status = answer.status();
        let size = answer.body().size_hint().exact();
        let may_be_error =
            status == StatusCode::OK && size.is_some_and(|size| size <= ERROR_BYTES_MAX as u64);
        if !may_be_error && !forgotten::is_refusal(status) {
            return (false, answer);
        }
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, REFUSAL_BYTES_MAX).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let is_forgotten = match LinkState::after(asked, status, &body) {
            LinkState::Known => false,
            LinkState::Doubtful => !self.answers_ping(plain).await,
            LinkState::Forgotten => true,
        };
        (is_forgotten, Answer::from_parts(parts, GatewayBody::ours(body)))
    }

    /// Returns false if the server says to a `ping` that it does not know the link. Where it does not say, it does.
    async fn answers_ping(&self, plain: &Plain) -> bool {
        let id = self.new_id();
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let asked = async {
            let answer = plain.call(self.request(&self.like(), body)).await?;
            let status = answer.status();
            if !status.is_success() {
                let body = Limited::new(answer.into_body(), REFUSAL_BYTES_MAX).collect().await;
                let body = body.map(|body| body.to_bytes()).unwrap_or_default();
                return Ok(LinkState::is_known(&id, status, &body));
            }
            let Said::Messages(mut incoming) = Said::of(answer) else { return Ok(false) };
            let answer = incoming.answer(plain.name()).await?;
            incoming.finish();
            Ok::<_, CallFailed>(LinkState::is_known(&id, status, &answer.bytes))
        };
        !matches!(tokio::time::timeout(PING_LIMIT, asked).await, Ok(Ok(false)))
    }

    /// Has the server log from this level on, for calls that want that.
    ///
    /// # Errors
    /// If the upstream does not answer.
    pub async fn set_level(&self, plain: &Plain, level: &str) -> Result<(), CallFailed> {
        let mut known = self.level.lock().await;
        if known.as_deref() == Some(level) || !self.can("logging") {
            return Ok(());
        }
        let params = format!(r#"{{"level":{}}}"#, text(level));
        let answer = self.ask(plain, "logging/setLevel", &params).await?;
        if answer.is_some_and(|answer| message::result(&answer.bytes).is_some()) {
            *known = Some(level.to_owned());
        }
        Ok(())
    }

    /// Publishes what the server said by itself.
    pub fn publish(&self, news: Bytes) {
        // Without a listener nobody misses it.
        let _ = self.news.send(news);
    }

    /// Returns where what the server says by itself is told.
    pub fn news(&self) -> &broadcast::Sender<Bytes> {
        &self.news
    }

    /// Notes an interest in a resource; the first has the server tell of it.
    pub async fn begin_interest(&self, plain: &Plain, uri: &str) {
        let mut subscriptions = self.subscriptions.lock().await;
        let interested = subscriptions.entry(uri.to_owned()).or_default();
        *interested += 1;
        if *interested == 1 {
            // What the server refuses it does not tell of.
            let _ = self.ask(plain, "resources/subscribe", &uri_params(uri)).await;
        }
    }

    /// Notes the end of one; the last has the server tell of it no more.
    pub async fn end_interest(&self, plain: &Plain, uri: &str) {
        let mut subscriptions = self.subscriptions.lock().await;
        let Some(interested) = subscriptions.get_mut(uri) else { return };
        *interested -= 1;
        if *interested == 0 {
            subscriptions.remove(uri);
            if self.given.is_cancelled() {
                // Its client may be interested again by now, elsewhere.
                return;
            }
            let _ = self.ask(plain, "resources/unsubscribe", &uri_params(uri)).await;
        }
    }

    /// Ends it at the upstream.
    pub async fn close(&self, plain: &Plain) {
        self.lost.cancel();
        if self.handle.is_none() || self.given.is_cancelled() {
            return;
        }
        let closed = async {
            let answer = plain.call(self.bodiless(Method::DELETE)).await.ok()?;
            Limited::new(answer.into_body(), REFUSAL_BYTES_MAX).collect().await.ok()
        };
        let _ = tokio::time::timeout(CLOSE_LIMIT, closed).await;
    }
}

/// What is said to a call on the GET stream.
pub struct Inbox {
    link: Arc<Link>,
    number: u64,
    /// The messages.
    pub messages: mpsc::Receiver<Message>,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.link.calls().remove(&self.number);
    }
}

/// Sends what wants no answer.
async fn told(plain: &Plain, request: InnerRequest) -> Result<(), CallFailed> {
    let answer = plain.call(request).await?;
    let is_taken = answer.status().is_success();
    // Read to its end, so that the connection can be used again.
    let _ = Limited::new(answer.into_body(), REFUSAL_BYTES_MAX).collect().await;
    if is_taken { Ok(()) } else { Err(CallFailed::unreachable(plain.name())) }
}

/// Waits for the answer to a request of our own. What the server asks before it is answered at once, since it may wait
/// for that; `say` makes a request of such a reply.
async fn answered(
    incoming: &mut Incoming,
    plain: &Plain,
    say: impl Fn(String) -> InnerRequest,
) -> Result<Message, CallFailed> {
    loop {
        match incoming.next().await {
            Ok(Some(message)) => match message.kind {
                Kind::Answer { .. } => return Ok(message),
                Kind::Request => {
                    if let Some(reply) = unasked(&message) {
                        let _ = told(plain, say(reply)).await;
                    }
                }
                Kind::Notification => {}
            },
            Ok(None) | Err(_) => return Err(incoming.broken(plain.name())),
        }
    }
}

fn uri_params(uri: &str) -> String {
    format!(r#"{{"uri":{}}}"#, text(uri))
}

/// Returns a legacy POST in the name of a client's request.
fn legacy_post(
    like: &InnerRequest,
    body: String,
    handle: Option<&HeaderValue>,
    version: Option<&HeaderValue>,
) -> InnerRequest {
    let message = protocol::Message::parse(&Bytes::from(body.clone())).ok().map(Arc::new);
    let mut request = post(like, Era::Legacy, body);
    if let Some(exchange) = request.extensions_mut().get_mut::<Exchange>() {
        // Its ids are unique on the link already.
        exchange.message = message;
    }
    let headers = request.headers_mut();
    headers.remove(MCP_PROTOCOL_VERSION);
    for (name, value) in [(MCP_SESSION_ID, handle), (MCP_PROTOCOL_VERSION, version)] {
        if let Some(value) = value {
            headers.insert(name, value.clone());
        }
    }
    request
}

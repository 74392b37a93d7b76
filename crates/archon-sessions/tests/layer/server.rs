//! A small MCP server behind the layer, a client in front of it, and what the tests ask of both.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use archon_sessions::layer::{CallFailed, InnerRequest, Repeatable, SessionBody, SessionLayer};
use archon_sessions::session::DisconnectReason;
use archon_sessions::store::RequestRow;
use archon_sessions::store::memory::MemoryStore;
use archon_sessions::tracker::{Affinity, Settings, Tracker};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tower::{Layer, Service, ServiceExt};

pub type Body = BoxBody<Bytes, std::io::Error>;

type Script = dyn Fn(&Asked) -> Option<Response<Body>> + Send + Sync;

/// A request that reached the server.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    /// `Mcp-Session-Id`.
    pub link: Option<String>,
    /// `Last-Event-ID`.
    pub last: Option<String>,
    /// The body; null if that is not JSON.
    pub message: Value,
}

impl Asked {
    /// Returns the message's method; empty if it has none.
    pub fn says(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }

    /// Returns true for a message of this method.
    pub fn is(&self, method: &str) -> bool {
        self.says() == method
    }
}

/// In an answer's extensions: the server is lost instead.
#[derive(Clone, Copy)]
struct Lost {
    is_repeatable: bool,
}

/// The server: its state is shared by its clones.
#[derive(Clone)]
pub struct Server {
    known: Arc<AtomicUsize>,
    refusal: Arc<AtomicU16>,
    initialized: Arc<AtomicUsize>,
    runs: Arc<Mutex<HashMap<String, usize>>>,
    /// Target and `Accept` of the latest request.
    told: Arc<Mutex<(String, String)>>,
    /// The affinity of each request, by its method.
    affinities: Arc<Mutex<Vec<(String, String)>>>,
    released: watch::Sender<bool>,
    /// Whether it opens standing streams, and only once it is released.
    stands_later: Arc<AtomicBool>,
    script: Arc<Mutex<Option<Arc<Script>>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn new() -> Self {
        Self {
            known: Arc::default(),
            refusal: Arc::default(),
            initialized: Arc::default(),
            runs: Arc::default(),
            told: Arc::default(),
            affinities: Arc::default(),
            released: watch::Sender::new(false),
            stands_later: Arc::default(),
            script: Arc::default(),
            asked: Arc::default(),
        }
    }

    /// Forgets its sessions, and will answer their requests with this status.
    pub fn forget(&self, status: u16) {
        self.refusal.store(status, SeqCst);
    }

    /// Returns how often a tool ran.
    pub fn ran(&self, tool: &str) -> usize {
        self.runs.lock().unwrap().get(tool).copied().unwrap_or(0)
    }

    /// Returns target and `Accept` of the latest request.
    pub fn told(&self) -> (String, String) {
        self.told.lock().unwrap().clone()
    }

    /// Returns how often a handshake was finished.
    pub fn initialized(&self) -> usize {
        self.initialized.load(SeqCst)
    }

    /// Has it answer as the script says, where that says something.
    pub fn script(
        &self,
        script: impl Fn(&Asked) -> Option<Response<Body>> + Send + Sync + 'static,
    ) {
        *self.script.lock().unwrap() = Some(Arc::new(script));
    }

    /// Returns how many requests reached it that are so.
    pub fn count(&self, is_so: impl Fn(&Asked) -> bool) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| is_so(asked)).count()
    }

    /// Has standing streams opened once it is released.
    pub fn stand_later(&self) {
        self.stands_later.store(true, SeqCst);
    }

    /// Takes what was told with each request since the last time.
    pub fn take_affinities(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.affinities.lock().unwrap())
    }

    /// Lets slow tools end.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    async fn answer(self, request: InnerRequest) -> Response<Body> {
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let affinity = request.extensions().get::<Affinity>().cloned().unwrap_or_default();
        assert!(!headers.contains_key("x-archon-session-id"), "what is for the layer stays there");
        let accept = headers.get("accept").map(|accept| accept.to_str().unwrap().to_owned());
        *self.told.lock().unwrap() = (request.uri().to_string(), accept.unwrap_or_default());
        let http_method = request.method().to_string();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let message = serde_json::from_slice::<Value>(&body);
        let header = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let (link, last) = (header("mcp-session-id"), header("last-event-id"));
        let seen = message.as_ref().map_or(Value::Null, Value::clone);
        let told = seen["method"].as_str().map_or(http_method, str::to_owned);
        self.affinities.lock().unwrap().push((told, affinity.text().to_string()));
        let asked = Asked { method, link, last, message: seen };
        self.asked.lock().unwrap().push(asked.clone());
        let script = self.script.lock().unwrap().clone();
        if let Some(answer) = script.and_then(|script| script(&asked)) {
            return answer;
        }
        if asked.method == Method::GET && self.stands_later.load(SeqCst) {
            let mut server = self;
            server.wait().await;
            let note = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
            return unending(format!("data: {note}\n\n"));
        }
        let Ok(message) = message else { return text(200, "") };
        let id = message["id"].clone();
        let method = message["method"].as_str().unwrap_or_default();
        if method == "initialize" {
            self.refusal.store(0, SeqCst);
            let session = format!("inner-{}", self.known.fetch_add(1, SeqCst) + 1);
            affinity.change(|_| Some(format!("of {session}")));
            let version = &message["params"]["protocolVersion"];
            let mut answer = reply(&id, json!({ "protocolVersion": version, "capabilities": {} }));
            answer.headers_mut().insert("mcp-session-id", session.parse().unwrap());
            return answer;
        }
        match self.refusal.load(SeqCst) {
            0 => {}
            404 => return text(404, "Not Found"),
            status => return text(status, "Bad Request: no valid Session ID"),
        }
        match method {
            "logging/setLevel" => {
                affinity.change(|before| Some(format!("{before}, set")));
                reply(&id, json!({}))
            }
            "notifications/initialized" => {
                self.initialized.fetch_add(1, SeqCst);
                text(202, "")
            }
            "notifications/slow" => {
                let mut server = self;
                server.wait().await;
                text(202, "")
            }
            "tools/call" => self.tool(&id, &message, &body).await,
            _ if message.is_array() => {
                let answers = message
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|call| json!({ "jsonrpc": "2.0", "id": call["id"], "result": {} }));
                json_body(Value::from_iter(answers).to_string())
            }
            _ => reply(&id, json!({})),
        }
    }

    async fn tool(mut self, id: &Value, message: &Value, body: &Bytes) -> Response<Body> {
        let tool = message["params"]["name"].as_str().unwrap_or_default();
        *self.runs.lock().unwrap().entry(tool.to_owned()).or_default() += 1;
        match tool {
            "mirror" => json_body(String::from_utf8(body.to_vec()).unwrap()),
            "bad_request" => text(400, "no"),
            "lost" => lost(false),
            "lost_repeatable" => lost(true),
            "lost_once" if self.ran(tool) % 2 == 1 => lost(true),
            "sse" => {
                let answer = json!({ "jsonrpc": "2.0", "id": id, "result": {} });
                let note = json!({ "jsonrpc": "2.0", "method": "notifications/progress" });
                sse(format!("data: {note}\n\ndata: {answer}\n\n"))
            }
            // Its stream breaks; sent again, it is answered as a whole.
            "unsteady" if self.ran(tool) == 1 => {
                let note = json!({ "jsonrpc": "2.0", "method": "notifications/progress" });
                let event = Bytes::from(format!("data: {note}\n\n"));
                let event = Ok(http_body::Frame::data(event));
                let broken = Err(std::io::ErrorKind::ConnectionReset.into());
                let stream = futures_util::stream::iter([event, broken]);
                let mut cut = Response::new(StreamBody::new(stream).boxed());
                set_type(&mut cut, "text/event-stream");
                cut.extensions_mut().insert(Repeatable);
                cut
            }
            "fail" => {
                let content = json!([{ "type": "text", "text": "it failed" }]);
                reply(id, json!({ "content": content, "isError": true }))
            }
            "error" => {
                let error = json!({ "code": -32000, "message": "no such thing" });
                json_body(json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string())
            }
            "slow_head" => {
                self.wait().await;
                reply(id, json!({}))
            }
            "slow_lines" => {
                self.wait().await;
                json_body(format!(
                    "{{\n \"jsonrpc\": \"2.0\",\r\n \"id\": {id},\n \"result\": {{}}\n}}"
                ))
            }
            "slow_stream" => {
                self.wait().await;
                let answer = json!({ "jsonrpc": "2.0", "id": id, "result": {} });
                sse(format!("id: 7\ndata: {answer}\n\n"))
            }
            "slow_gateway" => {
                self.wait().await;
                text(502, "<h1>Bad\nGateway</h1>")
            }
            "slow_refusal" => {
                self.wait().await;
                let error = json!({ "code": -32601, "message": "no such method" });
                let mut refused =
                    json_body(json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string());
                *refused.status_mut() = StatusCode::FORBIDDEN;
                refused
            }
            // Never answers, and says something first.
            "quiet" => {
                let note = json!({ "jsonrpc": "2.0", "method": "notifications/progress" });
                unending(format!("data: {note}\n\n"))
            }
            "only" => {
                let answer = json!({ "jsonrpc": "2.0", "id": id, "result": { "n": 1 } });
                sse(format!(": hello\n\nid: 1\ndata: \n\nevent: message\ndata: {answer}\n\n"))
            }
            "cookie" => {
                let mut answer = reply(id, json!({}));
                let planted = "archon_session=11111111-2222-4333-8444-555555555555; Path=/";
                answer.headers_mut().append("set-cookie", planted.parse().unwrap());
                answer.headers_mut().append("set-cookie", "route=a".parse().unwrap());
                answer
            }
            "slow_body" => {
                let answer = json!({ "jsonrpc": "2.0", "id": id, "result": {} });
                let event = Bytes::from(format!("data: {answer}\n\n"));
                let stream = futures_util::stream::once(async move {
                    self.wait().await;
                    Ok(http_body::Frame::data(event))
                });
                let mut response = Response::new(StreamBody::new(Box::pin(stream)).boxed());
                set_type(&mut response, "text/event-stream");
                response
            }
            _ => reply(id, json!({ "content": [] })),
        }
    }

    async fn wait(&mut self) {
        let mut released = self.released.subscribe();
        let _ = released.wait_for(|released| *released).await;
    }
}

impl Service<InnerRequest> for Server {
    type Response = Response<Body>;
    type Error = CallFailed;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, CallFailed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallFailed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: InnerRequest) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            let mut answer = server.answer(request).await;
            match answer.extensions_mut().remove::<Lost>() {
                Some(Lost { is_repeatable }) => {
                    Err(CallFailed { is_repeatable, ..CallFailed::lost("main") })
                }
                None => Ok(answer),
            }
        })
    }
}

fn lost(is_repeatable: bool) -> Response<Body> {
    let mut answer = text(200, "");
    answer.extensions_mut().insert(Lost { is_repeatable });
    answer
}

fn whole(body: String) -> Body {
    Full::from(body).map_err(|never| match never {}).boxed()
}

pub fn text(status: u16, body: &str) -> Response<Body> {
    let mut response = Response::new(whole(body.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

pub fn json_body(body: String) -> Response<Body> {
    let mut response = Response::new(whole(body));
    set_type(&mut response, "application/json");
    response
}

pub fn sse(body: String) -> Response<Body> {
    let mut response = Response::new(whole(body));
    set_type(&mut response, "text/event-stream");
    response
}

/// A stream of events that come when they are sent; it ends when the sender is dropped.
pub fn stream(events: mpsc::UnboundedReceiver<String>) -> Response<Body> {
    let frames = futures_util::stream::unfold(events, async |mut events| {
        let event = events.recv().await?;
        Some((Ok(http_body::Frame::data(Bytes::from(event))), events))
    });
    let mut response = Response::new(StreamBody::new(Box::pin(frames)).boxed());
    set_type(&mut response, "text/event-stream");
    response
}

/// A stream that says this and stays open.
pub fn unending(events: String) -> Response<Body> {
    let event = Ok(http_body::Frame::data(Bytes::from(events)));
    let first = futures_util::stream::iter([event]);
    let stream = futures_util::StreamExt::chain(first, futures_util::stream::pending());
    let mut response = Response::new(StreamBody::new(stream).boxed());
    set_type(&mut response, "text/event-stream");
    response
}

fn set_type(response: &mut Response<Body>, kind: &'static str) {
    response.headers_mut().insert("content-type", http::HeaderValue::from_static(kind));
}

pub fn reply(id: &Value, result: Value) -> Response<Body> {
    json_body(json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string())
}

/// A tool call as JSON.
pub fn call(id: i64, tool: &str) -> String {
    let params = json!({ "name": tool, "arguments": {} });
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }).to_string()
}

/// The body of a modern request.
pub fn modern_body(method: &str, tool: &str) -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "m", "version": "1" },
    });
    let params = if tool.is_empty() {
        json!({ "_meta": meta })
    } else {
        json!({ "name": tool, "arguments": {}, "_meta": meta })
    };
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// A modern request.
pub fn modern(method: &str, tool: &str) -> Request<Full<Bytes>> {
    let request = Request::post("/mcp")
        .header("host", "localhost")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method)
        .header("mcp-name", tool);
    request.body(Full::from(modern_body(method, tool).to_string())).unwrap()
}

/// The request with another body.
pub fn with_body(request: Request<Full<Bytes>>, body: &Value) -> Request<Full<Bytes>> {
    request.map(|_| Full::from(body.to_string()))
}

/// A handshake of 2025-11-25, of a client with these capabilities.
pub fn handshake(capabilities: Value) -> Request<Full<Bytes>> {
    let client = json!({ "name": "zed" });
    let version = "2025-11-25";
    let params =
        json!({ "protocolVersion": version, "capabilities": capabilities, "clientInfo": client });
    let body = json!({ "jsonrpc": "2.0", "id": 5, "method": "initialize", "params": params });
    let request = Request::post("/mcp").header("host", "localhost");
    request.body(Full::from(body.to_string())).unwrap()
}

/// A client with its handles.
pub struct Client {
    /// `Mcp-Session-Id`.
    pub handle: String,
    /// `X-Archon-Session-Id`.
    pub session: String,
}

impl Client {
    /// Does the handshake.
    pub async fn connect(setup: &Setup, version: &str, headers: &[(&str, &str)]) -> Self {
        let client = json!({ "name": "claude-code", "version": "2" });
        let params =
            json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": client });
        let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        let mut request = Request::post("/mcp").header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = setup.send(request.body(Full::from(body.to_string())).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let own = |name| answer.header(name).unwrap().to_owned();
        let client = Self { handle: own("mcp-session-id"), session: own("x-archon-session-id") };
        let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(setup.send(client.post(note)).await.status, StatusCode::ACCEPTED);
        client
    }

    /// A POST on its connection.
    pub fn post(&self, body: &str) -> Request<Full<Bytes>> {
        self.request(Method::POST, body)
    }

    /// A request on its connection.
    pub fn request(&self, method: Method, body: &str) -> Request<Full<Bytes>> {
        let request = Request::builder().method(method).uri("/mcp").header("host", "localhost");
        request.header("mcp-session-id", &self.handle).body(Full::from(body.to_owned())).unwrap()
    }
}

/// An answer that was read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub body: String,
    headers: HeaderMap,
}

impl Answer {
    /// Returns a header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A server with the layer around it.
pub struct Setup {
    pub store: Arc<MemoryStore>,
    pub server: Server,
    tracker: Tracker,
}

impl Setup {
    /// Starts it with the standard settings.
    pub async fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        // Nothing crosses here, so a guess needs no grace.
        let settings = Settings { guess_grace: Duration::ZERO, ..Settings::default() };
        let tracker = Tracker::start(store.clone(), settings).await.unwrap();
        Self { store, server: Server::new(), tracker }
    }

    /// Ends the layer's process, so to speak, and starts it again on the same store.
    pub async fn restart(&mut self, change: impl FnOnce(&mut Settings)) {
        self.tracker.shutdown(Duration::from_secs(5)).await;
        let mut settings = Settings::default();
        change(&mut settings);
        self.tracker = Tracker::start(self.store.clone(), settings).await.unwrap();
    }

    /// A client of 2025-11-25.
    pub async fn connect(&self) -> Client {
        self.connect_with(&[]).await
    }

    /// The same, with headers of its own.
    pub async fn connect_with(&self, headers: &[(&str, &str)]) -> Client {
        Client::connect(self, "2025-11-25", headers).await
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        self.send_to("main", request).await
    }

    /// The same, to another upstream on the same tracker.
    pub async fn send_to(&self, upstream: &str, request: Request<Full<Bytes>>) -> Answer {
        let (parts, body) = self.open_at(upstream, request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Sends a request and returns the answer with its body unread.
    pub async fn open(&self, request: Request<Full<Bytes>>) -> Response<SessionBody<Body>> {
        self.open_at("main", request).await
    }

    async fn open_at(
        &self,
        upstream: &str,
        request: Request<Full<Bytes>>,
    ) -> Response<SessionBody<Body>> {
        let layer = SessionLayer::new(self.tracker.clone(), upstream);
        layer.layer(self.server.clone()).oneshot(request).await.unwrap()
    }

    /// Sends a request and leaves before anything comes back.
    pub async fn send_and_leave(&self, request: Request<Full<Bytes>>) {
        let before = self.server.runs.lock().unwrap().values().sum::<usize>();
        let answer = self.open(request);
        tokio::pin!(answer);
        self.until("the call runs", |setup| {
            let polled = futures_util::FutureExt::now_or_never(answer.as_mut());
            assert!(polled.is_none(), "it must not have been answered yet");
            setup.server.runs.lock().unwrap().values().sum::<usize>() > before
        })
        .await;
    }

    /// Waits until so many requests are stored, and returns them in the order of their arrival.
    pub async fn rows(&self, count: usize) -> Vec<RequestRow> {
        self.until("the rows are stored", |setup| setup.store.requests().len() >= count).await;
        let mut rows = self.store.requests();
        assert_eq!(rows.len(), count);
        rows.sort_by_key(|row| row.started);
        rows
    }

    /// Returns true if a session ended for this reason.
    pub fn ended_by(&self, reason: DisconnectReason) -> bool {
        let sessions = self.store.sessions();
        sessions.iter().any(|session| session.end.is_some_and(|end| end.reason == Some(reason)))
    }

    /// Waits for a condition, with a wide limit.
    pub async fn until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        for _ in 0..4000 {
            if is_so(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{what}: not within 20 s");
    }
}

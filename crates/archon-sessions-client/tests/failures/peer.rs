//! A server on a socket that answers as a test wants, or breaks off as it wants.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How long a condition may take to come about.
const WAIT: Duration = Duration::from_secs(20);

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub verb: String,
    pub headers: HashMap<String, String>,
    pub body: Value,
}

impl Seen {
    pub fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Returns an answer to this request.
    pub fn answer(&self, result: Value) -> Value {
        json!({ "jsonrpc": "2.0", "id": self.body["id"], "result": result })
    }

    pub fn text(&self, text: &str) -> Value {
        self.answer(json!({ "content": [{ "type": "text", "text": text }] }))
    }

    pub fn error(&self, code: i64, data: Value) -> Value {
        let error = json!({ "code": code, "message": "says why", "data": data });
        json!({ "jsonrpc": "2.0", "id": self.body["id"], "error": error })
    }
}

/// What a server does.
pub enum Reply {
    /// Answers in full.
    Full { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// Begins an answer, and breaks it off.
    Broken(String),
    /// Sends events, and ends the stream.
    Events(Vec<String>),
    /// Sends events, and then nothing.
    Silent(Vec<String>),
    /// Closes the connection without an answer.
    Cut,
}

impl Reply {
    pub fn json(body: Value) -> Self {
        Self::status(200, body)
    }

    pub fn status(status: u16, body: Value) -> Self {
        Self::Full {
            status,
            headers: vec![("Content-Type", "application/json".to_owned())],
            body: body.to_string(),
        }
    }

    pub fn bare(status: u16) -> Self {
        Self::Full { status, headers: Vec::new(), body: String::new() }
    }

    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Self::Full { headers, .. } = &mut self {
            headers.push((name, value.to_string()));
        }
        self
    }
}

/// An event of a stream.
pub fn event(id: &str, data: &Value) -> String {
    let data = if data.is_null() { String::new() } else { data.to_string() };
    format!("id: {id}\ndata: {data}\n\n")
}

type Script = dyn Fn(&Seen, usize) -> Option<Reply> + Send + Sync;

/// The server. Its connections end with it.
pub struct Peer {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    open: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Peer {
    /// Starts a server. What the script does not answer (given a request, and how many of its kind came before) is
    /// answered as a legacy server would.
    pub async fn start(
        script: impl Fn(&Seen, usize) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, script)
    }

    pub fn on(
        listener: TcpListener,
        script: impl Fn(&Seen, usize) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let open = Arc::new(AtomicUsize::new(0));
        let (log, script) = (seen.clone(), Arc::new(script) as Arc<Script>);
        let counter = open.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (log, script, counter) = (log.clone(), script.clone(), counter.clone());
                counter.fetch_add(1, Ordering::SeqCst);
                connections.spawn(async move {
                    serve(stream, log, script).await;
                    counter.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, seen, open, accepting }
    }

    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    pub fn all(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns the requests of a method, or of a verb.
    pub fn of(&self, kind: &str) -> Vec<Seen> {
        self.all().into_iter().filter(|seen| seen.method() == kind || seen.verb == kind).collect()
    }

    /// Returns how many connections there are.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub fn count(&self, kind: &str) -> usize {
        self.of(kind).len()
    }

    /// Waits until something is so.
    pub async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let seen: Vec<String> =
            self.all().iter().map(|s| format!("{} {}", s.verb, s.method())).collect();
        tokio::time::timeout(WAIT, waiting)
            .await
            .unwrap_or_else(|_| panic!("it never came: {seen:?}"));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(stream: TcpStream, log: Arc<Mutex<Vec<Seen>>>, script: Arc<Script>) {
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::new(stream);
    while let Some(seen) = read(&mut stream).await {
        let before = {
            let mut log = log.lock().unwrap();
            let is_alike =
                |other: &&Seen| other.verb == seen.verb && other.method() == seen.method();
            let before = log.iter().filter(is_alike).count();
            log.push(seen.clone());
            before
        };
        let reply = script(&seen, before).unwrap_or_else(|| usual(&seen, before));
        if !write(&mut stream, reply).await {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let verb = line.split(' ').next()?.to_owned();
    let mut headers = HashMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Some(Seen { verb, headers, body })
}

/// Writes a reply, and returns whether the connection goes on.
async fn write(stream: &mut BufReader<TcpStream>, reply: Reply) -> bool {
    let events = |events: Vec<String>| {
        let chunks: String =
            events.iter().map(|event| format!("{:x}\r\n{event}\r\n", event.len())).collect();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}{chunks}")
    };
    let (text, goes_on) = match reply {
        Reply::Full { status, headers, body } => {
            let headers: String =
                headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let length = body.len();
            (
                format!(
                    "HTTP/1.1 {status} Status\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
                ),
                true,
            )
        }
        Reply::Broken(body) => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n";
            (format!("{head}{body}"), false)
        }
        Reply::Events(list) => (format!("{}0\r\n\r\n", events(list)), true),
        Reply::Silent(list) => {
            let _ = stream.write_all(events(list).as_bytes()).await;
            std::future::pending::<()>().await;
            return false;
        }
        Reply::Cut => return false,
    };
    stream.write_all(text.as_bytes()).await.is_ok() && goes_on
}

/// What a legacy server answers: the handles it gives are `h1`, `h2`, …
fn usual(seen: &Seen, before: usize) -> Reply {
    let marked = json!({ "readOnlyHint": true });
    match (seen.verb.as_str(), seen.method()) {
        ("GET", _) => Reply::bare(405),
        ("DELETE", _) => Reply::bare(200),
        (_, "initialize") => Reply::json(seen.answer(json!({
            "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
            "serverInfo": { "name": "peer", "version": "1" },
        })))
        .with("Mcp-Session-Id", format!("h{}", before + 1)),
        (_, "server/discover") => Reply::status(400, seen.error(-32601, Value::Null)),
        (_, "tools/list") => Reply::json(seen.answer(json!({ "tools": [
            { "name": "plain", "inputSchema": { "type": "object" } },
            { "name": "marked", "inputSchema": { "type": "object" }, "annotations": marked },
        ] }))),
        (_, "tools/call") => Reply::json(seen.text("done")),
        (_, "ping") => Reply::json(seen.answer(json!({}))),
        _ => Reply::bare(202),
    }
}

//! Modern clients of a scripted legacy server over HTTP, which does what real ones do beside answering.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use archon_sessions::layer::{Exchange, InnerRequest};
use archon_sessions::protocol::Message;
use archon_sessions::protocol::names::{LAST_EVENT_ID, MCP_SESSION_ID};
use archon_sessions::session::{Era, Principal};
use bytes::Bytes;
use http::header::HeaderValue;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::ModernClients;
use crate::config::{Forwarding, HttpConfig};
use crate::gateway::catalog::Catalog;
use crate::gateway::http::HttpUpstream;
use crate::gateway::plain::Plain;
use crate::gateway::wire::Answer;
use crate::gateway::wire::answer::{empty, json as as_json};
use crate::gateway::wire::written::{self, Out};

/// How long a stream that was closed is not to be asked for again.
const RETRY: Duration = Duration::from_millis(60);
/// No test takes so long that does not hang.
const LIMIT: Duration = Duration::from_secs(30);

/// A legacy server that remembers what was said to it.
#[derive(Default)]
struct Server {
    /// Answers to what it asked.
    replies: watch::Sender<Vec<Value>>,
    /// Its GET stream.
    standing: watch::Sender<Option<Out>>,
    /// When it closed a stream, and when it was asked for the rest.
    closed: Mutex<Option<Instant>>,
    waited: Mutex<Option<Duration>>,
}

impl Server {
    /// Waits for the reply to a request of its own.
    async fn reply(&self, id: &str) -> Value {
        let mut replies = self.replies.subscribe();
        let has_come = |replies: &Vec<Value>| replies.iter().any(|reply| reply["id"] == id);
        let replies = replies.wait_for(has_come).await.unwrap();
        replies.iter().find(|reply| reply["id"] == id).unwrap().clone()
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        if request.method() == Method::GET {
            return self.stream(request.headers().get(LAST_EVENT_ID));
        }
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let Ok(message) = serde_json::from_slice::<Value>(&body) else {
            return empty(StatusCode::OK);
        };
        let id = message["id"].clone();
        match message["method"].as_str() {
            None => {
                self.replies.send_modify(|replies| replies.push(message));
                empty(StatusCode::ACCEPTED)
            }
            Some("initialize") => {
                let mut answer = written::stream(|out| async move {
                    for (id, method) in [("early-ping", "ping"), ("early", "roots/list")] {
                        ask(&out, id, method).await;
                        self.reply(id).await;
                    }
                    let result = json!({
                        "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                        "serverInfo": {"name": "scripted", "version": "1"},
                    });
                    say(&out, json!({"jsonrpc": "2.0", "id": id, "result": result})).await;
                    Ok(())
                });
                answer.headers_mut().insert(MCP_SESSION_ID, HeaderValue::from_static("s"));
                answer
            }
            Some("tools/list") => result(&id, json!({"tools": []})),
            Some("tools/call") => self.call(id, message["params"]["name"].as_str()).await,
            Some(_) => empty(StatusCode::ACCEPTED),
        }
    }

    async fn call(self: Arc<Self>, id: Value, tool: Option<&str>) -> Answer {
        match tool {
            // Closes its stream to be asked again.
            Some("closes") => {
                *self.closed.lock().unwrap() = Some(Instant::now());
                written::stream(|out| async move {
                    let retry = RETRY.as_millis();
                    out.pass(format!("id: {id}@1\nretry: {retry}\ndata: \n\n").into()).await;
                    Ok(())
                })
            }
            // Asks on its GET stream, and does not begin to answer before it knows.
            Some("withholds") => {
                let mut standing = self.standing.subscribe();
                let out = standing.wait_for(Option::is_some).await.unwrap().clone().unwrap();
                ask(&out, "early-ping-2", "ping").await;
                ask(&out, "asked", "elicitation/create").await;
                let said = self.reply("asked").await["result"]["content"]["name"].clone();
                result(&id, json!({"content": [{"type": "text", "text": said}]}))
            }
            _ => {
                let error = json!({"code": -32602, "message": "no such tool"});
                let message = json!({"jsonrpc": "2.0", "id": id, "error": error});
                as_json(StatusCode::OK, message.to_string().into())
            }
        }
    }

    fn stream(self: Arc<Self>, last: Option<&HeaderValue>) -> Answer {
        let Some(last) = last.map(|last| last.to_str().unwrap().to_owned()) else {
            return written::stream(|out| async move {
                self.standing.send_replace(Some(out));
                std::future::pending().await
            });
        };
        let closed = self.closed.lock().unwrap().unwrap();
        *self.waited.lock().unwrap() = Some(closed.elapsed());
        written::stream(|out| async move {
            let (id, _) = last.split_once('@').unwrap();
            let id: Value = serde_json::from_str(id).unwrap();
            let result = json!({"content": []});
            say(&out, json!({"jsonrpc": "2.0", "id": id, "result": result})).await;
            Ok(())
        })
    }
}

async fn say(out: &Out, message: Value) {
    out.send(message.to_string().as_bytes()).await;
}

async fn ask(out: &Out, id: &str, method: &str) {
    say(out, json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {}})).await;
}

fn result(id: &Value, result: Value) -> Answer {
    let message = json!({"jsonrpc": "2.0", "id": id, "result": result});
    as_json(StatusCode::OK, message.to_string().into())
}

/// Starts a server; returns it, and the bridge to it. It ends with the test's runtime.
async fn start() -> (Arc<Server>, ModernClients) {
    let server = Arc::new(Server::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let serving = server.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let serving = serving.clone();
            let service = hyper::service::service_fn(move |request| {
                let answering = serving.clone().answer(request);
                async move { Ok::<_, Infallible>(answering.await) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
        }
    });
    let config = HttpConfig {
        url: url.parse().unwrap(),
        headers: http::HeaderMap::new(),
        forwarding: Forwarding::default(),
        connect_timeout: LIMIT,
        restart_grace: Duration::ZERO,
        tls_ca_file: None,
    };
    let catalog = Arc::<Catalog>::default();
    let upstream = HttpUpstream::new("scripted", &config, catalog.clone()).unwrap();
    (server, ModernClients::new(Plain::Http(upstream), catalog, Arc::default()))
}

/// Calls a tool as a client that can be asked for input; returns the answer.
async fn call(clients: &ModernClients, tool: &str, more: Value) -> Value {
    let mut params = json!({
        "name": tool, "arguments": {},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
        },
    });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
    let body = Bytes::from(body.to_string());
    let exchange = Exchange {
        era: Era::Modern,
        message: Message::parse(&body).ok().map(Arc::new),
        presence: None,
        proof: None,
        connection: None,
        principal: Principal::Anonymous,
    };
    let mut request = InnerRequest::new(Full::new(body));
    *request.method_mut() = Method::POST;
    request.extensions_mut().insert(exchange);
    let answer = tokio::time::timeout(LIMIT, clients.clone().call(request)).await.unwrap().unwrap();
    let whole = tokio::time::timeout(LIMIT, answer.into_body().collect()).await.unwrap();
    let text = String::from_utf8(whole.unwrap().to_bytes().to_vec()).unwrap();
    serde_json::from_str(text.strip_prefix("event: message\ndata: ").unwrap_or(&text)).unwrap()
}

#[tokio::test]
async fn what_is_asked_before_the_handshake_is_answered_does_not_hold_it_up() {
    let (server, clients) = start().await;
    let said = call(&clients, "none", json!({})).await;
    assert_eq!(said["error"]["message"], "no such tool");
    assert_eq!(server.reply("early-ping").await["result"], json!({}));
    assert_eq!(server.reply("early").await["error"]["code"], -32601);
}

#[tokio::test]
async fn a_stream_that_is_closed_is_asked_for_again_when_the_server_said_so() {
    let (server, clients) = start().await;
    let said = call(&clients, "closes", json!({})).await;
    assert_eq!((&said["id"], &said["result"]["resultType"]), (&json!(7), &json!("complete")));
    assert!(server.waited.lock().unwrap().unwrap() >= RETRY);
}

#[tokio::test]
async fn a_question_comes_before_an_answer_that_waits_for_it() {
    let (server, clients) = start().await;
    let asked = call(&clients, "withholds", json!({})).await;
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    assert_eq!(server.reply("early-ping-2").await["result"], json!({}));
    let answers = json!({"question": {"action": "accept", "content": {"name": "Ada"}}});
    let state = asked["result"]["requestState"].clone();
    let again = json!({"requestState": state, "inputResponses": answers});
    let said = call(&clients, "withholds", again).await;
    assert_eq!(said["result"]["content"][0]["text"], "Ada", "{said}");
}

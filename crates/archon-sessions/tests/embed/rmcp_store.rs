//! A server on rmcp without the layer, which keeps its sessions and events in our tables: restarted under rmcp's
//! own client, and under one that speaks HTTP by hand.

use std::sync::Arc;

use archon_sessions::Tracker;
use archon_sessions::rmcp::RmcpStore;
use archon_sessions::session::{DisconnectReason, McpSessionId};
use archon_sessions::store::SessionStore;
use axum::Router;
use futures_util::StreamExt;
use rmcp::model::CallToolRequestParams;
use rmcp::service::ClientLifecycleMode;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{tool, tool_router};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::deployment::{Deployment, LIMIT, connect, text_of, until};

/// A server with a tool that answers when it is let.
#[derive(Clone)]
struct Patient {
    released: watch::Sender<bool>,
}

#[tool_router(server_handler)]
impl Patient {
    #[tool(description = "Answers at once.")]
    async fn echo(&self) -> String {
        "echo".into()
    }

    #[tool(description = "Answers when it is let.")]
    async fn wait(&self) -> String {
        let mut released = self.released.subscribe();
        let _ = released.wait_for(|released| *released).await;
        "waited".into()
    }
}

fn app(tracker: &Tracker, stopping: CancellationToken, released: &watch::Sender<bool>) -> Router {
    let store = Arc::new(RmcpStore::new(tracker.clone(), "patient"));
    let sessions = LocalSessionManager::default().with_event_store(store.clone());
    let mut config = StreamableHttpServerConfig::default();
    config.session_store = Some(store);
    config.cancellation_token = stopping;
    let server = Patient { released: released.clone() };
    let mcp = StreamableHttpService::new(move || Ok(server.clone()), Arc::new(sessions), config);
    Router::new().route_service("/mcp", mcp)
}

async fn deployment() -> (Deployment, watch::Sender<bool>) {
    let released = watch::Sender::new(false);
    let shared = released.clone();
    (Deployment::of(move |tracker, stopping| app(tracker, stopping, &shared)).await, released)
}

#[tokio::test]
async fn rmcps_client_goes_on_after_a_restart() {
    let (mut deployment, _released) = deployment().await;
    let client = connect(&deployment.url, ClientLifecycleMode::Initialize).await;
    for _ in 0..2 {
        let answer = client.call_tool(CallToolRequestParams::new("echo")).await.unwrap();
        assert_eq!(text_of(&answer), "echo");
        deployment.restart().await;
    }
    let (sessions, connections) = deployment.store.active().await.unwrap();
    let [session] = &sessions[..] else { panic!("one session, not {sessions:?}") };
    assert_eq!((session.client.kind(), connections.len()), ("rmcp", 1));
    client.cancel().await.unwrap();
    let id = session.id;
    until("the session ends", async || deployment.session(id).await.end.is_some()).await;
    let end = deployment.session(id).await.end.unwrap();
    assert_eq!(end.reason, Some(DisconnectReason::ClientDisconnect));
    deployment.stop().await;
}

/// A legacy client that speaks HTTP by hand.
struct Raw {
    http: reqwest::Client,
    url: String,
    handle: String,
}

impl Raw {
    async fn connect(url: &str) -> Self {
        let mut raw =
            Self { http: reqwest::Client::new(), url: url.to_owned(), handle: String::new() };
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "raw", "version": "0" },
        });
        let initialize =
            json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        let answer = raw.post(&initialize).await;
        raw.handle = answer.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(raw.post(&initialized).await.status(), 202);
        raw
    }

    fn ask(&self, method: reqwest::Method) -> reqwest::RequestBuilder {
        let request = self.http.request(method, &self.url);
        let request = request.header("accept", "application/json, text/event-stream");
        if self.handle.is_empty() {
            return request;
        }
        request.header("mcp-session-id", &self.handle).header("mcp-protocol-version", "2025-11-25")
    }

    async fn post(&self, message: &Value) -> reqwest::Response {
        let request = self.ask(reqwest::Method::POST).header("content-type", "application/json");
        request.body(message.to_string()).send().await.unwrap()
    }

    async fn call(&self, id: u32, tool: &str) -> Events {
        let params = json!({ "name": tool, "arguments": {} });
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        Events::of(self.post(&call).await)
    }

    /// Comes back to a stream.
    async fn resume(&self, last: &str) -> Events {
        let request = self.ask(reqwest::Method::GET).header("last-event-id", last);
        Events::of(request.send().await.unwrap())
    }
}

/// The events of a stream as they come: id and data.
struct Events {
    body: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    read: String,
}

impl Events {
    fn of(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200);
        Self { body: response.bytes_stream().boxed(), read: String::new() }
    }

    /// Returns the next; `None` at the end.
    async fn next(&mut self) -> Option<(String, String)> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let field = |name| {
                    let lines = event.lines();
                    lines.filter_map(|line| line.strip_prefix(name)).map(str::trim).collect()
                };
                let found: (String, String) = (field("id:"), field("data:"));
                self.read = rest.to_owned();
                // What only keeps the connection open has neither.
                if !found.0.is_empty() {
                    return Some(found);
                }
                continue;
            }
            let more =
                tokio::time::timeout(LIMIT, self.body.next()).await.expect("more, or the end");
            self.read += std::str::from_utf8(&more?.ok()?).unwrap();
        }
    }
}

fn result_of(data: &str) -> Value {
    let message: Value = serde_json::from_str(data).unwrap();
    message["result"]["content"][0]["text"].clone()
}

#[tokio::test]
async fn an_answer_that_was_missed_comes_once_before_and_after_a_restart() {
    let (mut deployment, released) = deployment().await;
    let client = Raw::connect(&deployment.url).await;
    let mut events = client.call(7, "wait").await;
    let (first, data) = events.next().await.unwrap();
    assert_eq!(data, "", "an event to come back to");
    drop(events);

    // It comes back before there is an answer, and gets it when it comes.
    let mut events = client.resume(&first).await;
    released.send_replace(true);
    let (id, data) = events.next().await.unwrap();
    assert_eq!(result_of(&data), "waited");
    assert!(events.next().await.is_none());

    let mut nothing = client.resume(&id).await;
    assert!(nothing.next().await.is_none(), "what it has is not sent again");
    deployment.restart().await;
    let mut again = client.resume(&first).await;
    assert_eq!(again.next().await, Some((id, data)), "for it may not have got it");
    assert!(again.next().await.is_none());

    let mut events = client.call(8, "echo").await;
    let (after, _) = events.next().await.unwrap();
    assert_ne!(after, first, "ids are new after a restart");
    deployment.stop().await;
}

#[tokio::test]
async fn a_handle_is_dead_once_it_was_deleted_and_one_that_never_was_is_unknown() {
    let (mut deployment, _released) = deployment().await;
    let client = Raw::connect(&deployment.url).await;
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    assert_eq!(client.post(&ping).await.status(), 200);
    let deleted = client.ask(reqwest::Method::DELETE).send().await.unwrap();
    assert_eq!(deleted.status(), 202);
    let unknown =
        Raw { handle: McpSessionId::random().to_string(), ..Raw::connect(&client.url).await };
    let foreign = Raw { handle: "none-of-ours".into(), ..Raw::connect(&client.url).await };
    for _ in 0..2 {
        for client in [&client, &unknown, &foreign] {
            assert_eq!(client.post(&ping).await.status(), 404);
        }
        deployment.restart().await;
    }
    deployment.stop().await;
}

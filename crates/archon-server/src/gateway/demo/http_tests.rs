//! Tests of the demo server as the gateway meets it: HTTP requests of both eras.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::{DemoServer, Store};

type DemoService = StreamableHttpService<DemoServer, LocalSessionManager>;

async fn demo_server() -> DemoServer {
    DemoServer::open(Store::in_memory().await.unwrap()).await.unwrap()
}

struct Answer {
    status: StatusCode,
    session: Option<String>,
    content_type: String,
    body: String,
}

impl Answer {
    /// Returns the JSON-RPC message in the body, be it JSON or an event stream.
    fn message(&self) -> Value {
        let data = self.body.lines().find_map(|line| line.strip_prefix("data: "));
        serde_json::from_str(data.unwrap_or(&self.body)).unwrap()
    }
}

async fn send(service: &DemoService, request: Request<Full<Bytes>>) -> Answer {
    let response: Response<_> = service.clone().oneshot(request).await.unwrap();
    let header = |name: &str| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
    let (session, content_type) = (header("mcp-session-id"), header("content-type"));
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Answer {
        status,
        session,
        content_type: content_type.unwrap_or_default(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

async fn post(service: &DemoService, headers: &[(&str, &str)], message: Value) -> Answer {
    let mut request = Request::post("http://localhost/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(service, request.body(message.to_string().into()).unwrap()).await
}

async fn initialize(service: &DemoService, version: &str) -> Answer {
    let params = json!({"protocolVersion": version, "capabilities": {},
                        "clientInfo": {"name": "test", "version": "1"}});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    post(service, &[], message).await
}

async fn ping(service: &DemoService, session: &str) -> StatusCode {
    let message = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
    post(service, &[("mcp-session-id", session)], message).await.status
}

/// Sends a modern request with the headers that mirror it.
async fn modern(service: &DemoService, method: &str, name: &str, mut params: Value) -> Answer {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let mut headers = vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
    if !name.is_empty() {
        headers.push(("mcp-name", name));
    }
    let message = json!({"jsonrpc": "2.0", "id": 3, "method": method, "params": params});
    post(service, &headers, message).await
}

#[tokio::test]
async fn a_legacy_client_gets_a_session_that_ends_with_delete() {
    let service = demo_server().await.service();

    let welcome = initialize(&service, "2024-11-05").await;
    assert_eq!(
        (welcome.status, welcome.content_type.as_str()),
        (StatusCode::OK, "text/event-stream")
    );
    assert!(welcome.body.starts_with("data: {"), "no priming event: {}", welcome.body);
    let result = &welcome.message()["result"];
    assert_eq!(result["protocolVersion"], "2024-11-05");
    assert_eq!(result["serverInfo"]["name"], "archon-demo");
    assert_eq!(result["serverInfo"]["version"], env!("CARGO_PKG_VERSION"));

    let session = welcome.session.unwrap();
    let headers = [("mcp-session-id", session.as_str())];
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
                      "params": {"name": "find_tasks", "arguments": {"query": "authentication"}}});
    let answer = post(&service, &headers, call).await.message();
    assert_eq!(answer["result"]["structuredContent"]["total"], 2);
    assert_eq!(answer["result"]["isError"], false);
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), answer["result"]["structuredContent"]);

    let delete = Request::delete("http://localhost/mcp").header("mcp-session-id", &session);
    let deleted = send(&service, delete.body(Full::default()).unwrap()).await;
    assert_eq!(deleted.status, StatusCode::ACCEPTED);
    assert_eq!(ping(&service, &session).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_modern_client_is_answered_in_json_without_a_session() {
    let service = demo_server().await.service();

    let discovered = modern(&service, "server/discover", "", json!({})).await;
    assert_eq!(discovered.content_type, "application/json");
    assert_eq!(discovered.session, None);
    let versions = discovered.message()["result"]["supportedVersions"].clone();
    assert!(versions.as_array().unwrap().contains(&json!("2026-07-28")), "{versions}");

    let list = modern(&service, "tools/list", "", json!({})).await.message();
    assert_eq!(list["result"]["cacheScope"], "public");
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 4);

    let params = json!({"name": "manage_task", "arguments": {"action": "create", "title": "x"}});
    let refused = modern(&service, "tools/call", "manage_task", params).await;
    assert_eq!(refused.status, StatusCode::OK);
    let result = &refused.message()["result"];
    assert_eq!(result["isError"], true);
    assert_eq!(result["structuredContent"]["error"]["code"], "missing_argument");
}

#[tokio::test]
async fn an_unknown_tool_is_a_protocol_error() {
    let service = demo_server().await.service();

    let answer = modern(&service, "tools/call", "nope", json!({"name": "nope"})).await;

    assert_eq!(answer.message()["error"]["code"], -32602);
}

#[tokio::test]
async fn a_method_that_is_unknown_or_removed_is_not_found() {
    let service = demo_server().await.service();
    for (method, params) in [
        ("no/such/method", json!({"uri": "test://x"})),
        ("ping", json!({})),
        ("logging/setLevel", json!({"level": "info"})),
    ] {
        let answer = modern(&service, method, "", params).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method}");
        assert_eq!(answer.message()["error"]["code"], -32601, "{method}");
    }
}

#[tokio::test]
async fn tools_say_what_they_do_to_the_world() {
    let service = demo_server().await.service();

    let list = modern(&service, "tools/list", "", json!({})).await.message();

    for tool in list["result"]["tools"].as_array().unwrap() {
        let is_find = tool["name"].as_str().unwrap().starts_with("find_");
        assert!(tool["title"].is_string() && tool["description"].is_string(), "{tool}");
        assert_eq!(tool["inputSchema"]["type"], "object");
        assert_eq!(
            tool["annotations"],
            json!({"readOnlyHint": is_find, "destructiveHint": !is_find,
                   "idempotentHint": is_find, "openWorldHint": false})
        );
    }
}

#[tokio::test]
async fn an_idle_session_ends_and_frees_its_place() {
    let mut server = demo_server().await;
    server.session_slots = Semaphore::new(1).into();
    let service = server.service_with(Duration::from_millis(50));
    let session = initialize(&service, "2025-11-25").await.session.unwrap();
    assert_eq!(initialize(&service, "2025-11-25").await.message()["error"]["code"], -32603);

    // Its place is free a moment before rmcp forgets its id, so wait for one after the other.
    let ended = tokio::time::timeout(Duration::from_secs(30), async {
        while initialize(&service, "2025-11-25").await.message()["error"].is_object() {
            tokio::task::yield_now().await;
        }
        while ping(&service, &session).await != StatusCode::NOT_FOUND {
            tokio::task::yield_now().await;
        }
    });

    ended.await.unwrap();
}

#[tokio::test]
async fn a_body_that_no_tool_needs_is_not_read() {
    let service = demo_server().await.service();

    let params = json!({"padding": "x".repeat(300_000)});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": params});

    assert_eq!(post(&service, &[], message).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

//! The example server behind the layer, in front of real clients: what its tools read of their sessions, and what
//! they say of their requests.

#![allow(clippy::unwrap_used)] // A test that cannot set itself up has failed.

#[path = "embed/deployment.rs"]
mod deployment;
#[allow(dead_code)] // Its `main` is for those who run it.
#[path = "../examples/server.rs"]
mod example;
#[path = "embed/rmcp_store.rs"]
mod rmcp_store;

use std::sync::Arc;

use archon_sessions::session::{DisconnectReason, Era};
use archon_sessions::store::Outcome;
use archon_sessions::store::reports::{ModelPrice, Reports};
use archon_sessions::{CurrentSession, MemoryStore, SessionLayer, Tracker};
use axum::routing::post;
use axum::{Extension, Json, Router};
use deployment::{Deployment, connect, text_of, tracker_on, until};
use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::ClientLifecycleMode;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};

fn legacy() -> ClientLifecycleMode {
    ClientLifecycleMode::Initialize
}

fn modern() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}

fn who_am_i() -> CallToolRequestParams {
    CallToolRequestParams::new("who_am_i")
}

fn shout(text: &str) -> CallToolRequestParams {
    let arguments = json!({ "text": text, "name": "ada" });
    CallToolRequestParams::new("shout").with_arguments(arguments.as_object().unwrap().clone())
}

#[tokio::test]
async fn a_tool_reads_its_session_and_says_what_its_call_cost() {
    for (mode, era) in [(legacy(), Era::Legacy), (modern(), Era::Modern)] {
        let deployment = Deployment::of(|tracker, _| example::app(tracker)).await;
        let client = connect(&deployment.url, mode).await;
        let told = text_of(&client.call_tool(who_am_i()).await.unwrap());
        assert!(told.starts_with("somebody with rmcp, here since 2"), "{told}");

        let answer = client.call_tool(shout("what is this about")).await.unwrap();
        assert_eq!(text_of(&answer), "WHAT IS THIS ABOUT");
        let row = deployment.row_of("shout").await;
        assert_eq!((row.prompt_tokens, row.completion_tokens), (4, 4));
        assert_eq!((row.cost_micros, row.model.as_deref()), (4_000, Some("voice-1")));
        let estimated = deployment.row_of("who_am_i").await;
        assert!(estimated.completion_tokens > 10, "{estimated:?}");
        assert_eq!(estimated.model.as_deref(), Some("claude-sonnet-4-5"));

        let session = deployment.session(row.session).await;
        assert!(told.ends_with(&session.id.to_string()), "{told}");
        assert_eq!((session.era, session.client.kind()), (era, "rmcp"));
        assert_eq!(session.user.unwrap().id.as_deref(), Some("ada"));
        let told = text_of(&client.call_tool(who_am_i()).await.unwrap());
        assert!(told.starts_with("ada with rmcp"), "{told}");

        let usage = deployment.store.usage(deployment.today()).await.unwrap();
        let ada = usage.by_user.iter().find(|user| user.name == "ada").unwrap();
        assert!(ada.usage.cost_micros >= 4_000, "{:?}", ada.usage);
        client.cancel().await.unwrap();
        deployment.stop().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_session_and_a_restart_does_not() {
    let mut deployment = Deployment::of(|tracker, _| example::app(tracker)).await;
    let client = connect(&deployment.url, legacy()).await;
    let before = text_of(&client.call_tool(who_am_i()).await.unwrap());
    deployment.restart().await;
    let after = text_of(&client.call_tool(who_am_i()).await.unwrap());
    assert_eq!(before, after, "the same session, since the same moment");

    let id = after.split_whitespace().last().unwrap().parse().unwrap();
    client.cancel().await.unwrap();
    until("the session ends", async || deployment.session(id).await.end.is_some()).await;
    let end = deployment.session(id).await.end.unwrap();
    assert_eq!(end.reason, Some(DisconnectReason::ClientDisconnect));
    deployment.stop().await;
}

#[test]
fn what_readmes_show_is_the_example() {
    let example = include_str!("../examples/server.rs");
    let lines: Vec<_> = example.lines().map(str::trim).collect();
    for readme in [include_str!("../README.md"), include_str!("../../../README.md")] {
        let section = readme.split("## In your own Rust server").last().unwrap();
        let section = section.split("\n## ").next().unwrap();
        let blocks: Vec<_> = section.split("```rust,ignore\n").skip(1).collect();
        assert_eq!(blocks.len(), 2);
        for block in blocks {
            let shown = block.split("```").next().unwrap().lines().map(str::trim);
            let shown: Vec<_> = shown.filter(|line| !line.is_empty()).collect();
            assert!(shown.len() <= 11, "{} lines", shown.len());
            for line in shown {
                assert!(lines.contains(&line), "not in the example: {line}");
            }
        }
    }
}

/// A server without a framework: each message is answered by what the test gives it.
fn plain(tracker: &Tracker, answer: fn(CurrentSession)) -> Router {
    let handler = async move |session: Option<Extension<CurrentSession>>,
                              Json(message): Json<Value>| {
        if let Some(Extension(session)) = session {
            answer(session);
        }
        Json(json!({ "jsonrpc": "2.0", "id": message["id"], "result": {} }))
    };
    let service = Router::new().route("/mcp", post(handler));
    Router::new().fallback_service(SessionLayer::new(tracker.clone(), "plain").layer(service))
}

fn call(id: u32) -> http::Request<axum::body::Body> {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "plain-client", "version": "7" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({ "name": "x", "arguments": {}, "_meta": meta });
    let body = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
    http::Request::post("/mcp")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "x")
        .body(body.to_string().into())
        .unwrap()
}

#[tokio::test]
async fn a_handler_of_axum_takes_its_session_as_an_argument() {
    let store = Arc::new(MemoryStore::new());
    let tracker = tracker_on(store.clone()).await;
    async fn answer(
        Extension(session): Extension<CurrentSession>,
        Json(message): Json<Value>,
    ) -> Json<Value> {
        let (client, record) = (session.client(), session.record());
        assert_eq!(record.id, session.id());
        assert_eq!(record.connected_at, session.connected_at());
        assert_eq!(session.era(), Era::Modern);
        assert_eq!(session.protocol_version(), "2026-07-28");
        assert!(!session.principal().is_authenticated() && !session.has_ended());
        let told = json!({ "session": session.id().to_string(), "version": client.version });
        Json(json!({ "jsonrpc": "2.0", "id": message["id"], "result": told }))
    }
    let layer = SessionLayer::new(tracker.clone(), "plain");
    let app = Router::new().route("/mcp", post(answer).layer(layer));
    let response = app.oneshot(call(1)).await.unwrap();
    let id = response.headers()["x-archon-session-id"].to_str().unwrap().to_owned();
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["result"], json!({ "session": id, "version": "7" }));
    tracker.shutdown(deployment::LIMIT).await;
}

#[tokio::test]
async fn what_is_said_of_a_request_may_be_nonsense_and_its_call_is_answered() {
    let store = Arc::new(MemoryStore::new());
    let tracker = tracker_on(store.clone()).await;
    let app = plain(&tracker, |session| {
        let endless = "x".repeat(100_000);
        session.annotate().tokens(u64::MAX, 0).cost(f64::NAN).cost(-1.0).model(&endless);
        session.annotate().user("").user(&*endless).model("\0\n");
    });
    let response = app.oneshot(call(1)).await.unwrap();
    assert_eq!(response.status(), 200);
    drop(axum::body::to_bytes(response.into_body(), 10_000).await.unwrap());
    until("the row is stored", async || !store.requests().is_empty()).await;
    let row = &store.requests()[0];
    assert_eq!((row.outcome, row.prompt_tokens), (Outcome::Success, i64::from(i32::MAX)));
    assert_eq!((row.cost_micros, row.model.as_deref().map(str::len)), (0, Some(128)));
    let user = store.sessions()[0].user.clone().unwrap();
    assert_eq!(user.id.as_deref().map(str::len), Some(256));
    tracker.shutdown(deployment::LIMIT).await;
}

#[tokio::test]
async fn a_session_may_be_kept_and_what_it_says_too_late_changes_nothing() {
    static KEPT: std::sync::Mutex<Option<CurrentSession>> = std::sync::Mutex::new(None);
    let store = Arc::new(MemoryStore::new());
    let tracker = tracker_on(store.clone()).await;
    let app = plain(&tracker, |session| {
        session.annotate().tokens(1, 2);
        *KEPT.lock().unwrap() = Some(session);
    });
    let response = app.oneshot(call(1)).await.unwrap();
    drop(axum::body::to_bytes(response.into_body(), 10_000).await.unwrap());
    until("the row is stored", async || !store.requests().is_empty()).await;
    let kept = KEPT.lock().unwrap().take().unwrap();
    kept.annotate().tokens(3, 4).cost(5.0).model("late");
    // Who its client is may become known at any time.
    kept.annotate().user("grace");
    tracker.shutdown(deployment::LIMIT).await;
    let row = &store.requests()[0];
    assert_eq!((row.prompt_tokens, row.completion_tokens), (1, 2));
    assert_eq!((row.cost_micros, row.model.as_deref(), store.requests().len()), (0, None, 1));
    assert_eq!(store.sessions()[0].user.as_ref().unwrap().id.as_deref(), Some("grace"));
}

#[tokio::test]
async fn a_named_model_counts_by_its_own_price() {
    let deployment = Deployment::of(|tracker, _| {
        plain(tracker, |session| {
            session.annotate().tokens(1_000, 1_000).model("tiny-1");
        })
    })
    .await;
    let price = ModelPrice {
        provider: "us".into(),
        model: "tiny-1".into(),
        input_per_1k: 0.25,
        output_per_1k: 0.5,
        effective_date: "2020-01-01".into(),
    };
    deployment.store.put_prices(&[price]).await.unwrap();
    let response = deployment.app().oneshot(call(1)).await.unwrap();
    drop(axum::body::to_bytes(response.into_body(), 10_000).await.unwrap());
    let row = deployment.row_of("x").await;
    assert_eq!((row.cost_micros, row.model.as_deref()), (750_000, Some("tiny-1")));
    deployment.stop().await;
}

#[tokio::test]
async fn a_tool_without_the_layer_around_it_says_what_is_missing() {
    let bare = Deployment::of(|_, _| {
        let sessions = Arc::new(LocalSessionManager::default());
        let mcp = StreamableHttpService::new(|| Ok(example::Greeter), sessions, Default::default());
        Router::new().route_service("/mcp", mcp)
    })
    .await;
    let client = connect(&bare.url, legacy()).await;
    let refused = client.call_tool(who_am_i()).await.unwrap_err().to_string();
    assert!(refused.contains("put a SessionLayer around the server"), "{refused}");
    client.cancel().await.unwrap();
    bare.stop().await;
}

//! What servers say and ask while they answer, and what a modern request looks like.

use std::sync::{Arc, Mutex};

use archon_sessions_client::model::{ErrorData, ProgressNotificationParam};
use archon_sessions_client::{CallOptions, Client, Era, Error, Handler, Heartbeat};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::peer::{Peer, Reply, event};
use crate::{call, connect, quick};

/// Answers everything with its own name.
struct Named;

impl Handler for Named {
    fn request(&self, method: &str, _: Value) -> BoxFuture<'static, Result<Value, ErrorData>> {
        let method = method.to_owned();
        Box::pin(async move { Ok(json!({ "asked": method })) })
    }
}

/// A server that asks twice before it answers.
async fn curious() -> Peer {
    Peer::start(|seen, _| {
        let asks = |id: &str, method: &str| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": {} });
        (seen.method() == "tools/call").then(|| {
            Reply::Events(vec![
                event("1", &asks("q1", "ping")),
                event("2", &asks("q2", "sampling/createMessage")),
                event("3", &seen.text("done")),
            ])
        })
    })
    .await
}

#[tokio::test]
async fn a_server_asks_on_its_own_stream_where_there_is_a_handler() {
    let asks =
        json!({ "jsonrpc": "2.0", "id": "q1", "method": "elicitation/create", "params": {} });
    let peer = Peer::start(move |seen, before| {
        (seen.verb == "GET").then(|| match before {
            0 => Reply::Events(vec![event("e1", &asks)]),
            1 => Reply::bare(409),
            2 => Reply::bare(404),
            _ => Reply::Silent(vec![event("e2", &Value::Null)]),
        })
    })
    .await;
    let builder = Client::builder(peer.url()).era(Era::Legacy).heartbeat(Heartbeat::Off);
    let client = builder.retry(quick()).handler(Named).connect().await.unwrap();
    peer.until(|peer| answer_to(peer, "q1").is_some() && peer.count("GET") == 4).await;
    assert_eq!(answer_to(&peer, "q1").unwrap()["result"]["asked"], "elicitation/create");
    let from: Vec<String> =
        peer.of("GET").iter().map(|seen| seen.header("last-event-id").to_owned()).collect();
    // Where it was, until the server says that this is gone.
    assert_eq!(from, ["", "e1", "e1", ""]);
    assert_eq!(call(&client, "plain").await.unwrap(), "done");
    assert_eq!(peer.count("initialize"), 1);
    client.close().await;
}

#[tokio::test]
async fn nobody_who_hears_nothing_opens_a_stream_and_none_is_asked_for_twice() {
    let peer = Peer::start(|_, _| None).await;
    let client = connect(&peer.url(), quick()).await;
    call(&client, "plain").await.unwrap();
    assert_eq!(peer.count("GET"), 0);
    let builder = Client::builder(peer.url()).era(Era::Legacy).heartbeat(Heartbeat::Off);
    let client = builder.handler(Named).connect().await.unwrap();
    call(&client, "plain").await.unwrap();
    assert_eq!(peer.count("GET"), 1);
}

fn answer_to(peer: &Peer, id: &str) -> Option<Value> {
    peer.all().into_iter().map(|seen| seen.body).find(|body| body["id"] == id)
}

#[tokio::test]
async fn questions_of_a_server_are_answered_also_if_nobody_knows_what_to_say() {
    let peer = curious().await;
    let client = connect(&peer.url(), quick()).await;
    assert_eq!(call(&client, "plain").await.unwrap(), "done");
    peer.until(|peer| answer_to(peer, "q1").is_some() && answer_to(peer, "q2").is_some()).await;
    assert_eq!(answer_to(&peer, "q1").unwrap()["result"], json!({}));
    assert_eq!(answer_to(&peer, "q2").unwrap()["error"]["code"], -32601);
}

#[tokio::test]
async fn a_handler_answers_for_its_user() {
    let peer = curious().await;
    let builder = Client::builder(peer.url()).era(Era::Legacy).heartbeat(Heartbeat::Off);
    let client = builder.handler(Named).connect().await.unwrap();
    call(&client, "plain").await.unwrap();
    peer.until(|peer| answer_to(peer, "q2").is_some()).await;
    assert_eq!(answer_to(&peer, "q2").unwrap()["result"]["asked"], "sampling/createMessage");
}

#[tokio::test]
async fn a_caller_hears_how_far_its_call_is() {
    let peer = Peer::start(|seen, _| {
        let token = &seen.body["params"]["_meta"]["progressToken"];
        let at = |progress: f64| {
            json!({ "jsonrpc": "2.0", "method": "notifications/progress",
                    "params": { "progressToken": token, "progress": progress, "total": 2 } })
        };
        (seen.method() == "tools/call").then(|| {
            Reply::Events(vec![
                event("1", &at(1.0)),
                event("2", &at(2.0)),
                event("3", &seen.text("done")),
            ])
        })
    })
    .await;
    let client = connect(&peer.url(), quick()).await;
    let heard: Arc<Mutex<Vec<f64>>> = Arc::default();
    let hear = heard.clone();
    let options = CallOptions::new().on_progress(move |progress: ProgressNotificationParam| {
        hear.lock().unwrap().push(progress.progress)
    });
    client.call_tool_with("plain", Value::Null, options).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), [1.0, 2.0]);
}

/// A server of the modern era. Its tool wants an argument repeated in a header, and asks for a name first.
async fn modern() -> Peer {
    Peer::start(|seen, _| {
        let params = &seen.body["params"];
        Some(Reply::json(match seen.method() {
            "server/discover" => {
                seen.answer(json!({ "supportedVersions": ["2026-07-28"], "capabilities": {} }))
            }
            "tools/list" => seen
                .answer(json!({ "tools": [{ "name": "deploy", "inputSchema": { "properties": {
                "region": { "type": "string", "x-mcp-header": "Region" } } } }] })),
            "tools/call" if seen.header("mcp-param-region") != "eu" => {
                return Some(Reply::status(400, seen.error(-32020, Value::Null)));
            }
            "tools/call" if params["inputResponses"]["name"]["asked"].is_null() => {
                seen.answer(json!({
                    "resultType": "input_required", "requestState": "sealed",
                    "inputRequests": { "name": { "method": "elicitation/create", "params": {} } },
                }))
            }
            "tools/call" => seen.text(params["requestState"].as_str().unwrap()),
            _ => return None,
        }))
    })
    .await
}

#[tokio::test]
async fn a_modern_request_describes_itself_and_answers_what_its_server_needs_to_know() {
    let peer = modern().await;
    let builder = Client::builder(peer.url()).client_info("me", "7").handler(Named);
    let client = builder.connect().await.unwrap();
    assert_eq!(client.session().era, Era::Modern);
    let result = client.call_tool("deploy", json!({ "region": "eu" })).await.unwrap();
    assert_eq!(result.content[0].as_text().unwrap().text, "sealed");
    let calls = peer.of("tools/call");
    assert_eq!(calls.len(), 2);
    assert_ne!(calls[0].body["id"], calls[1].body["id"], "a round is a request of its own");
    assert_eq!(calls[0].header("mcp-protocol-version"), "2026-07-28");
    assert_eq!(
        (calls[0].header("mcp-method"), calls[0].header("mcp-name")),
        ("tools/call", "deploy")
    );
    let meta = &calls[0].body["params"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "me");
    assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({}));
}

#[tokio::test]
async fn what_a_server_needs_to_know_is_told_where_nobody_answers_it() {
    let peer = modern().await;
    let client = Client::connect(peer.url()).await.unwrap();
    let error = client.call_tool("deploy", json!({ "region": "eu" })).await.unwrap_err();
    let Error::Tool(error) = error else { panic!("{error:?}") };
    assert_eq!(error.input_required.unwrap()["requestState"], "sealed");
}

#[tokio::test]
async fn a_tool_whose_schema_has_changed_is_listed_again() {
    let peer = Peer::start(|seen, before| match seen.method() {
        "server/discover" => {
            let result = json!({ "supportedVersions": ["2026-07-28"], "capabilities": {} });
            Some(Reply::json(seen.answer(result)))
        }
        "tools/list" => {
            let marked = json!({ "region": { "type": "string", "x-mcp-header": "Region" } });
            let properties = if before == 0 { json!({}) } else { marked };
            let tool = json!({ "name": "deploy", "inputSchema": { "properties": properties } });
            Some(Reply::json(seen.answer(json!({ "tools": [tool] }))))
        }
        "tools/call" if seen.header("mcp-param-region").is_empty() => {
            Some(Reply::status(400, seen.error(-32020, Value::Null)))
        }
        _ => None,
    })
    .await;
    let client = Client::connect(peer.url()).await.unwrap();
    client.call_tool("deploy", json!({ "region": "eu" })).await.unwrap();
    assert_eq!((peer.count("tools/list"), peer.count("tools/call")), (2, 2));
}

#[tokio::test]
async fn a_server_that_wants_headers_for_its_list_is_not_asked_for_ever() {
    let peer = Peer::start(|seen, _| match seen.method() {
        "server/discover" => {
            let result = json!({ "supportedVersions": ["2026-07-28"], "capabilities": {} });
            Some(Reply::json(seen.answer(result)))
        }
        "tools/list" | "tools/call" => Some(Reply::status(400, seen.error(-32020, Value::Null))),
        _ => None,
    })
    .await;
    let client = Client::connect(peer.url()).await.unwrap();
    let error = client.call_tool("deploy", Value::Null).await.unwrap_err();
    assert!(matches!(error, Error::Tool(_)), "{error:?}");
    assert_eq!((peer.count("tools/list"), peer.count("tools/call")), (2, 1));
}

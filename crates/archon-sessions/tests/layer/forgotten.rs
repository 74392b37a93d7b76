//! Servers that have forgotten a session, and servers that only seem to.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{Asked, Setup, call, json_body, reply, text};

const NOT_INITIALIZED: &str = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":null}"#;

fn is_first_link(asked: &Asked) -> bool {
    asked.link.as_deref() == Some("inner-1")
}

/// A server that has forgotten its first session, and says so like this.
async fn forgetful(status: u16, body: &'static str) -> (Setup, crate::server::Client) {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    setup.server.script(move |asked| {
        let is_json = body.starts_with('{');
        let own = || body.replace("OWN", &asked.message["id"].to_string());
        is_first_link(asked).then(|| {
            let mut answer = if is_json { json_body(own()) } else { text(status, body) };
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            answer
        })
    });
    (setup, client)
}

#[tokio::test]
async fn in_whatever_words_a_server_says_that_it_forgot_its_session_the_call_runs_in_a_new_one() {
    for (status, body) in [
        (404, "Not Found"),
        (400, "Bad Request: No valid session ID provided"),
        (400, NOT_INITIALIZED),
        (401, "Unauthorized: Session not found"),
        (410, "Gone"),
        (503, "session is not here"),
        (
            200,
            r#"{"jsonrpc":"2.0","id":OWN,"error":{"code":-32600,"message":"Session not found"}}"#,
        ),
        (200, NOT_INITIALIZED),
    ] {
        let (setup, client) = forgetful(status, body).await;
        let answer = setup.send(client.post(&call(7, "echo"))).await;
        assert_eq!(answer.status, StatusCode::OK, "{status} {body}");
        assert!(answer.body.contains("result"), "{status} {body}: {}", answer.body);
        assert_eq!((setup.server.ran("echo"), setup.server.initialized()), (1, 2));
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_so() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    setup.server.script(|_| Some(text(401, "Unauthorized: Session expired, log in again")));
    let answer = setup.send(client.post(&call(7, "echo"))).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.body.contains("log in again"));
}

#[tokio::test]
async fn an_answer_that_only_speaks_of_sessions_is_that_answer() {
    let own =
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"unknown session tmux-1"}}"#;
    let method = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no such method"}}"#;
    for (status, body) in [(404, method), (404, own), (400, own), (200, own)] {
        let setup = Setup::new().await;
        let client = setup.connect().await;
        setup.server.script(move |asked| {
            let mut answer = asked.is("tools/call").then(|| json_body(body.to_owned()))?;
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            Some(answer)
        });
        let answer = setup.send(client.post(&call(7, "echo"))).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (status, body));
        assert_eq!(setup.server.count(|asked| asked.is("tools/call")), 1);
        assert_eq!(setup.server.initialized(), 1, "{status} {body}");
    }
}

#[tokio::test]
async fn a_server_without_a_stream_of_its_own_keeps_its_session() {
    for (status, body) in
        [(404, "Cannot GET /mcp"), (410, ""), (501, ""), (200, "hello"), (202, "")]
    {
        let setup = Setup::new().await;
        let client = setup.connect().await;
        setup.server.script(move |asked| (asked.method == Method::GET).then(|| text(status, body)));
        for _ in 0..2 {
            let answer = setup.send(client.request(Method::GET, "")).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{status}");
        }
        assert_eq!(setup.server.initialized(), 1, "{status}");
        let answer = setup.send(client.post(&call(7, "echo"))).await;
        assert!(answer.body.contains("result"));
    }
}

#[tokio::test]
async fn a_stream_at_a_server_that_forgot_its_session_is_opened_in_a_new_one() {
    let (setup, client) = forgetful(404, "Not Found").await;
    let answer = setup.send(client.request(Method::GET, "")).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "it answers 200 without a stream");
    assert_eq!(setup.server.initialized(), 2);
}

#[tokio::test]
async fn a_large_answer_to_the_handshake_makes_a_session() {
    for (size, is_whole) in [(20_000, true), (1_000_000, true), (1_100_000, false)] {
        let setup = Setup::new().await;
        setup.server.script(move |asked| {
            asked.is("initialize").then(|| {
                let version = &asked.message["params"]["protocolVersion"];
                let result = json!({
                    "instructions": "x".repeat(size), "protocolVersion": version, "capabilities": {},
                });
                let mut answer = reply(&asked.message["id"], result);
                answer.headers_mut().insert("mcp-session-id", "large".parse().unwrap());
                answer
            })
        });
        if is_whole {
            let client = setup.connect().await;
            let answer = setup.send(client.post(&call(7, "echo"))).await;
            assert!(answer.body.contains("result"), "{size}");
            continue;
        }
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {} });
        let body = json!({ "jsonrpc": "2.0", "id": 3, "method": "initialize", "params": params });
        let request = http::Request::post("/mcp").header("host", "localhost");
        let answer = setup.send(request.body(body.to_string().into()).unwrap()).await;
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(3), &json!(-31007)));
        assert!(answer["error"]["message"].as_str().unwrap().contains("1048576 bytes"));
        assert_eq!(setup.store.sessions().len(), 0);
    }
}

#[tokio::test]
async fn a_server_that_forgets_again_and_again_is_given_up_on() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    let pings = AtomicUsize::new(0);
    setup.server.script(move |asked| {
        assert!(pings.fetch_add(1, SeqCst) < 50, "it goes round");
        (!asked.is("initialize") && asked.method == Method::POST).then(|| text(404, "Not Found"))
    });
    let answer = setup.send(client.post(&call(7, "echo"))).await;
    assert!(answer.body.contains("-31001"), "{}", answer.body);
    assert_eq!(setup.server.count(|asked| asked.is("tools/call")), 4);
}

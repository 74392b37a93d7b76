//! Requests that are turned away, and what is kept of them.

use archon_sessions::layer::PeerAddress;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::json;

use crate::server::{Setup, call, json_body, modern};

#[tokio::test]
async fn requests_that_are_turned_away_leave_a_trace() {
    let setup = Setup::new().await;
    let from = |mut request: Request<Full<Bytes>>| {
        let peer = PeerAddress("192.0.2.9:4711".parse().unwrap());
        request.extensions_mut().insert(peer);
        request.headers_mut().insert("user-agent", "some-agent/1".parse().unwrap());
        request
    };
    for number in 0..50 {
        let handle = format!("00000000-0000-4000-8000-0000000000{number:02}");
        let request = Request::post("/mcp").header("host", "localhost");
        let request = request.header("mcp-session-id", handle);
        let answer = setup.send(from(request.body(call(number, "echo").into()).unwrap())).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
    let mut foreign = from(modern("tools/call", "echo"));
    foreign.headers_mut().insert("host", "evil.example".parse().unwrap());
    assert_eq!(setup.send(foreign).await.status, StatusCode::FORBIDDEN);
    let mut headless = from(modern("tools/call", "echo"));
    headless.headers_mut().remove("mcp-method");
    assert_eq!(setup.send(headless).await.status, StatusCode::BAD_REQUEST);
    // What is answered by the inner service is no refusal of ours, unless it is a handshake.
    let client = setup.connect().await;
    assert_eq!(setup.send(client.post(&call(1, "error"))).await.status, StatusCode::OK);
    setup.server.script(|asked| {
        asked.is("initialize").then(|| {
            let error = json!({ "code": -32000, "message": "no licence" });
            json_body(json!({ "jsonrpc": "2.0", "id": 5, "error": error }).to_string())
        })
    });
    let params =
        r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"zed"}}"#;
    let body = format!(r#"{{"jsonrpc":"2.0","id":5,"method":"initialize","params":{params}}}"#);
    let handshake = Request::post("/mcp").header("host", "localhost");
    let answer = setup.send(from(handshake.body(body.into()).unwrap())).await;
    assert!(answer.body.contains("no licence"), "{}", answer.body);

    let count = |setup: &Setup| setup.store.refusals().iter().map(|row| row.count).sum::<u32>();
    setup.until("they are stored", |setup| count(setup) >= 53).await;
    assert_eq!(count(&setup), 53);
    let rows = setup.store.refusals();
    let of = |cause: &str| rows.iter().filter(|row| row.cause == cause).collect::<Vec<_>>();
    let unknown = of("unknown_session");
    assert_eq!(unknown.iter().map(|row| row.count).sum::<u32>(), 50);
    assert_eq!(unknown[0].peer.map(|peer| peer.to_string()).as_deref(), Some("192.0.2.9"));
    assert_eq!(
        (&*unknown[0].upstream, unknown[0].client.as_deref()),
        ("main", Some("some-agent/1"))
    );
    assert!(unknown[0].detail.contains("session not found"));
    assert_eq!(of("host_not_allowed").len(), 1);
    assert_eq!(of("malformed")[0].client.as_deref(), Some("m"));
    let handshake = of("handshake_refused");
    assert_eq!(
        (handshake[0].client.as_deref(), &*handshake[0].detail),
        (Some("zed"), "no licence")
    );
    assert_eq!(setup.store.requests().len(), 2, "a handshake and a call");
}

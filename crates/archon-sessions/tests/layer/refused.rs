//! Requests that are turned away, and what is kept of them.

use archon_sessions::layer::PeerAddress;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::server::{Setup, call, handshake, json_body, modern, modern_body, with_body};

/// Sends a request that is refused so, and returns the message of JSON-RPC that says it.
async fn refused(setup: &Setup, request: Request<Full<Bytes>>, status: u16, code: i64) -> Value {
    let what = format!("{:?} {:?}", request.headers(), request.body());
    let answer = setup.send(request).await;
    let message: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(answer.status.as_u16(), status, "{what}");
    assert_eq!(
        (&message["jsonrpc"], &message["error"]["code"]),
        (&json!("2.0"), &json!(code)),
        "{what}"
    );
    assert!((1..500).contains(&message["error"]["message"].as_str().unwrap().len()), "{what}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    for given in ["mcp-session-id", "x-archon-session-id", "set-cookie"] {
        assert_eq!(answer.header(given), None, "{what}");
    }
    message
}

#[tokio::test]
async fn a_bad_body_gets_an_error_in_the_protocols_form() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    let start = br#"{"jsonrpc":"2.0","id":1,"method":"x","params":"#;
    let objects = [&start[..], &br#"{"a":"#.repeat(10_000)].concat();
    let lists = [b"[".repeat(10_000), b"]".repeat(10_000)].concat();
    let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(100_000));
    let (one, none) = (json!(1), Value::Null);
    let table: [(i64, &Value, &[u8]); 16] = [
        (-32700, &none, b""),
        (-32700, &none, b"{"),
        (-32700, &none, b"nonsense"),
        (-32700, &one, br#"{"jsonrpc":"2.0","id":1,"method":"tools/li"#),
        (-32700, &one, b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\xfe\"}"),
        (-32700, &one, &objects),
        (-32700, &none, &lists),
        (-32700, &none, br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#),
        (-32700, &one, br#"{"jsonrpc":"2.0","id":1,"method":"tools/list","x":1,"x":2}"#),
        (-32600, &none, br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#),
        (-32600, &none, long.as_bytes()),
        (-32600, &json!("a"), br#"{"jsonrpc":"2.0","id":"a","method":"ping","params":[1]}"#),
        (-32600, &one, br#"{"jsonrpc":"1.0","id":1,"method":"tools/list"}"#),
        (-32600, &none, br#"{"jsonrpc":"2.0","id":1,"result":1,"method":"x"}"#),
        (-32600, &none, br#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#),
        (-32600, &none, b"[]"),
    ];
    for (code, id, body) in table {
        let request = client.post("").map(|_| Full::from(body.to_vec()));
        assert_eq!(refused(&setup, request, 400, code).await["id"], *id);
    }
}

#[tokio::test]
async fn a_modern_request_must_describe_itself() {
    let setup = Setup::new().await;
    let good = || modern("tools/call", "echo");
    let headers: [(&str, &[&str]); 3] = [
        ("mcp-protocol-version", &["2025-11-25", "2027-01-01", "", "x"]),
        ("mcp-method", &["tools/list", "TOOLS/CALL", "", "=?base64?!?="]),
        ("mcp-name", &["other", "", "=?base64?b3RoZXI=?="]),
    ];
    for (header, values) in headers {
        for value in values.iter().copied().map(Some).chain([None]) {
            let mut request = good();
            request.headers_mut().remove(header);
            value.map(|value| request.headers_mut().insert(header, value.parse().unwrap()));
            let message = refused(&setup, request, 400, -32020).await;
            assert_eq!(message["id"], 1);
            let told = message["error"]["message"].as_str().unwrap().to_ascii_lowercase();
            assert!(told.contains(header), "{told}");
        }
    }
    let body = modern_body("tools/call", "echo");
    for key in ["protocolVersion", "clientCapabilities"] {
        let (mut body, key) = (body.clone(), format!("io.modelcontextprotocol/{key}"));
        body["params"]["_meta"].as_object_mut().unwrap().remove(&key);
        let message = refused(&setup, with_body(good(), &body), 400, -32602).await;
        assert_eq!(message["id"], 1);
        assert!(message["error"]["message"].as_str().unwrap().contains(&key));
    }
    let (mut bare, mut empty) = (body.clone(), body.clone());
    bare["params"].as_object_mut().unwrap().remove("_meta");
    empty["params"]["_meta"] = json!({});
    for (body, code) in [(bare, -32602), (empty, -32602), (json!([body]), -32600)] {
        refused(&setup, with_body(good(), &body), 400, code).await;
    }
    // It would pass by the limit on handshakes, and leave a session upstream that its client cannot use.
    refused(&setup, modern("initialize", ""), 404, -32601).await;
    assert_eq!(setup.server.count(|_| true), 0);
    assert!(setup.store.sessions().is_empty());
}

#[tokio::test]
async fn a_foreign_host_or_origin_gets_nothing_in_either_era() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    for (header, foreign) in [("host", "evil.example"), ("origin", "http://evil.example")] {
        for mut request in [
            client.post(&call(1, "echo")),
            client.request(Method::GET, ""),
            client.request(Method::DELETE, ""),
            handshake(json!({})),
            modern("server/discover", ""),
            modern("tools/call", "echo"),
        ] {
            request.headers_mut().insert(header, foreign.parse().unwrap());
            refused(&setup, request, 403, -31007).await;
        }
    }
    assert_eq!((setup.server.ran("echo"), setup.store.sessions().len()), (0, 1));
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    for method in ["PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"] {
        let request = client.request(method.parse().unwrap(), "");
        let answer = setup.send(request).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.header("allow"), Some("POST, GET, DELETE"), "{method}");
    }
    for method in [Method::GET, Method::DELETE] {
        let mut request = modern("x", "");
        *request.method_mut() = method;
        let answer = setup.send(request).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.header("allow"), Some("POST"));
    }
}

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
    let answer = setup.send(from(handshake(json!({})))).await;
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

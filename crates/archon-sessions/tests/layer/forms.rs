//! What clients send and take beyond the specification, and what they are not told.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::server::{Setup, call, modern};

fn accepting(mut request: Request<Full<Bytes>>, accept: &str) -> Request<Full<Bytes>> {
    request.headers_mut().insert("accept", accept.parse().unwrap());
    request
}

#[tokio::test]
async fn what_a_client_means_is_what_the_server_gets() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    let loose = "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1.0,\"method\":\"tools/call\",\
                 \"params\":{\"name\":\"mirror\",\"n\":1.0},\"result\":null,\"error\":null}";
    let answer = setup.send(client.post(loose)).await;
    let strict =
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"mirror","n":1.0}}"#;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, strict));
    for none in ["null", "[]"] {
        let list = format!(r#"{{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{none}}}"#);
        assert_eq!(setup.send(client.post(&list)).await.status, StatusCode::OK, "{none}");
    }
}

#[tokio::test]
async fn an_id_comes_back_as_it_was() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    let texts = ["", "a", "ü\n\"\\", &"x".repeat(200)].map(Value::from);
    for id in texts.into_iter().chain([0, -1, 1_i64 << 62].map(Value::from)) {
        let params = json!({ "name": "echo" });
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        let answer = setup.send(client.post(&body.to_string())).await;
        let message: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, &message["id"]), (StatusCode::OK, &id));
    }
}

#[tokio::test]
async fn a_client_of_json_alone_gets_json_where_the_answer_is_all() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    let both = "application/json, text/event-stream";
    for (request, id) in [(client.post(&call(7, "only")), 7), (modern("tools/call", "only"), 1)] {
        let answer = setup.send(accepting(request, "application/json")).await;
        assert_eq!(setup.server.told().1, both, "the server is told what we take");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let message: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((&message["id"], &message["result"]["n"]), (&json!(id), &json!(1)));
    }
    let progress = setup.send(accepting(client.post(&call(8, "sse")), "application/json")).await;
    assert_eq!(progress.header("content-type"), Some("text/event-stream"));
    assert_eq!(progress.body.matches("data: {").count(), 2, "nothing is lost: {}", progress.body);
    let stream = setup.send(accepting(client.post(&call(9, "only")), both)).await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    let rows = setup.rows(5).await;
    assert!(rows.iter().all(|row| row.error.is_none()), "each was answered");
}

#[tokio::test]
async fn the_query_of_a_client_reaches_the_service() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    let mut request = client.post(&call(1, "echo"));
    *request.uri_mut() = "/mcp/main?toolsets=a&x=%20".parse().unwrap();
    assert_eq!(setup.send(request).await.status, StatusCode::OK);
    assert_eq!(setup.server.told().0, "/mcp/main?toolsets=a&x=%20");
}

#[tokio::test]
async fn cookies_of_the_service_stay_with_it() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    assert_eq!(setup.send(client.post(&call(1, "cookie"))).await.header("set-cookie"), None);
    // A session that was shown by a handle gets a cookie of ours, and none beside it.
    let mut request = modern("tools/call", "cookie");
    request.headers_mut().insert("x-archon-session-id", client.session.parse().unwrap());
    let answer = setup.open(request).await;
    let cookies: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
    assert!(cookies.len() <= 1, "{cookies:?}");
    for cookie in cookies {
        assert!(cookie.to_str().unwrap().contains(&client.session), "{cookie:?}");
    }
}

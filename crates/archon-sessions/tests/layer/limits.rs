//! What a session, and all of them together, may have at once.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::json;

use crate::server::{Answer, Setup, call, handshake, modern, unending};
use crate::{cookie_of, modern_with};

/// Checks that an answer says in the form that clients wait for that there is no room now.
fn has_no_room(answer: &Answer, status: StatusCode, code: &str, why: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    assert!(answer.body.contains(code) && answer.body.contains(why), "{}", answer.body);
}

fn is_too_many(answer: &Answer) {
    has_no_room(answer, StatusCode::TOO_MANY_REQUESTS, "-31004", "too many");
}

fn modern_of(cookie: &str, method: &str, tool: &str) -> Request<Full<Bytes>> {
    let mut request = modern(method, tool);
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    request
}

#[tokio::test]
async fn a_session_has_only_so_many_calls_at_once() {
    for is_modern in [false, true] {
        let mut setup = Setup::new().await;
        setup.restart(|settings| settings.calls_max = 1).await;
        let (client, other) = (setup.connect().await, setup.connect().await);
        let cookie = cookie_of(&setup.send(modern("tools/call", "echo")).await).unwrap();
        let request = |tool| match is_modern {
            true => modern_of(&cookie, "tools/call", tool),
            false => client.post(&call(1, tool)),
        };
        let open = setup.open(request("slow_body")).await;
        is_too_many(&setup.send(request("echo")).await);
        assert_eq!(setup.send(other.post(&call(2, "echo"))).await.status, StatusCode::OK);
        setup.server.release();
        drop(open);
        setup.rows(5).await;
        assert_eq!(setup.send(request("echo")).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_session_has_only_so_many_streams_open() {
    let mut setup = Setup::new().await;
    setup.restart(|settings| settings.streams_max = 1).await;
    let (client, other) = (setup.connect().await, setup.connect().await);
    let cookie = cookie_of(&setup.send(modern("tools/call", "echo")).await).unwrap();
    setup.server.script(|asked| {
        let stands = asked.method == Method::GET || asked.is("subscriptions/listen");
        stands.then(|| unending(": hello\n\n".into()))
    });
    let get = || client.request(Method::GET, "");
    let listen = || modern_of(&cookie, "subscriptions/listen", "");
    let open = (setup.open(get()).await, setup.open(listen()).await);
    assert_eq!((open.0.status(), open.1.status()), (StatusCode::OK, StatusCode::OK));
    is_too_many(&setup.send(get()).await);
    is_too_many(&setup.send(listen()).await);
    assert_eq!(setup.open(other.request(Method::GET, "")).await.status(), StatusCode::OK);
    assert_eq!(setup.send(modern_with("cookie", &cookie)).await.status, StatusCode::OK);
    drop(open);
    assert_eq!(setup.open(get()).await.status(), StatusCode::OK);
    assert_eq!(setup.open(listen()).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn sessions_are_limited_and_those_that_end_make_room() {
    let mut setup = Setup::new().await;
    setup
        .restart(|settings| {
            settings.sessions_max = 2;
            settings.reap_every = Duration::from_millis(5);
        })
        .await;
    let (first, second) = (setup.connect().await, setup.connect().await);
    for request in [handshake(json!({})), modern("tools/call", "echo")] {
        let refused = setup.send(request).await;
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        has_no_room(&refused, unavailable, "-31005", "session limit reached");
        assert_eq!(refused.header("x-archon-session-id"), None);
        assert_eq!(refused.header("mcp-session-id"), None);
    }
    assert_eq!(setup.send(first.post(&call(1, "echo"))).await.status, StatusCode::OK);
    setup.send(second.request(Method::DELETE, "")).await;
    // One that ended has its place until its end is stored.
    let made = async {
        while setup.send(handshake(json!({}))).await.status != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), made).await.expect("there is room");
}

#[tokio::test]
async fn connections_of_a_session_are_limited_and_the_oldest_goes() {
    let setup = Setup::new().await;
    let key = [("x-archon-client-key", "key-of-these-tests-1234567890")];
    let first = setup.connect_with(&key).await;
    let mut latest = Vec::new();
    for _ in 0..64 {
        latest.push(setup.connect_with(&key).await);
    }
    // One that only names the session takes the place of none.
    let named = setup.connect_with(&[("x-archon-session-id", &first.session)]).await;
    assert_ne!(named.session, first.session);
    let gone = setup.send(first.post(&call(1, "echo"))).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    for client in [&latest[0], &latest[63]] {
        let answer = setup.send(client.post(&call(1, "echo"))).await;
        assert_eq!(answer.header("x-archon-session-id"), Some(first.session.as_str()));
    }
    assert_eq!(setup.store.sessions().len(), 2);
}

#[tokio::test]
async fn the_params_of_a_handshake_are_limited() {
    let setup = Setup::new().await;
    let refused = setup.send(handshake(json!({ "x": "y".repeat(100_000) }))).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    // Waiting would not help, so the client is not told to.
    assert!(refused.body.contains("error") && !refused.body.contains("wait"), "{}", refused.body);
    assert_eq!(refused.header("retry-after"), None);
}

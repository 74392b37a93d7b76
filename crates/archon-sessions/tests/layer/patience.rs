//! Silence, and calls that are taken back. Time is paused once a client is connected: it goes on when all wait.

use std::time::Duration;

use archon_sessions::layer::SessionBody;
use archon_sessions::store::Outcome;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, timeout};

use crate::server::{Client, Setup, call, modern};

const COMMENT: &str = ": still here\n\n";

/// A client that lists what it takes.
fn streaming(mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let both = "application/json, text/event-stream".parse().unwrap();
    request.headers_mut().insert("accept", both);
    request
}

/// Returns the next bytes of an answer; nothing at its end.
async fn next<B>(answer: &mut Response<SessionBody<B>>) -> Option<String>
where
    SessionBody<B>: Body<Data = Bytes, Error: std::fmt::Debug> + Unpin,
{
    let frame = answer.body_mut().frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

/// Returns all that comes after its comments.
async fn rest<B>(answer: &mut Response<SessionBody<B>>) -> String
where
    SessionBody<B>: Body<Data = Bytes, Error: std::fmt::Debug> + Unpin,
{
    let mut text = String::new();
    while let Some(bytes) = next(answer).await {
        text.push_str(&bytes);
    }
    text.replace(COMMENT, "")
}

async fn connected(version: &str) -> (Setup, Client) {
    let setup = Setup::new().await;
    let client = Client::connect(&setup, version, &[]).await;
    tokio::time::pause();
    (setup, client)
}

#[tokio::test]
async fn a_silent_stream_says_every_fifteen_seconds_that_it_is_there() {
    let (setup, client) = connected("2025-06-18").await;
    for request in [client.post(&call(1, "quiet")), modern("tools/call", "quiet")] {
        let mut answer = setup.open(streaming(request)).await;
        assert!(next(&mut answer).await.unwrap().contains("notifications/progress"));
        for _ in 0..3 {
            let began = Instant::now();
            assert_eq!(next(&mut answer).await.as_deref(), Some(COMMENT));
            assert_eq!(began.elapsed().as_secs(), 15);
        }
    }
}

#[tokio::test]
async fn the_head_goes_before_an_answer_that_is_long_in_coming() {
    for version in ["2025-11-25", "2025-06-18"] {
        for (tool, answer) in [
            ("slow_head", "{\"id\":5,\"jsonrpc\":\"2.0\",\"result\":{}}"),
            ("slow_lines", "{  \"jsonrpc\": \"2.0\",   \"id\": 5,  \"result\": {} }"),
            ("slow_stream", "{\"id\":5,\"jsonrpc\":\"2.0\",\"result\":{}}"),
            ("slow_refusal", "\"message\":\"no such method\""),
            ("slow_gateway", "answered 502 Bad Gateway without a message"),
        ] {
            let (setup, client) = connected(version).await;
            let began = Instant::now();
            let mut head = setup.open(streaming(client.post(&call(5, tool)))).await;
            assert_eq!(began.elapsed().as_secs(), 15, "{tool}");
            assert_eq!(head.status(), StatusCode::OK);
            assert_eq!(head.headers()["content-type"], "text/event-stream");
            assert_eq!(head.headers()["mcp-session-id"], *client.handle);
            assert!(!head.headers().contains_key("content-length"));
            if version == "2025-11-25" {
                assert!(next(&mut head).await.unwrap().contains("id: "), "an id to come back with");
            }
            assert_eq!(next(&mut head).await.as_deref(), Some(COMMENT));
            setup.server.release();
            let text = rest(&mut head).await;
            assert!(
                text.contains(answer) && text.contains("\"id\":5") | text.contains("\"id\": 5"),
                "{text}"
            );
            assert!(
                text.trim_start().starts_with("event: message\ndata: ") || tool == "slow_stream",
                "{text}"
            );
            tokio::time::resume();
            let rows = setup.rows(2).await;
            let is_good = !matches!(tool, "slow_refusal" | "slow_gateway");
            let outcome = if is_good { Outcome::Success } else { Outcome::Error };
            assert_eq!((rows[1].outcome, setup.server.ran(tool)), (outcome, 1), "{tool}");
        }
    }
}

#[tokio::test]
async fn a_client_that_lost_such_a_stream_comes_back_to_it() {
    let (setup, client) = connected("2025-11-25").await;
    let mut head = setup.open(streaming(client.post(&call(5, "slow_head")))).await;
    let primed = next(&mut head).await.unwrap();
    let id = primed.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    drop(head);
    setup.server.release();
    let mut again = client.request(http::Method::GET, "");
    again.headers_mut().insert("last-event-id", id.parse().unwrap());
    let text = rest(&mut setup.open(streaming(again)).await).await;
    assert!(text.contains("\"id\":5") && text.contains("\"result\":{}"), "{text}");
    assert_eq!(setup.server.ran("slow_head"), 1);
}

#[tokio::test]
async fn a_modern_client_waits_on_a_stream_as_well() {
    let (setup, _) = connected("2025-11-25").await;
    let mut head = setup.open(streaming(modern("tools/call", "slow_head"))).await;
    assert_eq!(head.headers()["content-type"], "text/event-stream");
    assert_eq!(next(&mut head).await.as_deref(), Some(COMMENT));
    setup.server.release();
    assert!(rest(&mut head).await.contains("\"result\":{}"));
}

#[tokio::test]
async fn a_standing_stream_that_is_long_in_coming_is_there_and_goes_on() {
    let (setup, client) = connected("2025-06-18").await;
    let mut request = client.request(http::Method::GET, "");
    request.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    setup.server.stand_later();
    let began = Instant::now();
    let mut stream = setup.open(request).await;
    assert_eq!((stream.status(), began.elapsed().as_secs()), (StatusCode::OK, 15));
    assert_eq!(next(&mut stream).await.as_deref(), Some(COMMENT));
    setup.server.release();
    let event = next(&mut stream).await.unwrap();
    assert!(event.contains("list_changed") && event.contains("id: "), "{event}");
    assert_eq!(next(&mut stream).await.as_deref(), Some(COMMENT), "and it stays open");
}

#[tokio::test]
async fn a_client_that_takes_no_streams_waits_for_its_answer() {
    let (setup, client) = connected("2025-11-25").await;
    for accept in ["application/json", "*/*"] {
        let mut request = client.post(&call(5, "slow_head"));
        request.headers_mut().insert("accept", accept.parse().unwrap());
        let answer = timeout(Duration::from_secs(200), setup.send(request)).await;
        assert!(answer.is_err(), "{accept}: no head before the answer");
    }
}

#[tokio::test]
async fn what_asks_for_nothing_gets_no_stream() {
    let (setup, client) = connected("2025-11-25").await;
    let note = r#"{"jsonrpc":"2.0","method":"notifications/slow"}"#;
    let taken = tokio::spawn({
        let released = setup.server.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            released.release();
        }
    });
    let answer = setup.send(streaming(client.post(note))).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    taken.await.unwrap();
}

fn cancel(id: &str) -> String {
    let params = format!(r#"{{"requestId":{id},"reason":"x"}}"#);
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#)
}

/// Returns what the client gets for a call that it takes back.
async fn taken_back(
    setup: &Setup,
    client: &Client,
    tool: &str,
    accept: &str,
) -> (StatusCode, String) {
    let mut request = client.post(&call(5, tool));
    request.headers_mut().insert("accept", accept.parse().unwrap());
    let answer = async {
        let mut answer = setup.open(request).await;
        let status = answer.status();
        (status, rest(&mut answer).await)
    };
    let cancelling = async {
        setup.until("the call runs", |setup| setup.server.ran(tool) > 0).await;
        let other = setup.send(client.post(&cancel("6"))).await;
        assert_eq!(other.status, StatusCode::OK, "no call of this id: passed on, and that is all");
        setup.send(client.post(&cancel("5"))).await
    };
    let (answer, cancelled) = tokio::join!(answer, cancelling);
    assert_eq!(cancelled.status, StatusCode::OK, "as the server answered it");
    answer
}

#[tokio::test]
async fn a_call_that_is_taken_back_is_over_though_its_server_never_answers() {
    const BOTH: &str = "application/json, text/event-stream";
    for (tool, accept, status) in [
        ("slow_head", BOTH, StatusCode::OK),
        ("slow_head", "application/json", StatusCode::ACCEPTED),
        ("quiet", BOTH, StatusCode::OK),
    ] {
        let mut setup = Setup::new().await;
        setup.restart(|settings| settings.calls_max = 1).await;
        let client = setup.connect().await;
        tokio::time::pause();
        let (is, text) = taken_back(&setup, &client, tool, accept).await;
        assert_eq!(is, status);
        assert!(!text.contains("\"id\":5"), "not answered: {text}");
        tokio::time::resume();
        let rows = setup.rows(2).await;
        assert_eq!(rows[1].outcome, Outcome::Error);
        assert_eq!(rows[1].error.as_deref(), Some("cancelled by its client"));
        let again = setup.send(client.post(&call(6, "echo"))).await;
        assert_eq!(again.status, StatusCode::OK, "the only place is free");
    }
}

#[tokio::test]
async fn of_two_calls_with_one_id_none_is_taken_for_the_other() {
    let (setup, client) = connected("2025-06-18").await;
    let two = async {
        let calls = [client.post(&call(5, "slow_head")), client.post(&call(5, "slow_head"))];
        let answers = calls.map(|request| setup.send(streaming(request)));
        futures_util::future::join_all(answers).await
    };
    let cancelling = async {
        setup.until("both run", |setup| setup.server.ran("slow_head") == 2).await;
        setup.send(client.post(&cancel("5"))).await;
        setup.server.release();
    };
    let (answers, ()) = tokio::join!(two, cancelling);
    for answer in answers {
        assert!(answer.body.contains("\"result\":{}"), "{}", answer.body);
    }
}

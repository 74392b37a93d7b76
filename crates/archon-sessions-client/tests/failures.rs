//! What a client does when something fails: what it sends again, what it does not, and what its caller is told.

#![allow(clippy::unwrap_used)] // A peer that cannot listen has failed its test.

#[path = "failures/peer.rs"]
mod peer;

#[path = "failures/conversation.rs"]
mod conversation;
#[path = "failures/sessions.rs"]
mod sessions;

use std::sync::Mutex;
use std::time::Duration;

use archon_sessions_client::{
    CallOptions, Client, ConnectionReason, Era, Error, Heartbeat, RetryPolicy, UnknownReason,
};
use peer::{Peer, Reply, Seen, event};
use serde_json::{Value, json};

fn quick() -> RetryPolicy {
    RetryPolicy::new().base_delay(Duration::from_millis(1))
}

async fn connect(url: &str, retry: RetryPolicy) -> Client {
    let builder = Client::builder(url).era(Era::Legacy).heartbeat(Heartbeat::Off);
    builder.retry(retry).timeout(Duration::from_secs(20)).connect().await.unwrap()
}

/// A server whose calls go as the script says.
async fn calls(script: impl Fn(&Seen, usize) -> Option<Reply> + Send + Sync + 'static) -> Peer {
    Peer::start(move |seen, before| match seen.method() {
        "tools/call" => script(seen, before),
        _ => None,
    })
    .await
}

async fn call(client: &Client, tool: &str) -> Result<String, Error> {
    let result = client.call_tool(tool, Value::Null).await?;
    Ok(result.content[0].as_text().unwrap().text.clone())
}

fn unknown(result: Result<String, Error>) -> UnknownReason {
    match result {
        Err(Error::OutcomeUnknown(error)) => error.reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_may_have_run_is_not_sent_again() {
    let replies: [fn(&Seen) -> Reply; 5] = [
        |_| Reply::Cut,
        |_| Reply::Broken("{\"jsonrpc\":".to_owned()),
        |_| Reply::Events(Vec::new()),
        |_| Reply::bare(502),
        |_| Reply::bare(202),
    ];
    for reply in replies {
        let peer = calls(move |seen, _| Some(reply(seen))).await;
        let client = connect(&peer.url(), quick()).await;
        let error = client.call_tool("marked", Value::Null).await.unwrap_err();
        assert!(
            matches!(error, Error::OutcomeUnknown(_)) && !error.is_safe_to_repeat(),
            "{error:?}"
        );
        assert_eq!(peer.count("tools/call"), 1);
    }
}

#[tokio::test]
async fn a_marked_tool_is_called_again_where_marks_are_trusted_and_no_other_is() {
    let peer = calls(|_, before| (before == 0).then_some(Reply::Cut)).await;
    let client = connect(&peer.url(), quick().trust_annotations(true)).await;
    assert_eq!(call(&client, "marked").await.unwrap(), "done");
    assert_eq!(peer.count("tools/call"), 2);

    let peer = calls(|_, _| Some(Reply::Cut)).await;
    let client = connect(&peer.url(), quick().trust_annotations(true)).await;
    assert_eq!(unknown(call(&client, "plain").await), UnknownReason::ConnectionLost);
    assert_eq!(peer.count("tools/call"), 1);
}

#[tokio::test]
async fn a_caller_knows_better_than_marks() {
    let peer = calls(|_, before| (before < 2).then_some(Reply::Cut)).await;
    let client = connect(&peer.url(), quick()).await;
    let harmless = CallOptions::new().idempotent(true);
    client.call_tool_with("plain", Value::Null, harmless).await.unwrap();
    assert_eq!(peer.count("tools/call"), 3);
}

#[tokio::test]
async fn what_is_refused_for_a_while_is_sent_again() {
    for status in [429, 503] {
        let peer = calls(move |_, before| {
            (before == 0).then(|| Reply::bare(status).with("Retry-After", 0))
        })
        .await;
        let client = connect(&peer.url(), quick()).await;
        assert_eq!(call(&client, "plain").await.unwrap(), "done");
        assert_eq!(peer.count("tools/call"), 2);
    }
}

#[tokio::test]
async fn a_long_wait_is_the_callers() {
    let peer = calls(|_, _| Some(Reply::bare(429).with("Retry-After", 3600))).await;
    let client = connect(&peer.url(), quick()).await;
    let error = call(&client, "plain").await.unwrap_err();
    assert!(error.is_safe_to_repeat());
    let Error::Connection(error) = error else { panic!("{error:?}") };
    assert_eq!(error.reason, ConnectionReason::Busy);
    assert_eq!(error.retry_after, Some(Duration::from_secs(3600)));
    assert_eq!(peer.count("tools/call"), 1);
}

#[tokio::test]
async fn a_503_that_does_not_ask_to_wait_proves_nothing() {
    let peer = calls(|_, _| Some(Reply::bare(503))).await;
    let client = connect(&peer.url(), quick()).await;
    assert_eq!(unknown(call(&client, "plain").await), UnknownReason::UpstreamLost);
    assert_eq!(peer.count("tools/call"), 1);
}

#[tokio::test]
async fn a_gateway_that_says_that_a_call_did_not_run_is_asked_again() {
    let peer = calls(|seen, before| {
        (before == 0).then(|| Reply::json(seen.error(-31001, json!({ "ran": "no" }))))
    })
    .await;
    let client = connect(&peer.url(), quick()).await;
    assert_eq!(call(&client, "plain").await.unwrap(), "done");
    assert_eq!(peer.count("tools/call"), 2);
}

#[tokio::test]
async fn retries_together_have_a_budget() {
    let peer = calls(|_, _| Some(Reply::bare(429))).await;
    let client = connect(&peer.url(), quick()).await;
    for _ in 0..50 {
        assert!(call(&client, "plain").await.is_err());
    }
    // Ten that are free, a fifth of fifty, and what was earned before.
    let sent = peer.count("tools/call");
    assert!((60..=71).contains(&sent), "{sent} instead of 200");
}

#[tokio::test]
async fn nobody_there_is_told_after_some_tries_and_found_once_it_is_there() {
    // Bound and not listening: connections are refused, and nobody else gets the port.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let builder = Client::builder(format!("http://{address}/mcp")).heartbeat(Heartbeat::Off);
    let error = builder.clone().retry(quick()).connect().await.unwrap_err();
    let Error::Connection(error) = error else { panic!("{error:?}") };
    assert_eq!(error.reason, ConnectionReason::Unreachable);

    let patient = RetryPolicy::new().base_delay(Duration::from_millis(200)).max_retries(9);
    let connecting = tokio::spawn(builder.retry(patient).connect());
    for _ in 0..3 {
        tokio::net::TcpStream::connect(address).await.unwrap_err();
    }
    let peer = Peer::on(socket.listen(64).unwrap(), |_, _| None);
    let client = connecting.await.unwrap().unwrap();
    assert_eq!(call(&client, "plain").await.unwrap(), "done");
    assert_eq!(peer.count("initialize"), 1);
}

/// A server whose calls lose their streams, and what it answers to who comes back.
async fn forgetful(resumed: impl Fn(&Seen, &Seen, usize) -> Reply + Send + Sync + 'static) -> Peer {
    let called: Mutex<Option<Seen>> = Mutex::default();
    Peer::start(move |seen, before| {
        if seen.method() == "tools/call" {
            *called.lock().unwrap() = Some(seen.clone());
            return Some(Reply::Events(vec![event("e1", &Value::Null)]));
        }
        let call = called.lock().unwrap().clone().filter(|_| seen.verb == "GET")?;
        Some(resumed(seen, &call, before))
    })
    .await
}

#[tokio::test]
async fn an_answer_is_fetched_from_where_its_stream_broke() {
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": {} });
    let peer = forgetful(move |_, call, before| match before {
        0 => Reply::Cut,
        1 => Reply::bare(503).with("Retry-After", 0),
        2 => Reply::Events(vec![event("e2", &note)]),
        _ => Reply::Events(vec![event("e3", &call.text("late"))]),
    })
    .await;
    let client = connect(&peer.url(), quick()).await;
    assert_eq!(call(&client, "plain").await.unwrap(), "late");
    let from: Vec<String> =
        peer.of("GET").iter().map(|seen| seen.header("last-event-id").to_owned()).collect();
    assert_eq!(from, ["e1", "e1", "e1", "e2"]);
    assert!(peer.of("GET").iter().all(|seen| seen.header("mcp-session-id") == "h1"));
    assert_eq!(peer.count("tools/call"), 1);
}

#[tokio::test]
async fn an_answer_that_cannot_be_fetched_leaves_the_outcome_unknown() {
    for status in [400, 404, 405] {
        let peer = forgetful(move |_, _, _| Reply::bare(status)).await;
        let client = connect(&peer.url(), quick()).await;
        assert_eq!(unknown(call(&client, "plain").await), UnknownReason::ConnectionLost);
        assert_eq!((peer.count("GET"), peer.count("tools/call")), (1, 1));
    }
    let peer = forgetful(|_, _, _| Reply::Cut).await;
    let client = connect(&peer.url(), quick()).await;
    assert_eq!(unknown(call(&client, "plain").await), UnknownReason::ConnectionLost);
    assert_eq!((peer.count("GET"), peer.count("tools/call")), (8, 1));
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_cancelled_and_its_outcome_unknown() {
    let peer = calls(|_, _| Some(Reply::Silent(Vec::new()))).await;
    let client = connect(&peer.url(), quick()).await;
    let short = CallOptions::new().timeout(Duration::from_millis(100));
    let error = client.call_tool_with("plain", Value::Null, short).await.unwrap_err();
    let Error::OutcomeUnknown(error) = error else { panic!("{error:?}") };
    assert_eq!(error.reason, UnknownReason::TimedOut);
    peer.until(|peer| peer.count("notifications/cancelled") == 1).await;
    let (call, cancelled) = (&peer.of("tools/call")[0], &peer.of("notifications/cancelled")[0]);
    assert_eq!(cancelled.body["params"]["requestId"], call.body["id"]);
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_cancelled() {
    let peer = calls(|_, _| Some(Reply::Silent(Vec::new()))).await;
    let client = connect(&peer.url(), quick()).await;
    let calling = tokio::spawn({
        let client = client.clone();
        async move { client.call_tool("plain", Value::Null).await }
    });
    peer.until(|peer| peer.count("tools/call") == 1).await;
    calling.abort();
    peer.until(|peer| peer.count("notifications/cancelled") == 1).await;
}

#[tokio::test]
async fn a_server_on_another_path_is_followed_and_one_elsewhere_is_not() {
    let peer = Peer::start(|seen, before| {
        let moved = seen.verb == "POST" && before == 0 && seen.method() == "initialize";
        moved.then(|| Reply::bare(307).with("Location", "/mcp/"))
    })
    .await;
    let client = connect(&peer.url(), quick()).await;
    assert_eq!(call(&client, "plain").await.unwrap(), "done");
    assert_eq!(peer.count("initialize"), 2);

    let elsewhere = Peer::start(|_, _| None).await;
    let url = elsewhere.url();
    let peer = Peer::start(move |_, _| Some(Reply::bare(307).with("Location", &url))).await;
    let error = Client::builder(peer.url()).era(Era::Legacy).connect().await.unwrap_err();
    let Error::Connection(error) = error else { panic!("{error:?}") };
    assert!(matches!(error.reason, ConnectionReason::Refused(status) if status == 307));
    assert!(elsewhere.all().is_empty());
}

//! What becomes of the session: forgotten handles, sessions that go on under another id, heartbeats, goodbyes.

use std::sync::Mutex;
use std::time::Duration;

use archon_sessions_client::{
    ChangeCause, Client, Era, Error, Handler, Heartbeat, SessionChange, SessionReason,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::peer::{Peer, Reply, Seen};
use crate::{call, connect, quick};

const FIRST: &str = "00000000-0000-4000-8000-000000000001";
const SECOND: &str = "00000000-0000-4000-8000-000000000002";

/// Tells a test which sessions a client comes to be in.
struct Changes(mpsc::UnboundedSender<SessionChange>);

impl Handler for Changes {
    fn session_changed(&self, change: &SessionChange) {
        let _ = self.0.send(change.clone());
    }
}

#[tokio::test]
async fn a_forgotten_handle_costs_one_handshake_however_many_calls_meet_it() {
    let peer = Peer::start(|seen, _| {
        let is_forgotten = seen.method() == "tools/call" && seen.header("mcp-session-id") == "h1";
        is_forgotten.then(|| Reply::status(404, seen.error(-31006, Value::Null)))
    })
    .await;
    let client = connect(&peer.url(), quick()).await;
    let calls = (0..10).map(|_| call(&client, "plain"));
    for result in futures_util::future::join_all(calls).await {
        assert_eq!(result.unwrap(), "done");
    }
    assert_eq!(peer.count("initialize"), 2);
    assert_eq!(peer.count("notifications/initialized"), 2);
    assert_eq!(client.session().mcp_session_id.unwrap().reveal(), "h2");
}

#[tokio::test]
async fn a_server_that_knows_no_session_is_not_asked_for_ever() {
    let peer =
        Peer::start(|seen, _| (seen.method() == "tools/call").then(|| Reply::bare(404))).await;
    let client = connect(&peer.url(), quick()).await;
    let Err(Error::Session(error)) = call(&client, "plain").await else { panic!("it failed") };
    assert_eq!(error.reason, SessionReason::Unknown);
    assert_eq!((peer.count("tools/call"), peer.count("initialize")), (2, 2));
}

#[tokio::test]
async fn an_ended_session_and_its_successor_are_told_apart() {
    let peer = Peer::start(|seen, before| match seen.method() {
        "initialize" => {
            let id = if before == 0 { FIRST } else { SECOND };
            let result = json!({ "protocolVersion": "2025-11-25", "capabilities": {} });
            let reply =
                Reply::json(seen.answer(result)).with("Mcp-Session-Id", format!("h{before}"));
            Some(reply.with("X-Archon-Session-Id", id))
        }
        "tools/call" if seen.header("mcp-session-id") == "h0" => Some(Reply::bare(404)),
        _ => None,
    })
    .await;
    let (sender, mut changes) = mpsc::unbounded_channel();
    let builder = Client::builder(peer.url()).era(Era::Legacy).heartbeat(Heartbeat::Off);
    let client = builder.handler(Changes(sender)).connect().await.unwrap();
    assert_eq!(client.session().id.unwrap().to_string(), FIRST);
    assert_eq!(call(&client, "plain").await.unwrap(), "done");
    let change = changes.recv().await.unwrap();
    assert_eq!(change.cause, ChangeCause::Renewed);
    assert_eq!(change.to.unwrap().to_string(), SECOND);
    assert_eq!(
        peer.of("initialize")[1].header("x-archon-session-id"),
        FIRST,
        "it might have gone on"
    );
}

#[tokio::test]
async fn a_session_that_is_continued_is_followed_and_late_answers_do_not_lead_back() {
    let peer = Peer::start(|seen, before| {
        let answer = Reply::json(seen.text("done"));
        let id = [FIRST, SECOND, FIRST, SECOND].get(before)?;
        (seen.method() == "tools/call").then(|| answer.with("X-Archon-Session-Id", id))
    })
    .await;
    let (sender, mut changes) = mpsc::unbounded_channel();
    let builder = Client::builder(peer.url()).era(Era::Legacy).heartbeat(Heartbeat::Off);
    let client = builder.handler(Changes(sender)).connect().await.unwrap();
    for _ in 0..4 {
        call(&client, "plain").await.unwrap();
    }
    let change = changes.recv().await.unwrap();
    assert_eq!(change.cause, ChangeCause::Continued);
    assert_eq!(change.from.unwrap().to_string(), FIRST);
    assert!(changes.try_recv().is_err(), "an id that was left is not gone back to");
    let shown: Vec<String> = peer
        .of("tools/call")
        .iter()
        .map(|seen| seen.header("x-archon-session-id").to_owned())
        .collect();
    assert_eq!(shown, ["", FIRST, SECOND, SECOND]);
}

/// A gateway whose heartbeat goes by another name.
async fn gateway(script: impl Fn(&Seen, usize) -> Option<Reply> + Send + Sync + 'static) -> Peer {
    let start = Mutex::new(script);
    Peer::start(move |seen, before| {
        if let Some(reply) = start.lock().unwrap()(seen, before) {
            return Some(reply);
        }
        let reply = match seen.method() {
            "initialize" => json!({ "protocolVersion": "2025-11-25", "capabilities": {} }),
            "tools/list" => json!({ "tools": [
                { "name": "heartbeat", "inputSchema": {} },
                { "name": "archon_heartbeat", "inputSchema": {},
                  "_meta": { "dev.archon-sessions/tool": "heartbeat" } },
            ] }),
            "tools/call" => json!({ "content": [], "structuredContent": {
                "last_activity": "2026-01-01T00:00:00Z", "expires_at": "2026-01-01T00:00:03Z",
            } }),
            _ => return None,
        };
        let handle = format!("h{}", before + 1);
        Some(
            Reply::json(seen.answer(reply))
                .with("Mcp-Session-Id", handle)
                .with("X-Archon-Session-Id", FIRST),
        )
    })
    .await
}

async fn beating(peer: &Peer) -> Client {
    let every = Heartbeat::Every(Duration::from_millis(30));
    Client::builder(peer.url()).era(Era::Legacy).heartbeat(every).connect().await.unwrap()
}

#[tokio::test]
async fn a_silent_client_says_that_it_is_alive_until_it_is_dropped() {
    let peer = gateway(|_, _| None).await;
    let client = beating(&peer).await;
    peer.until(|peer| peer.count("tools/call") >= 3).await;
    let names: Vec<Value> =
        peer.of("tools/call").iter().map(|s| s.body["params"]["name"].clone()).collect();
    assert!(
        names.iter().all(|name| name == "archon_heartbeat"),
        "never the upstream's tool: {names:?}"
    );
    drop(client);
    // Without a connection nothing can be said any more.
    peer.until(|peer| peer.connections() == 0).await;
    assert_eq!(peer.count("DELETE"), 0, "the session is left as it is");
}

#[tokio::test]
async fn a_heartbeat_does_not_bring_back_what_an_operator_ended() {
    let peer = gateway(|seen, _| {
        let is_ended = seen.method() == "tools/call" && seen.header("mcp-session-id") == "h1";
        is_ended.then(|| Reply::bare(404))
    })
    .await;
    let client = beating(&peer).await;
    peer.until(|peer| peer.count("tools/call") == 1).await;
    // That nothing comes takes time to show: several beats.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((peer.count("tools/call"), peer.count("initialize")), (1, 1));
    // Its user brings it back, and it beats again.
    client.call_tool("heartbeat", Value::Null).await.unwrap();
    assert_eq!(peer.count("initialize"), 2);
    let before = peer.count("tools/call");
    peer.until(|peer| peer.count("tools/call") > before).await;
}

#[tokio::test]
async fn a_client_that_closes_says_goodbye_and_calls_nothing_any_more() {
    let peer = gateway(|_, _| None).await;
    let client = beating(&peer).await;
    let other = client.clone();
    client.close().await;
    assert_eq!(peer.of("DELETE")[0].header("mcp-session-id"), "h1");
    let Err(Error::Session(error)) = call(&other, "plain").await else { panic!("it is closed") };
    assert_eq!(error.reason, SessionReason::Closed);
}

#[tokio::test]
async fn a_call_in_flight_is_not_waited_for_by_who_closes() {
    let peer = gateway(|seen, _| {
        let is_slow = seen.body["params"]["name"] == "plain";
        is_slow.then(|| Reply::Silent(Vec::new()))
    })
    .await;
    let client = connect(&peer.url(), quick()).await;
    let calling = tokio::spawn({
        let client = client.clone();
        async move { call(&client, "plain").await }
    });
    peer.until(|peer| peer.count("tools/call") == 1).await;
    client.close().await;
    assert!(matches!(calling.await.unwrap(), Err(Error::OutcomeUnknown(_))));
}

#[tokio::test]
async fn a_server_that_fails_on_the_modern_era_gets_a_handshake_at_once() {
    let peer =
        Peer::start(|seen, _| (seen.method() == "server/discover").then(|| Reply::bare(500))).await;
    let client = Client::builder(peer.url()).retry(quick()).connect().await.unwrap();
    assert_eq!(client.session().era, Era::Legacy);
    assert_eq!(peer.count("server/discover"), 1);
}

#[tokio::test]
async fn another_process_goes_on_with_what_was_saved() {
    let peer = gateway(|_, _| None).await;
    let client = connect(&peer.url(), quick()).await;
    let saved = serde_json::to_string(&client.save().await.unwrap()).unwrap();
    drop(client);
    let builder = Client::builder(peer.url()).heartbeat(Heartbeat::Off);
    let client = builder.state(serde_json::from_str(&saved).unwrap()).connect().await.unwrap();
    assert_eq!(client.session().id.unwrap().to_string(), FIRST);
    assert_eq!((peer.count("initialize"), peer.count("ping")), (1, 1));
    let ids: Vec<Value> =
        peer.all().iter().filter(|s| s.verb == "POST").map(|s| s.body["id"].clone()).collect();
    let mut numbers: Vec<u64> = ids.iter().filter_map(Value::as_u64).collect();
    let sent = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), sent, "no id is used twice in a session: {ids:?}");
}

//! Sessions that are each at one of two nodes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use parking_lot::Mutex;

use super::two_nodes::{Shared, session_at, stop};
use crate::protocol::{Envelope, Handle, Message, Presented};
use crate::session::{Connection, McpSessionId, Principal};
use crate::store::{Batch, CallId, NodeRow, OpenCall};
use crate::tracker::*;

/// Both nodes, by their addresses, which are their names.
#[derive(Default)]
struct Near(Mutex<Vec<(&'static str, Tracker)>>);

impl std::fmt::Debug for Near {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Near")
    }
}

#[async_trait]
impl Peers for Near {
    async fn forward(&self, _: &str, _: Request<Bytes>) -> Result<Response<PeerBody>, Unreached> {
        Err(Unreached::NotSent)
    }

    async fn ask(&self, address: &str, question: Question) -> Option<bool> {
        let found = self.0.lock().iter().find(|(name, _)| *name == address)?.1.clone();
        Some(found.answer(question).await)
    }
}

struct Nodes {
    shared: Shared,
    near: Arc<Near>,
    a: Tracker,
    b: Tracker,
}

impl Nodes {
    async fn start(shared: Shared) -> Self {
        let near = Arc::<Near>::default();
        let settings = |address: &str| Settings {
            peers: Some(near.clone()),
            address: Some(address.into()),
            ..Settings::default()
        };
        let a = shared.start_with(0, "a#1", settings("a")).await;
        let b = shared.start_with(1, "b#1", settings("b")).await;
        near.0.lock().extend([("a", a.clone()), ("b", b.clone())]);
        // As it does every few seconds.
        a.others(Timestamp::now()).await.unwrap();
        Self { shared, near, a, b }
    }

    /// Nothing is heard of a node any more.
    async fn is_gone(&self, node: &str) {
        let (node, address) = (node.into(), Some("nowhere".into()));
        let now = Timestamp::now();
        let row = NodeRow { node, address, place: None, heard_at: now, expected_until: now };
        let heard = vec![row];
        self.shared.stores[0].apply(&Batch { heard, ..Batch::default() }).await.unwrap();
        self.b.others(Timestamp::now()).await.unwrap();
    }

    async fn stop(self) {
        self.near.0.lock().clear();
        stop([self.a, self.b]).await;
    }
}

fn connection_of(presence: &Presence) -> Connection {
    Connection {
        handle: McpSessionId::random(),
        session: presence.id(),
        upstream: "demo".into(),
        principal: Principal::Anonymous,
        protocol_version: "2025-11-25".into(),
        initialize: "{}".into(),
        link: None,
        setup: None,
        opened_at: Timestamp::now(),
        ended_at: None,
    }
}

/// A session with a connection at a node, stored; returns both.
async fn connected_at(tracker: &Tracker) -> (Arc<Presence>, McpSessionId) {
    let presence = session_at(tracker).await;
    let record = connection_of(&presence);
    let handle = record.handle;
    tracker.remember(record.clone(), presence.clone(), Timestamp::now());
    assert!(tracker.inner.writer.durably(|batch| batch.connections.push(record)).wait().await);
    (presence, handle)
}

fn showing(handle: McpSessionId) -> Presented {
    Presented {
        session: Handle::Absent,
        connection: Handle::Sent(handle),
        cookie: Handle::Absent,
        client_key: Handle::Absent,
        idle_timeout: None,
    }
}

async fn admit(tracker: &Tracker, handle: McpSessionId) -> Result<Admission, Refusal> {
    let caller = Caller::default();
    tracker.admit_legacy(&showing(handle), "demo", &caller, Timestamp::now()).await
}

fn elsewhere(node: &str) -> Refusal {
    Refusal::Elsewhere(node.into())
}

fn message(json: &str) -> Envelope {
    let (_, message) = Message::read(Bytes::copy_from_slice(json.as_bytes())).unwrap();
    message.envelopes()[0].clone()
}

async fn a_request_is_sent_on_to_the_node_of_its_session_until_that_is_gone(shared: Shared) {
    let nodes = Nodes::start(shared).await;
    let (presence, handle) = connected_at(&nodes.a).await;
    assert_eq!(presence.session().owner.as_deref(), Some("a"));
    for _ in 0..2 {
        assert_eq!(admit(&nodes.b, handle).await.unwrap_err(), elsewhere("a"));
    }
    let call = OpenCall {
        id: CallId(7),
        session: presence.id(),
        handle: Some(handle),
        request: "7".into(),
        digest: crate::tracker::call::digest(br#"{"name":"pay"}"#),
        method: "tools/call".into(),
        tool: Some("pay".into()),
        upstream: "demo".into(),
        started: Timestamp::now(),
        request_bytes: 1,
        node: "a#1".into(),
    };
    let opened = vec![call];
    nodes.shared.stores[0].apply(&Batch { opened, ..Batch::default() }).await.unwrap();

    nodes.is_gone("a#1").await;
    let taken = admit(&nodes.b, handle).await.unwrap();
    assert_eq!(taken.presence.id(), presence.id());
    assert_eq!(nodes.shared.row(presence.id()).await.owner.as_deref(), Some("b"));
    // The same call again is not run a second time.
    let again =
        message(r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"pay"}}"#);
    assert!(nodes.b.was_interrupted(&taken, &again));
    assert!(!nodes.b.was_interrupted(&taken, &again), "told once");
    assert!(nodes.shared.stores[0].open_calls().await.unwrap().is_empty());
    nodes.stop().await;
}

async fn a_node_that_was_paused_serves_nothing_that_others_have_taken(shared: Shared) {
    let nodes = Nodes::start(shared).await;
    let (presence, handle) = connected_at(&nodes.a).await;
    let (_, kept) = connected_at(&nodes.a).await;
    nodes.is_gone("a#1").await;
    admit(&nodes.b, handle).await.unwrap();
    // Its own clock says that nobody has heard of it for too long.
    nodes.a.inner.nodes.renewed(Instant::now() - Duration::from_secs(100));
    let (early, ()) = tokio::join!(admit(&nodes.a, handle), async {
        nodes.a.renew().await;
    });
    assert_eq!(early.unwrap_err(), elsewhere("b"));
    assert!(nodes.a.presence(presence.id()).is_none());
    assert!(admit(&nodes.a, kept).await.is_ok(), "nobody took it");
    nodes.stop().await;
}

async fn an_end_at_another_node_is_learned_by_the_owner(shared: Shared) {
    let nodes = Nodes::start(shared).await;
    let (presence, handle) = connected_at(&nodes.a).await;
    let (id, now) = (presence.id(), Timestamp::now());
    let found = nodes.b.find(id, now).await.unwrap();
    assert!(nodes.b.presence(id).is_none(), "it stays where it is");
    assert!(nodes.b.end(&found, DisconnectReason::Operator, now).unwrap().wait().await);
    nodes.a.learn_ends().await;
    assert!(presence.has_ended());
    assert_eq!(admit(&nodes.a, handle).await.unwrap_err(), Refusal::UnknownHandle);
    assert_eq!(nodes.shared.stores[0].notices("a", 9).await.unwrap(), []);
    nodes.stop().await;
}

async fn a_handle_that_is_not_stored_yet_is_asked_for(shared: Shared) {
    let nodes = Nodes::start(shared).await;
    let (presence, _) = connected_at(&nodes.a).await;
    let record = connection_of(&presence);
    let handle = record.handle;
    nodes.a.remember(record, presence, Timestamp::now());
    assert_eq!(admit(&nodes.b, handle).await.unwrap_err(), elsewhere("a"));
    let unknown = McpSessionId::random();
    assert_eq!(admit(&nodes.b, unknown).await.unwrap_err(), Refusal::UnknownHandle);
    nodes.near.0.lock().clear();
    assert_eq!(admit(&nodes.b, unknown).await.unwrap_err(), Refusal::StoreUnavailable);
    nodes.stop().await;
}

async fn a_session_that_is_taken_back_comes_along(shared: Shared) {
    let nodes = Nodes::start(shared).await;
    let (presence, handle) = connected_at(&nodes.a).await;
    let (id, now) = (presence.id(), Timestamp::now());
    let issued = nodes.a.issue_token(&presence, now).await.unwrap();
    let caller = Caller::default();
    let taken = nodes.b.reconnect(id, issued.token.reveal(), &caller, now).await.unwrap();
    assert!(Arc::ptr_eq(&taken.presence, &nodes.b.presence(id).unwrap()));
    assert_eq!(nodes.shared.row(id).await.owner.as_deref(), Some("b"));
    assert!(nodes.a.presence(id).is_none());
    assert_eq!(admit(&nodes.a, handle).await.unwrap_err(), elsewhere("b"));
    assert!(admit(&nodes.b, handle).await.is_ok());
    nodes.stop().await;
}

async fn a_client_without_a_handle_has_one_session(shared: Shared) {
    let nodes = Nodes::start(shared).await;
    let call = message(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{
            "io.modelcontextprotocol/protocolVersion":"2026-07-28",
            "io.modelcontextprotocol/clientInfo":{"name":"agent","version":"1"},
            "io.modelcontextprotocol/clientCapabilities":{}}}}"#,
    );
    let bare = Presented { connection: Handle::Absent, ..showing(McpSessionId::random()) };
    let mut homes = Vec::new();
    for number in 0..16 {
        let agent = HeaderValue::try_from(format!("agent-{number}")).unwrap();
        let mut caller = Caller { user_agent: Some(agent), ..Caller::default() };
        let mut here = Vec::new();
        for (name, tracker) in [("a", &nodes.a), ("b", &nodes.b)] {
            match tracker.admit_modern(&bare, &call, &caller, Timestamp::now()).await {
                Ok(admission) => {
                    assert!(admission.durable.unwrap().wait().await);
                    here.push((name, admission.presence.id()));
                }
                Err(refusal) => assert_ne!(refusal, elsewhere(name)),
            }
        }
        let [(home, id)] = here[..] else { panic!("{here:?}") };
        homes.push(home);
        // One whose request was sent on there is at home, whatever others think.
        caller.is_forwarded = true;
        let tracker = if home == "a" { &nodes.a } else { &nodes.b };
        let again = tracker.admit_modern(&bare, &call, &caller, Timestamp::now()).await.unwrap();
        assert_eq!(again.presence.id(), id);
        // A new home finds it, too: here the old one is there still, and has it.
        let other = if home == "a" { &nodes.b } else { &nodes.a };
        let moved = other.admit_modern(&bare, &call, &caller, Timestamp::now()).await;
        assert_eq!(moved.unwrap_err(), elsewhere(home));
    }
    assert!(homes.contains(&"a") && homes.contains(&"b"));
    nodes.stop().await;
}

on_each! {
    a_request_is_sent_on_to_the_node_of_its_session_until_that_is_gone,
    a_node_that_was_paused_serves_nothing_that_others_have_taken,
    an_end_at_another_node_is_learned_by_the_owner,
    a_handle_that_is_not_stored_yet_is_asked_for,
    a_session_that_is_taken_back_comes_along,
    a_client_without_a_handle_has_one_session,
}

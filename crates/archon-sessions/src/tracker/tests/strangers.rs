//! What strangers can make a tracker do, and never more of it than so much; and that it costs nobody else.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;

use crate::protocol::{Envelope, Handle, Message, Presented};
use crate::session::McpSessionId;
use crate::store::memory::MemoryStore;
use crate::tracker::*;

const STRANGER: &str = "192.0.2.1";
const OTHER: &str = "192.0.2.2";

async fn tracker(settings: Settings) -> (Tracker, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    let settings = Settings { count_tokens: false, ..settings };
    (Tracker::start(store.clone(), settings).await.unwrap(), store)
}

fn caller(address: &str) -> Caller {
    Caller { peer: Some(address.parse::<IpAddr>().unwrap()), ..Caller::default() }
}

fn nothing() -> Presented {
    Presented {
        session: Handle::Absent,
        connection: Handle::Absent,
        cookie: Handle::Absent,
        client_key: Handle::Absent,
        idle_timeout: None,
    }
}

/// A modern request of a client by this name.
fn request_of(name: &str) -> Envelope {
    let meta = serde_json::json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": name, "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = serde_json::json!({ "_meta": meta });
    let body =
        serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params });
    let message = Message::parse(&Bytes::from(body.to_string())).unwrap();
    message.envelopes()[0].clone()
}

#[tokio::test]
async fn new_sessions_of_either_era_share_one_limit() {
    let new_sessions = AddressRate { per_second: 1, burst: 5, limits_loopback: false };
    let (tracker, store) = tracker(Settings { new_sessions, ..Settings::default() }).await;
    let (stranger, now) = (caller(STRANGER), Timestamp::now());
    let mut admitted = Vec::new();
    let mut refused = 0;
    for number in 0..200 {
        let envelope = request_of(&format!("invented-{number}"));
        match tracker.admit_modern(&nothing(), &envelope, &stranger, now).await {
            Ok(admission) => admitted.push(admission),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::TooManyNew);
                refused += 1;
            }
        }
    }
    assert!(admitted.len() >= 5 && refused > 0, "{refused} refused");
    for admission in &admitted {
        admission.durable.clone().unwrap().wait().await;
    }
    assert_eq!(store.sessions().len(), admitted.len(), "a refused one leaves no row");
    // A handshake is let in by the same count, and who is known needs no new session.
    assert!((0..200).any(|_| tracker.let_in(&stranger).is_err()));
    let known = request_of("invented-0");
    let again = tracker.admit_modern(&nothing(), &known, &stranger, now).await.unwrap();
    assert_eq!(again.presence.id(), admitted[0].presence.id());
    assert!(tracker.let_in(&caller(OTHER)).is_ok(), "others have their own");
    tracker.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_address_that_shows_many_unknown_handles_has_them_looked_up_in_turns() {
    let (tracker, _) = tracker(Settings::default()).await;
    let now = Timestamp::now();
    let show = |address: &str| {
        let handle = Handle::Sent(McpSessionId::random());
        let (presented, caller) = (Presented { connection: handle, ..nothing() }, caller(address));
        let tracker = tracker.clone();
        async move { tracker.admit_legacy(&presented, "main", &caller, now).await }
    };
    // Somebody else's turn takes long.
    let turn = tracker.inner.turns.strangers.lock().await;
    let mut waiting = None;
    for _ in 0..10_000 {
        let mut shown = Box::pin(show(STRANGER));
        match shown.as_mut().now_or_never() {
            Some(answer) => assert_eq!(answer.unwrap_err(), Refusal::UnknownHandle),
            None => {
                waiting = Some(shown);
                break;
            }
        }
    }
    let waiting = waiting.expect("it takes turns in the end");
    assert_eq!(show(OTHER).await.unwrap_err(), Refusal::UnknownHandle, "others do not wait");
    drop(turn);
    assert_eq!(waiting.await.unwrap_err(), Refusal::UnknownHandle, "and nobody is refused for it");
    tracker.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn bad_tries_to_reconnect_never_keep_the_owner_out() {
    let (tracker, store) = tracker(Settings::default()).await;
    let (owner, now) = (caller(STRANGER), Timestamp::now());
    let admission =
        tracker.admit_modern(&nothing(), &request_of("agent"), &owner, now).await.unwrap();
    let presence = admission.presence;
    let token = tracker.issue_token(&presence, now).await.unwrap().token;
    let mut limited = false;
    for number in 0..500 {
        let guess = format!("guess {number}");
        match tracker.reconnect(presence.id(), &guess, &owner, now).await.unwrap_err() {
            ReconnectRefusal::InvalidToken => {}
            ReconnectRefusal::RateLimited { .. } => limited = true,
            other => panic!("{other}"),
        }
    }
    assert!(limited, "failing is limited");
    // From the same address, and for the same session.
    let taken = tracker.reconnect(presence.id(), token.reveal(), &owner, now).await.unwrap();
    assert_eq!(taken.reconnect_count, 1);
    // A token that was used is no longer good, and is slowed down for itself.
    let used = |_| tracker.reconnect(presence.id(), token.reveal(), &owner, now);
    let mut reasons = Vec::new();
    for number in 0..30 {
        reasons.push(used(number).await.unwrap_err().as_str());
    }
    assert_eq!((reasons[0], reasons[29]), ("token_mismatch", "rate_limited"));
    let next = taken.next.token;
    assert!(tracker.reconnect(presence.id(), next.reveal(), &owner, now).await.is_ok());
    tracker.shutdown(Duration::from_secs(5)).await;
    assert!(store.reconnect_attempts().len() <= 600);
}

/// A request that shows a session's id.
fn named(id: SessionId) -> Presented {
    Presented { session: Handle::Sent(id), ..nothing() }
}

#[tokio::test]
async fn an_id_alone_names_a_session_and_opens_nothing() {
    let (tracker, store) = tracker(Settings::default()).await;
    let (owner, stranger, now) = (caller(STRANGER), caller(OTHER), Timestamp::now());
    let agent = request_of("agent");
    let admission = tracker.admit_modern(&nothing(), &agent, &owner, now).await.unwrap();
    let own = tracker.cookie_for(&nothing(), &owner, &admission).unwrap();
    let presence = admission.presence;
    let id = presence.id();

    // It is tracked there, without a cookie that would make a proof of that.
    let by_name = tracker.admit_modern(&named(id), &request_of("x"), &stranger, now).await.unwrap();
    assert_eq!((by_name.presence.id(), by_name.proof), (id, Proof::Name));
    assert!(!by_name.proof.reaches_upstream_state());
    assert_eq!(tracker.cookie_for(&named(id), &stranger, &by_name), None);
    assert!(!tracker.proves(&named(id), &presence));
    assert_eq!(tracker.peek_modern(&named(id), &stranger).unwrap().1, Proof::Name);

    // A legacy request reaches no connection by it, and a handshake makes one more that proves nothing.
    let refused = tracker.admit_legacy(&named(id), "main", &stranger, now).await;
    assert_eq!(refused.unwrap_err(), Refusal::NoHandle);
    let handshake = Handshake {
        permit: tracker.let_in(&stranger).unwrap(),
        upstream: "main".into(),
        initialize: "{}".into(),
        protocol_version: "2025-11-25".into(),
        link: None,
        affinity: Affinity::default(),
    };
    let opened = tracker.open(&named(id), handshake, &stranger, now).await.unwrap();
    assert_eq!((opened.presence.id(), opened.proof), (id, Proof::Name));
    opened.durable.clone().unwrap().wait().await;
    let handle = opened.connection.as_ref().unwrap().handle();
    let stored = store.connection(handle).await.unwrap().unwrap();
    let again = LiveConnection::new(stored, presence.clone());
    assert_eq!(again.proof(), Proof::Name, "also after a restart");
    let shown = Presented { connection: Handle::Sent(handle), ..nothing() };
    let call = tracker.admit_legacy(&shown, "main", &stranger, now).await.unwrap();
    assert_eq!(call.proof, Proof::Name);
    tracker.close(&call, now).unwrap().wait().await;
    assert!(!presence.has_ended(), "its end is not the session's");

    // The owner's cookie goes on, and with the id as well.
    let shown = Presented { cookie: Handle::Sent(own), ..named(id) };
    let back = tracker.admit_modern(&shown, &agent, &owner, now).await.unwrap();
    assert_eq!((back.presence.id(), back.proof), (id, Proof::Cookie));
    assert!(tracker.proves(&shown, &presence));
    tracker.shutdown(Duration::from_secs(5)).await;
}

//! The layer by `oneshot`, around a small MCP server that can be told to misbehave.

#![allow(clippy::unwrap_used)] // Also in the helpers of tests, which clippy does not know for them.

#[path = "layer/forgotten.rs"]
mod forgotten;
#[path = "layer/forms.rs"]
mod forms;
#[path = "layer/limits.rs"]
mod limits;
#[path = "layer/patience.rs"]
mod patience;
#[path = "layer/refused.rs"]
mod refused;
#[path = "layer/server.rs"]
mod server;
#[path = "layer/streams.rs"]
mod streams;

use std::time::Duration;

use archon_sessions::session::{DisconnectReason, Identity, Principal, User};
use archon_sessions::store::Outcome;
use http::{Method, StatusCode};
use server::{Client, Setup, call, modern};

#[tokio::test]
async fn a_handshake_makes_a_session_and_a_connection() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    let sessions = setup.store.sessions();
    assert_eq!(sessions.len(), 1, "durable before it was answered");
    assert_eq!(sessions[0].id.to_string(), client.session);
    assert_eq!(sessions[0].client.kind(), "Claude Code");
    assert_eq!(sessions[0].protocol_version, "2025-11-25");
    assert_ne!(client.handle, client.session, "two ids, two things");
    assert_ne!(client.handle, "inner-1", "the inner service's own id stays inside");
}

#[tokio::test]
async fn the_inner_service_is_told_again_what_goes_with_a_link() {
    let told = |all: &[(&str, &str)]| {
        all.iter().map(|(what, text)| (what.to_string(), text.to_string())).collect::<Vec<_>>()
    };
    let mut setup = Setup::new().await;
    let client = setup.connect().await;
    setup.restart(|_| {}).await;
    setup.send(client.post(&call(1, "echo"))).await;
    setup.send(client.request(Method::GET, "")).await;
    let set_level =
        r#"{"jsonrpc":"2.0","id":2,"method":"logging/setLevel","params":{"level":"info"}}"#;
    setup.send(client.post(set_level)).await;
    let expected = [
        ("initialize", ""),
        ("notifications/initialized", "of inner-1"),
        ("tools/call", "of inner-1"),
        ("GET", "of inner-1"),
        ("logging/setLevel", "of inner-1"),
    ];
    assert_eq!(setup.server.take_affinities(), told(&expected));

    // A new link begins with nothing; what is said to it goes with it from then on.
    setup.restart(|_| {}).await;
    setup.server.forget(404);
    setup.send(client.post(&call(3, "echo"))).await;
    setup.restart(|_| {}).await;
    setup.send(client.request(Method::DELETE, "")).await;
    let expected = [
        ("tools/call", "of inner-1, set"),
        ("initialize", ""),
        ("notifications/initialized", "of inner-2"),
        ("logging/setLevel", "of inner-2"),
        ("tools/call", "of inner-2, set"),
        ("DELETE", "of inner-2, set"),
    ];
    assert_eq!(setup.server.take_affinities(), told(&expected));
}

#[tokio::test]
async fn calls_are_tracked_with_their_outcomes() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    for tool in ["echo", "sse", "fail", "error"] {
        let answer = setup.send(client.post(&call(7, tool))).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("x-archon-session-id"), Some(client.session.as_str()));
    }
    let rows = setup.rows(5).await;
    let found: Vec<_> =
        rows[1..].iter().map(|row| (row.tool.as_deref().unwrap_or(""), row.outcome)).collect();
    let (success, error) = (Outcome::Success, Outcome::Error);
    assert_eq!(found, [("echo", success), ("sse", success), ("fail", error), ("error", error)]);
    assert_eq!(rows[3].error.as_deref(), Some("it failed"));
    assert_eq!(rows[4].error.as_deref(), Some("no such thing"));
    assert!(rows.iter().all(|row| row.request_bytes > 0 && row.response_bytes > 0));
}

#[tokio::test]
async fn the_bytes_of_messages_are_not_touched() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    let odd = r#"{ "jsonrpc" : "2.0","id":  1, "method":"tools/call","x":1.0,"params":{"name":"mirror","arguments":{"n":50.0}} }"#;
    let answer = setup.send(client.post(odd)).await;
    assert_eq!(answer.body, odd);
}

#[tokio::test]
async fn a_handle_is_good_for_its_own_upstream_and_principal_only() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let elsewhere = setup.send_to("other", client.post(list)).await;
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND);
    let mut stranger = client.post(list);
    let principal = Principal::Identified {
        issuer: "https://issuer.example".into(),
        subject: "someone".into(),
    };
    stranger.extensions_mut().insert(Identity::from(principal));
    assert_eq!(setup.send(stranger).await.status, StatusCode::NOT_FOUND);
    assert_eq!(setup.send(client.post(list)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn who_authenticated_is_kept_with_the_session_and_what_continues_it() {
    let mut setup = Setup::new().await;
    setup
        .restart(|settings| {
            settings.idle_timeout = Duration::from_millis(1);
            settings.reap_every = Duration::from_millis(5);
        })
        .await;
    let principal = Principal::Identified { issuer: "i".into(), subject: "ada".into() };
    let user = User::known(Some("ada".into()), Some("ada@example.com".into()), None);
    let request = |cookie: &str| {
        let mut request = modern("tools/call", "echo");
        let value = cookie.split(';').next().unwrap_or_default().parse().unwrap();
        request.headers_mut().insert("cookie", value);
        let identity = Identity { principal: principal.clone(), user: user.clone() };
        request.extensions_mut().insert(identity);
        request
    };
    let first = setup.send(request("")).await;
    setup
        .until("the session ends", |setup| setup.ended_by(DisconnectReason::TimeoutNoActivity))
        .await;
    let second = setup.send(request(first.header("set-cookie").unwrap())).await;
    assert_ne!(first.header("x-archon-session-id"), second.header("x-archon-session-id"));
    let stored = setup.store.sessions();
    assert!(stored.iter().any(|session| session.continues.is_some()));
    for session in stored {
        assert_eq!((session.principal, session.user), (principal.clone(), user.clone()));
    }
}

#[tokio::test]
async fn a_session_that_its_client_names_goes_on_with_a_new_connection() {
    let setup = Setup::new().await;
    let first = setup.connect().await;
    let again = setup.connect_with(&[("x-archon-session-id", &first.session)]).await;
    assert_eq!(again.session, first.session);
    assert_ne!(again.handle, first.handle);
    let unknown = "11111111-2222-4333-8444-555555555555";
    let third = setup.connect_with(&[("x-archon-session-id", unknown)]).await;
    assert_ne!(third.session, unknown, "an unknown id is not used, and is no error");
    assert_eq!(setup.store.sessions().len(), 2);
}

#[tokio::test]
async fn what_the_inner_service_forgot_is_opened_again() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    for refusal in [404, 400] {
        setup.server.forget(refusal);
        let answer = setup.send(client.post(&call(3, "echo"))).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    }
    assert_eq!(setup.server.ran("echo"), 2, "each call ran once");
    assert_eq!(setup.server.initialized(), 3, "and the handshake was whole each time");
    assert_eq!(setup.store.sessions().len(), 1);
}

#[tokio::test]
async fn a_refusal_that_means_what_it_says_comes_through() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    let answer = setup.send(client.post(&call(3, "bad_request"))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.body, "no");
    assert_eq!(setup.server.ran("bad_request"), 1);
}

#[tokio::test]
async fn after_an_idle_timeout_the_same_handle_continues() {
    let mut setup = Setup::new().await;
    setup
        .restart(|settings| {
            settings.idle_timeout = Duration::from_millis(1);
            settings.reap_every = Duration::from_millis(5);
        })
        .await;
    let client = setup.connect().await;
    setup
        .until("the session ends", |setup| setup.ended_by(DisconnectReason::TimeoutNoActivity))
        .await;
    let answer = setup.send(client.post(&call(3, "echo"))).await;
    assert_eq!(answer.status, StatusCode::OK);
    let session = answer.header("x-archon-session-id").unwrap().to_owned();
    assert_ne!(session, client.session);
    let stored = setup.store.sessions();
    let next = stored.iter().find(|stored| stored.id.to_string() == session).unwrap();
    assert_eq!(next.continues.map(|id| id.to_string()), Some(client.session));
}

#[tokio::test]
async fn a_deleted_handle_is_dead_at_once_and_for_good() {
    let mut setup = Setup::new().await;
    let client = setup.connect().await;
    let deleted = setup.send(client.request(Method::DELETE, "")).await;
    assert_eq!(deleted.status, StatusCode::OK);
    assert!(setup.ended_by(DisconnectReason::ClientDisconnect));
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    assert_eq!(setup.send(client.post(list)).await.status, StatusCode::NOT_FOUND);
    setup.restart(|_| {}).await;
    assert_eq!(setup.send(client.post(list)).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_restart_of_ours_costs_nobody_a_session() {
    let mut setup = Setup::new().await;
    let client = setup.connect().await;
    setup.restart(|_| {}).await;
    let answer = setup.send(client.post(&call(3, "echo"))).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("x-archon-session-id"), Some(client.session.as_str()));
    assert_eq!(setup.store.sessions().len(), 1);
}

#[tokio::test]
async fn a_legacy_client_that_leaves_does_not_cancel_its_call() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    // Once before the answer's headers, once in the middle of its stream.
    setup.send_and_leave(client.post(&call(5, "slow_head"))).await;
    let answer = setup.open(client.post(&call(6, "slow_body"))).await;
    drop(answer);
    setup.server.release();
    let rows = setup.rows(3).await;
    assert!(rows.iter().all(|row| row.outcome == Outcome::Success), "{rows:?}");
}

#[tokio::test]
async fn a_modern_client_that_leaves_cancels_its_call() {
    let setup = Setup::new().await;
    let answer = setup.open(modern("tools/call", "slow_body")).await;
    drop(answer);
    let rows = setup.rows(1).await;
    assert_eq!(rows[0].outcome, Outcome::Error);
    assert!(rows[0].error.as_deref().unwrap_or_default().contains("cancelled"));
}

#[tokio::test]
async fn no_answer_in_time_is_a_timeout() {
    let mut setup = Setup::new().await;
    setup.restart(|settings| settings.call_timeout = Duration::from_millis(30)).await;
    let client = setup.connect().await;
    for tool in ["slow_head", "slow_body"] {
        let answer = setup.send(client.post(&call(9, tool))).await;
        assert!(answer.body.contains(r#""id":9,"error""#), "{}", answer.body);
    }
    let rows = setup.rows(3).await;
    assert!(rows[1..].iter().all(|row| row.outcome == Outcome::Timeout), "{rows:?}");
}

/// Returns the cookie that an answer gives, as its client sends it back.
fn cookie_of(answer: &server::Answer) -> Option<String> {
    Some(answer.header("set-cookie")?.split(';').next()?.to_owned())
}

fn modern_with(
    name: &'static str,
    value: &str,
) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = modern("tools/call", "echo");
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

#[tokio::test]
async fn a_modern_session_comes_from_a_cookie_and_else_from_a_guess() {
    let setup = Setup::new().await;
    let first = setup.send(modern("tools/call", "echo")).await;
    let cookie = cookie_of(&first).unwrap();
    let session = first.header("x-archon-session-id").unwrap().to_owned();
    assert!(cookie.starts_with(&format!("archon_session={session}.")), "an id and its seal");

    // The same peer without the cookie is guessed to be the same client, but gets no handle for that session.
    let guessed = setup.send(modern("tools/call", "echo")).await;
    assert_eq!(guessed.header("x-archon-session-id"), Some(session.as_str()));
    let ticket = cookie_of(&guessed).unwrap();
    assert!(!ticket.contains(&session));

    let held = setup.send(modern_with("cookie", &cookie)).await;
    assert_eq!(held.header("x-archon-session-id"), Some(session.as_str()));
    assert_eq!(cookie_of(&held), None);

    // Since its client holds a handle, nobody is guessed to be that client any more.
    let other = setup.send(modern("tools/call", "echo")).await;
    assert_ne!(other.header("x-archon-session-id"), Some(session.as_str()));
}

#[tokio::test]
async fn a_client_that_looks_like_another_has_a_session_of_its_own_once_it_shows_its_cookie() {
    let setup = Setup::new().await;
    let first = setup.send(modern("tools/call", "echo")).await;
    let session = first.header("x-archon-session-id").unwrap().to_owned();
    let ticket = cookie_of(&setup.send(modern("tools/call", "echo")).await).unwrap();
    let mut own = Vec::new();
    for _ in 0..3 {
        let answer = setup.send(modern_with("cookie", &ticket)).await;
        own.push(answer.header("x-archon-session-id").unwrap().to_owned());
        assert_eq!(cookie_of(&answer), None, "it has the right one");
    }
    assert_ne!(own[0], session);
    assert!(own.iter().all(|id| *id == own[0]) && ticket.contains(&own[0]));
    assert_eq!(setup.store.sessions().len(), 2);
    // A second ticket is another client's.
    let third = cookie_of(&setup.send(modern("tools/call", "echo")).await).unwrap();
    let answer = setup.send(modern_with("cookie", &third)).await;
    assert!(
        ![&session, &own[0]].contains(&&answer.header("x-archon-session-id").unwrap().to_owned())
    );
}

#[tokio::test]
async fn a_cookie_that_we_did_not_make_out_opens_nothing() {
    let setup = Setup::new().await;
    let first = setup.send(modern("tools/call", "echo")).await;
    let session = first.header("x-archon-session-id").unwrap().to_owned();
    let (cookie, chosen) = (cookie_of(&first).unwrap(), "550e8400-e29b-41d4-a716-446655440000");
    let seal = cookie.split_once('.').unwrap().1;
    for forged in [
        // An id alone is in every list.
        format!("archon_session={session}"),
        format!("archon_session={session}.{}", "0".repeat(32)),
        format!("archon_session={chosen}.{seal}"),
        format!("archon_session={chosen}"),
        "archon_session=x".to_owned(),
    ] {
        let mut request = modern_with("cookie", &forged);
        request.headers_mut().insert("user-agent", "somebody else".parse().unwrap());
        let answer = setup.send(request).await;
        let given = answer.header("x-archon-session-id").unwrap();
        assert!(given != session && given != chosen, "{forged}");
    }
}

#[tokio::test]
async fn a_client_key_keeps_a_session_in_both_eras() {
    const KEY: &str = "0123456789abcdef0123456789abcdef";
    let setup = Setup::new().await;
    let first = setup.send(modern_with("x-archon-client-key", KEY)).await;
    let session = first.header("x-archon-session-id").unwrap().to_owned();
    // Another that looks the same, and one with another key, are not guessed to be it.
    let other = setup.send(modern("tools/call", "echo")).await;
    assert_ne!(other.header("x-archon-session-id"), Some(session.as_str()));
    let other = setup.send(modern_with("x-archon-client-key", &KEY.replace('0', "x"))).await;
    assert_ne!(other.header("x-archon-session-id"), Some(session.as_str()));
    // Wherever it calls from.
    let mut moved = modern_with("x-archon-client-key", KEY);
    moved.headers_mut().insert("user-agent", "moved".parse().unwrap());
    assert_eq!(setup.send(moved).await.header("x-archon-session-id"), Some(session.as_str()));

    // Its legacy handshakes share a session, each with a connection of its own; another client's name is another's.
    let legacy = setup.connect_with(&[("x-archon-client-key", KEY)]).await;
    let again = setup.connect_with(&[("x-archon-client-key", KEY)]).await;
    assert_eq!(legacy.session, again.session);
    assert_ne!(legacy.handle, again.handle);
    assert_ne!(legacy.session, session, "named claude-code, not m");

    // What is stored is a digest.
    let stored = setup.store.sessions();
    assert!(stored.iter().filter(|session| session.client_key.is_some()).count() == 3);
    assert!(!format!("{stored:?}").contains(KEY));
}

#[tokio::test]
async fn a_key_that_is_none_is_as_no_key() {
    let setup = Setup::new().await;
    let first = setup.send(modern_with("x-archon-client-key", "short")).await;
    let again = setup.send(modern("tools/call", "echo")).await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(again.header("x-archon-session-id"), first.header("x-archon-session-id"));
}

#[tokio::test]
async fn discovery_makes_no_session() {
    let setup = Setup::new().await;
    let answer = setup.send(modern("server/discover", "")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("x-archon-session-id"), None);
    assert!(setup.store.sessions().is_empty());
}

#[tokio::test]
async fn a_modern_request_needs_no_name_and_legacy_ids_mean_nothing_in_it() {
    let setup = Setup::new().await;
    let legacy = setup.connect().await;
    for handle in [legacy.handle.as_str(), "no-such-handle"] {
        let mut request = modern_with("mcp-session-id", handle);
        request.headers_mut().insert("last-event-id", "0/0".parse().unwrap());
        let answer = setup.send(request).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_ne!(answer.header("x-archon-session-id"), Some(legacy.session.as_str()));
        assert_eq!(answer.header("mcp-session-id"), None);
    }
    let mut nameless = server::modern_body("tools/call", "echo");
    let meta = nameless["params"]["_meta"].as_object_mut().unwrap();
    meta.remove("io.modelcontextprotocol/clientInfo");
    let answer = setup.send(server::with_body(modern("tools/call", "echo"), &nameless)).await;
    let session = answer.header("x-archon-session-id").unwrap().to_owned();
    let stored = setup.store.sessions();
    let stored = stored.iter().find(|stored| stored.id.to_string() == session).unwrap();
    assert_eq!(stored.client.kind(), "unknown-client");
}

#[tokio::test]
async fn batches_are_for_their_one_version() {
    let setup = Setup::new().await;
    let batch = format!("[{},{}]", call(1, "echo"), call(2, "echo"));
    let now = setup.connect().await;
    assert_eq!(setup.send(now.post(&batch)).await.status, StatusCode::BAD_REQUEST);
    let then = Client::connect(&setup, "2025-03-26", &[]).await;
    assert_eq!(setup.send(then.post(&batch)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn only_a_call_that_may_be_repeated_is_sent_again_and_not_for_ever() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    for (tool, times, expected) in
        [("lost", 1, "-31002"), ("lost_repeatable", 3, "-31002"), ("lost_once", 2, "result")]
    {
        for request in [client.post(&call(1, tool)), modern("tools/call", tool)] {
            let before = setup.server.ran(tool);
            let answer = setup.send(request).await;
            assert_eq!(setup.server.ran(tool) - before, times, "{tool}");
            assert!(answer.body.contains(expected), "{tool}: {}", answer.body);
        }
    }
    let rows = setup.rows(7).await;
    let succeeded = rows.iter().filter(|row| row.outcome == Outcome::Success).count();
    assert_eq!(succeeded, 3, "a handshake and two calls, each one row");
}

#[tokio::test]
async fn a_call_whose_repetition_cannot_go_on_in_its_stream_is_lost_and_has_run() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    let answer = setup.send(client.post(&call(7, "unsteady"))).await;
    assert_eq!(setup.server.ran("unsteady"), 2);
    assert!(answer.body.contains("-31002"), "{}", answer.body);
    assert!(
        answer.body.contains("main") && answer.body.contains("may have run"),
        "{}",
        answer.body
    );
}

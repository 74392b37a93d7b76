//! What was before and after a session, who tried to take it back, and how the last minutes went.

use super::*;
use crate::session::Network;
use crate::store::{Pruning, ReconnectAttempt, RefusedRequests};

async fn a_chain_goes_both_ways_and_has_an_end(store: &dyn Database) {
    let mut all: Vec<Session> = (0..50).map(|n| began("cursor", n, n)).collect();
    for n in 1..all.len() {
        all[n].continues = Some(all[n - 1].id);
        all[n - 1] = ended(all[n - 1].clone(), DisconnectReason::TimeoutNoActivity, 100);
    }
    // Somebody else came back to the same session, later.
    let mut late = began("zed", 60, 60);
    late.continues = Some(all[24].id);
    create(store, &all).await;
    create(store, std::slice::from_ref(&late)).await;
    let ids = |links: &[ChainLink]| links.iter().map(|link| link.id).collect::<Vec<_>>();
    let expected = |from: &[Session]| from.iter().map(|session| session.id).collect::<Vec<_>>();

    let Chain { mut before, after } = store.chain(all[24].id).await.unwrap();
    before.reverse();
    assert_eq!(ids(&before), expected(&all[4..24]));
    assert_eq!(ids(&after), expected(&all[25..45]));
    let link = ChainLink {
        id: all[25].id,
        connected_at: at(25),
        disconnected_at: Some(at(100)),
        disconnect_reason: Some("timeout_no_activity".into()),
    };
    assert_eq!(after[0], link);
    let first = store.chain(all[0].id).await.unwrap();
    assert_eq!((first.before.len(), first.after.len()), (0, CHAIN_MAX));
    let last = store.chain(all[48].id).await.unwrap().after;
    assert_eq!(ids(&last), [all[49].id]);
    assert_eq!((last[0].disconnected_at, &last[0].disconnect_reason), (None, &None));
    let late = store.chain(late.id).await.unwrap();
    assert_eq!((late.before[0].id, late.after), (all[24].id, vec![]));
}

async fn a_chain_that_is_a_circle_is_shown_once(store: &dyn Database) {
    let (mut one, mut other) = (began("cursor", 0, 0), began("cursor", 1, 1));
    (one.continues, other.continues) = (Some(other.id), Some(one.id));
    let mut own = began("cursor", 2, 2);
    own.continues = Some(own.id);
    create(store, &[one.clone(), other.clone(), own.clone()]).await;
    let chain = store.chain(one.id).await.unwrap();
    assert_eq!((chain.before.len(), chain.before[0].id), (1, other.id));
    assert_eq!((chain.after.len(), chain.after[0].id), (1, other.id));
    assert_eq!(store.chain(own.id).await.unwrap(), Chain::default());
}

async fn attempts_to_take_a_session_back_are_found(store: &dyn Database) {
    let one = began("cursor", 0, 0);
    create(store, std::slice::from_ref(&one)).await;
    let attempt = |seconds: i64, session: &Session, result: &'static str| ReconnectAttempt {
        at: at(seconds),
        session: session.id,
        peer: (seconds > 0).then(|| "192.0.2.7".parse().unwrap()),
        principal: Principal::Anonymous,
        result,
    };
    let other = began("zed", 0, 0);
    let mut attempts: Vec<_> = (0..60).map(|n| attempt(n, &one, "token_expired")).collect();
    attempts.push(attempt(60, &one, "reconnected"));
    attempts.push(attempt(0, &other, "session_not_found"));
    store.apply(&Batch { attempts, ..Batch::default() }).await.unwrap();
    let found = store.attempts(one.id).await.unwrap();
    assert_eq!(found.len(), ATTEMPTS_MAX);
    let latest = AttemptRecord {
        at: at(60),
        peer: Some("192.0.2.7".into()),
        principal: "anonymous".into(),
        result: "reconnected".into(),
    };
    assert_eq!(found[0], latest);
    assert!(found[1..].iter().all(|attempt| attempt.result == "token_expired"));
    assert!(found.is_sorted_by_key(|attempt| std::cmp::Reverse(attempt.at)));
    let others = store.attempts(other.id).await.unwrap();
    assert_eq!((others.len(), &others[0].peer), (1, &None));
}

async fn requests_that_were_turned_away_are_counted(store: &dyn Database) {
    let refused =
        |minute: i64, cause: &'static str, peer: Option<&str>, count: u32| RefusedRequests {
            minute: at(60 * minute),
            cause,
            upstream: if cause == "unauthorized" { "".into() } else { "main".into() },
            peer: peer.map(|peer| Network::of(peer.parse().unwrap())),
            principal: Principal::Anonymous,
            client: Some("an\u{0} agent".into()),
            detail: "call initialize".into(),
            count,
            last_at: at(60 * minute + i64::from(count)),
        };
    let from = Some("2001:db8::7");
    for refusals in [
        vec![refused(1, "unknown_session", from, 3), refused(1, "unknown_session", None, 1)],
        vec![refused(1, "unknown_session", from, 9), refused(1, "unauthorized", from, 2)],
        vec![refused(2, "unknown_session", from, 4)],
    ] {
        store.apply(&Batch { refusals, ..Batch::default() }).await.unwrap();
    }
    let found = store.refusals(10).await.unwrap();
    let counts: Vec<_> = found.iter().map(|row| (row.minute, &*row.cause, row.count)).collect();
    let [first, second] = [at(60), at(120)];
    let mut expected = vec![
        (second, "unknown_session", 4),
        (first, "unauthorized", 2),
        (first, "unknown_session", 1),
        (first, "unknown_session", 12),
    ];
    assert_eq!(counts, expected);
    assert_eq!((found[3].last_at, found[3].peer.as_deref()), (at(69), Some("2001:db8::/64")));
    assert_eq!((found[1].upstream.as_deref(), found[3].upstream.as_deref()), (None, Some("main")));
    assert_eq!(found[2].peer, None);
    assert_eq!(store.refusals(1).await.unwrap().len(), 1);

    let before =
        Pruning { sessions_before: None, attempts_before: second, attempts_max: 100, rows_max: 2 };
    while store.prune(&before).await.unwrap() > 0 {}
    expected.truncate(1);
    let left = store.refusals(10).await.unwrap();
    let left: Vec<_> = left.iter().map(|row| (row.minute, &*row.cause, row.count)).collect();
    assert_eq!(left, expected);
    // However young they are, there are no more than so many.
    let many = (0..40).map(|minute| refused(100 + minute, "malformed", from, 1)).collect();
    store.apply(&Batch { refusals: many, ..Batch::default() }).await.unwrap();
    while store.prune(&Pruning { attempts_max: 10, ..before }).await.unwrap() > 0 {}
    assert_eq!(store.refusals(100).await.unwrap().len(), 10);
}

async fn requests_are_counted_by_the_minute_for_a_day(store: &dyn Database) {
    let one = began("cursor", 0, 0);
    create(store, std::slice::from_ref(&one)).await;
    // The base of these moments is 40 s after a minute begins.
    track(store, vec![call(&one, "a", Outcome::Success, 0), call(&one, "b", Outcome::Error, 19)])
        .await;
    let others = vec![
        call(&one, "a", Outcome::Timeout, 20),
        call(&one, "a", Outcome::Success, -41),
        request(SessionId::random()),
    ];
    track(store, others).await;
    let minutes = store.minutes(at(30), 4).await.unwrap();
    let counts =
        |minute: &Minute| (minute.counts.requests, minute.counts.errors, minute.counts.timeouts);
    let expected = [(0, 0, 0), (1, 0, 0), (2, 1, 0), (1, 0, 1)];
    assert_eq!(minutes.iter().map(counts).collect::<Vec<_>>(), expected);
    assert_eq!(minutes[3].start, at(20));
    assert_eq!(store.minutes(at(30), 0).await.unwrap().len(), 1);
    assert_eq!(store.minutes(at(30), u32::MAX).await.unwrap().len() as u32, MINUTES_MAX);

    // A day later they are forgotten, but for the last.
    track(store, vec![call(&one, "a", Outcome::Success, DAY_SECONDS - 40)]).await;
    let earlier = store.minutes(at(30), 4).await.unwrap();
    let expected = [(0, 0, 0), (0, 0, 0), (0, 0, 0), (1, 0, 1)];
    assert_eq!(earlier.iter().map(counts).collect::<Vec<_>>(), expected);
}

on_each_database! {
    requests_are_counted_by_the_minute_for_a_day,
    a_chain_goes_both_ways_and_has_an_end,
    a_chain_that_is_a_circle_is_shown_once,
    attempts_to_take_a_session_back_are_found,
    requests_that_were_turned_away_are_counted,
}

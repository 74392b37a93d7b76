//! What listeners may rely on.

use super::ring::{BYTES_MAX, EVENTS_MAX};
use super::*;
use crate::session::{ClientInfo, Era, IDLE_TIMEOUT, Principal};

const START: i64 = 1_790_000_000_000_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(START + millis * 1000)
}

fn events() -> Events {
    Events::starting(at(0))
}

fn call(session: SessionId, failure: Option<Failure>) -> FinishedCall {
    FinishedCall {
        session,
        method: "tools/call".into(),
        tool: Some("echo".into()),
        upstream: "demo".into(),
        outcome: if failure.is_some() { Outcome::Error } else { Outcome::Success },
        duration_us: 7,
        request_bytes: 1,
        response_bytes: 2,
        failure,
    }
}

fn publish(events: &Events, count: usize) {
    for _ in 0..count {
        events.reconnected(SessionId::random(), 1, at(1));
    }
}

/// Everything that can be heard without waiting.
async fn numbers(subscription: &mut Subscription, count: usize) -> Vec<u64> {
    let mut heard = Vec::new();
    while heard.len() < count {
        match subscription.next().await {
            Heard::Events(events) => heard.extend(events.iter().map(|event| event.seq)),
            Heard::Lost => panic!("nothing was lost"),
        }
    }
    heard
}

#[tokio::test]
async fn events_are_heard_in_order_and_without_a_gap() {
    let events = events();
    let mut subscription = events.subscribe(None).unwrap();
    let first = subscription.heard() + 1;
    publish(&events, 1000);
    let heard = numbers(&mut subscription, 1000).await;
    assert_eq!(heard, (first..first + 1000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_listener_that_waits_is_woken() {
    let events = events();
    let mut subscription = events.subscribe(None).unwrap();
    let waiting = tokio::spawn(async move { numbers(&mut subscription, 1).await });
    tokio::task::yield_now().await;
    publish(&events, 1);
    assert_eq!(waiting.await.unwrap().len(), 1);
}

#[tokio::test]
async fn who_comes_back_goes_on_where_it_was() {
    let events = events();
    let mut stays = events.subscribe(None).unwrap();
    publish(&events, 10);
    let heard = numbers(&mut stays, 10).await;
    let mut back = events.subscribe(Some(heard[6])).unwrap();
    assert_eq!(numbers(&mut back, 3).await, heard[7..]);
    // To the latest nothing is missing either.
    assert_eq!(events.subscribe(Some(heard[9])).unwrap().heard(), heard[9]);
}

#[test]
fn what_is_not_known_is_a_resync() {
    let events = events();
    let stays = events.subscribe(None).unwrap();
    let before_start = at(0).as_micros() as u64 - 1;
    assert_eq!(events.subscribe(Some(before_start)).unwrap_err(), Resync);
    assert_eq!(events.subscribe(Some(0)).unwrap_err(), Resync);
    let latest = stays.heard();
    assert_eq!(events.subscribe(Some(latest + 1)).unwrap_err(), Resync, "it has not happened yet");
    assert_eq!(events.subscribe(Some(u64::MAX)).unwrap_err(), Resync);
    assert!(events.subscribe(Some(latest)).is_ok());
}

#[test]
fn what_nobody_heard_is_a_gap() {
    let events = events();
    assert!(!events.is_heard());
    let first = events.subscribe(None).unwrap();
    assert!(events.is_heard());
    let heard = first.heard();
    drop(first);
    assert!(!events.is_heard());
    publish(&events, 1);
    assert_eq!(events.subscribe(Some(heard)).unwrap_err(), Resync);
}

#[tokio::test]
async fn a_slow_listener_learns_that_it_lost_events() {
    let events = events();
    let mut slow = events.subscribe(None).unwrap();
    publish(&events, EVENTS_MAX + 1);
    assert!(matches!(slow.next().await, Heard::Lost));
    publish(&events, 3);
    assert_eq!(numbers(&mut slow, 3).await.len(), 3);
}

#[tokio::test]
async fn long_texts_are_bounded_by_bytes() {
    let events = events();
    let mut slow = events.subscribe(None).unwrap();
    let id = SessionId::random();
    let text: Box<str> = "x".repeat(1024 * 1024).into();
    for _ in 0..=BYTES_MAX / text.len() {
        events.finished(at(1), || call(id, Some(Failure::Said(text.clone()))));
    }
    assert!(matches!(slow.next().await, Heard::Lost));
}

#[test]
fn nothing_is_built_while_nobody_listens() {
    events().finished(at(1), || unreachable!("nobody listens"));
}

#[tokio::test]
async fn a_session_is_told_to_be_alive_once_a_second() {
    let events = events();
    let mut subscription = events.subscribe(None).unwrap();
    let (id, told) = (SessionId::random(), LastTold::default());
    for millis in [0, 10, 999, 1000, 1500, 2500] {
        events.updated(id, &told, Sign::ToolCall, at(millis));
    }
    let Heard::Events(heard) = subscription.next().await else { panic!("nothing was lost") };
    let times: Vec<_> = heard.iter().map(|event| event.at).collect();
    assert_eq!(times, [at(0), at(1000), at(2500)]);
}

#[tokio::test]
async fn an_event_says_what_happened() {
    let events = events();
    let mut subscription = events.subscribe(None).unwrap();
    let client = ClientInfo { capabilities: Some("{}".into()), ..ClientInfo::default() };
    let mut session =
        Session::new(client, Principal::Anonymous, Era::Modern, "", IDLE_TIMEOUT, at(0));
    events.created(&session);
    let answer = Bytes::from_static(br#"{"error":{"code":1,"message":"no such"}}"#);
    events.finished(at(1), || call(session.id, Some(Failure::Answered(answer))));
    session.disconnect(DisconnectReason::Operator, at(2000));
    events.disconnected(&session);

    let Heard::Events(heard) = subscription.next().await else { panic!("nothing was lost") };
    assert!(heard.iter().all(|event| event.what.session() == session.id));
    let [created, finished, ended] = &heard[..] else { panic!("three events") };
    assert!(matches!(&created.what, SessionEvent::Created(s) if s.client.capabilities.is_none()));
    let SessionEvent::Request(call) = &finished.what else { panic!("a call") };
    assert_eq!(call.error().as_deref(), Some("no such"));
    let SessionEvent::Disconnected { reason, duration, .. } = ended.what else { panic!("an end") };
    assert_eq!((reason, duration), (DisconnectReason::Operator, Duration::from_secs(2)));
}

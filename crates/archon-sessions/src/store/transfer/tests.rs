//! What every store that gives rows out and takes them in must show.

use std::sync::Arc;

use super::*;
use crate::store::postgres::{PostgresStore, server};
use crate::store::sqlite::SqliteStore;
use crate::store::suite::{at, request, session};
use crate::store::{Batch, SessionStore};

async fn sqlite() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("x.db")).await.unwrap();
    (folder, store)
}

async fn postgres() -> PostgresStore {
    PostgresStore::open(&server::new_database("").await).await.unwrap()
}

/// Everything that a store gives out.
async fn all(store: &dyn Transfer, of: &Selection) -> Part {
    let mut part = Part { prices: store.prices().await.unwrap(), ..Part::default() };
    let until = store.last_request().await.unwrap();
    while let Some(page) = {
        let after = part.sessions.last().map(|s| SessionId::from_uuid(s.session_id));
        let page = store.sessions(of, after).await.unwrap();
        (!page.is_empty()).then_some(page)
    } {
        part.sessions.extend(page);
    }
    while let Some(page) = {
        let after = part.requests.last().map_or(i64::MIN, |request| request.id);
        let page = store.requests(of, after, until).await.unwrap();
        (!page.is_empty()).then_some(page)
    } {
        part.requests.extend(page);
    }
    part
}

/// Writes sessions, of which one has ended, and more requests than a page has.
async fn filled(store: &dyn SessionStore) -> usize {
    let (mut ended, mut active) = (session(), session());
    ended.client.capabilities = Some(r#"{"z":1,"a":{"y":[2.5],"b":null}}"#.into());
    ended.client.name = Some("nul\0and'\"\u{1F600}".into());
    active.continues = Some(ended.id);
    let created = vec![ended.clone(), active.clone()];
    ended.disconnect(DisconnectReason::Operator, at(90));
    let requests = (0..PART_ROWS + 20).map(|n| {
        let mut row = request(if n % 2 == 0 { ended.id } else { active.id });
        row.started = at(n as i64);
        row.cost_micros = n as i64;
        row
    });
    let requests: Vec<_> = requests.collect();
    let count = requests.len();
    store.apply(&Batch { created, requests, ..Batch::default() }).await.unwrap();
    store.apply(&Batch { ended: vec![ended], ..Batch::default() }).await.unwrap();
    count
}

async fn takes_its_own_rows_unchanged(store: impl Transfer + SessionStore, other: impl Transfer) {
    let count = filled(&store).await as u64;
    let everything = Selection::default();
    let rows = all(&store, &everything).await;
    assert_eq!(rows.requests.len() as u64, count);
    let again = store.take_in(&rows).await.unwrap();
    let known = TakenIn { known_sessions: 2, known_requests: count, ..TakenIn::default() };
    assert_eq!(again, known, "all of it is there");

    let new = other.take_in(&rows).await.unwrap();
    assert_eq!(new, TakenIn { sessions: 2, requests: count, ..TakenIn::default() });
    let copied = all(&other, &everything).await;
    let normal = |part: &Part| {
        let text = serde_json::to_string(&(&part.prices, &part.sessions, &part.requests)).unwrap();
        text.replace("\\u0000", "\u{fffd}")
    };
    assert!(normal(&copied) == normal(&rows), "the same in another database");
    assert_eq!(other.take_in(&copied).await.unwrap(), known);
    assert_eq!(store.take_in(&copied).await.unwrap(), known, "and it comes home unchanged");

    let one = SessionId::from_uuid(rows.sessions[0].session_id);
    let part = Selection { session: Some(one), since: Some(at(100)) };
    let some = all(&store, &part).await;
    assert!(some.requests.iter().all(|r| r.session_id == one.as_uuid() && r.timestamp >= at(100)));
    let late = Selection { since: Some(at(1_000_000)), session: None };
    assert_eq!(
        (all(&store, &late).await.sessions, all(&store, &late).await.requests),
        (vec![], vec![])
    );
}

async fn counts_on_after_the_largest_id(store: impl Transfer + SessionStore) {
    let session = session();
    let created = vec![session.clone()];
    store.apply(&Batch { created, ..Batch::default() }).await.unwrap();
    let mut row = request(session.id);
    store.apply(&Batch { requests: vec![row.clone()], ..Batch::default() }).await.unwrap();
    let [mine] = &*all(&store, &Selection::default()).await.requests else { panic!() };
    let far = RequestRecord { id: 1_000, method: "far".into(), ..mine.clone() };
    let taken = RequestRecord { method: "guest".into(), ..mine.clone() };
    let part = Part { requests: vec![far.clone(), taken.clone()], ..Part::default() };
    assert_eq!(store.take_in(&part).await.unwrap().requests, 2);
    row.method = "later".into();
    store.apply(&Batch { requests: vec![row], ..Batch::default() }).await.unwrap();
    let rows = all(&store, &Selection::default()).await.requests;
    let names: Vec<_> = rows.iter().map(|row| &*row.method).collect();
    assert_eq!(names, ["guest", &*mine.method, "far", "later"], "{rows:?}");
    assert!(rows[0].id < 0 && rows[3].id > 1_000);
    let without = RequestRecord { id: 5_000, session_id: Uuid::nil(), ..far };
    let part = Part { requests: vec![without, taken], ..Part::default() };
    let counts = store.take_in(&part).await.unwrap();
    assert_eq!((counts.requests_without_session, counts.known_requests), (1, 1));
    let mut changed = store.prices().await.unwrap();
    changed[0].input_price_per_1k += 1.0;
    let part = Part { prices: changed.clone(), ..Part::default() };
    assert_eq!(store.take_in(&part).await.unwrap().prices, 1);
    assert_eq!(store.prices().await.unwrap(), changed);
}

#[tokio::test]
async fn rows_go_from_sqlite_to_postgresql_and_home() {
    let (_folder, sqlite) = sqlite().await;
    takes_its_own_rows_unchanged(sqlite, postgres().await).await;
}

#[tokio::test]
async fn rows_go_from_postgresql_to_sqlite_and_home() {
    let (_folder, sqlite) = sqlite().await;
    takes_its_own_rows_unchanged(postgres().await, sqlite).await;
}

#[tokio::test]
async fn sqlite_counts_on_after_the_largest_id() {
    let (_folder, sqlite) = sqlite().await;
    counts_on_after_the_largest_id(sqlite).await;
}

#[tokio::test]
async fn postgresql_counts_on_after_the_largest_id() {
    counts_on_after_the_largest_id(postgres().await).await;
}

/// As an operator may do it, while its clients go on.
#[tokio::test]
async fn rows_are_taken_in_while_others_are_written() {
    let ((_folder, source), store) = (sqlite().await, Arc::new(postgres().await));
    let count = filled(&source).await;
    let rows = all(&source, &Selection::default()).await;
    let session = session();
    store.apply(&Batch { created: vec![session.clone()], ..Batch::default() }).await.unwrap();
    let live = async {
        for _ in 0..20 {
            let requests = vec![request(session.id)];
            store.apply(&Batch { requests, ..Batch::default() }).await.unwrap();
        }
    };
    let (_, taken) = tokio::join!(live, store.take_in(&rows));
    assert_eq!(taken.unwrap().requests, count as u64);
    let found = all(&*store, &Selection::default()).await.requests;
    let ids: std::collections::HashSet<_> = found.iter().map(|row| row.id).collect();
    assert_eq!((found.len(), ids.len()), (count + 20, count + 20), "no id twice");
}

fn active(last_activity: i64) -> SessionRecord {
    let text = format!(
        r#"{{"session_id":"3f2b8c1e-0000-4000-8000-000000000001","status":"active",
             "connected_at":"2026-01-11T00:00:00Z","last_activity":"{}"}}"#,
        Timestamp::from_micros(last_activity)
    );
    serde_json::from_str(&text).unwrap()
}

#[test]
fn what_an_older_system_knows_is_enough() {
    let session = active(1_768_090_845_000_000);
    assert_eq!((&*session.client_type, session.idle_timeout_seconds), ("unknown-client", 300));
    let request = r#"{"id":1,"session_id":"3f2b8c1e-0000-4000-8000-000000000001","method":"tools/call",
                      "timestamp":"2026-01-11T01:00:00+01:00","duration_ms":5,"status":"success"}"#;
    let request: RequestRecord = serde_json::from_str(request).unwrap();
    assert_eq!(request.timestamp.to_string(), "2026-01-11T00:00:00.000000Z");
    let expired = serde_json::to_string(&session).unwrap().replace("active\"", "expired\"");
    let expired: SessionRecord = serde_json::from_str(&expired).unwrap();
    assert_eq!(expired.clone().as_of(Timestamp::now()), expired);
}

#[test]
fn a_session_that_was_active_is_over_only_if_it_was_silent_for_too_long() {
    let now = Timestamp::parse("2026-01-11T12:00:00Z").unwrap();
    let recent = active(now.minus(std::time::Duration::from_secs(299)).as_micros());
    assert_eq!(recent.clone().as_of(now), recent);
    let silent = active(now.minus(std::time::Duration::from_secs(301)).as_micros()).as_of(now);
    assert_eq!(silent.status, Status::Disconnected);
    assert_eq!(silent.disconnect_reason.as_deref(), Some("timeout_no_activity"));
    let ended = now.minus(std::time::Duration::from_secs(1));
    assert_eq!((silent.disconnected_at, silent.total_duration), (Some(ended), Some(43_199)));
    let from_tomorrow = active(now.plus(std::time::Duration::from_secs(86_400)).as_micros());
    assert_eq!(from_tomorrow.as_of(now).disconnected_at, Some(now), "no clock keeps it alive");
}

#[test]
fn dollars_are_what_both_databases_hold() {
    assert_eq!(dollars(0.000_069_4), 0.000_069);
    assert_eq!(dollars(f64::NAN), 0.0);
    assert_eq!(dollars(1e300), DOLLARS_MAX);
}

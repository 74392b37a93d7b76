//! What reports must show, of every database.

mod history;
mod sorting;
mod written;

use std::time::Duration;

use super::*;
use crate::session::{ClientInfo, DisconnectReason, Principal, Session, Status};
use crate::store::postgres::PostgresStore;
use crate::store::sqlite::SqliteStore;
use crate::store::suite::{at, request, session};
use crate::store::usage::{NAMES_A_DAY, UPSTREAMS_MAX};
use crate::store::{Batch, Outcome, RequestRow, SessionStore};

const HOUR: i64 = 3600;
const DAY_SECONDS: i64 = 24 * HOUR;

/// A store with both sides, and a way to do what people do to its tables.
#[async_trait]
trait Database: SessionStore + Reports {
    async fn run(&self, sql: &'static str);
}

#[async_trait]
impl Database for SqliteStore {
    async fn run(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.pool()).await.unwrap();
    }
}

#[async_trait]
impl Database for PostgresStore {
    async fn run(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(self.pool()).await.unwrap();
    }
}

fn client(name: &str) -> ClientInfo {
    ClientInfo { name: Some(name.into()), version: None, capabilities: None }
}

/// A session of this client that began and was heard of last at these seconds.
fn began(name: &str, began: i64, heard_of: i64) -> Session {
    let (connected_at, last_activity) = (at(began), at(heard_of));
    Session { client: client(name), connected_at, last_activity, ..session() }
}

fn ended(mut session: Session, reason: DisconnectReason, seconds: i64) -> Session {
    session.disconnect(reason, at(seconds));
    session
}

fn call(session: &Session, tool: &str, outcome: Outcome, started: i64) -> RequestRow {
    let error = (outcome != Outcome::Success).then(|| "it broke".into());
    let (tool, started) = (Some(tool.into()), at(started));
    RequestRow { tool, outcome, error, started, ..request(session.id) }
}

async fn create(store: &dyn Database, sessions: &[Session]) {
    let created = sessions.to_vec();
    let ended = sessions.iter().filter(|session| session.end.is_some()).cloned().collect();
    store.apply(&Batch { created, ended, ..Batch::default() }).await.unwrap();
}

async fn track(store: &dyn Database, requests: Vec<RequestRow>) {
    store.apply(&Batch { requests, ..Batch::default() }).await.unwrap();
}

/// Reads a list of sessions to its end, in pages of two.
async fn sessions(store: &dyn Database, query: SessionQuery) -> Vec<SessionId> {
    let mut query = SessionQuery { limit: 2, ..query };
    let mut found = Vec::new();
    loop {
        let page = Reports::sessions(store, &query).await.unwrap();
        assert!(page.rows.len() <= 2);
        found.extend(page.rows.iter().map(|record| record.session.id));
        let Some(next) = page.next else { break };
        query.continue_at(&next).unwrap();
    }
    let whole = Reports::sessions(store, &SessionQuery { limit: 100, after: None, ..query }).await;
    let whole = whole.unwrap();
    assert_eq!(whole.total, Total::exact(found.len() as u64));
    assert_eq!(found, whole.rows.iter().map(|record| record.session.id).collect::<Vec<_>>());
    found
}

/// Reads a list of requests to its end, in pages of two.
async fn requests(store: &dyn Database, query: RequestQuery) -> Vec<i64> {
    let mut query = RequestQuery { limit: 2, ..query };
    let mut found = Vec::new();
    loop {
        let page = store.requests(&query).await.unwrap();
        found.extend(page.rows.iter().map(|record| record.id));
        let Some(next) = page.next else { break };
        query.continue_at(&next).unwrap();
    }
    let all = RequestQuery { limit: 100, after: None, ..query };
    let whole = store.requests(&all).await.unwrap();
    assert_eq!(whole.total, Total::exact(found.len() as u64));
    assert_eq!(found, whole.rows.iter().map(|record| record.id).collect::<Vec<_>>());
    let behind = store.requests(&RequestQuery { offset: 1, ..all }).await.unwrap();
    assert_eq!(found[found.len().min(1)..], behind.rows.iter().map(|r| r.id).collect::<Vec<_>>());
    found
}

async fn nothing_is_reported_of_empty_tables(store: &dyn Database) {
    assert_eq!(sessions(store, SessionQuery::default()).await, vec![]);
    let text = Some("x".to_owned());
    assert_eq!(sessions(store, SessionQuery { text, ..Default::default() }).await, vec![]);
    assert_eq!(requests(store, RequestQuery::default()).await, Vec::<i64>::new());
    let outcomes = vec![Outcome::Error, Outcome::Timeout];
    assert_eq!(requests(store, RequestQuery { outcomes, ..Default::default() }).await, vec![0; 0]);
    assert_eq!(store.session_record(SessionId::random()).await.unwrap(), None);
    assert_eq!(store.chain(SessionId::random()).await.unwrap(), Chain::default());
    assert_eq!(store.attempts(SessionId::random()).await.unwrap(), vec![]);
    assert_eq!(store.refusals(10).await.unwrap(), vec![]);
    let health = store.session_health(at(0)).await.unwrap();
    assert_eq!((health.active, health.ended, health.recent.len()), (0, 0, 0));
    assert_eq!(health.last_day, LastDay::default());
    assert_eq!(store.disconnected(at(0), 10).await.unwrap(), Disconnected::default());
    for session in [None, Some(SessionId::random())] {
        assert_eq!(store.failures(session).await.unwrap(), Failures::default());
    }
    let days = Days::until(at(0), 3);
    let usage = store.usage(days).await.unwrap();
    assert_eq!((usage.total, usage.sessions, usage.by_user), (Usage::default(), 0, vec![]));
    let analytics = store.analytics(days).await.unwrap();
    assert_eq!((analytics.daily.len(), analytics.percentiles), (3, Percentiles::default()));
}

async fn a_list_of_sessions_has_no_gaps_and_nothing_twice(store: &dyn Database) {
    // Pairs of equals, of each status.
    let mut all: Vec<Session> = (0..6).map(|n| began("cursor", n, n / 2)).collect();
    all[3] = ended(all[3].clone(), DisconnectReason::Operator, 60);
    all[4] = ended(all[4].clone(), DisconnectReason::Operator, 60);
    create(store, &all).await;
    let mut expected = all.clone();
    expected.sort_by_key(|session| (session.last_activity, session.id));
    let ids = |all: &[Session]| all.iter().map(|session| session.id).collect::<Vec<_>>();
    let mut latest = ids(&expected);
    latest.reverse();
    assert_eq!(sessions(store, SessionQuery::default()).await, latest);
    let order = Order::Ascending;
    let query = SessionQuery { order, ..Default::default() };
    assert_eq!(sessions(store, query).await, ids(&expected));
    let sort = SessionSort::ConnectedAt;
    assert_eq!(
        sessions(store, SessionQuery { order, sort, ..Default::default() }).await,
        ids(&all)
    );

    let status = Some(Status::Disconnected);
    let query = SessionQuery { order, sort, status, ..Default::default() };
    assert_eq!(sessions(store, query).await, ids(&all[3..5]));
    let (active_from, active_until) = (Some(at(1)), Some(at(2)));
    for sort in [SessionSort::ConnectedAt, SessionSort::LastActivity] {
        let query = SessionQuery { sort, active_from, active_until, ..Default::default() };
        assert_eq!(sessions(store, query).await.len(), 2);
    }
    let mut query = SessionQuery { limit: 2, ..SessionQuery::default() };
    let next = Reports::sessions(store, &query).await.unwrap().next.unwrap();
    query.order = Order::Ascending;
    assert_eq!(query.continue_at(&next), Err(BadCursor));
}

async fn sessions_are_found_by_what_is_asked_for(store: &dyn Database) {
    let all = [
        began("cursor", 0, 0),
        began("100%_sure", 1, 1),
        began("100 other sure", 2, 2),
        began("it's \"q\"", 3, 3),
        ended(began("cursor", 4, 4), DisconnectReason::ClientDisconnect, 9),
    ];
    create(store, &all).await;
    let user = "UPDATE archon_mcp_sessions SET user_id = 'u\\1', user_name = 'Jürgen'
                WHERE client_type = '100%_sure'";
    store.run(user).await;
    let by_text = async |text: &str| {
        let text = Some(text.to_owned());
        let mut found = sessions(store, SessionQuery { text, ..Default::default() }).await;
        found.reverse();
        let place = |id: &SessionId| all.iter().position(|session| session.id == *id).unwrap();
        found.iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(by_text("CURSOR").await, [0, 4]);
    assert_eq!(by_text("%_").await, [1]);
    assert_eq!(by_text("%").await, [1]);
    assert_eq!(by_text("_").await, [1]);
    assert_eq!(by_text("100").await, [1, 2]);
    assert_eq!(by_text("u\\1").await, [1]);
    assert_eq!(by_text("jürg").await, [1]);
    assert_eq!(by_text("'s \"Q").await, [3]);
    assert_eq!(by_text("\0").await, [0; 0]);
    assert_eq!(by_text("'; DROP TABLE archon_mcp_sessions; --").await, [0; 0]);
    assert_eq!(by_text(&"%".repeat(100_000)).await, [0; 0]);
    let id = all[2].id.to_string();
    assert_eq!(by_text(&id).await, [2]);
    assert_eq!(by_text(&id[..13].to_uppercase()).await, [2]);

    let of = async |query: SessionQuery| sessions(store, query).await.len();
    for sort in [SessionSort::ConnectedAt, SessionSort::LastActivity] {
        let any = SessionQuery { sort, ..SessionQuery::default() };
        let client_type = Some("Cursor".to_owned());
        let cursor = SessionQuery { client_type, ..any.clone() };
        assert_eq!(of(cursor.clone()).await, 2);
        assert_eq!(of(SessionQuery { status: Some(Status::Active), ..cursor }).await, 1);
        assert_eq!(of(SessionQuery { user: Some("u\\1".into()), ..any.clone() }).await, 1);
        assert_eq!(of(SessionQuery { user: Some("u\0".into()), ..any.clone() }).await, 0);
        assert_eq!(of(SessionQuery { client_type: Some("%".into()), ..any }).await, 0);
    }
}

async fn a_record_says_what_a_session_used(store: &dyn Database) {
    let mut one = began("cursor", 0, 0);
    create(store, std::slice::from_ref(&one)).await;
    track(store, vec![call(&one, "a", Outcome::Error, 1), call(&one, "b", Outcome::Success, 2)])
        .await;
    track(store, vec![call(&one, "a", Outcome::Timeout, 3), request(SessionId::random())]).await;
    one = ended(one, DisconnectReason::Operator, 60);
    let batch = Batch { created: vec![one.clone()], ended: vec![one.clone()], ..Batch::default() };
    // A batch whose outcome was unknown comes again, without its requests.
    store.apply(&batch).await.unwrap();
    store.apply(&batch).await.unwrap();
    let record = store.session_record(one.id).await.unwrap().unwrap();
    let expected = Totals {
        requests: 3,
        errors: 1,
        timeouts: 1,
        prompt_tokens: 9,
        completion_tokens: 12,
        cost_micros: 207,
    };
    assert_eq!(record.totals, expected);
    assert_eq!(record.upstreams, ["demo"]);
    assert_eq!((record.total_duration, record.session.reconnect_count), (Some(60), 0));
    assert_eq!(record.disconnect_reason.as_deref(), Some("operator"));
    assert_eq!(
        (record.session.status(), record.client_type.as_str()),
        (Status::Disconnected, "Cursor")
    );
    assert_eq!(record.session.client, one.client);
    let failures = store.failures(Some(one.id)).await.unwrap();
    let expected = Failures { requests: 3, errors: 1, timeouts: 1, last_at: Some(at(3)) };
    assert_eq!(failures, expected);
    assert_eq!(store.failures(None).await.unwrap(), expected);
}

async fn a_record_names_the_upstreams_that_a_session_used(store: &dyn Database) {
    let (one, other) = (began("cursor", 0, 0), began("zed", 1, 1));
    create(store, &[one.clone(), other.clone()]).await;
    let at = |session: &Session, upstream: &str| RequestRow {
        upstream: upstream.into(),
        ..request(session.id)
    };
    track(store, vec![at(&one, "zebra"), at(&one, ""), at(&one, "zebra")]).await;
    track(store, vec![at(&one, "x'\"\0"), at(&one, "zebra")]).await;
    track(store, (0..20).map(|n| at(&one, &format!("made up {n}"))).collect()).await;
    let record = store.session_record(one.id).await.unwrap().unwrap();
    assert_eq!(record.upstreams[..2], ["zebra", "x'\"\u{fffd}"]);
    assert_eq!(record.upstreams.len(), UPSTREAMS_MAX);
    let listed = Reports::sessions(store, &SessionQuery { limit: 9, ..Default::default() }).await;
    let listed: Vec<_> = listed.unwrap().rows.into_iter().map(|row| row.upstreams).collect();
    assert_eq!(listed, [vec![], record.upstreams]);
}

async fn health_is_of_this_moment(store: &dyn Database) {
    let now = 2 * DAY_SECONDS;
    let old = ended(began("old", 0, 0), DisconnectReason::Error, 100);
    // Just within the day, in an hour of which a part is without.
    let first = ended(
        began("first", now - DAY_SECONDS, now),
        DisconnectReason::Error,
        now - DAY_SECONDS + 30,
    );
    let before = began("before", now - DAY_SECONDS - 1, now - 601);
    let aging = began("aging", now - HOUR, now - 300);
    let healthy = began("healthy", now - 600, now - 299);
    let all = [old, first, before, aging, healthy];
    create(store, &all).await;
    create(store, &all).await;
    let health = store.session_health(at(now)).await.unwrap();
    assert_eq!((health.active, health.ended), (3, 2));
    assert_eq!(health.ages, Ages { healthy: 1, aging: 1, stale: 1 });
    let expected = LastDay { sessions: 3, ended: 1, duration_seconds: 30 + HOUR + 600 };
    assert_eq!(health.last_day, expected);
    let recent: Vec<_> = health.recent.iter().map(|record| record.session.id).collect();
    assert_eq!(recent, [&all[1], &all[4], &all[3], &all[2], &all[0]].map(|session| session.id));

    // What is deleted is not there any more, and what is imported is.
    store
        .run(
            "DELETE FROM archon_mcp_sessions WHERE client_type IN ('old', 'healthy');
             INSERT INTO archon_mcp_sessions (session_id, client_type, connected_at, last_activity, status)
             VALUES ('3f2b8c1e-0000-4000-8000-000000000001', 'x', '2025-01-11T00:20:45.000000Z',
                     '2025-01-11T00:20:45.000000Z', 'expired')",
        )
        .await;
    let health = store.session_health(at(now)).await.unwrap();
    assert_eq!((health.active, health.ended, health.ages.healthy), (2, 2, 0));
    let expected = LastDay { sessions: 2, ended: 1, duration_seconds: 30 + HOUR };
    assert_eq!(health.last_day, expected);
    let total = Reports::sessions(store, &SessionQuery::default()).await.unwrap().total;
    assert_eq!(total, Total::exact(4));
}

async fn ends_are_counted_by_reason(store: &dyn Database) {
    let all = [
        ended(began("a", 0, 0), DisconnectReason::Operator, 10),
        ended(began("b", 0, 0), DisconnectReason::TimeoutNoActivity, 2 * DAY_SECONDS),
        ended(began("c", 0, 0), DisconnectReason::Operator, 2 * DAY_SECONDS + 5),
        ended(began("d", 2 * DAY_SECONDS, 0), DisconnectReason::Operator, 2 * DAY_SECONDS + 7),
        began("e", 0, 0),
    ];
    create(store, &all).await;
    let found = store.disconnected(at(DAY_SECONDS), 2).await.unwrap();
    let ids: Vec<_> = found.sessions.iter().map(|record| record.session.id).collect();
    assert_eq!(ids, [all[3].id, all[2].id]);
    assert_eq!(found.total, 3);
    let reasons = [("operator", 2), ("timeout_no_activity", 1)];
    assert_eq!(found.reasons, reasons.map(|(reason, count)| (reason.to_owned(), count)));
    assert_eq!(found.duration_seconds, 4 * DAY_SECONDS + 12);
    assert_eq!(found.min_duration_seconds, Some(7));
    assert_eq!(found.max_duration_seconds, Some(2 * DAY_SECONDS + 5));
    let since_all = store.disconnected(at(-HOUR), 100).await.unwrap();
    assert_eq!((since_all.total, since_all.sessions.len()), (4, 4));
}

async fn requests_are_found_by_what_is_asked_for(store: &dyn Database) {
    let (one, other) = (began("cursor", 0, 0), began("zed", 0, 0));
    create(store, &[one.clone(), other.clone()]).await;
    let mut odd = call(&one, "100%_\"'\\", Outcome::Error, 3);
    odd.error = Some("it's [odd]\u{1F600}".into());
    let rows = vec![
        call(&one, "a", Outcome::Success, 1),
        call(&other, "a", Outcome::Timeout, 2),
        odd,
        call(&other, "b", Outcome::Error, 3),
        call(&one, "b", Outcome::Success, DAY_SECONDS),
    ];
    for row in &rows {
        track(store, vec![row.clone()]).await;
    }
    let any = RequestQuery::default;
    let all = requests(store, any()).await;
    assert_eq!(all.len(), 5);
    assert!(all.is_sorted_by(|one, next| one > next), "the latest first");
    let places = async |query: RequestQuery| {
        let found = requests(store, query).await;
        let place = |id: &i64| 4 - all.iter().position(|other| other == id).unwrap();
        found.iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(places(RequestQuery { session: Some(one.id), ..any() }).await, [4, 2, 0]);
    let tool = Some("a".to_owned());
    assert_eq!(places(RequestQuery { tool: tool.clone(), ..any() }).await, [1, 0]);
    let session = Some(other.id);
    assert_eq!(places(RequestQuery { tool, session, ..any() }).await, [1]);
    let outcomes = vec![Outcome::Error, Outcome::Timeout];
    assert_eq!(places(RequestQuery { outcomes: outcomes.clone(), ..any() }).await, [3, 2, 1]);
    assert_eq!(places(RequestQuery { outcomes: outcomes.clone(), session, ..any() }).await, [3, 1]);
    let outcomes = vec![Outcome::Timeout];
    assert_eq!(places(RequestQuery { outcomes, ..any() }).await, [1]);
    let outcomes = vec![Outcome::Success];
    assert_eq!(places(RequestQuery { outcomes: outcomes.clone(), ..any() }).await, [4, 0]);
    let (from, until) = (Some(at(2)), Some(at(4)));
    assert_eq!(places(RequestQuery { from, until, ..any() }).await, [3, 2, 1]);
    let outcomes = vec![Outcome::Error];
    assert_eq!(places(RequestQuery { from, until, outcomes, ..any() }).await, [3, 2]);
    let by_text =
        async |text: &str| places(RequestQuery { text: Some(text.to_owned()), ..any() }).await;
    assert_eq!(by_text("BROKE").await, [3, 1]);
    assert_eq!(by_text("%").await, [2]);
    assert_eq!(by_text("_").await, [2]);
    assert_eq!(by_text("\"'\\").await, [2]);
    assert_eq!(by_text("[odd]\u{1F600}").await, [2]);
    assert_eq!(by_text("\0").await, [0; 0]);
    assert_eq!(by_text("tools/").await, [4, 3, 2, 1, 0]);

    let record = store.requests(&RequestQuery { limit: 1, ..any() }).await.unwrap().rows.remove(0);
    assert_eq!((record.row, record.client_type.as_deref()), (rows[4].clone(), Some("Cursor")));
}

async fn use_is_summed_up_by_day(store: &dyn Database) {
    let issuer = "https://issuer.example".into();
    let known = Principal::Identified { issuer, subject: "u".into() };
    let one = Session { principal: known, ..began("cursor", 0, 0) };
    let other = began("zed", 0, 0);
    create(store, &[one.clone(), other.clone()]).await;
    let mut rows = [
        call(&one, "a", Outcome::Success, 0),
        call(&one, "a", Outcome::Error, 0),
        call(&other, "b", Outcome::Timeout, HOUR),
        call(&other, "a", Outcome::Success, DAY_SECONDS),
        call(&other, "a", Outcome::Success, -DAY_SECONDS),
    ];
    rows[2].tool = None;
    rows[3].duration_us = 1_000_000;
    rows[3].upstream = "other".into();
    track(store, rows[..2].to_vec()).await;
    track(store, rows[2..].to_vec()).await;

    let days = Days::between(at(0), at(DAY_SECONDS));
    let usage = store.usage(days).await.unwrap();
    let expected = Usage {
        requests: 4,
        errors: 1,
        timeouts: 1,
        prompt_tokens: 12,
        completion_tokens: 16,
        cost_micros: 276,
        duration_us: 1_004_500,
        min_duration_us: 1_500,
        max_duration_us: 1_000_000,
    };
    assert_eq!((usage.total, usage.sessions), (expected, 2));
    let counts = |named: &[NamedUsage]| -> Vec<(String, i64)> {
        named.iter().map(|named| (named.name.clone(), named.usage.requests)).collect()
    };
    let named = |all: [(&str, i64); 2]| all.map(|(name, count)| (name.to_owned(), count)).to_vec();
    let tools: Vec<_> = usage
        .by_tool
        .iter()
        .map(|of| (&*of.name.upstream, &*of.name.tool, of.usage.requests))
        .collect();
    assert_eq!(tools, [("demo", "a", 2), ("", "", 1), ("other", "a", 1)]);
    assert_eq!(counts(&usage.by_client), named([("Cursor", 2), ("Zed", 2)]));
    assert_eq!(counts(&usage.by_user), named([("", 2), ("https://issuer.example#u", 2)]));

    let analytics = store.analytics(days).await.unwrap();
    assert_eq!((analytics.total, analytics.previous.requests), (expected, 1));
    let daily: Vec<i64> = analytics.daily.iter().map(|day| day.usage.requests).collect();
    assert_eq!(daily, [2, 2]);
    // The base of these moments is at 23:06.
    let hourly: Vec<i64> = analytics.hourly.iter().map(|hour| hour.requests).collect();
    assert_eq!((hourly[23], hourly[0], hourly.iter().sum::<i64>()), (3, 1, 4));
    let percentiles = analytics.percentiles;
    assert!((1_500..1_600).contains(&percentiles.p50_us), "{percentiles:?}");
    assert!((950_000..=1_000_000).contains(&percentiles.p99_us), "{percentiles:?}");
    let times: Vec<_> = analytics.by_tool.iter().map(|tool| tool.percentiles.p95_us).collect();
    assert!((1_500..1_600).contains(&times[0]) && times[2] >= 950_000, "{times:?}");
    assert_eq!(times[1], 0, "what was not answered has no response time");
}

async fn sessions_count_on_days_on_which_they_made_requests(store: &dyn Database) {
    let all: Vec<Session> = (0..4).map(|_| began("cursor", 0, 0)).collect();
    create(store, &all).await;
    // The first two on two days each, the third on the last only, and the fourth is there and silent.
    let on = |session: &Session, day: i64| call(session, "a", Outcome::Success, day * DAY_SECONDS);
    track(store, vec![on(&all[0], 0), on(&all[0], 0), on(&all[1], 0), on(&all[1], 1)]).await;
    track(store, vec![on(&all[1], 1), on(&all[0], 3), on(&all[2], 3)]).await;
    track(store, vec![on(&all[2], 3), request(SessionId::random())]).await;
    let counted = async |first: i64, last: i64| {
        let days = Days::between(at(first * DAY_SECONDS), at(last * DAY_SECONDS));
        store.usage(days).await.unwrap().sessions
    };
    for ((first, last), expected) in [
        ((-5, -1), 0),
        ((0, 0), 2),
        ((1, 1), 1),
        ((2, 2), 0),
        ((3, 3), 2),
        ((0, 1), 2),
        ((1, 3), 3),
        ((0, 3), 3),
        ((-9, 9), 3),
        ((4, 9), 0),
    ] {
        assert_eq!(counted(first, last).await, expected, "days {first} to {last}");
    }
    // What ended on an earlier day than it is written on is not counted twice.
    track(store, vec![on(&all[2], 1)]).await;
    assert_eq!(counted(0, 3).await, 3);
}

async fn names_that_a_client_makes_up_are_counted_together(store: &dyn Database) {
    let one = began("cursor", 0, 0);
    create(store, std::slice::from_ref(&one)).await;
    let named = |n: i64| call(&one, &format!("made up {n}"), Outcome::Success, n % 60);
    for from in [0, NAMES_A_DAY] {
        track(store, (from..from + NAMES_A_DAY).map(named).collect()).await;
    }
    // A name that counted goes on counting.
    track(store, vec![named(0)]).await;
    let usage = store.usage(Days::until(at(0), 1)).await.unwrap();
    assert_eq!(usage.by_tool.len() as i64, NAMES_A_DAY + 1);
    let requests = |at: usize| (&*usage.by_tool[at].name.tool, usage.by_tool[at].usage.requests);
    assert_eq!(requests(0), ("other", NAMES_A_DAY));
    assert_eq!(requests(1), ("made up 0", 2));
    let analytics = store.analytics(Days::until(at(0), 1)).await.unwrap();
    assert_eq!(analytics.by_tool[0].usage.requests, NAMES_A_DAY);
    assert!(analytics.by_tool.iter().all(|tool| tool.percentiles.p99_us >= 1_500));
}

async fn values_beyond_all_measure_harm_no_sum(store: &dyn Database) {
    let mut one = began("\u{1F600}", 0, 0);
    one.client.name = Some("\u{1F600}\0".repeat(60).into());
    create(store, std::slice::from_ref(&one)).await;
    let mut row = call(&one, &"\u{1F600}\0".repeat(400), Outcome::Success, 0);
    (row.prompt_tokens, row.cost_micros, row.duration_us) = (i64::MAX, i64::MAX, i64::MAX / 2);
    track(store, vec![row.clone(), row.clone()]).await;
    track(store, vec![row]).await;
    let usage = store.usage(Days::until(at(0), 1)).await.unwrap();
    assert_eq!((usage.total.requests, usage.by_tool.len()), (3, 1));
    assert_eq!(store.session_record(one.id).await.unwrap().unwrap().totals.requests, 3);
}

async fn a_total_is_about_right_where_old_requests_were_deleted(store: &dyn Database) {
    let one = began("cursor", 0, 0);
    create(store, std::slice::from_ref(&one)).await;
    track(store, vec![call(&one, "a", Outcome::Success, 0)]).await;
    track(store, vec![call(&one, "a", Outcome::Success, DAY_SECONDS)]).await;
    store
        .run("DELETE FROM archon_mcp_requests WHERE id = (SELECT min(id) FROM archon_mcp_requests)")
        .await;
    let page = store.requests(&RequestQuery { limit: 9, ..Default::default() }).await.unwrap();
    assert_eq!((page.rows.len(), page.total), (1, Total { count: 1, is_exact: false }));
    let usage = store.usage(Days::between(at(0), at(DAY_SECONDS))).await.unwrap();
    assert_eq!(usage.total.requests, 2, "what was used stays used");
}

async fn a_search_goes_on_behind_its_window(store: &dyn Database) {
    let one = began("cursor", 0, 0);
    create(store, std::slice::from_ref(&one)).await;
    let needle = call(&one, "needle", Outcome::Success, 0);
    track(store, vec![needle]).await;
    let hay = vec![call(&one, "hay", Outcome::Success, 0); WINDOW / 4];
    for _ in 0..4 {
        track(store, hay.clone()).await;
    }
    let mut query = RequestQuery { limit: 9, text: Some("needle".into()), ..Default::default() };
    let page = store.requests(&query).await.unwrap();
    assert_eq!((page.rows.len(), page.total), (0, Total { count: 0, is_exact: false }));
    // Without time it says how far it came, and the next search goes on there.
    let found = search(store, &query, Duration::ZERO).await.unwrap();
    assert_eq!((found.page.rows.len(), found.back_to), (0, Some(at(0))));
    let mut further = query.clone();
    further.continue_at(&found.page.next.unwrap()).unwrap();
    let found = search(store, &further, Duration::ZERO).await.unwrap();
    assert_eq!((found.page.rows.len(), found.page.next, found.back_to), (1, None, None));
    // With time it comes to the end.
    let found = search(store, &query, Duration::MAX).await.unwrap();
    assert_eq!((found.page.rows.len(), found.page.next, found.back_to), (1, None, None));
    assert_eq!(found.page.total, Total::exact(1));
    let offset = RequestQuery { offset: 1, ..query.clone() };
    let found = search(store, &offset, Duration::MAX).await.unwrap();
    assert_eq!((found.page.rows.len(), found.page.total), (0, Total::exact(1)));
    let hay = RequestQuery { limit: 9, offset: 7, text: Some("hay".into()), ..Default::default() };
    let found = search(store, &hay, Duration::MAX).await.unwrap();
    assert_eq!((found.page.rows.len(), found.back_to), (9, None));
    query.continue_at(&page.next.unwrap()).unwrap();
    let page = store.requests(&query).await.unwrap();
    assert_eq!((page.rows.len(), page.next), (1, None));
}

async fn prices_can_be_set(store: &dyn Database) {
    let price = |model: &str, input_per_1k: f64, effective_date: &str| ModelPrice {
        provider: "a'b".into(),
        model: model.into(),
        input_per_1k,
        output_per_1k: 0.25,
        effective_date: effective_date.into(),
    };
    let before = store.prices().await.unwrap().len();
    let new = [price("m", 0.5, "2025-01-01"), price("m", 1.0, "2026-01-02")];
    store.put_prices(&new).await.unwrap();
    store
        .put_prices(&[price("m", 0.125, "2025-01-01"), price("m", 0.75, "2025-01-01")])
        .await
        .unwrap();
    let prices = store.prices().await.unwrap();
    assert_eq!(prices.len(), before + 2);
    let own: Vec<_> = prices.into_iter().filter(|price| price.model == "m").collect();
    assert_eq!(own, [price("m", 1.0, "2026-01-02"), price("m", 0.75, "2025-01-01")]);
    let in_effect = store.price("m", at(0)).await.unwrap().unwrap();
    assert_eq!(in_effect.input_per_1k, 1.0);
    let earlier = store.price("m", at(0).minus(Duration::from_secs(30 * 86_400))).await.unwrap();
    assert_eq!(earlier.unwrap().input_per_1k, 0.75);
}

on_each_database! {
    nothing_is_reported_of_empty_tables,
    a_list_of_sessions_has_no_gaps_and_nothing_twice,
    sessions_are_found_by_what_is_asked_for,
    a_record_says_what_a_session_used,
    a_record_names_the_upstreams_that_a_session_used,
    health_is_of_this_moment,
    ends_are_counted_by_reason,
    requests_are_found_by_what_is_asked_for,
    use_is_summed_up_by_day,
    sessions_count_on_days_on_which_they_made_requests,
    names_that_a_client_makes_up_are_counted_together,
    values_beyond_all_measure_harm_no_sum,
    a_total_is_about_right_where_old_requests_were_deleted,
    a_search_goes_on_behind_its_window,
    prices_can_be_set,
}

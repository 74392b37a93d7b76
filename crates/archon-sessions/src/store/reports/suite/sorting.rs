//! Lists by what sessions used, how long they lasted, and who their clients are.

use super::*;

const SORTS: [SessionSort; 5] = [
    SessionSort::Requests,
    SessionSort::Errors,
    SessionSort::Cost,
    SessionSort::Duration { now: NOW },
    SessionSort::ClientType,
];
const NOW: Timestamp = Timestamp::from_micros(1_768_000_000_000_000 + 500 * 1_000_000 + 999_999);

/// Ten sessions of two clients that used more or less, in pairs of equals; of each pair one has ended.
async fn filled(store: &dyn Database) -> Vec<Session> {
    let mut all: Vec<Session> = (0..10)
        .map(|n| began(if n % 3 == 0 { "zed" } else { "cursor" }, n / 2, 20 + n % 4))
        .collect();
    for session in all.iter_mut().step_by(2) {
        *session = ended(session.clone(), DisconnectReason::Operator, 400);
    }
    create(store, &all).await;
    for (n, session) in all.iter().enumerate() {
        let pair = n as i64 / 2;
        let mut calls = vec![call(session, "a", Outcome::Success, 1); (pair % 3) as usize + 1];
        if let [first, second] = &mut calls[..] {
            (first.outcome, second.outcome) = (Outcome::Timeout, Outcome::Error);
        }
        calls[0].cost_micros = 1_000 * (5 - pair);
        track(store, calls).await;
    }
    all
}

async fn figures_of(
    store: &dyn Database,
    ids: &[SessionId],
    sort: SessionSort,
) -> Vec<(String, i64)> {
    let mut figures = Vec::new();
    for id in ids {
        let record = store.session_record(*id).await.unwrap().unwrap();
        let figure = record.sort_key(sort);
        let is_by_type = sort == SessionSort::ClientType;
        figures.push((if is_by_type { record.client_type } else { String::new() }, figure));
    }
    figures
}

async fn sessions_are_listed_by_what_they_used(store: &dyn Database) {
    let all = filled(store).await;
    for sort in SORTS {
        for order in [Order::Descending, Order::Ascending] {
            for status in [None, Some(Status::Active), Some(Status::Disconnected)] {
                let query = SessionQuery { sort, order, status, ..SessionQuery::default() };
                let found = sessions(store, query).await;
                let expected = if status.is_some() { all.len() / 2 } else { all.len() };
                assert_eq!(found.len(), expected, "{sort:?} {order:?} {status:?}");
                let mut figures = figures_of(store, &found, sort).await;
                if order == Order::Descending {
                    figures.reverse();
                }
                assert!(figures.is_sorted(), "{sort:?} {order:?} {status:?}: {figures:?}");
                assert!(figures[0] < figures[expected - 1], "{figures:?}");
            }
        }
        let client_type = Some("Zed".to_owned());
        let by_type = SessionQuery { sort, client_type, ..SessionQuery::default() };
        assert_eq!(sessions(store, by_type).await.len(), 4, "{sort:?}");
        let text = Some(all[3].id.to_string());
        let by_id = SessionQuery { sort, text, ..SessionQuery::default() };
        assert_eq!(sessions(store, by_id).await, [all[3].id], "{sort:?}");
        let text = Some("CURS".to_owned());
        let by_text = SessionQuery { sort, text, ..SessionQuery::default() };
        assert_eq!(sessions(store, by_text).await.len(), 6, "{sort:?}");
    }
}

async fn the_figures_are_those_of_the_sessions(store: &dyn Database) {
    let all = filled(store).await;
    let now = NOW;
    let first = async |sort| sessions(store, SessionQuery { sort, ..Default::default() }).await[0];
    // Of equals the one with the larger id comes first.
    let either = |pair: usize| all[2 * pair].id.max(all[2 * pair + 1].id);
    assert_eq!(first(SessionSort::Requests).await, either(2));
    assert_eq!(first(SessionSort::Cost).await, either(0));
    // It began first and is active still, for 100 s longer than the other lasted.
    assert_eq!(first(SessionSort::Duration { now }).await, all[1].id);
}

async fn active_sessions_do_not_grow_older_between_pages(store: &dyn Database) {
    let all: Vec<Session> = (0..6).map(|n| began("cursor", 10 * n, 60)).collect();
    create(store, &all).await;
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    for page in 0.. {
        let now = at(1_000 + 15 * page);
        let sort = SessionSort::Duration { now };
        let mut query = SessionQuery { sort, limit: 1, ..SessionQuery::default() };
        if let Some(cursor) = &cursor {
            query.continue_at(cursor).unwrap();
        }
        let page = Reports::sessions(store, &query).await.unwrap();
        found.extend(page.rows.iter().map(|record| record.session.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, all.iter().map(|session| session.id).collect::<Vec<_>>());
}

async fn a_search_in_a_sorted_list_goes_on_behind_its_window(store: &dyn Database) {
    let needle = ended(began("needle", 0, 0), DisconnectReason::Operator, 1);
    create(store, std::slice::from_ref(&needle)).await;
    let hay = |n: usize| ended(began("hay", 0, 0), DisconnectReason::Operator, 2 + n as i64 % 9);
    for part in 0..4 {
        let part: Vec<_> = (0..WINDOW / 4).map(|n| hay(part * n)).collect();
        create(store, &part).await;
    }
    let sort = SessionSort::Duration { now: NOW };
    let text = Some("needle".to_owned());
    let mut query = SessionQuery { sort, text, limit: 9, ..SessionQuery::default() };
    let page = Reports::sessions(store, &query).await.unwrap();
    assert_eq!((page.rows.len(), page.total), (0, Total { count: 0, is_exact: false }));
    query.continue_at(&page.next.unwrap()).unwrap();
    let page = Reports::sessions(store, &query).await.unwrap();
    assert_eq!((page.rows.len(), page.next), (1, None));
}

on_each_database! {
    sessions_are_listed_by_what_they_used,
    the_figures_are_those_of_the_sessions,
    active_sessions_do_not_grow_older_between_pages,
    a_search_in_a_sorted_list_goes_on_behind_its_window,
}

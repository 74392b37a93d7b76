//! Rows that people write with SQL are in lists and sums like our own.

use super::*;

const PEOPLE: &str = "
INSERT INTO archon_mcp_sessions
    (session_id, client_type, client_version, connected_at, last_activity, status)
VALUES ('550e8400-e29b-41d4-a716-446655440000', 'Claude Code', '1.0.0',
        '2026-01-10 12:00:00', '2026-01-10 12:00:30', 'active');
INSERT INTO archon_mcp_requests
    (session_id, method, tool_name, prompt_tokens, completion_tokens, estimated_cost, timestamp,
     duration_ms, status, error_message)
VALUES ('550e8400-e29b-41d4-a716-446655440000', 'tools/call', 'find_tasks', 10, 20, 0.0005,
        '2026-01-10 12:00:10', 25, 'success', NULL),
       ('550e8400-e29b-41d4-a716-446655440000', 'tools/call', 'find_tasks', 1, 2, 0,
        '2026-01-10 12:00:20', 75, 'error', 'it broke')";

fn theirs() -> SessionId {
    "550e8400-e29b-41d4-a716-446655440000".parse().unwrap()
}

fn noon() -> Timestamp {
    Timestamp::parse("2026-01-10T12:00:00Z").unwrap()
}

async fn rows_that_people_write_are_in_lists_and_sums(store: &dyn Database) {
    // Ours is counted already, and once.
    let ours = Session { connected_at: noon(), last_activity: noon(), ..session() };
    create(store, std::slice::from_ref(&ours)).await;
    let started = noon();
    track(store, vec![RequestRow { started, ..call(&ours, "find_tasks", Outcome::Success, 0) }])
        .await;
    store.run(PEOPLE).await;

    let days = Days::between(noon(), noon());
    for _ in 0..2 {
        let found = sessions(store, SessionQuery::default()).await;
        assert_eq!(found, [theirs(), ours.id]);
        let usage = store.usage(days).await.unwrap();
        let total = usage.total;
        assert_eq!((total.requests, total.errors, usage.sessions), (3, 1, 2));
        assert_eq!((total.prompt_tokens, total.completion_tokens), (14, 26));
        // They name no upstream.
        assert_eq!((usage.by_tool.len(), usage.by_tool[0].usage.requests), (2, 2));
        assert_eq!(usage.by_tool[0].usage.max_duration_us, 75_000);
        let record = store.session_record(theirs()).await.unwrap().unwrap();
        assert_eq!((record.totals.requests, record.totals.errors), (2, 1));
        assert_eq!((record.totals.cost_micros, &*record.client_type), (500, "Claude Code"));
        assert_eq!((record.session.connected_at, record.session.end), (noon(), None));
        let query = RequestQuery { limit: 9, ..RequestQuery::default() };
        let page = store.requests(&query).await.unwrap();
        assert_eq!((page.rows.len(), page.total.count), (3, 3));
        assert_eq!(page.rows[0].row.duration_us, 75_000);
        let analytics = store.analytics(days).await.unwrap();
        assert_eq!(analytics.by_tool[0].usage.requests, 2);
        let health = store.session_health(noon()).await.unwrap();
        assert_eq!((health.active, health.ended), (2, 0));
    }
    assert_eq!(store.active().await.unwrap().0.len(), 2);
    let session = store.session(theirs()).await.unwrap().unwrap();
    assert_eq!(session.idle_timeout, crate::session::IDLE_TIMEOUT);
}

async fn a_session_that_people_end_has_ended(store: &dyn Database) {
    let mut ours = began("ours", 0, 5);
    ours.id = theirs();
    create(store, &[ours.clone(), began("other", 0, 6)]).await;
    store
        .run(
            "UPDATE archon_mcp_sessions SET status = 'expired', disconnected_at = '2026-01-10 00:00:00',
                 disconnect_reason = 'timeout', total_duration = 7
             WHERE session_id = '550e8400-e29b-41d4-a716-446655440000'",
        )
        .await;
    let health = store.session_health(at(60)).await.unwrap();
    assert_eq!((health.active, health.ended, health.last_day.sessions), (1, 1, 2));
    assert_eq!(health.last_day.ended, 1);
    let ends = store.disconnected(at(0), 9).await.unwrap();
    assert_eq!((ends.sessions.len(), ends.total), (1, 1));
    let end = store.session(theirs()).await.unwrap().unwrap().end.unwrap();
    assert_eq!(end.at.to_string(), "2026-01-10T00:00:00.000000Z");
    assert!(end.imported);
}

async fn a_row_with_odd_values_costs_no_list(store: &dyn Database) {
    create(store, &[began("ours", 0, 5)]).await;
    store
        .run(
            "INSERT INTO archon_mcp_sessions
                 (session_id, client_type, connected_at, last_activity, status, era, principal,
                  idle_timeout_seconds, total_duration, reconnect_count, revision, disconnect_reason)
             VALUES ('550e8400-e29b-41d4-a716-446655440000', '', '2026-01-10 12:00:00', '2026-01-09 12:00:00',
                     'disconnected', 'stone', 'nobody', -5, -7, -1, -1, 'because');
             INSERT INTO archon_mcp_requests
                 (session_id, method, tool_name, prompt_tokens, completion_tokens, estimated_cost, timestamp,
                  duration_ms, status, duration_us, request_bytes)
             VALUES ('550e8400-e29b-41d4-a716-446655440000', '', '', -1, -2, -3, '2026-01-10', -4, 'timeout', -5, -6)",
        )
        .await;
    assert_eq!(sessions(store, SessionQuery::default()).await.len(), 2);
    let query = RequestQuery { limit: 9, ..RequestQuery::default() };
    assert_eq!(store.requests(&query).await.unwrap().rows.len(), 1);
    let usage = store.usage(Days::between(noon(), noon())).await.unwrap();
    assert_eq!((usage.total.requests, usage.total.timeouts), (1, 1));
    assert_eq!((usage.total.prompt_tokens, usage.total.duration_us), (0, 0));
    store.session_health(noon()).await.unwrap();
    store.disconnected(at(0), 9).await.unwrap();
    store.silent(noon(), 9).await.unwrap();
    store.check().await.unwrap();
    assert_eq!(store.unreadable(), 0);
}

on_each_database! {
    rows_that_people_write_are_in_lists_and_sums,
    a_session_that_people_end_has_ended,
    a_row_with_odd_values_costs_no_list,
}

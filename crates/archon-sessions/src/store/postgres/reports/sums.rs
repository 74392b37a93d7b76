//! What is read from the sums that are kept.

use std::collections::BTreeMap;
use std::time::Duration;

use const_format::concatcp;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::super::PostgresStore;
use super::super::rows::{read_time, read_time_if_any, time};
use super::rows;
use crate::session::{SessionId, Status, Timestamp};
use crate::store::reports::{
    AGING_AFTER, Ages, Analytics, Counts, Days, Disconnected, Failures, LastDay, Minute, NAMES_MAX,
    NamedUsage, STALE_AFTER, SessionHealth, Total, Usage, UsageReport, WINDOW, first_minute,
    in_a_row,
};
use crate::store::usage::hour_of;
use crate::store::{Outcome, StoreError};

const HOUR: Duration = Duration::from_secs(60 * 60);
/// Rows of answers in a report: each name has at most 265 buckets.
const ANSWERS_MAX: usize = NAMES_MAX * 265;

/// Counts the sessions of a status, or all.
pub(super) async fn sessions(
    store: &PostgresStore,
    status: Option<Status>,
) -> Result<Total, StoreError> {
    let count = sqlx::query(
        "SELECT coalesce(sum(sessions), 0)::bigint FROM archon_mcp_session_totals
         WHERE status = $1 OR $1 IS NULL",
    );
    let count =
        store.read_one(count.bind(status.map(Status::as_str))).await?.try_get::<i64, _>(0)?;
    Ok(Total::exact(u64::try_from(count).unwrap_or(0)))
}

/// Counts the requests of these outcomes, or all, since the hour of the oldest that is stored.
pub(super) async fn requests(
    store: &PostgresStore,
    outcomes: &[Outcome],
) -> Result<Total, StoreError> {
    let sums = sqlx::query(
        "WITH oldest AS (
             SELECT date_trunc('hour', timestamp AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS hour
             FROM archon_mcp_requests ORDER BY id LIMIT 1
         )
         SELECT coalesce(sum(requests), 0)::bigint, coalesce(sum(errors), 0)::bigint,
                coalesce(sum(timeouts), 0)::bigint,
                EXISTS (SELECT FROM archon_mcp_usage, oldest WHERE dimension = 'all' AND period < hour)
         FROM archon_mcp_usage, oldest WHERE dimension = 'all' AND period >= hour",
    );
    let row = store.read_one(sums).await?;
    Ok(Total::of_outcomes(
        outcomes,
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?),
        !row.try_get::<bool, _>(3)?,
    ))
}

pub(super) async fn failures(store: &PostgresStore) -> Result<Failures, StoreError> {
    let sums = sqlx::query(
        "SELECT coalesce(sum(requests), 0)::bigint, coalesce(sum(errors), 0)::bigint,
                coalesce(sum(timeouts), 0)::bigint,
                greatest((SELECT max(timestamp) FROM archon_mcp_requests
                          WHERE status <> 'success' AND status = 'error'),
                         (SELECT max(timestamp) FROM archon_mcp_requests
                          WHERE status <> 'success' AND status = 'timeout')) AS last_at
         FROM archon_mcp_usage WHERE dimension = 'all'",
    );
    read_failures(&store.read_one(sums).await?)
}

pub(super) async fn failures_of(
    store: &PostgresStore,
    session: SessionId,
) -> Result<Failures, StoreError> {
    let sums = sqlx::query(concatcp!(
        "SELECT total_requests, total_errors, total_timeouts,
                (SELECT max(timestamp) FROM
                     (SELECT timestamp, status FROM archon_mcp_requests
                      WHERE session_id = $1 ORDER BY id DESC LIMIT ",
        WINDOW,
        ") AS latest WHERE status <> 'success') AS last_at
         FROM archon_mcp_sessions WHERE session_id = $1"
    ));
    let found = store.read(sums.bind(session.as_uuid())).await?;
    found.first().map_or(Ok(Failures::default()), read_failures)
}

fn read_failures(row: &PgRow) -> Result<Failures, StoreError> {
    Ok(Failures {
        requests: row.try_get(0)?,
        errors: row.try_get(1)?,
        timeouts: row.try_get(2)?,
        last_at: read_time_if_any(row, "last_at")?,
    })
}

/// Returns all but the latest sessions.
pub(super) async fn session_health(
    store: &PostgresStore,
    now: Timestamp,
) -> Result<SessionHealth, StoreError> {
    let counts = sqlx::query(
        "SELECT (SELECT coalesce(sum(sessions), 0)::bigint FROM archon_mcp_session_totals
                 WHERE status = 'active'),
                (SELECT coalesce(sum(sessions), 0)::bigint FROM archon_mcp_session_totals
                 WHERE status <> 'active'),
                count(*) FILTER (WHERE last_activity >= $1), count(*) FILTER (WHERE last_activity < $1)
         FROM archon_mcp_sessions WHERE status = 'active' AND last_activity <= $2",
    );
    let counts = counts.bind(time(now.minus(STALE_AFTER))).bind(time(now.minus(AGING_AFTER)));
    let row = store.read_one(counts).await?;
    let (active, ended): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let (aging, stale): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
    let healthy = (active - aging - stale).max(0);
    Ok(SessionHealth {
        active,
        ended,
        ages: Ages { healthy, aging, stale },
        last_day: last_day(store, now).await?,
        recent: Vec::new(),
    })
}

/// Sums up whole hours, and, for the part of an hour that the day begins with, sessions themselves.
async fn last_day(store: &PostgresStore, now: Timestamp) -> Result<LastDay, StoreError> {
    let from = now.minus(24 * HOUR);
    let first_hour = hour_of(from).plus(HOUR);
    let sums = sqlx::query(
        "SELECT coalesce(sum(sessions), 0)::bigint, coalesce(sum(ended), 0)::bigint,
                coalesce(sum(seconds), 0)::bigint
         FROM (
             SELECT sessions, sessions - open AS ended,
                    open * extract(epoch FROM $1 - hour)::bigint - open_seconds + closed_seconds AS seconds
             FROM archon_mcp_session_starts WHERE hour >= $2
             UNION ALL
             SELECT count(*), count(*) FILTER (WHERE status <> 'active'),
                    sum(CASE WHEN status = 'active' THEN extract(epoch FROM $1 - connected_at)::bigint
                             ELSE coalesce(total_duration, 0) END)
             FROM archon_mcp_sessions WHERE connected_at >= $3 AND connected_at < $2
         ) AS parts",
    );
    let sums = sums.bind(time(now)).bind(time(first_hour)).bind(time(from));
    let row = store.read_one(sums).await?;
    let seconds: i64 = row.try_get(2)?;
    Ok(LastDay {
        sessions: row.try_get(0)?,
        ended: row.try_get(1)?,
        duration_seconds: seconds.max(0),
    })
}

/// Returns all but the sessions.
pub(super) async fn ends(
    store: &PostgresStore,
    since: Timestamp,
) -> Result<Disconnected, StoreError> {
    let sums = sqlx::query(
        "SELECT reason, sum(sessions)::bigint, sum(seconds)::bigint, min(min_seconds), max(max_seconds)
         FROM archon_mcp_session_ends WHERE hour >= $1
         GROUP BY reason ORDER BY 2 DESC, reason LIMIT $2",
    );
    let sums = sums.bind(time(hour_of(since))).bind(NAMES_MAX as i64);
    let mut sum = Disconnected::default();
    for row in &store.read(sums).await? {
        sum.add_reason(
            row.try_get(0)?,
            row.try_get(1)?,
            row.try_get(2)?,
            row.try_get(3)?,
            row.try_get(4)?,
        );
    }
    Ok(sum)
}

const TOTAL: &str = concatcp!(
    "SELECT ",
    rows::USAGE,
    " FROM archon_mcp_usage WHERE dimension = 'all' AND period >= $1 AND period < $2"
);
const BY_NAME: &str = concatcp!(
    "SELECT name, ",
    rows::USAGE,
    " FROM archon_mcp_usage WHERE dimension = $1 AND period >= $2 AND period < $3
     GROUP BY name ORDER BY sum(requests) DESC, name LIMIT ",
    NAMES_MAX
);
const BY_HOUR: &str = concatcp!(
    "SELECT period, ",
    rows::USAGE,
    " FROM archon_mcp_usage WHERE dimension = 'all' AND period >= $1 AND period < $2 GROUP BY period"
);
/// Ordered as Rust orders texts.
const ANSWERS: &str = concatcp!(
    "SELECT tool, bucket, sum(answers)::bigint FROM archon_mcp_latency WHERE day >= $1 AND day < $2
     GROUP BY tool, bucket ORDER BY tool COLLATE \"C\", bucket LIMIT ",
    ANSWERS_MAX
);

pub(super) async fn usage(store: &PostgresStore, days: Days) -> Result<UsageReport, StoreError> {
    // Whose day before is one of these has been counted on that one.
    let sessions = sqlx::query(
        "SELECT coalesce(sum(sessions), 0)::bigint FROM archon_mcp_session_days
         WHERE day >= $1 AND day < $2 AND previous < $1",
    );
    let sessions = sessions.bind(time(days.start())).bind(time(days.end()));
    Ok(UsageReport {
        days,
        total: total(store, days).await?,
        sessions: store.read_one(sessions).await?.try_get(0)?,
        by_tool: by_name(store, "tool", days).await?.into_iter().map(Into::into).collect(),
        by_client: by_name(store, "client", days).await?,
        by_user: by_name(store, "user", days).await?,
    })
}

pub(super) async fn analytics(store: &PostgresStore, days: Days) -> Result<Analytics, StoreError> {
    let hours = sqlx::query(BY_HOUR).bind(time(days.start())).bind(time(days.end()));
    let hours = store.read(hours).await?;
    let hours = hours
        .iter()
        .map(|row| Ok((read_time(row, "period")?, rows::usage(row, 1)?)))
        .collect::<Result<Vec<_>, StoreError>>()?;
    let answers = sqlx::query(ANSWERS).bind(time(days.start())).bind(time(days.end()));
    let answers = store.read(answers).await?;
    let answers = answers.iter().map(rows::answers).collect::<Result<Vec<_>, _>>()?;
    let previous = total(store, days.previous()).await?;
    Ok(Analytics::of(days, &hours, previous, by_name(store, "tool", days).await?, &answers))
}

pub(super) async fn minutes(
    store: &PostgresStore,
    now: Timestamp,
    count: u32,
) -> Result<Vec<Minute>, StoreError> {
    let sums = sqlx::query(
        "SELECT minute, sum(requests)::bigint, sum(errors)::bigint, sum(timeouts)::bigint
         FROM archon_mcp_minutes WHERE minute >= $1 GROUP BY minute",
    );
    let mut counts = BTreeMap::new();
    for row in &store.read(sums.bind(time(first_minute(now, count)))).await? {
        let (requests, errors, timeouts) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        counts.insert(read_time(row, "minute")?, Counts { requests, errors, timeouts });
    }
    Ok(in_a_row(now, count, &counts))
}

async fn total(store: &PostgresStore, days: Days) -> Result<Usage, StoreError> {
    let sums = sqlx::query(TOTAL).bind(time(days.start())).bind(time(days.end()));
    rows::usage(&store.read_one(sums).await?, 0)
}

async fn by_name(
    store: &PostgresStore,
    dimension: &'static str,
    days: Days,
) -> Result<Vec<NamedUsage>, StoreError> {
    let sums = sqlx::query(BY_NAME).bind(dimension).bind(time(days.start())).bind(time(days.end()));
    store.read(sums).await?.iter().map(rows::named_usage).collect()
}

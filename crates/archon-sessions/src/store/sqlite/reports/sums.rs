//! What is read from the sums that are kept.

use std::collections::BTreeMap;
use std::time::Duration;

use const_format::concatcp;
use sqlx::Row;
use sqlx::sqlite::SqlitePool;

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
    pool: &SqlitePool,
    status: Option<Status>,
) -> Result<Total, StoreError> {
    let count: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(sessions), 0) FROM archon_mcp_session_totals WHERE status = ?1 OR ?1 IS NULL",
    )
    .bind(status.map(Status::as_str))
    .fetch_one(pool)
    .await?;
    Ok(Total::exact(u64::try_from(count).unwrap_or(0)))
}

/// Counts the requests of these outcomes, or all, since the hour of the oldest that is stored.
pub(super) async fn requests(pool: &SqlitePool, outcomes: &[Outcome]) -> Result<Total, StoreError> {
    let row = sqlx::query(
        "WITH oldest AS (
             SELECT (SELECT substr(timestamp, 1, 13) FROM archon_mcp_requests
                     WHERE coalesce(intake, 1) = 1 ORDER BY id LIMIT 1)
                 || ':00:00.000000Z' AS hour
         )
         SELECT coalesce(sum(requests), 0), coalesce(sum(errors), 0), coalesce(sum(timeouts), 0),
                EXISTS (SELECT 1 FROM archon_mcp_usage, oldest WHERE dimension = 'all' AND period < hour)
         FROM archon_mcp_usage, oldest WHERE dimension = 'all' AND period >= hour",
    )
    .fetch_one(pool)
    .await?;
    Ok(Total::of_outcomes(
        outcomes,
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?),
        !row.try_get::<bool, _>(3)?,
    ))
}

pub(super) async fn failures(pool: &SqlitePool) -> Result<Failures, StoreError> {
    let row = sqlx::query(
        "SELECT coalesce(sum(requests), 0), coalesce(sum(errors), 0), coalesce(sum(timeouts), 0),
                (SELECT max(timestamp) FROM archon_mcp_requests
                 WHERE status <> 'success' AND status = 'error' AND coalesce(intake, 1) = 1),
                (SELECT max(timestamp) FROM archon_mcp_requests
                 WHERE status <> 'success' AND status = 'timeout' AND coalesce(intake, 1) = 1)
         FROM archon_mcp_usage WHERE dimension = 'all'",
    )
    .fetch_one(pool)
    .await?;
    let (error, timeout): (Option<&str>, Option<&str>) = (row.try_get(3)?, row.try_get(4)?);
    Ok(Failures {
        requests: row.try_get(0)?,
        errors: row.try_get(1)?,
        timeouts: row.try_get(2)?,
        last_at: error.max(timeout).and_then(Timestamp::parse),
    })
}

pub(super) async fn failures_of(
    pool: &SqlitePool,
    session: SessionId,
) -> Result<Failures, StoreError> {
    let row = sqlx::query(concatcp!(
        "SELECT total_requests, total_errors, total_timeouts,
                (SELECT max(timestamp) FROM
                     (SELECT timestamp, status FROM archon_mcp_requests
                      WHERE session_id = s.session_id AND coalesce(intake, 1) = 1 ORDER BY id DESC LIMIT ",
        WINDOW,
        ") WHERE status <> 'success')
         FROM archon_mcp_sessions s WHERE session_id = ?"
    ))
    .bind(session.to_string())
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(Failures::default()) };
    Ok(Failures {
        requests: row.try_get(0)?,
        errors: row.try_get(1)?,
        timeouts: row.try_get(2)?,
        last_at: row.try_get::<Option<&str>, _>(3)?.and_then(Timestamp::parse),
    })
}

/// Returns all but the latest sessions.
pub(super) async fn session_health(
    pool: &SqlitePool,
    now: Timestamp,
) -> Result<SessionHealth, StoreError> {
    let row = sqlx::query(
        "SELECT (SELECT coalesce(sum(sessions), 0) FROM archon_mcp_session_totals WHERE status = 'active'),
                (SELECT coalesce(sum(sessions), 0) FROM archon_mcp_session_totals WHERE status <> 'active'),
                count(*) FILTER (WHERE last_activity >= ?1), count(*) FILTER (WHERE last_activity < ?1)
         FROM archon_mcp_sessions WHERE status = 'active' AND last_activity <= ?2 AND coalesce(intake, 1) = 1",
    )
    .bind(now.minus(STALE_AFTER).to_string())
    .bind(now.minus(AGING_AFTER).to_string())
    .fetch_one(pool)
    .await?;
    let (active, ended): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let (aging, stale): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
    let healthy = (active - aging - stale).max(0);
    Ok(SessionHealth {
        active,
        ended,
        ages: Ages { healthy, aging, stale },
        last_day: last_day(pool, now).await?,
        recent: Vec::new(),
    })
}

/// Sums up whole hours, and, for the part of an hour that the day begins with, sessions themselves.
async fn last_day(pool: &SqlitePool, now: Timestamp) -> Result<LastDay, StoreError> {
    let from = now.minus(24 * HOUR);
    let first_hour = hour_of(from).plus(HOUR);
    let row = sqlx::query(
        "SELECT coalesce(sum(sessions), 0), coalesce(sum(ended), 0), coalesce(sum(seconds), 0) FROM (
             SELECT sessions, sessions - open AS ended,
                    open * (unixepoch(?1) - unixepoch(hour)) - open_seconds + closed_seconds AS seconds
             FROM archon_mcp_session_starts WHERE hour >= ?2
             UNION ALL
             SELECT count(*), sum(status <> 'active'),
                    sum(iif(status = 'active', unixepoch(?1) - unixepoch(connected_at),
                            coalesce(total_duration, 0)))
             FROM archon_mcp_sessions WHERE connected_at >= ?3 AND connected_at < ?2 AND coalesce(intake, 1) = 1
         )",
    )
    .bind(now.to_string())
    .bind(first_hour.to_string())
    .bind(from.to_string())
    .fetch_one(pool)
    .await?;
    let seconds: i64 = row.try_get(2)?;
    Ok(LastDay {
        sessions: row.try_get(0)?,
        ended: row.try_get(1)?,
        duration_seconds: seconds.max(0),
    })
}

/// Returns all but the sessions.
pub(super) async fn ends(pool: &SqlitePool, since: Timestamp) -> Result<Disconnected, StoreError> {
    let found = sqlx::query(
        "SELECT reason, sum(sessions), sum(seconds), min(min_seconds), max(max_seconds)
         FROM archon_mcp_session_ends WHERE hour >= ?
         GROUP BY reason ORDER BY 2 DESC, reason LIMIT ?",
    )
    .bind(hour_of(since).to_string())
    .bind(NAMES_MAX as i64)
    .fetch_all(pool)
    .await?;
    let mut sum = Disconnected::default();
    for row in &found {
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
    " FROM archon_mcp_usage WHERE dimension = 'all' AND period >= ? AND period < ?"
);
const BY_NAME: &str = concatcp!(
    "SELECT name, ",
    rows::USAGE,
    " FROM archon_mcp_usage WHERE dimension = ? AND period >= ? AND period < ?
     GROUP BY name ORDER BY sum(requests) DESC, name LIMIT ",
    NAMES_MAX
);

pub(super) async fn usage(pool: &SqlitePool, days: Days) -> Result<UsageReport, StoreError> {
    // Whose day before is one of these has been counted on that one.
    let sessions = sqlx::query_scalar(
        "SELECT coalesce(sum(sessions), 0) FROM archon_mcp_session_days
         WHERE day >= ?1 AND day < ?2 AND previous < ?1",
    )
    .bind(days.start().to_string())
    .bind(days.end().to_string())
    .fetch_one(pool)
    .await?;
    Ok(UsageReport {
        days,
        total: total(pool, days).await?,
        sessions,
        by_tool: by_name(pool, "tool", days).await?.into_iter().map(Into::into).collect(),
        by_client: by_name(pool, "client", days).await?,
        by_user: by_name(pool, "user", days).await?,
    })
}

pub(super) async fn analytics(pool: &SqlitePool, days: Days) -> Result<Analytics, StoreError> {
    let (start, end) = (days.start().to_string(), days.end().to_string());
    let found = sqlx::query(
        "SELECT period, requests, errors, timeouts, prompt_tokens, completion_tokens, cost_micros, duration_us,
                min_duration_us, max_duration_us
         FROM archon_mcp_usage WHERE dimension = 'all' AND period >= ? AND period < ?",
    )
    .bind(&start)
    .bind(&end)
    .fetch_all(pool)
    .await?;
    let mut hours = Vec::with_capacity(found.len());
    for row in &found {
        let Some(hour) = Timestamp::read(row.try_get(0)?) else { continue };
        hours.push((hour, rows::usage(row, 1)?));
    }
    let answers = sqlx::query_as(concatcp!(
        "SELECT tool, bucket, sum(answers) FROM archon_mcp_latency WHERE day >= ? AND day < ?
         GROUP BY tool, bucket ORDER BY tool, bucket LIMIT ",
        ANSWERS_MAX
    ))
    .bind(&start)
    .bind(&end)
    .fetch_all(pool)
    .await?;
    let previous = total(pool, days.previous()).await?;
    Ok(Analytics::of(days, &hours, previous, by_name(pool, "tool", days).await?, &answers))
}

pub(super) async fn minutes(
    pool: &SqlitePool,
    now: Timestamp,
    count: u32,
) -> Result<Vec<Minute>, StoreError> {
    let found = sqlx::query(
        "SELECT minute, requests, errors, timeouts FROM archon_mcp_minutes WHERE minute >= ?",
    )
    .bind(first_minute(now, count).to_string())
    .fetch_all(pool)
    .await?;
    let mut counts = BTreeMap::new();
    for row in &found {
        let Some(minute) = Timestamp::read(row.try_get(0)?) else { continue };
        let (requests, errors, timeouts) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        counts.insert(minute, Counts { requests, errors, timeouts });
    }
    Ok(in_a_row(now, count, &counts))
}

async fn total(pool: &SqlitePool, days: Days) -> Result<Usage, StoreError> {
    let row = sqlx::query(TOTAL)
        .bind(days.start().to_string())
        .bind(days.end().to_string())
        .fetch_one(pool)
        .await?;
    rows::usage(&row, 0)
}

async fn by_name(
    pool: &SqlitePool,
    dimension: &'static str,
    days: Days,
) -> Result<Vec<NamedUsage>, StoreError> {
    let found = sqlx::query(BY_NAME)
        .bind(dimension)
        .bind(days.start().to_string())
        .bind(days.end().to_string())
        .fetch_all(pool)
        .await?;
    found.iter().map(rows::named_usage).collect()
}

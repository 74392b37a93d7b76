//! The partitions of requests, one a day: made before they are needed, dropped when they are old.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use tokio::time::Instant;

use crate::session::Timestamp;
use crate::store::StoreError;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Days remembered. A row's day is today, or the day a call began that has just ended.
const KNOWN_MAX: usize = 16;
/// A partition that could not be made is tried again after so long: there is a day's time for the next one.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// A day cannot be made or dropped while somebody reads the table, and whoever writes would wait behind us.
const LOCK_LIMIT: &str = "SET LOCAL lock_timeout = '1s'";
/// Rows that are deleted together where there are no days to drop.
const ROWS_AT_ONCE: u32 = 50_000;
/// What PostgreSQL answers where rows of that day are in the default partition already.
const ROWS_IN_DEFAULT: &str = "23514";

/// The days that have a partition, as far as we know.
#[derive(Debug, Default)]
pub(super) struct Days {
    known: BTreeSet<i64>,
    /// False for a table that was taken over: it has no days. `None` until somebody looked.
    is_partitioned: Option<bool>,
    retry_at: Option<Instant>,
}

impl Days {
    /// Makes the partitions of these moments' days, and of the day after, where they are missing. Where that
    /// does not work, rows go to the default partition.
    ///
    /// # Errors
    /// If the connection is lost.
    pub(super) async fn prepare(
        &mut self,
        connection: &mut PgConnection,
        moments: impl Iterator<Item = Timestamp>,
    ) -> Result<(), StoreError> {
        let days = moments.map(day_of).flat_map(|day| [day, day + 1]);
        let missing: BTreeSet<i64> = days.filter(|day| !self.known.contains(day)).collect();
        if missing.is_empty() || self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        self.retry_at = None;
        let is_partitioned = match self.is_partitioned {
            Some(known) => known,
            None => *self.is_partitioned.insert(is_partitioned(connection).await?),
        };
        if !is_partitioned {
            return Ok(());
        }
        for day in missing {
            match connection.execute(AssertSqlSafe(make(day))).await {
                Ok(_) => self.remember(day),
                Err(sqlx::Error::Database(error)) => {
                    let name = name(day);
                    tracing::warn!("could not make {name}, its rows go to the default: {error}");
                    if error.code().is_some_and(|code| code == ROWS_IN_DEFAULT) {
                        self.remember(day);
                    } else {
                        self.retry_at = Some(Instant::now() + RETRY_AFTER);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn remember(&mut self, day: i64) {
        self.known.insert(day);
        if self.known.len() > KNOWN_MAX {
            self.known.pop_first();
        }
    }

    /// Forgets the days before one, after they were dropped.
    pub(super) fn forget_before(&mut self, day: Timestamp) {
        self.known = self.known.split_off(&day_of(day));
    }
}

async fn is_partitioned(connection: &mut PgConnection) -> Result<bool, StoreError> {
    let kind = "SELECT relkind = 'p' FROM pg_class WHERE oid = 'archon_mcp_requests'::regclass";
    Ok(sqlx::raw_sql(kind).fetch_one(connection).await?.try_get(0)?)
}

/// Drops the partitions of the days before, and returns how many. Of a table that has none it deletes some rows, as many
/// each time, and returns 0.
pub(super) async fn drop_before(
    connection: &mut PgConnection,
    day: Timestamp,
) -> Result<usize, StoreError> {
    if !is_partitioned(connection).await? {
        let limit = start(day_of(day));
        let some = format!(
            "DELETE FROM archon_mcp_requests WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM archon_mcp_requests WHERE timestamp < '{limit}' LIMIT {ROWS_AT_ONCE}))"
        );
        connection.execute(AssertSqlSafe(some)).await?;
        return Ok(0);
    }
    let partitions =
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                      WHERE i.inhparent = 'archon_mcp_requests'::regclass";
    // Texts without values take one way there and back, so they may be sent on any connection.
    let rows: Vec<PgRow> = sqlx::raw_sql(partitions).fetch_all(&mut *connection).await?;
    let first_kept = name(day_of(day));
    let mut dropped = 0;
    for row in rows {
        let name: &str = row.try_get(0)?;
        if is_of_a_day(name) && *name < *first_kept {
            let drop = format!("{LOCK_LIMIT}; DROP TABLE IF EXISTS {name}");
            connection.execute(AssertSqlSafe(drop)).await?;
            dropped += 1;
        }
    }
    let limit = start(day_of(day));
    let rest = format!("DELETE FROM archon_mcp_requests_default WHERE timestamp < '{limit}'");
    connection.execute(AssertSqlSafe(rest)).await?;
    Ok(dropped)
}

/// Returns how to make a day's partition; both statements are one transaction.
fn make(day: i64) -> String {
    let (name, from, to) = (name(day), start(day), start(day + 1));
    format!(
        "{LOCK_LIMIT};
         CREATE TABLE IF NOT EXISTS {name} PARTITION OF archon_mcp_requests
         FOR VALUES FROM ('{from}') TO ('{to}')"
    )
}

fn day_of(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(DAY.as_micros() as i64)
}

fn start(day: i64) -> String {
    Timestamp::from_micros(day.saturating_mul(DAY.as_micros() as i64)).to_string()
}

fn name(day: i64) -> String {
    let date: String = start(day).chars().take(10).filter(char::is_ascii_digit).collect();
    format!("archon_mcp_requests_{date}")
}

fn is_of_a_day(name: &str) -> bool {
    let date = name.strip_prefix("archon_mcp_requests_").unwrap_or_default();
    date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit())
}

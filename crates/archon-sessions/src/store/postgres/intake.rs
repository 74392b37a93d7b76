//! Counts requests that others than the gateway wrote, with SQL.
//!
//! A trigger notes them (`migrations/postgres/0001_sessions.sql`); whoever reads sums comes by here first, which
//! costs one look into an empty table. Sessions need none of this: triggers count them, whoever writes them.

use std::sync::atomic::Ordering::Relaxed;

use chrono::{DateTime, Utc};
use const_format::concatcp;
use sqlx::{ConnectOptions as _, Row};

use super::reports::rows as records;
use super::{ATTEMPTS, BEGIN, PostgresStore, WRITE_LIMIT, Writer, begins_again, usage, within};
use crate::session::Timestamp;
use crate::store::usage::slices;
use crate::store::{RequestRow, StoreError};

/// Rows that are counted by one transaction: a client's own rows wait for it.
const ROWS_AT_ONCE: u32 = 1000;
/// Transactions that one reader waits for; the next one goes on.
const ROUNDS_MAX: usize = 20;

impl PostgresStore {
    /// Counts what waits. What cannot be counted now waits on, and nobody's reading fails for it.
    pub(super) async fn take_in_written(&self) {
        for _ in 0..ROUNDS_MAX {
            match self.take_in_some().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(tracing::field::display);
                    tracing::debug!(cause, "could not count rows that others wrote: {error}");
                    return;
                }
            }
        }
    }

    /// Returns false where nothing waits any more.
    async fn take_in_some(&self) -> Result<bool, StoreError> {
        const IS_WAITING: &str = "
            SELECT EXISTS (SELECT FROM archon_mcp_intake WHERE NOT is_unreadable),
                   (SELECT count(*) FROM archon_mcp_intake WHERE is_unreadable)";
        let rows = self.read(sqlx::query(IS_WAITING)).await?;
        let Some(row) = rows.first() else { return Ok(false) };
        self.unreadable.store(u64::try_from(row.try_get::<i64, _>(1)?).unwrap_or(0), Relaxed);
        if !row.try_get::<bool, _>(0)? {
            return Ok(false);
        }
        let mut writer = self.writer.lock().await;
        let mut attempts = 1;
        loop {
            let counted = within(WRITE_LIMIT, writer.take_in_written(Timestamp::now())).await;
            match &counted {
                Err(error) if begins_again(error) && attempts < ATTEMPTS => attempts += 1,
                Ok(()) => return Ok(true),
                Err(_) => {
                    // Whatever state it is in, the next one is new.
                    writer.connection = None;
                    return counted.map(|()| false);
                }
            }
        }
    }
}

/// Two processes take different ones.
const NOTED: &str = concatcp!(
    "DELETE FROM archon_mcp_intake WHERE (id, timestamp) IN (
         SELECT id, timestamp FROM archon_mcp_intake WHERE NOT is_unreadable LIMIT ",
    ROWS_AT_ONCE,
    " FOR UPDATE SKIP LOCKED)
      RETURNING id, CASE WHEN timestamp BETWEEN '0001-01-01' AND '9999-12-31' THEN timestamp END AS timestamp"
);
/// A duration in microseconds is ours; others know milliseconds.
const DURATIONS: &str = "
UPDATE archon_mcp_requests r SET duration_us = r.duration_ms::bigint * 1000
FROM UNNEST($1::bigint[], $2::timestamptz[]) AS noted (id, timestamp)
WHERE r.id = noted.id AND r.timestamp = noted.timestamp AND r.duration_us = 0 AND r.duration_ms > 0";
const REQUESTS: &str = concatcp!(
    "SELECT ",
    records::REQUEST,
    ", NULL::text AS client_type FROM archon_mcp_requests
     WHERE (id, timestamp) IN (SELECT * FROM UNNEST($1::bigint[], $2::timestamptz[]))"
);
const UNREADABLE: &str = "
INSERT INTO archon_mcp_intake (id, timestamp, is_unreadable)
SELECT id, 'infinity', TRUE FROM UNNEST($1::bigint[]) AS unreadable (id)
ON CONFLICT DO NOTHING";

impl Writer {
    async fn take_in_written(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let is_pooled = self.is_pooled;
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.options.connect().await?),
        };
        let mut transaction = sqlx::Connection::begin_with(connection, BEGIN).await?;
        let noted = sqlx::query(NOTED).persistent(!is_pooled).fetch_all(&mut *transaction).await?;
        let (mut ids, mut moments, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        for row in &noted {
            let (id, moment): (i64, Option<DateTime<Utc>>) = (row.try_get(0)?, row.try_get(1)?);
            match moment {
                Some(moment) => {
                    ids.push(id);
                    moments.push(moment);
                }
                None => unreadable.push(id),
            }
        }
        let durations = sqlx::query(DURATIONS).bind(&ids).bind(&moments);
        durations.persistent(!is_pooled).execute(&mut *transaction).await?;
        let requests = sqlx::query(REQUESTS).bind(&ids).bind(&moments);
        let found = requests.persistent(!is_pooled).fetch_all(&mut *transaction).await?;
        let mut new: Vec<RequestRow> = Vec::with_capacity(found.len());
        for row in &found {
            match records::request(row) {
                Ok(record) => new.push(record.row),
                Err(_) => unreadable.push(row.try_get("id")?),
            }
        }
        let mut used = slices(&new);
        usage::sums(&used).persistent(!is_pooled).execute(&mut *transaction).await?;
        used.iter_mut().for_each(|slice| slice.keep_minutes_of_a_day(now));
        usage::minutes(&used).persistent(!is_pooled).execute(&mut *transaction).await?;
        if !unreadable.is_empty() {
            let mark = sqlx::query(UNREADABLE).bind(&unreadable).persistent(!is_pooled);
            mark.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        if let Some(id) = unreadable.first() {
            let rows = unreadable.len();
            tracing::warn!(
                rows,
                "{rows} rows of archon_mcp_requests cannot be read and are left out, {id} for one"
            );
        }
        Ok(())
    }
}

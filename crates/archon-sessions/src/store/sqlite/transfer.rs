//! Gives rows out in pages and takes rows in.

use std::collections::HashSet;

use async_trait::async_trait;
use const_format::concatcp;
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::intake::READABLE;
use super::rows::{parsed, time};
use super::{SqliteStore, damage, usage};
use crate::session::{SessionId, Status, Timestamp};
use crate::store::transfer::{
    Content, Known, PART_ROWS, Part, PriceRecord, RequestRecord, Selection, SessionRecord, Stored,
    TakenIn, Transfer, dollars, guest_id, plan, value,
};
use crate::store::usage::slices;
use crate::store::{Outcome, StoreError, each_readable};

const SESSIONS: &str = concatcp!(
    "SELECT * FROM archon_mcp_sessions
     WHERE session_id >= ?1 AND session_id <= ?2 AND (?3 IS NULL OR last_activity >= ?3) AND ",
    READABLE,
    " ORDER BY session_id LIMIT ",
    PART_ROWS
);

/// All requests come by their key, those of one session by its index.
const REQUESTS: &str = concatcp!(
    "SELECT r.* FROM archon_mcp_requests r
     WHERE r.id > ?1 AND r.id <= ?2 AND (?3 IS NULL OR r.timestamp >= ?3 AND EXISTS
         (SELECT 1 FROM archon_mcp_sessions s WHERE s.session_id = r.session_id AND s.last_activity >= ?3)) AND ",
    READABLE,
    " ORDER BY r.id LIMIT ",
    PART_ROWS
);
const REQUESTS_OF: &str = concatcp!(
    "SELECT * FROM archon_mcp_requests
     WHERE session_id = ?4 AND id > ?1 AND id <= ?2 AND (?3 IS NULL OR timestamp >= ?3) AND ",
    READABLE,
    " ORDER BY id LIMIT ",
    PART_ROWS
);

#[async_trait]
impl Transfer for SqliteStore {
    async fn prices(&self) -> Result<Vec<PriceRecord>, StoreError> {
        let sql = "SELECT * FROM archon_llm_pricing ORDER BY provider, model_name, effective_date";
        let rows = sqlx::query(sql).fetch_all(&self.pool()).await?;
        each_readable("archon_llm_pricing", rows.iter().map(read_price))
    }

    async fn last_request(&self) -> Result<i64, StoreError> {
        self.take_in_written().await;
        let sql = "SELECT coalesce(max(id), 0) FROM archon_mcp_requests";
        Ok(sqlx::query_scalar(sql).fetch_one(&self.pool()).await?)
    }

    async fn sessions(
        &self,
        of: &Selection,
        after: Option<SessionId>,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let Some((first, last)) = of.ids(after) else { return Ok(Vec::new()) };
        self.take_in_written().await;
        let rows = sqlx::query(SESSIONS)
            .bind(first.to_string())
            .bind(last.to_string())
            .bind(of.since.map(|at| at.to_string()))
            .fetch_all(&self.pool())
            .await?;
        each_readable("archon_mcp_sessions", rows.iter().map(read_session))
    }

    async fn requests(
        &self,
        of: &Selection,
        after: i64,
        until: i64,
    ) -> Result<Vec<RequestRecord>, StoreError> {
        let sql = if of.session.is_some() { REQUESTS_OF } else { REQUESTS };
        let mut query =
            sqlx::query(sql).bind(after).bind(until).bind(of.since.map(|at| at.to_string()));
        if let Some(session) = of.session {
            query = query.bind(session.to_string());
        }
        let rows = query.fetch_all(&self.pool()).await?;
        each_readable("archon_mcp_requests", rows.iter().map(read_request))
    }

    async fn take_in(&self, part: &Part) -> Result<TakenIn, StoreError> {
        let mut file = self.file.lock().await;
        // A client that leaves in the midst of an import cancels us.
        let written = take_in(file.begin().await?, part).await;
        if written.is_err() {
            file.clear_up().await;
        } else {
            file.is_through();
        }
        written.map_err(|error| damage::named(error, self.place.path()))
    }
}

async fn take_in(writer: &mut SqliteConnection, part: &Part) -> Result<TakenIn, StoreError> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *writer).await?;
    let prices = sqlx::query(PRICES).bind(prices(part)).execute(&mut *writer).await?;
    let sessions = sqlx::query(NEW_SESSIONS).bind(sessions(part)).execute(&mut *writer).await?;
    let (new, mut counts) = plan(&part.requests, known(writer, part).await?);
    sqlx::query(NEW_REQUESTS).bind(requests(&new)).execute(&mut *writer).await?;
    let rows: Vec<_> = new.iter().map(RequestRecord::as_row).collect();
    let used = slices(&rows);
    let (used, met) = (usage::json(&used)?, usage::met(&used)?);
    for (sums, given) in [
        (usage::USAGE, &used),
        (usage::LATENCY, &used),
        (usage::DAYS, &met),
        (usage::TOTALS, &used),
        (usage::UPSTREAMS, &met),
    ] {
        sqlx::query(sums).bind(given).execute(&mut *writer).await?;
    }
    sqlx::query("COMMIT").execute(writer).await?;
    counts.prices = prices.rows_affected();
    counts.sessions = sessions.rows_affected();
    counts.known_sessions = (part.sessions.len() as u64).saturating_sub(counts.sessions);
    Ok(counts)
}

/// Reads what is stored of what a part speaks of.
async fn known(writer: &mut SqliteConnection, part: &Part) -> Result<Known, StoreError> {
    let sessions: HashSet<String> =
        part.requests.iter().map(|request| request.session_id.to_string()).collect();
    let sql = "SELECT session_id FROM archon_mcp_sessions WHERE session_id IN (SELECT value FROM json_each(?))";
    let found = sqlx::query(sql).bind(json!(sessions).to_string()).fetch_all(&mut *writer).await?;
    let sessions: Result<_, _> = found.iter().map(|row| parsed(row, "session_id")).collect();

    let mut ids = Vec::with_capacity(2 * part.requests.len());
    let mut guests = Vec::new();
    for request in &part.requests {
        let content = Content::of(request);
        ids.extend([request.id, guest_id(request.id, &content)]);
        if request.id < 0 {
            guests.push((content.session.to_string(), content.started.to_string()));
        }
    }
    let sql = "SELECT * FROM archon_mcp_requests WHERE id IN (SELECT value FROM json_each(?))";
    let found = sqlx::query(sql).bind(json!(ids).to_string()).fetch_all(&mut *writer).await?;
    let requests: Result<_, _> = found.iter().map(read_stored).collect();

    let sql = "SELECT r.* FROM json_each(?) g CROSS JOIN archon_mcp_requests r
               ON r.session_id = g.value->>0 AND r.timestamp = g.value->>1 WHERE r.id > 0";
    let found = sqlx::query(sql).bind(json!(guests).to_string()).fetch_all(writer).await?;
    let natives: Result<Vec<Stored>, _> = found.iter().map(read_stored).collect();
    let natives = natives?.into_iter().map(|(_, content)| content).collect();
    Ok(Known { sessions: sessions?, requests: requests?, natives })
}

const PRICES: &str = "
INSERT INTO archon_llm_pricing AS old
SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM json_each(?) WHERE true
ON CONFLICT (provider, model_name, effective_date) DO UPDATE SET
    input_price_per_1k = excluded.input_price_per_1k, output_price_per_1k = excluded.output_price_per_1k
WHERE old.input_price_per_1k <> excluded.input_price_per_1k
   OR old.output_price_per_1k <> excluded.output_price_per_1k";

fn prices(part: &Part) -> String {
    let row = |price: &PriceRecord| {
        let (input, output) =
            (dollars(price.input_price_per_1k), dollars(price.output_price_per_1k));
        json!([price.provider, price.model_name, input, output, price.effective_date])
    };
    json!(part.prices.iter().map(row).collect::<Vec<_>>()).to_string()
}

fn read_price(row: &SqliteRow) -> Result<PriceRecord, StoreError> {
    Ok(PriceRecord {
        provider: row.try_get("provider")?,
        model_name: row.try_get("model_name")?,
        input_price_per_1k: dollars(row.try_get("input_price_per_1k")?),
        output_price_per_1k: dollars(row.try_get("output_price_per_1k")?),
        effective_date: row.try_get("effective_date")?,
    })
}

const NEW_SESSIONS: &str = "
INSERT INTO archon_mcp_sessions
    (session_id, client_type, client_name, client_version, client_capabilities, connected_at, last_activity,
     disconnected_at, total_duration, status, disconnect_reason, user_id, user_email, user_name, metadata,
     reconnect_count, principal, era, protocol_version, continues, idle_timeout_seconds, intake)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6,
       value->>7, value->>8, value->>9, value->>10, value->>11, value->>12, value->>13, value->>14,
       value->>15, value->>16, value->>17, value->>18, value->>19, value->>20, 1
FROM json_each(?) WHERE true
ON CONFLICT DO NOTHING";

fn sessions(part: &Part) -> String {
    let row = |s: &SessionRecord| {
        json!([
            s.session_id,
            s.client_type,
            s.client_name,
            s.client_version,
            s.client_capabilities.as_ref().map(ToString::to_string),
            s.connected_at.to_string(),
            s.last_activity.to_string(),
            s.disconnected_at.map(|at| at.to_string()),
            s.total_duration,
            s.status,
            s.disconnect_reason,
            s.user_id,
            s.user_email,
            s.user_name,
            s.metadata.as_ref().map(ToString::to_string),
            s.reconnect_count,
            s.principal,
            s.era,
            s.protocol_version,
            s.continues,
            s.idle_timeout_seconds,
        ])
    };
    json!(part.sessions.iter().map(row).collect::<Vec<_>>()).to_string()
}

fn read_session(row: &SqliteRow) -> Result<SessionRecord, StoreError> {
    let when = |column: &'static str| -> Result<Option<Timestamp>, StoreError> {
        let text: Option<&str> = row.try_get(column)?;
        Ok(text.and_then(Timestamp::read))
    };
    let continues: Option<&str> = row.try_get("continues")?;
    Ok(SessionRecord {
        session_id: parsed(row, "session_id")?,
        client_type: row.try_get("client_type")?,
        client_name: row.try_get("client_name")?,
        client_version: row.try_get("client_version")?,
        client_capabilities: value(row.try_get("client_capabilities")?),
        connected_at: time(row, "connected_at")?,
        last_activity: time(row, "last_activity")?,
        disconnected_at: when("disconnected_at")?,
        total_duration: row.try_get("total_duration")?,
        status: match row.try_get("status")? {
            "active" => Status::Active,
            "expired" => Status::Expired,
            _ => Status::Disconnected,
        },
        disconnect_reason: row.try_get("disconnect_reason")?,
        user_id: row.try_get("user_id")?,
        user_email: row.try_get("user_email")?,
        user_name: row.try_get("user_name")?,
        metadata: value(row.try_get("metadata")?),
        reconnect_count: row.try_get("reconnect_count")?,
        principal: row.try_get("principal")?,
        era: row.try_get("era")?,
        protocol_version: row.try_get("protocol_version")?,
        continues: continues.and_then(|id| id.parse().ok()),
        idle_timeout_seconds: row.try_get("idle_timeout_seconds")?,
    })
}

const NEW_REQUESTS: &str = "
INSERT INTO archon_mcp_requests
    (id, session_id, method, tool_name, prompt_tokens, completion_tokens, estimated_cost, timestamp,
     duration_ms, status, error_message, upstream, duration_us, request_bytes, response_bytes, model,
     intake)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7,
       value->>8, value->>9, value->>10, value->>11, value->>12, value->>13, value->>14, value->>15, 1
FROM json_each(?)";

fn requests(all: &[RequestRecord]) -> String {
    let row = |r: &RequestRecord| {
        json!([
            r.id,
            r.session_id,
            r.method,
            r.tool_name,
            r.prompt_tokens,
            r.completion_tokens,
            dollars(r.estimated_cost),
            r.timestamp.to_string(),
            r.duration_ms,
            r.status,
            r.error_message,
            r.upstream,
            r.duration_us,
            r.request_bytes,
            r.response_bytes,
            r.model,
        ])
    };
    json!(all.iter().map(row).collect::<Vec<_>>()).to_string()
}

fn read_request(row: &SqliteRow) -> Result<RequestRecord, StoreError> {
    Ok(RequestRecord {
        id: row.try_get("id")?,
        session_id: parsed(row, "session_id")?,
        method: row.try_get("method")?,
        tool_name: row.try_get("tool_name")?,
        prompt_tokens: clamped(row, "prompt_tokens")?,
        completion_tokens: clamped(row, "completion_tokens")?,
        estimated_cost: dollars(row.try_get("estimated_cost")?),
        timestamp: time(row, "timestamp")?,
        duration_ms: clamped(row, "duration_ms")?,
        status: outcome(row)?,
        error_message: row.try_get("error_message")?,
        upstream: row.try_get("upstream")?,
        duration_us: row.try_get("duration_us")?,
        request_bytes: row.try_get("request_bytes")?,
        response_bytes: row.try_get("response_bytes")?,
        model: row.try_get("model")?,
    })
}

fn read_stored(row: &SqliteRow) -> Result<Stored, StoreError> {
    let record = read_request(row)?;
    Ok((record.id, Content::of(&record)))
}

fn outcome(row: &SqliteRow) -> Result<Outcome, StoreError> {
    match row.try_get("status")? {
        "success" => Ok(Outcome::Success),
        "error" => Ok(Outcome::Error),
        "timeout" => Ok(Outcome::Timeout),
        _ => Err(StoreError::Corrupt { what: "status" }),
    }
}

/// PostgreSQL's `INTEGER` has 32 bits, SQLite's 64.
fn clamped(row: &SqliteRow, column: &str) -> Result<i32, StoreError> {
    let number: i64 = row.try_get(column)?;
    Ok(i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX }))
}

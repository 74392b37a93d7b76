//! Gives rows out in pages and takes rows in.

use async_trait::async_trait;
use const_format::concatcp;
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, Executor, PgConnection, Row};
use uuid::Uuid;

use super::rows::{column, json, read_time, read_time_if_any, text, time};
use super::{
    ATTEMPTS, BEGIN, PostgresStore, Statement, WRITE_LIMIT, Writer, begins_again, usage, within,
};
use crate::session::{SessionId, Status};
use crate::store::transfer::{
    Content, Known, PART_ROWS, Part, PriceRecord, RequestRecord, Selection, SessionRecord, Stored,
    TakenIn, Transfer, dollars, guest_id, plan, value,
};
use crate::store::usage::slices;
use crate::store::{Outcome, StoreError, each_readable};

const SESSION_COLUMNS: &str = "
    session_id, client_type, client_name, client_version, client_capabilities::text AS client_capabilities,
    connected_at, last_activity, disconnected_at, total_duration, status, disconnect_reason, user_id,
    user_email, user_name, metadata::text AS metadata, reconnect_count, principal, era, protocol_version,
    continues, idle_timeout_seconds";

const SESSIONS: &str = concatcp!(
    "SELECT ",
    SESSION_COLUMNS,
    " FROM archon_mcp_sessions
     WHERE session_id >= $1 AND session_id <= $2
       AND ($3::timestamptz IS NULL OR last_activity >= $3)
     ORDER BY session_id LIMIT ",
    PART_ROWS
);

const REQUEST_COLUMNS: &str = "
    r.id, r.session_id, r.method, r.tool_name, r.prompt_tokens, r.completion_tokens,
    r.estimated_cost::float8 AS estimated_cost, r.timestamp, r.duration_ms, r.status, r.error_message, r.upstream,
    r.duration_us, r.request_bytes, r.response_bytes, r.model";

const REQUESTS: &str = concatcp!(
    "SELECT ",
    REQUEST_COLUMNS,
    " FROM archon_mcp_requests r
     WHERE r.id > $1 AND r.id <= $2 AND ($3::timestamptz IS NULL OR r.timestamp >= $3 AND EXISTS
           (SELECT FROM archon_mcp_sessions s WHERE s.session_id = r.session_id AND s.last_activity >= $3))
     ORDER BY r.id LIMIT ",
    PART_ROWS
);

const REQUESTS_OF: &str = concatcp!(
    "SELECT ",
    REQUEST_COLUMNS,
    " FROM archon_mcp_requests r
     WHERE r.session_id = $4 AND r.id > $1 AND r.id <= $2
       AND ($3::timestamptz IS NULL OR r.timestamp >= $3)
     ORDER BY r.id LIMIT ",
    PART_ROWS
);

#[async_trait]
impl Transfer for PostgresStore {
    async fn prices(&self) -> Result<Vec<PriceRecord>, StoreError> {
        // By their bytes, as SQLite sorts them.
        let sql = "SELECT provider, model_name, input_price_per_1k::float8 AS input_price_per_1k,
                          output_price_per_1k::float8 AS output_price_per_1k, effective_date::text AS effective_date
                   FROM archon_llm_pricing
                   ORDER BY provider COLLATE \"C\", model_name COLLATE \"C\", effective_date";
        let rows = self.read(sqlx::query(sql)).await?;
        each_readable("archon_llm_pricing", rows.iter().map(read_price))
    }

    async fn last_request(&self) -> Result<i64, StoreError> {
        let rows = self.read(sqlx::query("SELECT max(id) FROM archon_mcp_requests")).await?;
        let last: Option<i64> = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
        Ok(last.unwrap_or(0))
    }

    async fn sessions(
        &self,
        of: &Selection,
        after: Option<SessionId>,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let Some((first, last)) = of.ids(after) else { return Ok(Vec::new()) };
        let query = sqlx::query(SESSIONS).bind(first).bind(last).bind(of.since.map(time));
        let rows = self.read(query).await?;
        each_readable("archon_mcp_sessions", rows.iter().map(read_session))
    }

    async fn requests(
        &self,
        of: &Selection,
        after: i64,
        until: i64,
    ) -> Result<Vec<RequestRecord>, StoreError> {
        let sql = if of.session.is_some() { REQUESTS_OF } else { REQUESTS };
        let mut query = sqlx::query(sql).bind(after).bind(until).bind(of.since.map(time));
        if let Some(session) = of.session {
            query = query.bind(session.as_uuid());
        }
        let rows = self.read(query).await?;
        each_readable("archon_mcp_requests", rows.iter().map(read_request))
    }

    async fn take_in(&self, part: &Part) -> Result<TakenIn, StoreError> {
        let mut writer = self.writer.lock().await;
        let mut attempts = 1;
        loop {
            let written = within(WRITE_LIMIT, writer.take_in(part)).await;
            match &written {
                Err(error) if begins_again(error) && attempts < ATTEMPTS => attempts += 1,
                Ok(_) => return written,
                Err(_) => {
                    // Whatever state it is in, the next one is new.
                    writer.connection = None;
                    return written;
                }
            }
        }
    }
}

/// Nobody writes requests meanwhile, here or on another gateway: an id that is free stays so.
const ALONE: &str = "LOCK TABLE archon_mcp_requests IN SHARE ROW EXCLUSIVE MODE";
/// The database counts on from the largest id that was taken over.
const COUNT_ON: &str = "
SELECT setval(name::regclass, $1) FROM pg_get_serial_sequence('archon_mcp_requests', 'id') AS name
WHERE coalesce(pg_sequence_last_value(name::regclass), 0) < $1";

impl Writer {
    async fn take_in(&mut self, part: &Part) -> Result<TakenIn, StoreError> {
        let is_pooled = self.is_pooled;
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(sqlx::ConnectOptions::connect(&self.options).await?),
        };
        let moments = part.requests.iter().map(|request| request.timestamp);
        self.days.prepare(connection, moments).await?;
        let mut transaction = connection.begin_with(BEGIN).await?;
        let mut counts = TakenIn::default();
        if !part.prices.is_empty() {
            let written = prices(&part.prices).persistent(!is_pooled);
            counts.prices = written.execute(&mut *transaction).await?.rows_affected();
        }
        if !part.sessions.is_empty() {
            let written = sessions(&part.sessions).persistent(!is_pooled);
            counts.sessions = written.execute(&mut *transaction).await?.rows_affected();
            counts.known_sessions = (part.sessions.len() as u64).saturating_sub(counts.sessions);
        }
        if !part.requests.is_empty() {
            transaction.execute(ALONE).await?;
            let known = known(&mut transaction, &part.requests, is_pooled).await?;
            let (new, more) = plan(&part.requests, known);
            counts += more;
            requests(&new).persistent(!is_pooled).execute(&mut *transaction).await?;
            let rows: Vec<_> = new.iter().map(RequestRecord::as_row).collect();
            let used = slices(&rows);
            usage::sums(&used).persistent(!is_pooled).execute(&mut *transaction).await?;
            if let Some(last) = new.iter().map(|request| request.id).max().filter(|id| *id > 0) {
                let count_on = sqlx::query(COUNT_ON).bind(last).persistent(!is_pooled);
                count_on.execute(&mut *transaction).await?;
            }
        }
        transaction.commit().await?;
        Ok(counts)
    }
}

/// Reads what is stored of what requests speak of.
async fn known(
    connection: &mut PgConnection,
    requests: &[RequestRecord],
    is_pooled: bool,
) -> Result<Known, StoreError> {
    let sql = "SELECT session_id FROM archon_mcp_sessions WHERE session_id = ANY($1::uuid[])";
    let query = sqlx::query(sql).bind(column(requests, |request| request.session_id));
    let rows = query.persistent(!is_pooled).fetch_all(&mut *connection).await?;
    let sessions = rows.iter().map(|row| row.try_get::<Uuid, _>(0)).collect::<Result<_, _>>()?;

    let mut ids = Vec::with_capacity(2 * requests.len());
    let (mut guests, mut moments) = (Vec::new(), Vec::new());
    for request in requests {
        ids.extend([request.id, guest_id(request.id, &Content::of(request))]);
        if request.id < 0 {
            guests.push(request.session_id);
            moments.push(time(request.timestamp));
        }
    }
    const BY_ID: &str = concatcp!(
        "SELECT ",
        REQUEST_COLUMNS,
        " FROM archon_mcp_requests r WHERE r.id = ANY($1::bigint[])"
    );
    let query = sqlx::query(BY_ID).bind(ids).persistent(!is_pooled);
    let rows = query.fetch_all(&mut *connection).await?;
    let requests = rows.iter().map(read_stored).collect::<Result<_, _>>()?;

    const NATIVES: &str = concatcp!(
        "SELECT ",
        REQUEST_COLUMNS,
        " FROM UNNEST($1::uuid[], $2::timestamptz[]) AS g (session_id, timestamp)
         JOIN archon_mcp_requests r ON r.session_id = g.session_id AND r.timestamp = g.timestamp
         WHERE r.id > 0"
    );
    let mut natives = Vec::new();
    if !guests.is_empty() {
        let query = sqlx::query(NATIVES).bind(guests).bind(moments).persistent(!is_pooled);
        natives = query.fetch_all(connection).await?;
    }
    let natives = natives.iter().map(read_stored).collect::<Result<Vec<Stored>, _>>()?;
    let natives = natives.into_iter().map(|(_, content)| content).collect();
    Ok(Known { sessions, requests, natives })
}

/// The last of each key counts: PostgreSQL writes no row twice in one statement.
const PRICES: &str = "
INSERT INTO archon_llm_pricing AS old
SELECT DISTINCT ON (provider, model, day) provider, model, input::numeric(10, 6), output::numeric(10, 6), day::date
FROM UNNEST($1::text[], $2::text[], $3::float8[], $4::float8[], $5::text[]) WITH ORDINALITY
    AS new (provider, model, input, output, day, place)
ORDER BY provider, model, day, place DESC
ON CONFLICT (provider, model_name, effective_date) DO UPDATE SET
    input_price_per_1k = excluded.input_price_per_1k, output_price_per_1k = excluded.output_price_per_1k
WHERE (old.input_price_per_1k, old.output_price_per_1k)
   <> (excluded.input_price_per_1k, excluded.output_price_per_1k)";

fn prices(all: &[PriceRecord]) -> Statement<'_> {
    sqlx::query(PRICES)
        .bind(column(all, |price| text(&price.provider)))
        .bind(column(all, |price| text(&price.model_name)))
        .bind(column(all, |price| dollars(price.input_price_per_1k)))
        .bind(column(all, |price| dollars(price.output_price_per_1k)))
        .bind(column(all, |price| &*price.effective_date))
}

fn read_price(row: &PgRow) -> Result<PriceRecord, StoreError> {
    Ok(PriceRecord {
        provider: row.try_get("provider")?,
        model_name: row.try_get("model_name")?,
        input_price_per_1k: row.try_get("input_price_per_1k")?,
        output_price_per_1k: row.try_get("output_price_per_1k")?,
        effective_date: row.try_get("effective_date")?,
    })
}

const NEW_SESSIONS: &str = "
INSERT INTO archon_mcp_sessions
    (session_id, client_type, client_name, client_version, client_capabilities, connected_at, last_activity,
     disconnected_at, total_duration, status, disconnect_reason, user_id, user_email, user_name, metadata,
     reconnect_count, principal, era, protocol_version, continues, idle_timeout_seconds)
SELECT a, b, c, d, e::jsonb, f, g, h, i, j, k, l, m, n, o::jsonb, p, q, r, s, t, u
FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[],
            $8::timestamptz[], $9::integer[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
            $15::text[], $16::integer[], $17::text[], $18::text[], $19::text[], $20::uuid[], $21::bigint[])
    AS new (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u)
ON CONFLICT DO NOTHING";

fn sessions(all: &[SessionRecord]) -> Statement<'_> {
    fn texts<'a>(
        all: &'a [SessionRecord],
        value: impl Fn(&'a SessionRecord) -> &'a Option<String>,
    ) -> Vec<Option<std::borrow::Cow<'a, str>>> {
        all.iter().map(|session| value(session).as_deref().map(text)).collect()
    }
    fn jsonb(value: &Option<serde_json::Value>) -> Option<String> {
        value.as_ref().and_then(|value| json(&value.to_string()))
    }
    sqlx::query(NEW_SESSIONS)
        .bind(column(all, |s| s.session_id))
        .bind(column(all, |s| text(&s.client_type)))
        .bind(texts(all, |s| &s.client_name))
        .bind(texts(all, |s| &s.client_version))
        .bind(column(all, |s| jsonb(&s.client_capabilities)))
        .bind(column(all, |s| time(s.connected_at)))
        .bind(column(all, |s| time(s.last_activity)))
        .bind(column(all, |s| s.disconnected_at.map(time)))
        .bind(column(all, |s| s.total_duration))
        .bind(column(all, |s| s.status.as_str()))
        .bind(texts(all, |s| &s.disconnect_reason))
        .bind(texts(all, |s| &s.user_id))
        .bind(texts(all, |s| &s.user_email))
        .bind(texts(all, |s| &s.user_name))
        .bind(column(all, |s| jsonb(&s.metadata)))
        .bind(column(all, |s| s.reconnect_count))
        .bind(column(all, |s| text(&s.principal)))
        .bind(column(all, |s| text(&s.era)))
        .bind(column(all, |s| text(&s.protocol_version)))
        .bind(column(all, |s| s.continues))
        .bind(column(all, |s| i64::from(s.idle_timeout_seconds)))
}

fn read_session(row: &PgRow) -> Result<SessionRecord, StoreError> {
    let idle_seconds: i64 = row.try_get("idle_timeout_seconds")?;
    Ok(SessionRecord {
        session_id: row.try_get("session_id")?,
        client_type: row.try_get("client_type")?,
        client_name: row.try_get("client_name")?,
        client_version: row.try_get("client_version")?,
        client_capabilities: value(row.try_get("client_capabilities")?),
        connected_at: read_time(row, "connected_at")?,
        last_activity: read_time(row, "last_activity")?,
        disconnected_at: read_time_if_any(row, "disconnected_at")?,
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
        continues: row.try_get("continues")?,
        idle_timeout_seconds: u32::try_from(idle_seconds).unwrap_or(u32::MAX),
    })
}

const NEW_REQUESTS: &str = "
INSERT INTO archon_mcp_requests
    (id, session_id, method, tool_name, prompt_tokens, completion_tokens, estimated_cost, timestamp,
     duration_ms, status, error_message, upstream, duration_us, request_bytes, response_bytes, model)
SELECT a, b, c, d, e, f, g::numeric(10, 6), h, i, j, k, l, m, n, o, p
FROM UNNEST($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::integer[], $6::integer[], $7::float8[],
            $8::timestamptz[], $9::integer[], $10::text[], $11::text[], $12::text[], $13::bigint[],
            $14::bigint[], $15::bigint[], $16::text[])
    AS new (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)";

fn requests(all: &[RequestRecord]) -> Statement<'_> {
    sqlx::query(NEW_REQUESTS)
        .bind(column(all, |r| r.id))
        .bind(column(all, |r| r.session_id))
        .bind(column(all, |r| text(&r.method)))
        .bind(column(all, |r| r.tool_name.as_deref().map(text)))
        .bind(column(all, |r| r.prompt_tokens))
        .bind(column(all, |r| r.completion_tokens))
        .bind(column(all, |r| dollars(r.estimated_cost)))
        .bind(column(all, |r| time(r.timestamp)))
        .bind(column(all, |r| r.duration_ms))
        .bind(column(all, |r| r.status.as_str()))
        .bind(column(all, |r| r.error_message.as_deref().map(text)))
        .bind(column(all, |r| text(&r.upstream)))
        .bind(column(all, |r| r.duration_us))
        .bind(column(all, |r| r.request_bytes))
        .bind(column(all, |r| r.response_bytes))
        .bind(column(all, |r| r.model.as_deref().map(text)))
}

fn read_request(row: &PgRow) -> Result<RequestRecord, StoreError> {
    Ok(RequestRecord {
        id: row.try_get("id")?,
        session_id: row.try_get("session_id")?,
        method: row.try_get("method")?,
        tool_name: row.try_get("tool_name")?,
        prompt_tokens: row.try_get("prompt_tokens")?,
        completion_tokens: row.try_get("completion_tokens")?,
        estimated_cost: row.try_get("estimated_cost")?,
        timestamp: read_time(row, "timestamp")?,
        duration_ms: row.try_get("duration_ms")?,
        status: match row.try_get("status")? {
            "success" => Outcome::Success,
            "error" => Outcome::Error,
            "timeout" => Outcome::Timeout,
            _ => return Err(StoreError::Corrupt { what: "status" }),
        },
        error_message: row.try_get("error_message")?,
        upstream: row.try_get("upstream")?,
        duration_us: row.try_get("duration_us")?,
        request_bytes: row.try_get("request_bytes")?,
        response_bytes: row.try_get("response_bytes")?,
        model: row.try_get("model")?,
    })
}

fn read_stored(row: &PgRow) -> Result<Stored, StoreError> {
    let record = read_request(row)?;
    Ok((record.id, Content::of(&record)))
}

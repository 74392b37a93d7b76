//! How each row of a report is read.

use const_format::concatcp;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::super::rows::{SESSION_COLUMNS, read_session, read_time};
use crate::session::SessionId;
use crate::store::reports::{
    ModelPrice, NamedUsage, PAGE_MAX, RequestRecord, SessionRecord, Totals, Usage,
};
use crate::store::{Outcome, RequestRow, StoreError};

/// Returns the rows that may be asked for.
pub(super) fn limit(asked: usize) -> i64 {
    asked.min(PAGE_MAX) as i64
}

/// The columns that [`session`] reads.
pub(super) const SESSION: &str = concatcp!(
    SESSION_COLUMNS,
    ", client_type, metadata::text AS metadata, total_duration::bigint AS total_duration, total_requests,
     total_errors, total_timeouts, total_prompt_tokens, total_completion_tokens, total_cost_micros, upstreams"
);

pub(super) fn session(row: &PgRow) -> Result<SessionRecord, StoreError> {
    Ok(SessionRecord {
        client_type: row.try_get("client_type")?,
        metadata: row.try_get("metadata")?,
        disconnect_reason: row.try_get("disconnect_reason")?,
        total_duration: row.try_get("total_duration")?,
        session: read_session(row)?,
        totals: Totals {
            requests: row.try_get("total_requests")?,
            errors: row.try_get("total_errors")?,
            timeouts: row.try_get("total_timeouts")?,
            prompt_tokens: row.try_get("total_prompt_tokens")?,
            completion_tokens: row.try_get("total_completion_tokens")?,
            cost_micros: row.try_get("total_cost_micros")?,
        },
        upstreams: row.try_get("upstreams")?,
    })
}

/// The columns that [`request`] reads, beside the client's type.
pub(in crate::store::postgres) const REQUEST: &str = "
    id, session_id, method, tool_name, prompt_tokens::bigint AS prompt_tokens,
    completion_tokens::bigint AS completion_tokens, coalesce((nullif(estimated_cost, 'NaN') * 1000000)::bigint, 0) AS cost_micros,
    timestamp, status, error_message, upstream, duration_us, request_bytes, response_bytes, model";

pub(in crate::store::postgres) fn request(row: &PgRow) -> Result<RequestRecord, StoreError> {
    let outcome = Outcome::from_stored(row.try_get("status")?);
    Ok(RequestRecord {
        id: row.try_get("id")?,
        client_type: row.try_get("client_type")?,
        row: RequestRow {
            call: None,
            session: SessionId::from_uuid(row.try_get("session_id")?),
            method: row.try_get::<&str, _>("method")?.into(),
            tool: row.try_get::<Option<&str>, _>("tool_name")?.map(Into::into),
            upstream: row.try_get::<&str, _>("upstream")?.into(),
            started: read_time(row, "timestamp")?,
            duration_us: row.try_get("duration_us")?,
            outcome: outcome.ok_or(StoreError::Corrupt { what: "status of a request" })?,
            error: row.try_get::<Option<&str>, _>("error_message")?.map(Into::into),
            request_bytes: row.try_get("request_bytes")?,
            response_bytes: row.try_get("response_bytes")?,
            prompt_tokens: row.try_get("prompt_tokens")?,
            completion_tokens: row.try_get("completion_tokens")?,
            cost_micros: row.try_get("cost_micros")?,
            model: row.try_get::<Option<&str>, _>("model")?.map(Into::into),
        },
    })
}

/// The columns that [`usage`] reads, of many rows as of none.
pub(super) const USAGE: &str = "
    coalesce(sum(requests), 0)::bigint AS requests, coalesce(sum(errors), 0)::bigint AS errors,
    coalesce(sum(timeouts), 0)::bigint AS timeouts, coalesce(sum(prompt_tokens), 0)::bigint AS prompt_tokens,
    coalesce(sum(completion_tokens), 0)::bigint AS completion_tokens, coalesce(sum(cost_micros), 0)::bigint AS cost_micros,
    coalesce(sum(duration_us), 0)::bigint AS duration_us, coalesce(min(min_duration_us), 0) AS min_duration_us,
    coalesce(max(max_duration_us), 0) AS max_duration_us";

/// Reads the columns by place, from the first: there are thousands of rows.
pub(super) fn usage(row: &PgRow, first: usize) -> Result<Usage, StoreError> {
    Ok(Usage {
        requests: row.try_get(first)?,
        errors: row.try_get(first + 1)?,
        timeouts: row.try_get(first + 2)?,
        prompt_tokens: row.try_get(first + 3)?,
        completion_tokens: row.try_get(first + 4)?,
        cost_micros: row.try_get(first + 5)?,
        duration_us: row.try_get(first + 6)?,
        min_duration_us: row.try_get(first + 7)?,
        max_duration_us: row.try_get(first + 8)?,
    })
}

pub(super) fn named_usage(row: &PgRow) -> Result<NamedUsage, StoreError> {
    Ok(NamedUsage { name: row.try_get(0)?, usage: usage(row, 1)? })
}

pub(super) fn price(row: &PgRow) -> Result<ModelPrice, StoreError> {
    Ok(ModelPrice {
        provider: row.try_get("provider")?,
        model: row.try_get("model_name")?,
        input_per_1k: row.try_get("input_price_per_1k")?,
        output_per_1k: row.try_get("output_price_per_1k")?,
        effective_date: row.try_get("effective_date")?,
    })
}

/// Reads how many answers of a tool are in a bucket.
pub(super) fn answers(row: &PgRow) -> Result<(String, u16, i64), StoreError> {
    let bucket: i16 = row.try_get(1)?;
    Ok((row.try_get(0)?, u16::try_from(bucket).unwrap_or(0), row.try_get(2)?))
}

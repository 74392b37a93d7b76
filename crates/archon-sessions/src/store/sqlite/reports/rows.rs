//! How each row of a report is read.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::super::rows::{parsed, read_session, time};
use crate::store::reports::{
    ModelPrice, NamedUsage, PAGE_MAX, RequestRecord, SessionRecord, Totals, Usage,
};
use crate::store::{Outcome, RequestRow, StoreError};

/// Returns the rows that may be asked for.
pub(super) fn limit(asked: usize) -> i64 {
    asked.min(PAGE_MAX) as i64
}

pub(super) fn session(row: &SqliteRow) -> Result<SessionRecord, StoreError> {
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
        upstreams: upstreams(row.try_get("upstreams")?),
    })
}

/// Reads an array of names; what somebody else has written there is none.
fn upstreams(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}

pub(in crate::store::sqlite) fn request(row: &SqliteRow) -> Result<RequestRecord, StoreError> {
    let outcome = Outcome::from_stored(row.try_get("status")?);
    let cost: f64 = row.try_get("estimated_cost")?;
    Ok(RequestRecord {
        id: row.try_get("id")?,
        client_type: row.try_get("client_type")?,
        row: RequestRow {
            call: None,
            session: parsed(row, "session_id")?,
            method: row.try_get("method")?,
            tool: row.try_get("tool_name")?,
            upstream: row.try_get::<&str, _>("upstream")?.into(),
            started: time(row, "timestamp")?,
            duration_us: row.try_get("duration_us")?,
            outcome: outcome.ok_or(StoreError::Corrupt { what: "status of a request" })?,
            error: row.try_get("error_message")?,
            request_bytes: row.try_get("request_bytes")?,
            response_bytes: row.try_get("response_bytes")?,
            prompt_tokens: row.try_get("prompt_tokens")?,
            completion_tokens: row.try_get("completion_tokens")?,
            cost_micros: (cost * 1e6).round() as i64,
            model: row.try_get::<Option<&str>, _>("model")?.map(Into::into),
        },
    })
}

/// The columns that [`usage`] reads, of many rows as of none.
pub(super) const USAGE: &str = "
    coalesce(sum(requests), 0) AS requests, coalesce(sum(errors), 0) AS errors,
    coalesce(sum(timeouts), 0) AS timeouts, coalesce(sum(prompt_tokens), 0) AS prompt_tokens,
    coalesce(sum(completion_tokens), 0) AS completion_tokens, coalesce(sum(cost_micros), 0) AS cost_micros,
    coalesce(sum(duration_us), 0) AS duration_us, coalesce(min(min_duration_us), 0) AS min_duration_us,
    coalesce(max(max_duration_us), 0) AS max_duration_us";

/// Reads the columns by place, from the first: there are thousands of rows.
pub(super) fn usage(row: &SqliteRow, first: usize) -> Result<Usage, StoreError> {
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

pub(super) fn named_usage(row: &SqliteRow) -> Result<NamedUsage, StoreError> {
    Ok(NamedUsage { name: row.try_get(0)?, usage: usage(row, 1)? })
}

pub(super) fn price(row: &SqliteRow) -> Result<ModelPrice, StoreError> {
    Ok(ModelPrice {
        provider: row.try_get("provider")?,
        model: row.try_get("model_name")?,
        input_per_1k: row.try_get("input_price_per_1k")?,
        output_per_1k: row.try_get("output_price_per_1k")?,
        effective_date: row.try_get("effective_date")?,
    })
}

//! Rows of calls in flight and of events that may not have arrived.

use std::collections::HashSet;

use bytes::Bytes;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::Statement;
use super::rows::{column, read_time, text, time};
use crate::protocol::event_id::StreamId;
use crate::session::{McpSessionId, SessionId, Timestamp};
use crate::store::{CallId, OpenCall, StoreError, StoredEvent};

const CALLS: &str = "
INSERT INTO archon_mcp_calls
    (call_id, session_id, handle, request_id, digest, method, tool_name, upstream, started,
     request_bytes, node)
SELECT * FROM UNNEST($1::bigint[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::timestamptz[], $10::bigint[], $11::text[])
ON CONFLICT DO NOTHING";

pub(super) fn calls(all: &[OpenCall]) -> Statement<'_> {
    sqlx::query(CALLS)
        .bind(column(all, |call| call.id.0))
        .bind(column(all, |call| call.session.as_uuid()))
        .bind(column(all, |call| call.handle.map(McpSessionId::as_uuid)))
        .bind(column(all, |call| text(&call.request)))
        .bind(column(all, |call| text(&call.digest)))
        .bind(column(all, |call| text(&call.method)))
        .bind(column(all, |call| call.tool.as_deref().map(text)))
        .bind(column(all, |call| text(&call.upstream)))
        .bind(column(all, |call| time(call.started)))
        .bind(column(all, |call| call.request_bytes))
        .bind(column(all, |call| text(&call.node)))
}

/// The columns that [`read_call`] reads.
pub(super) const CALL_COLUMNS: &str = "
    call_id, session_id, handle, request_id, digest, method, tool_name, upstream, started, request_bytes, node";

pub(super) fn read_call(row: &PgRow) -> Result<OpenCall, StoreError> {
    let handle: Option<Uuid> = row.try_get("handle")?;
    Ok(OpenCall {
        id: CallId(row.try_get("call_id")?),
        session: SessionId::from_uuid(row.try_get("session_id")?),
        handle: handle.map(McpSessionId::from_uuid),
        request: row.try_get::<&str, _>("request_id")?.into(),
        digest: row.try_get::<&str, _>("digest")?.into(),
        method: row.try_get::<&str, _>("method")?.into(),
        tool: row.try_get::<Option<&str>, _>("tool_name")?.map(Into::into),
        upstream: row.try_get::<&str, _>("upstream")?.into(),
        started: read_time(row, "started")?,
        request_bytes: row.try_get("request_bytes")?,
        node: row.try_get::<&str, _>("node")?.into(),
    })
}

/// Has calls leave the ledger. Returns those that were in it.
pub(super) async fn close(
    connection: &mut PgConnection,
    ids: &[CallId],
    is_pooled: bool,
) -> Result<HashSet<CallId>, StoreError> {
    const SQL: &str =
        "DELETE FROM archon_mcp_calls WHERE call_id = ANY($1::bigint[]) RETURNING call_id";
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let close = sqlx::query(SQL).bind(column(ids, |id| id.0)).persistent(!is_pooled);
    let rows = close.fetch_all(connection).await?;
    rows.iter().map(|row| Ok(CallId(row.try_get(0)?))).collect()
}

const EVENTS: &str = "
INSERT INTO archon_mcp_events (stream_id, seq, handle, event, is_answered, sent_at)
SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::uuid[], $4::bytea[], $5::boolean[], $6::timestamptz[])
ON CONFLICT DO NOTHING";

pub(super) fn events(all: &[StoredEvent]) -> Statement<'_> {
    sqlx::query(EVENTS)
        .bind(column(all, |event| event.stream.0))
        .bind(column(all, |event| i64::try_from(event.seq).unwrap_or(i64::MAX)))
        .bind(column(all, |event| event.handle.as_uuid()))
        .bind(column(all, |event| &*event.bytes))
        .bind(column(all, |event| event.is_answered))
        .bind(column(all, |event| time(event.at)))
}

/// The columns that [`read_event`] reads.
pub(super) const EVENT_COLUMNS: &str = "stream_id, seq, handle, event, is_answered, sent_at";

pub(super) fn read_event(row: &PgRow) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent {
        stream: StreamId(row.try_get("stream_id")?),
        seq: u64::try_from(row.try_get::<i64, _>("seq")?).unwrap_or(0),
        handle: McpSessionId::from_uuid(row.try_get("handle")?),
        bytes: Bytes::copy_from_slice(row.try_get("event")?),
        is_answered: row.try_get("is_answered")?,
        at: read_time(row, "sent_at")?,
    })
}

pub(super) fn forgotten(ids: &[StreamId]) -> Statement<'_> {
    sqlx::query("DELETE FROM archon_mcp_events WHERE stream_id = ANY($1::bigint[])")
        .bind(column(ids, |id| id.0))
}

pub(super) fn expired<'a>(before: Timestamp) -> Statement<'a> {
    sqlx::query("DELETE FROM archon_mcp_events WHERE sent_at < $1").bind(time(before))
}

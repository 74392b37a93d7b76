//! Rows of calls in flight and of events that may not have arrived.

use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::rows::{parsed, time};
use crate::protocol::event_id::StreamId;
use crate::store::{CallId, OpenCall, StoreError, StoredEvent};

pub(super) const CALLS: &str = "
INSERT INTO archon_mcp_calls
    (call_id, session_id, handle, request_id, digest, method, tool_name, upstream, started,
     request_bytes, node)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7,
       value->>8, value->>9, value->>10
FROM json_each(?) WHERE true
ON CONFLICT DO NOTHING";

#[derive(Serialize)]
pub(super) struct CallValues<'a>(
    i64,
    String,
    Option<String>,
    &'a str,
    &'a str,
    &'a str,
    Option<&'a str>,
    &'a str,
    String,
    i64,
    &'a str,
);

pub(super) fn call(call: &OpenCall) -> CallValues<'_> {
    CallValues(
        call.id.0,
        call.session.to_string(),
        call.handle.map(|handle| handle.to_string()),
        &call.request,
        &call.digest,
        &call.method,
        call.tool.as_deref(),
        &call.upstream,
        call.started.to_string(),
        call.request_bytes,
        &call.node,
    )
}

pub(super) fn read_call(row: &SqliteRow) -> Result<OpenCall, StoreError> {
    let handle: Option<&str> = row.try_get("handle")?;
    Ok(OpenCall {
        id: CallId(row.try_get("call_id")?),
        session: parsed(row, "session_id")?,
        handle: handle.and_then(|handle| handle.parse().ok()),
        request: row.try_get("request_id")?,
        digest: row.try_get("digest")?,
        method: row.try_get("method")?,
        tool: row.try_get("tool_name")?,
        upstream: row.try_get::<&str, _>("upstream")?.into(),
        started: time(row, "started")?,
        request_bytes: row.try_get("request_bytes")?,
        node: row.try_get::<&str, _>("node")?.into(),
    })
}

pub(super) const CLOSED: &str =
    "DELETE FROM archon_mcp_calls WHERE call_id IN (SELECT value FROM json_each(?))";

pub(super) fn closed(id: &CallId) -> i64 {
    id.0
}

pub(super) const EVENTS: &str = "
INSERT INTO archon_mcp_events (stream_id, seq, handle, event, is_answered, sent_at)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5
FROM json_each(?) WHERE true
ON CONFLICT DO NOTHING";

pub(super) type EventValues<'a> = (i64, u64, String, std::borrow::Cow<'a, str>, u8, String);

/// A stream is UTF-8, and whoever reads it replaces what is not (HTML Living Standard, 9.2.6).
pub(super) fn event(event: &StoredEvent) -> EventValues<'_> {
    (
        event.stream.0,
        event.seq,
        event.handle.to_string(),
        String::from_utf8_lossy(&event.bytes),
        u8::from(event.is_answered),
        event.at.to_string(),
    )
}

pub(super) fn read_event(row: &SqliteRow) -> Result<StoredEvent, StoreError> {
    let text: String = row.try_get("event")?;
    Ok(StoredEvent {
        stream: StreamId(row.try_get("stream_id")?),
        seq: u64::try_from(row.try_get::<i64, _>("seq")?).unwrap_or(0),
        handle: parsed(row, "handle")?,
        bytes: text.into(),
        is_answered: row.try_get("is_answered")?,
        at: time(row, "sent_at")?,
    })
}

pub(super) const FORGOTTEN: &str =
    "DELETE FROM archon_mcp_events WHERE stream_id IN (SELECT value FROM json_each(?))";

pub(super) fn forgotten(id: &StreamId) -> i64 {
    id.0
}

/// Bound to an empty text it deletes nothing.
pub(super) const EXPIRED: &str = "DELETE FROM archon_mcp_events WHERE sent_at < ?";

//! Rows of the SQLite tables: the statements that write them, and how each value is written and read.

use std::time::Duration;

use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::intake::READABLE;
use crate::session::{
    ClientInfo, Connection, DisconnectReason, End, Era, Principal, Session, SessionId, Timestamp,
    User,
};
use crate::store::{RequestRow, StoreError};

pub(super) const SESSIONS: &str = "
INSERT INTO archon_mcp_sessions
    (session_id, client_type, client_name, client_version, client_capabilities, connected_at,
     last_activity, status, principal, era, protocol_version, continues, idle_timeout_seconds,
     fingerprint, user_id, user_email, user_name, client_key_hash, owner, intake)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5,
       value->>6, 'active', value->>7, value->>8, value->>9, value->>10, value->>11, value->>12,
       value->>13, value->>14, value->>15, value->>16, value->>17, 1
FROM json_each(?) WHERE true
ON CONFLICT DO NOTHING";

#[derive(Serialize)]
pub(super) struct SessionValues<'a>(
    String,
    &'a str,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    String,
    String,
    String,
    &'a str,
    &'a str,
    Option<String>,
    u64,
    Option<String>,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    Option<String>,
    Option<&'a str>,
);

pub(super) fn session(session: &Session) -> SessionValues<'_> {
    let user = session.user.as_deref();
    SessionValues(
        session.id.to_string(),
        session.client.kind(),
        session.client.name.as_deref(),
        session.client.version.as_deref(),
        session.client.capabilities.as_deref(),
        session.connected_at.to_string(),
        session.last_activity.to_string(),
        session.principal.to_string(),
        session.era.as_str(),
        &session.protocol_version,
        session.continues.map(|id| id.to_string()),
        whole_seconds(session.idle_timeout),
        session.fingerprint.map(|fingerprint| fingerprint.to_string()),
        user.and_then(|user| user.id.as_deref()),
        user.and_then(|user| user.email.as_deref()),
        user.and_then(|user| user.name.as_deref()),
        session.client_key.map(|digest| digest.to_string()),
        session.owner.as_deref(),
    )
}

pub(super) const UNGUESSED: &str = "
UPDATE archon_mcp_sessions SET fingerprint = NULL
WHERE session_id IN (SELECT value FROM json_each(?))";

pub(super) const SESSION: &str = const_format::concatcp!(
    "SELECT * FROM archon_mcp_sessions WHERE session_id = ? AND ",
    READABLE
);

pub(super) const CONTINUED_BY: &str = const_format::concatcp!(
    "SELECT * FROM archon_mcp_sessions WHERE continues = ? AND ",
    READABLE,
    " ORDER BY connected_at DESC LIMIT 1"
);

/// The latest of a client's key.
pub(super) const SESSIONS_OF_KEY: &str = const_format::concatcp!(
    "SELECT * FROM archon_mcp_sessions WHERE client_key_hash = ?1 AND ",
    READABLE,
    " ORDER BY last_activity DESC LIMIT ?2"
);

/// Rounded up: a timeout that was stored as nothing would end its session at the next start.
fn whole_seconds(timeout: Duration) -> u64 {
    timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0)
}

pub(super) fn read_session(row: &SqliteRow) -> Result<Session, StoreError> {
    let reason: Option<&str> = row.try_get("disconnect_reason")?;
    let ended: Option<&str> = row.try_get("disconnected_at")?;
    let status: &str = row.try_get("status")?;
    let last_activity = time(row, "last_activity")?;
    let end = (status != "active").then(|| End {
        at: ended.and_then(Timestamp::read).unwrap_or(last_activity),
        reason: reason.and_then(DisconnectReason::from_stored),
        imported: status == "expired",
    });
    let continues: Option<&str> = row.try_get("continues")?;
    let fingerprint: Option<&str> = row.try_get("fingerprint")?;
    let client_key: Option<&str> = row.try_get("client_key_hash")?;
    let idle_seconds: i64 = row.try_get("idle_timeout_seconds")?;
    Ok(Session {
        id: parsed(row, "session_id")?,
        client: ClientInfo {
            name: row.try_get("client_name")?,
            version: row.try_get("client_version")?,
            capabilities: row.try_get("client_capabilities")?,
        },
        principal: Principal::from_stored(row.try_get("principal")?),
        user: User::known(
            row.try_get("user_id")?,
            row.try_get("user_email")?,
            row.try_get("user_name")?,
        ),
        era: Era::from_stored(row.try_get("era")?),
        protocol_version: row.try_get("protocol_version")?,
        connected_at: time(row, "connected_at")?,
        last_activity,
        idle_timeout: Duration::from_secs(u64::try_from(idle_seconds).unwrap_or(0)),
        end,
        fingerprint: fingerprint.and_then(|digest| digest.parse().ok()),
        client_key: client_key.and_then(|digest| digest.parse().ok()),
        continues: continues.and_then(|id| id.parse().ok()),
        owner: row.try_get::<Option<&str>, _>("owner")?.map(Into::into),
        reconnect_count: row.try_get("reconnect_count")?,
        revision: row.try_get("revision")?,
    })
}

pub(super) const CONNECTIONS: &str = "
INSERT INTO archon_mcp_connections
    (handle, session_id, upstream, principal, protocol_version, initialize, link, opened_at, ended_at,
     setup)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7,
       value->>8, value->>9
FROM json_each(?) WHERE true
ON CONFLICT (handle) DO UPDATE SET
    session_id = excluded.session_id, link = excluded.link, setup = excluded.setup,
    ended_at = coalesce(ended_at, excluded.ended_at)";

#[derive(Serialize)]
pub(super) struct ConnectionValues<'a>(
    String,
    String,
    &'a str,
    String,
    &'a str,
    &'a str,
    Option<&'a str>,
    String,
    Option<String>,
    Option<&'a str>,
);

pub(super) fn connection(connection: &Connection) -> ConnectionValues<'_> {
    ConnectionValues(
        connection.handle.to_string(),
        connection.session.to_string(),
        &connection.upstream,
        connection.principal.to_string(),
        &connection.protocol_version,
        &connection.initialize,
        connection.link.as_deref(),
        connection.opened_at.to_string(),
        connection.ended_at.map(|at| at.to_string()),
        connection.setup.as_deref(),
    )
}

pub(super) fn read_connection(row: &SqliteRow) -> Result<Connection, StoreError> {
    let ended: Option<&str> = row.try_get("ended_at")?;
    Ok(Connection {
        handle: parsed(row, "handle")?,
        session: parsed(row, "session_id")?,
        upstream: row.try_get::<&str, _>("upstream")?.into(),
        principal: Principal::from_stored(row.try_get("principal")?),
        protocol_version: row.try_get("protocol_version")?,
        initialize: row.try_get::<&str, _>("initialize")?.into(),
        link: row.try_get("link")?,
        opened_at: time(row, "opened_at")?,
        ended_at: ended.and_then(Timestamp::read),
        setup: row.try_get::<Option<&str>, _>("setup")?.map(Into::into),
    })
}

/// Requests whose session is not stored are left out: nothing is orphaned, and one lost session does
/// not make its neighbours' rows unwritable, as a foreign key would.
pub(super) const REQUESTS: &str = "
INSERT INTO archon_mcp_requests
    (session_id, method, tool_name, upstream, timestamp, duration_ms, duration_us, status,
     error_message, request_bytes, response_bytes, prompt_tokens, completion_tokens, estimated_cost,
     model, intake)
SELECT s.session_id, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7,
       value->>8, value->>9, value->>10, value->>11, value->>12, value->>13, value->>14, 1
FROM json_each(?) CROSS JOIN archon_mcp_sessions s ON s.session_id = value->>0";

#[derive(Serialize)]
pub(super) struct RequestValues<'a>(
    String,
    &'a str,
    Option<&'a str>,
    &'a str,
    String,
    i64,
    i64,
    &'a str,
    Option<&'a str>,
    i64,
    i64,
    i64,
    i64,
    f64,
    Option<&'a str>,
);

pub(super) fn request(row: &RequestRow) -> RequestValues<'_> {
    RequestValues(
        row.session.to_string(),
        &row.method,
        row.tool.as_deref(),
        &row.upstream,
        row.started.to_string(),
        (row.duration_us + 500) / 1000,
        row.duration_us,
        row.outcome.as_str(),
        row.error.as_deref(),
        row.request_bytes,
        row.response_bytes,
        row.prompt_tokens,
        row.completion_tokens,
        row.cost_micros as f64 / 1e6,
        row.model.as_deref(),
    )
}

/// The plus sign keeps the index on `status` out of it: each session is found by its key, instead of all
/// active ones being read for each touch.
pub(super) const TOUCHES: &str = "
UPDATE archon_mcp_sessions SET last_activity = max(last_activity, touch.value->>1)
FROM json_each(?) AS touch
WHERE session_id = touch.value->>0 AND +status = 'active'";

pub(super) fn touch((id, at): &(SessionId, Timestamp)) -> (String, String) {
    (id.to_string(), at.to_string())
}

/// A timeout is an end on a condition: that nobody, on another node perhaps, has heard of the session since.
pub(super) const ENDS: &str = "
UPDATE archon_mcp_sessions SET
    status = 'disconnected', disconnected_at = done.value->>1, disconnect_reason = done.value->>2,
    total_duration = done.value->>3, last_activity = max(last_activity, done.value->>4),
    revision = revision + 1
FROM json_each(?) AS done
WHERE session_id = done.value->>0 AND +status = 'active'
    AND (done.value->>2 IS NOT 'timeout_no_activity'
         OR (last_activity <= done.value->>4 AND revision < done.value->>5))";

pub(super) type EndValues =
    (String, Option<String>, Option<&'static str>, Option<i64>, String, i64);

pub(super) fn end(session: &Session) -> EndValues {
    (
        session.id.to_string(),
        session.end.map(|end| end.at.to_string()),
        session.end.and_then(|end| end.reason).map(DisconnectReason::as_str),
        session.total_duration(),
        session.last_activity.to_string(),
        session.revision,
    )
}

pub(super) fn parsed<T: std::str::FromStr>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<T, StoreError> {
    let text: &str = row.try_get(column)?;
    text.trim().parse().map_err(|_| StoreError::Corrupt { what: column })
}

pub(super) fn time(row: &SqliteRow, column: &'static str) -> Result<Timestamp, StoreError> {
    Timestamp::read(row.try_get(column)?).ok_or(StoreError::Corrupt { what: column })
}

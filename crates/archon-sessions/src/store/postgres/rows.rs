//! Rows of sessions and connections: the statements that write them, and how each value is written and read.
//!
//! A batch travels as one array per column and is spread by `UNNEST`: one statement however many rows. Columns
//! are named wherever rows are read, for an upgrade may add some while statements are prepared.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgRow, PgValueFormat};
use sqlx::{Row, ValueRef};
use uuid::Uuid;

use super::Statement;
use crate::session::{
    ClientInfo, Connection, DisconnectReason, End, Era, McpSessionId, Principal, Session,
    SessionId, Timestamp, User,
};
use crate::store::StoreError;

/// A moment as the driver takes it.
pub(super) type Time = DateTime<Utc>;

/// From 1970 to 2000, where PostgreSQL counts from.
const MICROS_TO_2000: i64 = 946_684_800_000_000;

/// Returns one column of a batch.
pub(super) fn column<'a, T, V>(rows: &'a [T], value: impl Fn(&'a T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

/// Returns the text as PostgreSQL can hold it: without NUL, which JSON can bring into any name. One such row
/// would make its whole batch unwritable.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

pub(super) fn time(at: Timestamp) -> Time {
    DateTime::from_timestamp_micros(at.as_micros()).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

pub(super) fn read_time(row: &PgRow, column: &'static str) -> Result<Timestamp, StoreError> {
    read_time_if_any(row, column)?.ok_or(StoreError::Corrupt { what: column })
}

/// Reads the eight bytes themselves: the driver panics at `infinity`, which anybody may write.
pub(super) fn read_time_if_any(
    row: &PgRow,
    column: &'static str,
) -> Result<Option<Timestamp>, StoreError> {
    let raw = row.try_get_raw(column)?;
    if raw.is_null() {
        return Ok(None);
    }
    let unreadable = StoreError::Corrupt { what: column };
    let (Ok(bytes), PgValueFormat::Binary) = (raw.as_bytes(), raw.format()) else {
        return Err(unreadable);
    };
    let micros = bytes.try_into().ok().map(i64::from_be_bytes);
    let micros = micros.and_then(|micros| micros.checked_add(MICROS_TO_2000));
    let at = micros.map(Timestamp::from_micros).filter(|at| at.is_of_our_calendar());
    at.map(Some).ok_or(unreadable)
}

const SESSIONS: &str = "
INSERT INTO archon_mcp_sessions
    (session_id, client_type, client_name, client_version, client_capabilities, connected_at,
     last_activity, status, principal, era, protocol_version, continues, idle_timeout_seconds,
     fingerprint, user_id, user_email, user_name, client_key_hash, owner)
SELECT session_id, client_type, client_name, client_version, client_capabilities::jsonb, connected_at,
       last_activity, 'active', principal, era, protocol_version, continues, idle_timeout_seconds,
       fingerprint, user_id, user_email, user_name, client_key_hash, owner
FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
            $7::timestamptz[], $8::text[], $9::text[], $10::text[], $11::uuid[], $12::bigint[],
            $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[])
    AS new (session_id, client_type, client_name, client_version, client_capabilities, connected_at,
            last_activity, principal, era, protocol_version, continues, idle_timeout_seconds, fingerprint,
            user_id, user_email, user_name, client_key_hash, owner)
ON CONFLICT DO NOTHING";

pub(super) fn sessions(all: &[Session]) -> Statement<'_> {
    sqlx::query(SESSIONS)
        .bind(column(all, |session| session.id.as_uuid()))
        .bind(column(all, |session| text(session.client.kind())))
        .bind(column(all, |session| session.client.name.as_deref().map(text)))
        .bind(column(all, |session| session.client.version.as_deref().map(text)))
        .bind(column(all, |session| session.client.capabilities.as_deref().and_then(json)))
        .bind(column(all, |session| time(session.connected_at)))
        .bind(column(all, |session| time(session.last_activity)))
        .bind(column(all, |session| text(&session.principal.to_string()).into_owned()))
        .bind(column(all, |session| session.era.as_str()))
        .bind(column(all, |session| text(&session.protocol_version)))
        .bind(column(all, |session| session.continues.map(SessionId::as_uuid)))
        .bind(column(all, |session| whole_seconds(session.idle_timeout)))
        .bind(column(all, |session| session.fingerprint.map(|fingerprint| fingerprint.to_string())))
        .bind(column(all, |session| session.user.as_deref()?.id.as_deref().map(text)))
        .bind(column(all, |session| session.user.as_deref()?.email.as_deref().map(text)))
        .bind(column(all, |session| session.user.as_deref()?.name.as_deref().map(text)))
        .bind(column(all, |session| session.client_key.map(|digest| digest.to_string())))
        .bind(column(all, |session| session.owner.as_deref().map(text)))
}

/// Returns JSON as JSONB can hold it. It cannot hold NUL, halves of surrogate pairs and numbers beyond all
/// measure; then nothing is stored, since it is a client's word about itself and nothing depends on it.
pub(super) fn json(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(value.to_string()).filter(|text| !text.contains("\\u0000"))
}

/// Rounded up: a timeout that was stored as nothing would end its session at the next start.
fn whole_seconds(timeout: Duration) -> i64 {
    let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// The columns that [`read_session`] reads.
pub(super) const SESSION_COLUMNS: &str = "
    session_id, client_name, client_version, client_capabilities::text AS client_capabilities, connected_at,
    last_activity, disconnected_at, status, disconnect_reason, principal, era, protocol_version, continues,
    idle_timeout_seconds, revision, fingerprint, reconnect_count, user_id, user_email,
    user_name, client_key_hash, owner";

pub(super) fn read_session(row: &PgRow) -> Result<Session, StoreError> {
    let reason: Option<&str> = row.try_get("disconnect_reason")?;
    let status: &str = row.try_get("status")?;
    let last_activity = read_time(row, "last_activity")?;
    let ended = read_time_if_any(row, "disconnected_at")?;
    let end = (status != "active").then(|| End {
        at: ended.unwrap_or(last_activity),
        reason: reason.and_then(DisconnectReason::from_stored),
        imported: status == "expired",
    });
    let continues: Option<Uuid> = row.try_get("continues")?;
    let capabilities: Option<&str> = row.try_get("client_capabilities")?;
    let fingerprint: Option<&str> = row.try_get("fingerprint")?;
    let client_key: Option<&str> = row.try_get("client_key_hash")?;
    let idle_seconds: i64 = row.try_get("idle_timeout_seconds")?;
    let word = |column| row.try_get::<Option<&str>, _>(column).map(|text| text.map(Box::from));
    Ok(Session {
        id: SessionId::from_uuid(row.try_get("session_id")?),
        client: ClientInfo {
            name: row.try_get::<Option<&str>, _>("client_name")?.map(Into::into),
            version: row.try_get::<Option<&str>, _>("client_version")?.map(Into::into),
            // JSONB has its own spaces; ours has none.
            capabilities: capabilities.and_then(json).map(Into::into),
        },
        principal: Principal::from_stored(row.try_get("principal")?),
        user: User::known(word("user_id")?, word("user_email")?, word("user_name")?),
        era: Era::from_stored(row.try_get("era")?),
        protocol_version: row.try_get("protocol_version")?,
        connected_at: read_time(row, "connected_at")?,
        last_activity,
        idle_timeout: Duration::from_secs(u64::try_from(idle_seconds).unwrap_or(0)),
        end,
        fingerprint: fingerprint.and_then(|digest| digest.parse().ok()),
        client_key: client_key.and_then(|digest| digest.parse().ok()),
        continues: continues.map(SessionId::from_uuid),
        owner: row.try_get::<Option<&str>, _>("owner")?.map(Into::into),
        reconnect_count: row.try_get::<i32, _>("reconnect_count")?.into(),
        revision: row.try_get("revision")?,
    })
}

pub(super) fn unguessed(ids: &[SessionId]) -> Statement<'_> {
    sqlx::query(
        "UPDATE archon_mcp_sessions SET fingerprint = NULL
         WHERE session_id = ANY($1::uuid[]) AND fingerprint IS NOT NULL",
    )
    .bind(column(ids, |id| id.as_uuid()))
}

const CONNECTIONS: &str = "
INSERT INTO archon_mcp_connections AS old
    (handle, session_id, upstream, principal, protocol_version, initialize, link, opened_at, ended_at,
     setup)
SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::timestamptz[], $9::timestamptz[], $10::text[])
ON CONFLICT (handle) DO UPDATE SET
    session_id = excluded.session_id, link = excluded.link, setup = excluded.setup,
    ended_at = coalesce(old.ended_at, excluded.ended_at)";

/// Takes connections that [`latest`] has reduced.
pub(super) fn connections(all: &[Connection]) -> Statement<'_> {
    sqlx::query(CONNECTIONS)
        .bind(column(all, |connection| connection.handle.as_uuid()))
        .bind(column(all, |connection| connection.session.as_uuid()))
        .bind(column(all, |connection| text(&connection.upstream)))
        .bind(column(all, |connection| text(&connection.principal.to_string()).into_owned()))
        .bind(column(all, |connection| text(&connection.protocol_version)))
        .bind(column(all, |connection| text(&connection.initialize)))
        .bind(column(all, |connection| connection.link.as_deref().map(text)))
        .bind(column(all, |connection| time(connection.opened_at)))
        .bind(column(all, |connection| connection.ended_at.map(time)))
        .bind(column(all, |connection| connection.setup.as_deref().map(text)))
}

/// Reduces the writes of each connection to one, as if they were done in turn: PostgreSQL writes no row twice
/// in one statement. Sorted, so that two processes lock them in the same order.
pub(super) fn latest(all: &[Connection]) -> Vec<Connection> {
    let mut latest: HashMap<McpSessionId, Connection> = HashMap::with_capacity(all.len());
    for connection in all {
        let ended_at = latest.get(&connection.handle).and_then(|before| before.ended_at);
        let ended_at = ended_at.or(connection.ended_at);
        latest.insert(connection.handle, Connection { ended_at, ..connection.clone() });
    }
    let mut latest: Vec<_> = latest.into_values().collect();
    latest.sort_unstable_by_key(|connection| connection.handle);
    latest
}

/// The columns that [`read_connection`] reads, of a table that is called `c`.
pub(super) const CONNECTION_COLUMNS: &str = "
    c.handle, c.session_id, c.upstream, c.principal, c.protocol_version, c.initialize, c.link, c.opened_at,
    c.ended_at, c.setup";

pub(super) fn read_connection(row: &PgRow) -> Result<Connection, StoreError> {
    Ok(Connection {
        handle: McpSessionId::from_uuid(row.try_get("handle")?),
        session: SessionId::from_uuid(row.try_get("session_id")?),
        upstream: row.try_get::<&str, _>("upstream")?.into(),
        principal: Principal::from_stored(row.try_get("principal")?),
        protocol_version: row.try_get::<&str, _>("protocol_version")?.into(),
        initialize: row.try_get::<&str, _>("initialize")?.into(),
        link: row.try_get::<Option<&str>, _>("link")?.map(Into::into),
        opened_at: read_time(row, "opened_at")?,
        ended_at: read_time_if_any(row, "ended_at")?,
        setup: row.try_get::<Option<&str>, _>("setup")?.map(Into::into),
    })
}

const TOUCHES: &str = "
UPDATE archon_mcp_sessions s SET last_activity = touch.at
FROM UNNEST($1::uuid[], $2::timestamptz[]) AS touch (session_id, at)
WHERE s.session_id = touch.session_id AND s.status = 'active' AND s.last_activity < touch.at";

/// Takes them sorted by session, so that two processes lock the rows in the same order.
pub(super) fn touches(all: &[(SessionId, Timestamp)]) -> Statement<'_> {
    sqlx::query(TOUCHES)
        .bind(column(all, |(id, _)| id.as_uuid()))
        .bind(column(all, |(_, at)| time(*at)))
}

/// A timeout is an end on a condition: that nobody, on another node perhaps, has heard of the session since.
const ENDS: &str = "
UPDATE archon_mcp_sessions s SET
    status = 'disconnected', disconnected_at = done.at, disconnect_reason = done.reason,
    total_duration = done.duration, last_activity = greatest(s.last_activity, done.last_activity),
    revision = s.revision + 1
FROM UNNEST($1::uuid[], $2::timestamptz[], $3::text[], $4::integer[], $5::timestamptz[], $6::bigint[])
    AS done (session_id, at, reason, duration, last_activity, revision)
WHERE s.session_id = done.session_id AND s.status = 'active'
    AND (done.reason IS DISTINCT FROM 'timeout_no_activity'
         OR (s.last_activity <= done.last_activity AND s.revision < done.revision))";

/// Takes what [`first_ends`] has reduced.
pub(super) fn ends<'a>(all: &[&Session]) -> Statement<'a> {
    let reason = |session: &Session| session.end.and_then(|end| end.reason);
    sqlx::query(ENDS)
        .bind(all.iter().map(|session| session.id.as_uuid()).collect::<Vec<_>>())
        .bind(all.iter().map(|session| session.end.map(|end| time(end.at))).collect::<Vec<_>>())
        .bind(all.iter().map(|s| reason(s).map(DisconnectReason::as_str)).collect::<Vec<_>>())
        .bind(all.iter().map(|s| s.total_duration().map(int)).collect::<Vec<_>>())
        .bind(all.iter().map(|session| time(session.last_activity)).collect::<Vec<_>>())
        .bind(all.iter().map(|session| session.revision).collect::<Vec<_>>())
}

/// Reduces the ends of each session to the first.
pub(super) fn first_ends(all: &[Session]) -> Vec<&Session> {
    let mut first: Vec<&Session> = all.iter().collect();
    // Stable, so of equals the first one stays.
    first.sort_by_key(|session| session.id);
    first.dedup_by_key(|session| session.id);
    first
}

/// Returns the number as an `INTEGER`, the nearest where it is too large for one.
pub(super) fn int(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
}

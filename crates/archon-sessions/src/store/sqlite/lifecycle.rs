//! What happens to few sessions: tokens and attempts to use them, nodes, and the deletion of what is old.

use std::sync::Arc;

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Executor, Row, SqliteConnection};

use super::intake::READABLE;
use super::json;
use super::rows::time;
use crate::session::{SessionId, User};
use crate::store::{
    Batch, NodeRow, Pruning, ReconnectAttempt, RefusedRequests, StoreError, StoredToken, TokenUse,
    TokenUsed, reconnects,
};

/// Sessions that are looked at together when old ones are deleted.
const SESSIONS_AT_ONCE: u32 = 100;

const TOKENS: &str = "
UPDATE archon_mcp_sessions SET
    reconnect_token_hash = token.value->>1, reconnect_expires_at = token.value->>2
FROM json_each(?) AS token
WHERE session_id = token.value->>0 AND +status = 'active'";

const ATTEMPTS: &str = "
INSERT INTO archon_mcp_reconnect_attempts (timestamp, session_id, peer, principal, result)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM json_each(?)";

const REFUSALS: &str = "
INSERT INTO archon_mcp_refusals
    (minute, cause, upstream, peer, principal, client, detail, count, last_at)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8
FROM json_each(?) WHERE true
ON CONFLICT (minute, cause, upstream, peer) DO UPDATE SET
    count = count + excluded.count, last_at = max(last_at, excluded.last_at)";

const USERS: &str = "
UPDATE archon_mcp_sessions SET
    user_id = known.value->>1, user_email = known.value->>2, user_name = known.value->>3
FROM json_each(?) AS known
WHERE session_id = known.value->>0";

const HEARD: &str = "
INSERT INTO archon_mcp_nodes (node, name, address, place, heard_at, expected_until)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5 FROM json_each(?) WHERE true
ON CONFLICT (node) DO UPDATE SET
    address = excluded.address, place = excluded.place, heard_at = excluded.heard_at,
    expected_until = excluded.expected_until";

const GONE: &str = "DELETE FROM archon_mcp_nodes WHERE node IN (SELECT value FROM json_each(?))";

const NOTICES: &str = "
INSERT INTO archon_mcp_notices (node, session_id) SELECT value->>0, value->>1 FROM json_each(?) WHERE true
ON CONFLICT DO NOTHING";

const HEEDED: &str = "
DELETE FROM archon_mcp_notices
WHERE (node, session_id) IN (SELECT value->>0, value->>1 FROM json_each(?))";

const RARE: &str = const_format::concatcp!(
    TOKENS, ";", ATTEMPTS, ";", REFUSALS, ";", USERS, ";", HEARD, ";", GONE, ";", NOTICES, ";",
    HEEDED
);

/// Writes what most batches do not have, within the batch's transaction.
pub(super) async fn write(writer: &mut SqliteConnection, batch: &Batch) -> Result<(), StoreError> {
    if batch.has_rare() {
        sqlx::query(RARE)
            .bind(json(&reconnects::latest(&batch.tokens), |token| self::token(token))?)
            .bind(json(&batch.attempts, attempt)?)
            .bind(json(&batch.refusals, refusal)?)
            .bind(json(&batch.users, user)?)
            .bind(json(&batch.heard, heard)?)
            .bind(json(&batch.gone, |node| node.to_string())?)
            .bind(json(&batch.notices, notice)?)
            .bind(json(&batch.heeded, notice)?)
            .execute(writer)
            .await?;
    }
    Ok(())
}

fn token(token: &StoredToken) -> impl Serialize + use<> {
    (token.session.to_string(), token.hash.as_str().to_owned(), token.expires_at.to_string())
}

fn attempt(attempt: &ReconnectAttempt) -> impl Serialize + use<> {
    (
        attempt.at.to_string(),
        attempt.session.to_string(),
        attempt.peer.map(|peer| peer.to_string()),
        attempt.principal.to_string(),
        attempt.result,
    )
}

fn refusal(row: &RefusedRequests) -> impl Serialize + use<> {
    (
        row.minute.to_string(),
        row.cause,
        row.upstream.to_string(),
        row.peer.map(|peer| peer.to_string()).unwrap_or_default(),
        row.principal.to_string(),
        row.client.clone(),
        row.detail.clone(),
        row.count,
        row.last_at.to_string(),
    )
}

fn user((session, user): &(SessionId, Arc<User>)) -> impl Serialize + use<> {
    (session.to_string(), user.id.clone(), user.email.clone(), user.name.clone())
}

fn heard(row: &NodeRow) -> impl Serialize + use<> {
    (
        row.node.to_string(),
        row.name().to_owned(),
        row.address.as_deref().map(str::to_owned),
        row.place.as_deref().map(str::to_owned),
        row.heard_at.to_string(),
        row.expected_until.to_string(),
    )
}

fn notice((node, session): &(Arc<str>, SessionId)) -> impl Serialize + use<> {
    (node.to_string(), session.to_string())
}

/// An active session that has no owner, or one of which nothing is heard any more.
const IS_FREE: &str = "
status = 'active' AND (owner IS NULL OR owner = ?1 OR NOT EXISTS (
    SELECT 1 FROM archon_mcp_nodes n
    WHERE n.name = archon_mcp_sessions.owner AND n.expected_until > ?2))";

pub(super) const CLAIM: &str = const_format::concatcp!(
    "UPDATE archon_mcp_sessions SET owner = ?1 WHERE session_id = ?3 AND ",
    IS_FREE
);

pub(super) const CLAIM_ALL: &str = const_format::concatcp!(
    "UPDATE archon_mcp_sessions SET owner = ?1 WHERE owner IS NOT ?1 AND ",
    IS_FREE
);

pub(super) const GIVE: &str = "
UPDATE archon_mcp_sessions SET owner = ?3
WHERE session_id = ?1 AND owner = ?2 AND +status = 'active'";

pub(super) const ACTIVE_OF: &str = const_format::concatcp!(
    "SELECT * FROM archon_mcp_sessions
     WHERE status = 'active' AND principal = ?1 AND (?2 IS NULL OR fingerprint = ?2) AND ",
    READABLE,
    " ORDER BY last_activity DESC LIMIT ?3"
);

pub(super) const NOTICES_OF: &str =
    "SELECT session_id FROM archon_mcp_notices WHERE node = ?1 LIMIT ?2";

pub(super) fn read_node(row: &SqliteRow) -> Result<NodeRow, StoreError> {
    Ok(NodeRow {
        node: row.try_get::<&str, _>("node")?.into(),
        address: row.try_get::<Option<&str>, _>("address")?.map(Into::into),
        place: row.try_get::<Option<&str>, _>("place")?.map(Into::into),
        heard_at: time(row, "heard_at")?,
        expected_until: time(row, "expected_until")?,
    })
}

const USE: &str = "
UPDATE archon_mcp_sessions SET
    reconnect_token_hash = ?3, reconnect_expires_at = ?4, reconnect_count = reconnect_count + 1,
    revision = revision + 1, last_activity = max(last_activity, ?5)
WHERE session_id = ?1 AND +status = 'active' AND +reconnect_token_hash = ?2 AND reconnect_expires_at > ?5
RETURNING reconnect_count, revision";

/// One statement: of any number at once, one finds the token that it presents.
pub(super) async fn use_token(
    writer: &mut SqliteConnection,
    using: &TokenUse,
) -> Result<Option<TokenUsed>, StoreError> {
    let row = sqlx::query(USE)
        .bind(using.next.session.to_string())
        .bind(using.presented.as_str())
        .bind(using.next.hash.as_str())
        .bind(using.next.expires_at.to_string())
        .bind(using.at.to_string())
        .fetch_optional(writer)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(TokenUsed { reconnect_count: row.try_get(0)?, revision: row.try_get(1)? }))
}

pub(super) const SESSIONS: &str = const_format::concatcp!(
    "SELECT * FROM archon_mcp_sessions WHERE session_id IN (SELECT value FROM json_each(?)) AND ",
    READABLE
);

/// Whole seconds: a session is found a second late rather than early.
pub(super) const SILENT: &str = const_format::concatcp!(
    "
SELECT * FROM archon_mcp_sessions s
WHERE status = 'active' AND last_activity < ?1
    AND unixepoch(last_activity) + idle_timeout_seconds < unixepoch(?1)
    AND NOT EXISTS (SELECT 1 FROM archon_mcp_calls c WHERE c.session_id = s.session_id)
    AND ",
    READABLE,
    " ORDER BY last_activity LIMIT ?2"
);

/// Old ones, and those that are too many. Ids go up with the time.
const OLD_ATTEMPTS: &str = "
DELETE FROM archon_mcp_reconnect_attempts WHERE id IN (
    SELECT id FROM archon_mcp_reconnect_attempts
    WHERE timestamp < ?1 OR id <= (SELECT max(id) FROM archon_mcp_reconnect_attempts) - ?2
    LIMIT ?3)";

const OLD_REFUSALS: &str = "
DELETE FROM archon_mcp_refusals WHERE id IN (
    SELECT id FROM archon_mcp_refusals
    WHERE minute < ?1 OR id <= (SELECT max(id) FROM archon_mcp_refusals) - ?2
    LIMIT ?3)";

/// The same sessions, whichever statement asks.
const OLD_SESSIONS: &str = "
SELECT session_id FROM archon_mcp_sessions
WHERE disconnected_at < ?1 AND +status <> 'active' AND coalesce(intake, 1) = 1 ORDER BY disconnected_at LIMIT ?2";

const REQUESTS_OF_OLD: &str = const_format::concatcp!(
    "DELETE FROM archon_mcp_requests WHERE id IN (
        SELECT id FROM archon_mcp_requests WHERE session_id IN (",
    OLD_SESSIONS,
    ") LIMIT ?3)"
);
const CONNECTIONS_OF_OLD: &str = const_format::concatcp!(
    "DELETE FROM archon_mcp_connections WHERE session_id IN (",
    OLD_SESSIONS,
    ")"
);
const ATTEMPTS_OF_OLD: &str = const_format::concatcp!(
    "DELETE FROM archon_mcp_reconnect_attempts WHERE session_id IN (",
    OLD_SESSIONS,
    ")"
);
const THE_OLD: &str = const_format::concatcp!(
    "DELETE FROM archon_mcp_sessions WHERE session_id IN (",
    OLD_SESSIONS,
    ")"
);

/// Sessions go last, in the transaction in which nothing of theirs is left.
pub(super) async fn prune(
    writer: &mut SqliteConnection,
    pruning: &Pruning,
) -> Result<u64, StoreError> {
    let mut deleted = 0;
    for statement in [OLD_ATTEMPTS, OLD_REFUSALS] {
        let old = sqlx::query(statement)
            .bind(pruning.attempts_before.to_string())
            .bind(pruning.attempts_max)
            .bind(pruning.rows_max);
        deleted += old.execute(&mut *writer).await?.rows_affected();
    }
    let Some(before) = pruning.sessions_before.map(|before| before.to_string()) else {
        return Ok(deleted);
    };
    let requests = sqlx::query(REQUESTS_OF_OLD).bind(&before).bind(SESSIONS_AT_ONCE);
    let requests = requests.bind(pruning.rows_max).execute(&mut *writer).await?.rows_affected();
    deleted += requests;
    if requests > 0 {
        return Ok(deleted);
    }
    writer.execute("BEGIN IMMEDIATE").await?;
    for statement in [CONNECTIONS_OF_OLD, ATTEMPTS_OF_OLD, THE_OLD] {
        let done = sqlx::query(statement).bind(&before).bind(SESSIONS_AT_ONCE);
        deleted += done.execute(&mut *writer).await?.rows_affected();
    }
    writer.execute("COMMIT").await?;
    Ok(deleted)
}

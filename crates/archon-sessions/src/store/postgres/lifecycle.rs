//! What happens to few sessions: tokens and attempts to use them, nodes, and the deletion of what is old.

use std::sync::Arc;
use std::time::Duration;

use const_format::concatcp;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::Statement;
use super::rows::{SESSION_COLUMNS, column, read_time, text, time};
use crate::session::{Fingerprint, Principal, SessionId, Timestamp, User};
use crate::store::{
    ACTIVE_OF_MAX, Batch, NodeRow, Pruning, ReconnectAttempt, RefusedRequests, StoreError,
    StoredToken, TokenUse, reconnects,
};

/// Sessions that are deleted together.
const SESSIONS_AT_ONCE: i64 = 100;

const TOKENS: &str = "
UPDATE archon_mcp_sessions s SET
    reconnect_token_hash = token.hash, reconnect_expires_at = token.expires_at
FROM UNNEST($1::uuid[], $2::text[], $3::timestamptz[]) AS token (session_id, hash, expires_at)
WHERE s.session_id = token.session_id AND s.status = 'active'";

fn tokens<'a>(all: &[&'a StoredToken]) -> Statement<'a> {
    sqlx::query(TOKENS)
        .bind(all.iter().map(|token| token.session.as_uuid()).collect::<Vec<_>>())
        .bind(all.iter().map(|token| token.hash.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|token| time(token.expires_at)).collect::<Vec<_>>())
}

const ATTEMPTS: &str = "
INSERT INTO archon_mcp_reconnect_attempts (timestamp, session_id, peer, principal, result)
SELECT * FROM UNNEST($1::timestamptz[], $2::uuid[], $3::text[], $4::text[], $5::text[])";

fn attempts(all: &[ReconnectAttempt]) -> Statement<'_> {
    sqlx::query(ATTEMPTS)
        .bind(column(all, |attempt| time(attempt.at)))
        .bind(column(all, |attempt| attempt.session.as_uuid()))
        .bind(column(all, |attempt| attempt.peer.map(|peer| peer.to_string())))
        .bind(column(all, |attempt| text(&attempt.principal.to_string()).into_owned()))
        .bind(column(all, |attempt| attempt.result))
}

const REFUSALS: &str = "
INSERT INTO archon_mcp_refusals AS r
    (minute, cause, upstream, peer, principal, client, detail, count, last_at)
SELECT * FROM UNNEST($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::bigint[], $9::timestamptz[])
ON CONFLICT (minute, cause, upstream, peer) DO UPDATE SET
    count = r.count + excluded.count, last_at = greatest(r.last_at, excluded.last_at)";

fn refusals(all: &[RefusedRequests]) -> Statement<'_> {
    let peer = |row: &RefusedRequests| row.peer.map(|peer| peer.to_string()).unwrap_or_default();
    sqlx::query(REFUSALS)
        .bind(column(all, |row| time(row.minute)))
        .bind(column(all, |row| row.cause))
        .bind(column(all, |row| text(&row.upstream)))
        .bind(column(all, peer))
        .bind(column(all, |row| text(&row.principal.to_string()).into_owned()))
        .bind(column(all, |row| row.client.as_deref().map(text)))
        .bind(column(all, |row| text(&row.detail)))
        .bind(column(all, |row| i64::from(row.count)))
        .bind(column(all, |row| time(row.last_at)))
}

const USERS: &str = "
UPDATE archon_mcp_sessions s SET
    user_id = known.id, user_email = known.email, user_name = known.name
FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[]) AS known (session_id, id, email, name)
WHERE s.session_id = known.session_id";

fn users(all: &[(SessionId, Arc<User>)]) -> Statement<'_> {
    // Sorted, so that two processes lock rows in the same order.
    let mut all: Vec<_> = all.iter().collect();
    all.sort_by_key(|(session, _)| *session);
    let part = |part: fn(&User) -> &Option<Box<str>>| {
        let texts = all.iter().map(|(_, user)| part(user).as_deref().map(text));
        texts.collect::<Vec<_>>()
    };
    sqlx::query(USERS)
        .bind(all.iter().map(|(session, _)| session.as_uuid()).collect::<Vec<_>>())
        .bind(part(|user| &user.id))
        .bind(part(|user| &user.email))
        .bind(part(|user| &user.name))
}

const HEARD: &str = "
INSERT INTO archon_mcp_nodes (node, name, address, place, heard_at, expected_until)
SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[])
ON CONFLICT (node) DO UPDATE SET
    address = excluded.address, place = excluded.place, heard_at = excluded.heard_at,
    expected_until = excluded.expected_until";

fn heard(all: &[NodeRow]) -> Statement<'_> {
    sqlx::query(HEARD)
        .bind(column(all, |row| text(&row.node)))
        .bind(column(all, |row| text(row.name())))
        .bind(column(all, |row| row.address.as_deref().map(text)))
        .bind(column(all, |row| row.place.as_deref().map(text)))
        .bind(column(all, |row| time(row.heard_at)))
        .bind(column(all, |row| time(row.expected_until)))
}

/// By the database's clock, which all its processes share.
const RENEW: &str = "
INSERT INTO archon_mcp_nodes (node, name, address, place, heard_at, expected_until)
SELECT $1, $2, $3, $4, clock_timestamp(), clock_timestamp() + $5 * INTERVAL '1 second'
ON CONFLICT (node) DO UPDATE SET
    address = excluded.address, place = excluded.place, heard_at = excluded.heard_at,
    expected_until = excluded.expected_until
RETURNING clock_timestamp()";

pub(super) fn renew(node: &NodeRow, lease: Duration) -> Statement<'_> {
    sqlx::query(RENEW)
        .bind(text(&node.node))
        .bind(text(node.name()))
        .bind(node.address.as_deref().map(text))
        .bind(node.place.as_deref().map(text))
        .bind(lease.as_secs_f64())
}

/// An active session that has no owner, or one of which nothing is heard any more.
const IS_FREE: &str = "
status = 'active' AND (owner IS NULL OR owner = $1 OR NOT EXISTS (
    SELECT FROM archon_mcp_nodes n
    WHERE n.name = archon_mcp_sessions.owner AND n.expected_until > clock_timestamp()))";

pub(super) fn claim(session: SessionId, node: &str) -> Statement<'_> {
    const SQL: &str =
        concatcp!("UPDATE archon_mcp_sessions SET owner = $1 WHERE session_id = $2 AND ", IS_FREE);
    sqlx::query(SQL).bind(text(node)).bind(session.as_uuid())
}

pub(super) fn give<'a>(session: SessionId, from: &'a str, to: &'a str) -> Statement<'a> {
    sqlx::query(
        "UPDATE archon_mcp_sessions SET owner = $3
         WHERE session_id = $1 AND owner = $2 AND status = 'active'",
    )
    .bind(session.as_uuid())
    .bind(text(from))
    .bind(text(to))
}

pub(super) fn claim_all(node: &str) -> Statement<'_> {
    const SQL: &str = concatcp!(
        "UPDATE archon_mcp_sessions SET owner = $1 WHERE owner IS DISTINCT FROM $1 AND ",
        IS_FREE
    );
    sqlx::query(SQL).bind(text(node))
}

pub(super) fn active_of(
    principal: &Principal,
    fingerprint: Option<Fingerprint>,
) -> Statement<'static> {
    const SQL: &str = concatcp!(
        "SELECT ",
        SESSION_COLUMNS,
        " FROM archon_mcp_sessions
         WHERE status = 'active' AND principal = $1 AND ($2::text IS NULL OR fingerprint = $2)
             AND isfinite(last_activity)
         ORDER BY last_activity DESC LIMIT $3"
    );
    sqlx::query(SQL)
        .bind(text(&principal.to_string()).into_owned())
        .bind(fingerprint.map(|digest| digest.to_string()))
        .bind(ACTIVE_OF_MAX as i64)
}

pub(super) fn notices(node: &str, max: u32) -> Statement<'_> {
    sqlx::query("SELECT session_id FROM archon_mcp_notices WHERE node = $1 LIMIT $2")
        .bind(text(node))
        .bind(i64::from(max))
}

const NOTICES: &str = "
INSERT INTO archon_mcp_notices (node, session_id) SELECT * FROM UNNEST($1::text[], $2::uuid[])
ON CONFLICT DO NOTHING";

const HEEDED: &str = "
DELETE FROM archon_mcp_notices n USING UNNEST($1::text[], $2::uuid[]) AS heeded (node, session_id)
WHERE n.node = heeded.node AND n.session_id = heeded.session_id";

fn of_notices<'a>(sql: &'static str, all: &'a [(Arc<str>, SessionId)]) -> Statement<'a> {
    sqlx::query(sql)
        .bind(column(all, |(node, _)| text(node)))
        .bind(column(all, |(_, session)| session.as_uuid()))
}

/// Returns how to write what most batches do not have.
pub(super) fn rare(batch: &Batch) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    if !batch.tokens.is_empty() {
        statements.push(tokens(&reconnects::latest(&batch.tokens)));
    }
    if !batch.attempts.is_empty() {
        statements.push(attempts(&batch.attempts));
    }
    if !batch.refusals.is_empty() {
        statements.push(refusals(&batch.refusals));
    }
    if !batch.users.is_empty() {
        statements.push(users(&batch.users));
    }
    if !batch.heard.is_empty() {
        statements.push(heard(&batch.heard));
    }
    if !batch.gone.is_empty() {
        let gone = sqlx::query("DELETE FROM archon_mcp_nodes WHERE node = ANY($1::text[])");
        statements.push(gone.bind(column(&batch.gone, |node| text(node))));
    }
    if !batch.notices.is_empty() {
        statements.push(of_notices(NOTICES, &batch.notices));
    }
    if !batch.heeded.is_empty() {
        statements.push(of_notices(HEEDED, &batch.heeded));
    }
    statements
}

pub(super) fn read_node(row: &PgRow) -> Result<NodeRow, StoreError> {
    Ok(NodeRow {
        node: row.try_get::<&str, _>("node")?.into(),
        address: row.try_get::<Option<&str>, _>("address")?.map(Into::into),
        place: row.try_get::<Option<&str>, _>("place")?.map(Into::into),
        heard_at: read_time(row, "heard_at")?,
        expected_until: read_time(row, "expected_until")?,
    })
}

const USE: &str = "
UPDATE archon_mcp_sessions SET
    reconnect_token_hash = $3, reconnect_expires_at = $4, reconnect_count = reconnect_count + 1,
    revision = revision + 1, last_activity = greatest(last_activity, $5)
WHERE session_id = $1 AND status = 'active' AND reconnect_token_hash = $2 AND reconnect_expires_at > $5
RETURNING reconnect_count::bigint, revision";

/// One statement: of any number at once, the second finds the token of the first.
pub(super) fn use_token(using: &TokenUse) -> Statement<'_> {
    sqlx::query(USE)
        .bind(using.next.session.as_uuid())
        .bind(using.presented.as_str())
        .bind(using.next.hash.as_str())
        .bind(time(using.next.expires_at))
        .bind(time(using.at))
}

pub(super) fn sessions(ids: &[SessionId]) -> Statement<'_> {
    const SQL: &str = concatcp!(
        "SELECT ",
        SESSION_COLUMNS,
        " FROM archon_mcp_sessions WHERE session_id = ANY($1::uuid[])"
    );
    sqlx::query(SQL).bind(column(ids, |id| id.as_uuid()))
}

pub(super) fn silent<'a>(now: Timestamp, max: u32) -> Statement<'a> {
    const SQL: &str = concatcp!(
        "SELECT ",
        SESSION_COLUMNS,
        " FROM archon_mcp_sessions s
         WHERE status = 'active' AND last_activity < $1
             AND last_activity + idle_timeout_seconds * INTERVAL '1 second' <= $1
             AND NOT EXISTS (SELECT FROM archon_mcp_calls c WHERE c.session_id = s.session_id)
         ORDER BY last_activity LIMIT $2"
    );
    sqlx::query(SQL).bind(time(now)).bind(i64::from(max))
}

/// Old ones, and those that are too many. Ids go up with the time.
const OLD_ATTEMPTS: &str = "
DELETE FROM archon_mcp_reconnect_attempts WHERE id IN (
    SELECT id FROM archon_mcp_reconnect_attempts
    WHERE timestamp < $1 OR id <= (SELECT max(id) FROM archon_mcp_reconnect_attempts) - $2
    LIMIT $3)";

const OLD_REFUSALS: &str = "
DELETE FROM archon_mcp_refusals WHERE id IN (
    SELECT id FROM archon_mcp_refusals
    WHERE minute < $1 OR id <= (SELECT max(id) FROM archon_mcp_refusals) - $2
    LIMIT $3)";

/// The same sessions, whichever statement asks.
const OLD_SESSIONS: &str = "
SELECT session_id FROM archon_mcp_sessions
WHERE disconnected_at < $1 AND status <> 'active' ORDER BY disconnected_at LIMIT $2";

const REQUESTS_OF_OLD: &str = concatcp!(
    "DELETE FROM archon_mcp_requests WHERE (id, timestamp) IN (
        SELECT id, timestamp FROM archon_mcp_requests WHERE session_id IN (",
    OLD_SESSIONS,
    ") LIMIT $3)"
);
/// A request may be on its way to its session still; then that one stays until the next time.
const THE_OLD: &str = concatcp!(
    "WITH old AS MATERIALIZED (",
    OLD_SESSIONS,
    "), deleted AS (
         DELETE FROM archon_mcp_sessions s USING old WHERE s.session_id = old.session_id
             AND NOT EXISTS (SELECT FROM archon_mcp_requests r WHERE r.session_id = s.session_id)
         RETURNING s.session_id
     ), connections AS (
         DELETE FROM archon_mcp_connections c USING deleted d WHERE c.session_id = d.session_id
     ), attempts AS (
         DELETE FROM archon_mcp_reconnect_attempts a USING deleted d WHERE a.session_id = d.session_id
     )
     SELECT count(*) FROM deleted"
);

/// Returns how to delete what strangers have caused and nobody will look into any more.
pub(super) fn old_tries<'a>(pruning: &Pruning) -> [Statement<'a>; 2] {
    [OLD_ATTEMPTS, OLD_REFUSALS].map(|statement| {
        sqlx::query(statement)
            .bind(time(pruning.attempts_before))
            .bind(i64::from(pruning.attempts_max))
            .bind(i64::from(pruning.rows_max))
    })
}

pub(super) fn requests_of_old<'a>(before: Timestamp, rows_max: u32) -> Statement<'a> {
    sqlx::query(REQUESTS_OF_OLD).bind(time(before)).bind(SESSIONS_AT_ONCE).bind(i64::from(rows_max))
}

pub(super) fn the_old<'a>(before: Timestamp) -> Statement<'a> {
    sqlx::query(THE_OLD).bind(time(before)).bind(SESSIONS_AT_ONCE)
}

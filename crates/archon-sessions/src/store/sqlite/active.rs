//! All active sessions and their connections at once: what a start waits for.
//!
//! A row comes as one JSON text. As columns it costs several times as much (measured): each value is copied,
//! and its column found by name.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use serde::Deserialize;
use sqlx::{ConnectOptions, Connection as _, SqliteConnection};

use super::file::Place;
use super::intake::READABLE;
use crate::session::{ClientInfo, Connection, Era, Principal, Session, Timestamp, User};
use crate::store::{StoreError, say_unreadable};

/// Rows that SQLite's thread may be ahead of ours; by default it is woken every fifty.
const ROWS_AHEAD: usize = 1000;
/// Pages that are kept while reading: a row of a session is found by its key, anywhere in the file.
const CACHE_KIB: &str = "-65536";

const SESSIONS: &str = const_format::concatcp!(
    "
SELECT json_array(session_id, client_name, client_version, client_capabilities, principal, era,
                  protocol_version, connected_at, last_activity, idle_timeout_seconds, continues, revision,
                  fingerprint, reconnect_count, json_array(user_id, user_email, user_name), client_key_hash,
                  owner)
FROM archon_mcp_sessions WHERE status = 'active' AND ",
    READABLE
);

const CONNECTIONS: &str = "
SELECT json_array(handle, session_id, upstream, c.principal, c.protocol_version, initialize, link, setup,
                  opened_at)
FROM archon_mcp_sessions s CROSS JOIN archon_mcp_connections c USING (session_id)
WHERE s.status = 'active' AND c.ended_at IS NULL";

/// Reads both, each on a connection of its own: there are two cores, and nobody else is served yet.
pub(super) async fn read(place: &Place) -> Result<(Vec<Session>, Vec<Connection>), StoreError> {
    let options = place.options().row_buffer_size(ROWS_AHEAD).pragma("cache_size", CACHE_KIB);
    tokio::try_join!(
        async {
            let mut connection = options.connect().await?;
            let found = rows(&mut connection, SESSIONS, session).await?;
            connection.close().await?;
            Ok::<_, StoreError>(found)
        },
        async {
            let mut connection = options.connect().await?;
            let mut upstream: Arc<str> = "".into();
            let read = |row: &[u8]| self::connection(row, &mut upstream);
            let found = rows(&mut connection, CONNECTIONS, read).await?;
            connection.close().await?;
            Ok(found)
        }
    )
}

async fn rows<T>(
    connection: &mut SqliteConnection,
    query: &'static str,
    mut read: impl FnMut(&[u8]) -> Option<T>,
) -> Result<Vec<T>, StoreError> {
    let mut all = Vec::new();
    // As bytes: a text that others wrote need not be UTF-8, and costs its row then, not the start.
    let mut rows = sqlx::query_scalar::<_, Vec<u8>>(query).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        match read(&row) {
            Some(read) => all.push(read),
            None => say_unreadable("active sessions", "row of an active session"),
        }
    }
    Ok(all)
}

#[derive(Deserialize)]
struct SessionRow<'a>(
    &'a str,
    Option<Box<str>>,
    Option<Box<str>>,
    Option<Box<str>>,
    #[serde(borrow)] Cow<'a, str>,
    &'a str,
    String,
    &'a str,
    &'a str,
    i64,
    Option<&'a str>,
    i64,
    Option<&'a str>,
    i64,
    [Option<Box<str>>; 3],
    Option<&'a str>,
    Option<Arc<str>>,
);

fn session(row: &[u8]) -> Option<Session> {
    let SessionRow(
        id,
        name,
        version,
        capabilities,
        principal,
        era,
        protocol_version,
        connected_at,
        last_activity,
        idle_seconds,
        continues,
        revision,
        fingerprint,
        reconnect_count,
        [user_id, user_email, user_name],
        client_key,
        owner,
    ) = serde_json::from_slice(row).ok()?;
    Some(Session {
        id: id.parse().ok()?,
        client: ClientInfo { name, version, capabilities },
        principal: Principal::from_stored(&principal),
        user: User::known(user_id, user_email, user_name),
        era: Era::from_stored(era),
        protocol_version,
        connected_at: Timestamp::read(connected_at)?,
        last_activity: Timestamp::read(last_activity)?,
        idle_timeout: Duration::from_secs(u64::try_from(idle_seconds).unwrap_or(0)),
        end: None,
        fingerprint: fingerprint.and_then(|digest| digest.parse().ok()),
        client_key: client_key.and_then(|digest| digest.parse().ok()),
        continues: continues.and_then(|id| id.parse().ok()),
        owner,
        reconnect_count,
        revision,
    })
}

#[derive(Deserialize)]
struct ConnectionRow<'a>(
    &'a str,
    &'a str,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    Box<str>,
    #[serde(borrow)] Cow<'a, str>,
    Option<Box<str>>,
    Option<Arc<str>>,
    &'a str,
);

/// Most connections are at the upstream of the one before: its name is shared.
fn connection(row: &[u8], upstream: &mut Arc<str>) -> Option<Connection> {
    let ConnectionRow(
        handle,
        session,
        name,
        principal,
        protocol_version,
        initialize,
        link,
        setup,
        opened_at,
    ) = serde_json::from_slice(row).ok()?;
    if **upstream != *name {
        *upstream = name.into();
    }
    Some(Connection {
        handle: handle.parse().ok()?,
        session: session.parse().ok()?,
        upstream: upstream.clone(),
        principal: Principal::from_stored(&principal),
        protocol_version,
        initialize: initialize.into(),
        link,
        setup,
        opened_at: Timestamp::read(opened_at)?,
        ended_at: None,
    })
}

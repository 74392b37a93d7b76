//! Keeps everything in one SQLite file.
//!
//! A batch travels as one JSON text per table and is spread by `json_each`: one bound value however many
//! rows. And it travels whole, transaction and all, in one execution: SQLite runs on a thread of its own,
//! and on a busy machine each way there and back can take longer than the work. Only many requests at once
//! take another, cheaper way: see `requests`.

mod active;
mod bounds;
mod damage;
mod file;
mod intake;
mod lifecycle;
mod private;
mod reports;
mod requests;
mod rows;
mod schema;
mod transfer;
mod unfinished;
mod usage;

use file::Readers;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqlitePool};
use sqlx::{Row, Sqlite, SqliteConnection};
use tokio::sync::Mutex;

use file::{File, Place};

use super::usage::{minutes_from, slices};
use super::{
    ACTIVE_OF_MAX, Batch, NodeRow, OpenCall, Price, Pruning, SchemaStep, SessionStore, StoreError,
    StoredEvent, TokenUse, TokenUsed, each_readable,
};
use crate::protocol::event_id::StreamId;
use crate::session::{
    Connection, Fingerprint, FingerprintKey, KeyDigest, McpSessionId, Principal, Session,
    SessionId, Timestamp, TokenKey,
};

type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// A store in a SQLite file, in WAL mode, safe against power loss (`synchronous=FULL`).
#[derive(Clone)]
pub struct SqliteStore {
    /// The file and the one connection that writes to it.
    file: Arc<Mutex<File>>,
    readers: Readers,
    place: Place,
    /// Rows that others wrote and nobody can read, as they were counted last.
    unreadable: Arc<AtomicU64>,
}

impl SqliteStore {
    /// Opens the file, creating it and its folder if need be, and brings its schema up to date.
    ///
    /// # Errors
    /// If the file cannot be opened, is damaged, or its schema is newer than this version.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_at(Place::File(path.as_ref().into())).await
    }

    /// Opens a database in memory, which is gone when this is. It keeps the latest requests and the latest
    /// sessions only, and is slower where many read and write at once: it is for trying things out.
    ///
    /// # Errors
    /// If there is no memory.
    pub async fn in_memory() -> Result<Self, StoreError> {
        Self::open_at(Place::in_memory()).await
    }

    async fn open_at(place: Place) -> Result<Self, StoreError> {
        let file = File::open(place.clone()).await?;
        let readers = file.readers();
        let file = Arc::new(Mutex::new(file));
        let store = Self { file, readers, place, unreadable: Arc::default() };
        store.take_in_written().await;
        Ok(store)
    }

    /// Returns the steps that [`SqliteStore::open`] would take to bring a file's schema up to date, and changes
    /// nothing.
    ///
    /// # Errors
    /// If the file cannot be read, or is not one to go on from.
    pub async fn missing_steps(path: &Path) -> Result<Vec<SchemaStep>, StoreError> {
        let missing = schema::missing(path).await;
        missing.map_err(|error| damage::named(error, path))
    }

    /// Returns the pool of readers, for queries beside the store's own. It may be closed, and another be in
    /// its place, whenever the file is opened again.
    pub fn pool(&self) -> SqlitePool {
        self.readers.pool()
    }

    /// Returns the key of this name, this one if there is none yet: who comes first makes it, and everybody reads
    /// the same.
    async fn key(&self, name: &'static str, new: String) -> Result<String, StoreError> {
        let mut file = self.file.lock().await;
        let writer = file.writer().await?;
        sqlx::query("INSERT INTO archon_mcp_keys VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(new)
            .execute(&mut *writer)
            .await?;
        let key = sqlx::query_scalar("SELECT value FROM archon_mcp_keys WHERE name = ?").bind(name);
        let key: String = key.fetch_one(writer).await?;
        file.remember_key(name, &key);
        Ok(key)
    }

    /// Changes rows, and returns how many.
    async fn change(&self, statement: Statement<'_>) -> Result<u64, StoreError> {
        let mut file = self.file.lock().await;
        let done = statement.execute(file.writer().await?).await;
        Ok(done.map_err(|error| damage::named(error.into(), self.place.path()))?.rows_affected())
    }

    /// Closes the file, which folds the write-ahead log into it.
    pub async fn close(&self) {
        self.file.lock().await.close_for_good().await;
    }
}

#[async_trait]
impl SessionStore for SqliteStore {
    async fn apply(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut file = self.file.lock().await;
        let writer = file.writer().await?;
        let mut written = write(writer, batch).await;
        if written.is_ok() && self.place.is_in_memory() {
            written = bounds::forget_surplus(writer).await;
        }
        if written.is_err() {
            file.clear_up().await;
        }
        written.map_err(|error| damage::named(error, self.place.path()))
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.take_in_written().await;
        let row =
            sqlx::query(rows::SESSION).bind(id.to_string()).fetch_optional(&self.pool()).await?;
        row.as_ref().map(rows::read_session).transpose()
    }

    async fn continued_by(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let row = sqlx::query(rows::CONTINUED_BY).bind(id.to_string());
        let row = row.fetch_optional(&self.pool()).await?;
        row.as_ref().map(rows::read_session).transpose()
    }

    async fn sessions_of_key(&self, key: KeyDigest, max: u32) -> Result<Vec<Session>, StoreError> {
        let found = sqlx::query(rows::SESSIONS_OF_KEY).bind(key.to_string()).bind(max);
        let found = found.fetch_all(&self.pool()).await?;
        each_readable("archon_mcp_sessions", found.iter().map(rows::read_session))
    }

    async fn connection(&self, handle: McpSessionId) -> Result<Option<Connection>, StoreError> {
        let row = sqlx::query("SELECT * FROM archon_mcp_connections WHERE handle = ?")
            .bind(handle.to_string())
            .fetch_optional(&self.pool())
            .await?;
        row.as_ref().map(rows::read_connection).transpose()
    }

    async fn connections_of(&self, session: SessionId) -> Result<Vec<Connection>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM archon_mcp_connections WHERE session_id = ? AND ended_at IS NULL",
        )
        .bind(session.to_string())
        .fetch_all(&self.pool())
        .await?;
        each_readable("archon_mcp_connections", rows.iter().map(rows::read_connection))
    }

    async fn active(&self) -> Result<(Vec<Session>, Vec<Connection>), StoreError> {
        self.take_in_written().await;
        active::read(&self.place).await.map_err(|error| damage::named(error, self.place.path()))
    }

    async fn open_calls(&self) -> Result<Vec<OpenCall>, StoreError> {
        let rows = sqlx::query("SELECT * FROM archon_mcp_calls").fetch_all(&self.pool()).await?;
        each_readable("archon_mcp_calls", rows.iter().map(unfinished::read_call))
    }

    async fn events_of(&self, stream: StreamId) -> Result<Vec<StoredEvent>, StoreError> {
        let rows = sqlx::query("SELECT * FROM archon_mcp_events WHERE stream_id = ? ORDER BY seq")
            .bind(stream.0)
            .fetch_all(&self.pool())
            .await?;
        each_readable("archon_mcp_events", rows.iter().map(unfinished::read_event))
    }

    async fn fingerprint_key(&self) -> Result<FingerprintKey, StoreError> {
        let key = self.key("fingerprint", format!("{:x}", FingerprintKey::random())).await?;
        key.parse().map_err(|_| StoreError::Corrupt { what: "fingerprint key" })
    }

    async fn sealed_since(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        let since = self.key("cookies-sealed-since", now.to_string()).await?;
        Ok(Timestamp::parse(&since).unwrap_or(now))
    }

    async fn token_secret(&self) -> Result<String, StoreError> {
        self.key("reconnect-token", TokenKey::random_secret()).await
    }

    async fn use_token(&self, using: &TokenUse) -> Result<Option<TokenUsed>, StoreError> {
        let mut file = self.file.lock().await;
        let used = lifecycle::use_token(file.writer().await?, using).await;
        used.map_err(|error| damage::named(error, self.place.path()))
    }

    async fn sessions_by_id(&self, ids: &[SessionId]) -> Result<Vec<Session>, StoreError> {
        let ids = json(ids, ToString::to_string)?;
        let rows = sqlx::query(lifecycle::SESSIONS).bind(ids).fetch_all(&self.pool()).await?;
        each_readable("archon_mcp_sessions", rows.iter().map(rows::read_session))
    }

    async fn silent(&self, now: Timestamp, max: u32) -> Result<Vec<Session>, StoreError> {
        self.take_in_written().await;
        let silent = sqlx::query(lifecycle::SILENT).bind(now.to_string()).bind(max);
        let silent = silent.fetch_all(&self.pool()).await?;
        each_readable("archon_mcp_sessions", silent.iter().map(rows::read_session))
    }

    async fn notices(&self, node: &str, max: u32) -> Result<Vec<SessionId>, StoreError> {
        let rows = sqlx::query(lifecycle::NOTICES_OF).bind(node).bind(max);
        let rows = rows.fetch_all(&self.pool()).await?;
        rows.iter().map(|row| rows::parsed(row, "session_id")).collect()
    }

    async fn claim(&self, id: SessionId, node: &str, now: Timestamp) -> Result<bool, StoreError> {
        let claim = sqlx::query(lifecycle::CLAIM).bind(node).bind(now.to_string());
        Ok(self.change(claim.bind(id.to_string())).await? > 0)
    }

    async fn give(&self, id: SessionId, from: &str, to: &str) -> Result<bool, StoreError> {
        let give = sqlx::query(lifecycle::GIVE).bind(id.to_string()).bind(from).bind(to);
        Ok(self.change(give).await? > 0)
    }

    async fn claim_all(&self, node: &str, now: Timestamp) -> Result<u64, StoreError> {
        self.change(sqlx::query(lifecycle::CLAIM_ALL).bind(node).bind(now.to_string())).await
    }

    async fn active_of(
        &self,
        principal: &Principal,
        fingerprint: Option<Fingerprint>,
    ) -> Result<Vec<Session>, StoreError> {
        let found = sqlx::query(lifecycle::ACTIVE_OF)
            .bind(principal.to_string())
            .bind(fingerprint.map(|digest| digest.to_string()))
            .bind(ACTIVE_OF_MAX as i64);
        let found = found.fetch_all(&self.pool()).await?;
        each_readable("archon_mcp_sessions", found.iter().map(rows::read_session))
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        let nodes = sqlx::query("SELECT * FROM archon_mcp_nodes").fetch_all(&self.pool()).await?;
        each_readable("archon_mcp_nodes", nodes.iter().map(lifecycle::read_node))
    }

    async fn prune(&self, pruning: &Pruning) -> Result<u64, StoreError> {
        let mut file = self.file.lock().await;
        let pruned = lifecycle::prune(file.writer().await?, pruning).await;
        if pruned.is_err() {
            file.clear_up().await;
        }
        pruned.map_err(|error| damage::named(error, self.place.path()))
    }

    async fn price(&self, model: &str, now: Timestamp) -> Result<Option<Price>, StoreError> {
        let row = sqlx::query(
            "SELECT input_price_per_1k, output_price_per_1k FROM archon_llm_pricing
             WHERE model_name = ? AND effective_date <= ? ORDER BY effective_date DESC LIMIT 1",
        )
        .bind(model)
        .bind(now.to_string())
        .fetch_optional(&self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Price { input_per_1k: row.try_get(0)?, output_per_1k: row.try_get(1)? }))
    }

    fn unreadable(&self) -> u64 {
        self.unreadable.load(Relaxed)
    }

    async fn check(&self) -> Result<(), StoreError> {
        // While a batch is being written, that tells as much.
        if let Ok(file) = self.file.try_lock() {
            file.look()?;
        }
        let counted = self.count_unreadable().await;
        counted.map_err(|error| damage::named(error, self.place.path()))
    }
}

/// Begins a transaction and writes what requests refer to.
const BEGIN: &str = const_format::concatcp!(
    "BEGIN IMMEDIATE;",
    rows::SESSIONS,
    ";",
    rows::CONNECTIONS,
    ";",
    rows::UNGUESSED,
    ";",
    unfinished::CALLS,
    ";"
);
/// Writes the rest and commits. A call leaves the ledger in the transaction that writes its end.
const COMMIT: &str = const_format::concatcp!(
    rows::REQUESTS,
    ";",
    unfinished::CLOSED,
    ";",
    unfinished::EVENTS,
    ";",
    unfinished::FORGOTTEN,
    ";",
    unfinished::EXPIRED,
    ";",
    usage::USAGE,
    ";",
    usage::LATENCY,
    ";",
    usage::DAYS,
    ";",
    usage::TOTALS,
    ";",
    usage::UPSTREAMS,
    ";",
    usage::MINUTES,
    ";",
    rows::TOUCHES,
    ";",
    rows::ENDS,
    "; COMMIT"
);
/// Both at once.
const WHOLE: &str = const_format::concatcp!(BEGIN, COMMIT);

async fn write(writer: &mut SqliteConnection, batch: &Batch) -> Result<(), StoreError> {
    let sessions = json(&batch.created, rows::session)?;
    let connections = json(&batch.connections, rows::connection)?;
    let unguessed = json(&batch.unguessed, ToString::to_string)?;
    let opened = json(&batch.opened, unfinished::call)?;
    let used = slices(&batch.requests);
    let minutes_from = minutes_from(&used).map(|from| from.to_string()).unwrap_or_default();
    let minutes = usage::minutes(&used)?;
    let (used, met) = (usage::json(&used)?, usage::met(&used)?);
    let (many, few) = requests::split(&batch.requests);
    let first =
        |query| sqlx::query(query).bind(sessions).bind(connections).bind(unguessed).bind(opened);
    let last = if many.is_empty() && !batch.has_rare() {
        first(WHOLE)
    } else {
        first(BEGIN).execute(&mut *writer).await?;
        lifecycle::write(writer, batch).await?;
        requests::insert(writer, many).await?;
        sqlx::query(COMMIT)
    };
    last.bind(json(few, rows::request)?)
        .bind(json(&batch.closed, unfinished::closed)?)
        .bind(json(&batch.events, unfinished::event)?)
        .bind(json(&batch.forgotten, unfinished::forgotten)?)
        .bind(batch.forget_before.map(|before| before.to_string()).unwrap_or_default())
        .bind(&used)
        .bind(&used)
        .bind(&met)
        .bind(&used)
        .bind(&met)
        .bind(minutes)
        .bind(minutes_from)
        .bind(json(&batch.touched, rows::touch)?)
        .bind(json(&batch.ended, rows::end)?)
        .execute(writer)
        .await?;
    Ok(())
}

fn json<'a, T, R: serde::Serialize>(
    items: &'a [T],
    row: impl Fn(&'a T) -> R,
) -> Result<String, StoreError> {
    let rows: Vec<R> = items.iter().map(row).collect();
    serde_json::to_string(&rows).map_err(|error| sqlx::Error::Encode(Box::new(error)).into())
}

//! Keeps everything in a PostgreSQL database, 13 or later.
//!
//! One connection writes, a few read. Each is replaced when it fails, so that a database that was away is used
//! again once it is back. Nothing lasts longer on a connection than its transaction, so that a pooler may stand in
//! between: no settings, no listening, and with `?pgbouncer=true` no prepared statements.

mod address;
mod days;
mod intake;
mod lifecycle;
mod reports;
mod requests;
mod rows;
#[cfg(test)]
pub(crate) mod server;
mod takeover;
#[cfg(test)]
mod tests;
mod transfer;
mod unfinished;
mod usage;

pub use address::{PostgresUrl, PostgresUrlError};

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use const_format::concatcp;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, Executor, PgConnection, Row};
use tokio::sync::Mutex;

use super::steps::{self, Earlier, SchemaStep, Taken};
use super::usage::slices;
use super::{
    Batch, NodeRow, OpenCall, Price, Pruning, SessionStore, StoreError, StoredEvent, TokenUse,
    TokenUsed, each_readable,
};
use crate::protocol::event_id::StreamId;
use crate::session::{
    Connection, Fingerprint, FingerprintKey, KeyDigest, McpSessionId, Principal, Session,
    SessionId, Timestamp, TokenKey,
};
use days::Days;
use requests::Doubt;

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// Readers beside the one writer: enough for the API's lists, few enough for a small server.
const READERS: u32 = 4;
/// How long a read may take, and so how long a client whose handle is not in memory waits for a database that
/// is away.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// How long a batch may take before its connection is given up.
const WRITE_LIMIT: Duration = Duration::from_secs(30);
/// Begins a transaction that the server ends by itself if we are gone, so that it does not hold its locks. What it writes
/// it also counts: triggers are told.
const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '25s';
                     SET LOCAL idle_in_transaction_session_timeout = '30s';
                     SET LOCAL archon.writes = 'counted'";
/// Two processes may lock rows in different orders; then one of them is told to begin again.
const ATTEMPTS: usize = 3;
/// What PostgreSQL answers then: a serialization failure, or a deadlock.
const BEGIN_AGAIN: [&str; 2] = ["40001", "40P01"];
/// Names the lock that only one process at a time holds while it brings the schema up to date.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(4713289650174205)";

/// A store in a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresStore {
    writer: Arc<Mutex<Writer>>,
    readers: PgPool,
    is_pooled: bool,
    /// Rows that others wrote and nobody can read, as they were counted last.
    unreadable: Arc<AtomicU64>,
}

impl PostgresStore {
    /// Connects to the database, which must be there, and brings its schema up to date.
    ///
    /// # Errors
    /// If it cannot be reached or its schema is newer than this version.
    pub async fn open(url: &PostgresUrl) -> Result<Self, StoreError> {
        let (options, is_pooled) = (url.options()?, url.is_pooled());
        let mut connection = within(READ_LIMIT, async { Ok(options.connect().await?) }).await?;
        // As long as it takes: a large table is not changed in a moment.
        migrate(&mut connection).await?;
        // Before anything is compared with what others wrote.
        let asked = Instant::now();
        let said = connection.fetch_one("SELECT clock_timestamp()").await?;
        let said: chrono::DateTime<chrono::Utc> = said.try_get(0)?;
        Timestamp::follow(Timestamp::from_micros(said.timestamp_micros()), asked, Instant::now());
        // It has done its work; how it ends is nobody's business.
        let _ = connection.close().await;
        let readers = PgPoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(READ_LIMIT)
            .connect_lazy_with(options.clone());
        let writer =
            Writer { options, is_pooled, connection: None, days: Days::default(), doubt: None };
        let writer = Arc::new(Mutex::new(writer));
        Ok(Self { writer, readers, is_pooled, unreadable: Arc::default() })
    }

    /// Returns the steps that [`PostgresStore::open`] would take to bring the database's schema up to date, and
    /// changes nothing.
    ///
    /// # Errors
    /// If it cannot be reached, or its schema is not one to go on from.
    pub async fn missing_steps(url: &PostgresUrl) -> Result<Vec<SchemaStep>, StoreError> {
        within(READ_LIMIT, async {
            let mut connection = url.options()?.connect().await?;
            missing_steps(&mut connection).await
        })
        .await
    }

    /// Returns the pool of readers, for queries beside the store's own.
    pub fn pool(&self) -> &PgPool {
        &self.readers
    }

    /// Drops the requests of the days (in UTC) before the day of this moment, and returns of how many days there
    /// were any.
    ///
    /// # Errors
    /// If the store is not available, or its requests are being read; what was dropped by then stays dropped.
    pub async fn drop_requests_before(&self, day: Timestamp) -> Result<usize, StoreError> {
        let mut connection = self.readers.acquire().await?;
        let dropped = days::drop_before(&mut connection, day).await?;
        self.writer.lock().await.days.forget_before(day);
        Ok(dropped)
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.lock().await.connection = None;
    }

    /// Returns the key of this name, this one if there is none yet: who comes first makes it, and everybody reads
    /// the same.
    async fn key(&self, name: &'static str, new: String) -> Result<String, StoreError> {
        let made =
            sqlx::query("INSERT INTO archon_mcp_keys VALUES ($1, $2) ON CONFLICT DO NOTHING");
        self.read(made.bind(name).bind(new)).await?;
        let key = sqlx::query("SELECT value FROM archon_mcp_keys WHERE name = $1").bind(name);
        let rows = self.read(key).await?;
        Ok(rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?)
    }

    /// Changes or deletes rows, and returns how many.
    async fn change(&self, statement: Statement<'_>) -> Result<u64, StoreError> {
        within(WRITE_LIMIT, async {
            let mut transaction = self.readers.begin().await?;
            let done = statement.persistent(!self.is_pooled).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(done.rows_affected())
        })
        .await
    }

    /// Reads rows. Behind a pooler even one statement needs a transaction: it is sent in two parts, and they
    /// could meet two connections.
    async fn read(&self, statement: Statement<'_>) -> Result<Vec<PgRow>, StoreError> {
        within(READ_LIMIT, async {
            if !self.is_pooled {
                return Ok(statement.fetch_all(&self.readers).await?);
            }
            let mut transaction = self.readers.begin().await?;
            let rows = statement.persistent(false).fetch_all(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(rows)
        })
        .await
    }
}

#[async_trait]
impl SessionStore for PostgresStore {
    async fn apply(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().await;
        let mut attempts = 1;
        loop {
            let written = within(WRITE_LIMIT, writer.write(batch)).await;
            match &written {
                Err(error) if begins_again(error) && attempts < ATTEMPTS => attempts += 1,
                Ok(()) => return written,
                Err(_) => {
                    // Whatever state it is in, the next one is new.
                    writer.connection = None;
                    return written;
                }
            }
        }
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        const SQL: &str = concatcp!(
            "SELECT ",
            rows::SESSION_COLUMNS,
            " FROM archon_mcp_sessions WHERE session_id = $1"
        );
        let rows = self.read(sqlx::query(SQL).bind(id.as_uuid())).await?;
        rows.first().map(rows::read_session).transpose()
    }

    async fn continued_by(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        const SQL: &str = concatcp!(
            "SELECT ",
            rows::SESSION_COLUMNS,
            " FROM archon_mcp_sessions WHERE continues = $1 AND isfinite(connected_at)
             ORDER BY connected_at DESC LIMIT 1"
        );
        let rows = self.read(sqlx::query(SQL).bind(id.as_uuid())).await?;
        rows.first().map(rows::read_session).transpose()
    }

    async fn sessions_of_key(&self, key: KeyDigest, max: u32) -> Result<Vec<Session>, StoreError> {
        const SQL: &str = concatcp!(
            "SELECT ",
            rows::SESSION_COLUMNS,
            " FROM archon_mcp_sessions WHERE client_key_hash = $1 AND isfinite(last_activity)
             ORDER BY last_activity DESC LIMIT $2"
        );
        let found = self.read(sqlx::query(SQL).bind(key.to_string()).bind(i64::from(max))).await?;
        each_readable("archon_mcp_sessions", found.iter().map(rows::read_session))
    }

    async fn connection(&self, handle: McpSessionId) -> Result<Option<Connection>, StoreError> {
        const SQL: &str = concatcp!(
            "SELECT ",
            rows::CONNECTION_COLUMNS,
            " FROM archon_mcp_connections c WHERE handle = $1"
        );
        let rows = self.read(sqlx::query(SQL).bind(handle.as_uuid())).await?;
        rows.first().map(rows::read_connection).transpose()
    }

    async fn connections_of(&self, session: SessionId) -> Result<Vec<Connection>, StoreError> {
        const SQL: &str = concatcp!(
            "SELECT ",
            rows::CONNECTION_COLUMNS,
            " FROM archon_mcp_connections c WHERE session_id = $1 AND ended_at IS NULL"
        );
        let rows = self.read(sqlx::query(SQL).bind(session.as_uuid())).await?;
        each_readable("archon_mcp_connections", rows.iter().map(rows::read_connection))
    }

    async fn active(&self) -> Result<(Vec<Session>, Vec<Connection>), StoreError> {
        const SESSIONS: &str = concatcp!(
            "SELECT ",
            rows::SESSION_COLUMNS,
            " FROM archon_mcp_sessions WHERE status = 'active'"
        );
        const CONNECTIONS: &str = concatcp!(
            "SELECT ",
            rows::CONNECTION_COLUMNS,
            " FROM archon_mcp_sessions s JOIN archon_mcp_connections c USING (session_id)
             WHERE s.status = 'active' AND c.ended_at IS NULL"
        );
        let sessions = self.read(sqlx::query(SESSIONS)).await?;
        let connections = self.read(sqlx::query(CONNECTIONS)).await?;
        let sessions =
            each_readable("archon_mcp_sessions", sessions.iter().map(rows::read_session))?;
        let connections =
            each_readable("archon_mcp_connections", connections.iter().map(rows::read_connection))?;
        Ok((sessions, connections))
    }

    async fn open_calls(&self) -> Result<Vec<OpenCall>, StoreError> {
        const SQL: &str = concatcp!("SELECT ", unfinished::CALL_COLUMNS, " FROM archon_mcp_calls");
        let rows = self.read(sqlx::query(SQL)).await?;
        each_readable("archon_mcp_calls", rows.iter().map(unfinished::read_call))
    }

    async fn events_of(&self, stream: StreamId) -> Result<Vec<StoredEvent>, StoreError> {
        const SQL: &str = concatcp!(
            "SELECT ",
            unfinished::EVENT_COLUMNS,
            " FROM archon_mcp_events WHERE stream_id = $1 ORDER BY seq"
        );
        let rows = self.read(sqlx::query(SQL).bind(stream.0)).await?;
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
        let rows = self.read(lifecycle::use_token(using)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(TokenUsed { reconnect_count: row.try_get(0)?, revision: row.try_get(1)? }))
    }

    async fn sessions_by_id(&self, ids: &[SessionId]) -> Result<Vec<Session>, StoreError> {
        let rows = self.read(lifecycle::sessions(ids)).await?;
        each_readable("archon_mcp_sessions", rows.iter().map(rows::read_session))
    }

    async fn silent(&self, now: Timestamp, max: u32) -> Result<Vec<Session>, StoreError> {
        self.take_in_written().await;
        let rows = self.read(lifecycle::silent(now, max)).await?;
        each_readable("archon_mcp_sessions", rows.iter().map(rows::read_session))
    }

    async fn notices(&self, node: &str, max: u32) -> Result<Vec<SessionId>, StoreError> {
        let rows = self.read(lifecycle::notices(node, max)).await?;
        rows.iter().map(|row| Ok(SessionId::from_uuid(row.try_get(0)?))).collect()
    }

    async fn renew(&self, node: &NodeRow, lease: Duration) -> Result<(), StoreError> {
        let asked = Instant::now();
        let rows = self.read(lifecycle::renew(node, lease)).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let now = rows::read_time(row, "clock_timestamp")?;
        Timestamp::follow(now, asked, Instant::now());
        Ok(())
    }

    async fn claim(&self, id: SessionId, node: &str, _: Timestamp) -> Result<bool, StoreError> {
        Ok(self.change(lifecycle::claim(id, node)).await? > 0)
    }

    async fn give(&self, id: SessionId, from: &str, to: &str) -> Result<bool, StoreError> {
        Ok(self.change(lifecycle::give(id, from, to)).await? > 0)
    }

    async fn claim_all(&self, node: &str, _: Timestamp) -> Result<u64, StoreError> {
        self.change(lifecycle::claim_all(node)).await
    }

    async fn active_of(
        &self,
        principal: &Principal,
        fingerprint: Option<Fingerprint>,
    ) -> Result<Vec<Session>, StoreError> {
        let rows = self.read(lifecycle::active_of(principal, fingerprint)).await?;
        each_readable("archon_mcp_sessions", rows.iter().map(rows::read_session))
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        let nodes = sqlx::query(
            "SELECT node, address, place, heard_at, expected_until FROM archon_mcp_nodes",
        );
        let rows = self.read(nodes).await?;
        each_readable("archon_mcp_nodes", rows.iter().map(lifecycle::read_node))
    }

    async fn prune(&self, pruning: &Pruning) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for statement in lifecycle::old_tries(pruning) {
            deleted += self.change(statement).await?;
        }
        let Some(before) = pruning.sessions_before else { return Ok(deleted) };
        // Days go at no cost; what is left of old sessions then was asked on younger days.
        self.drop_requests_before(before).await?;
        let requests = lifecycle::requests_of_old(before, pruning.rows_max);
        deleted += self.change(requests).await?;
        let sessions = self.read(lifecycle::the_old(before)).await?;
        let sessions: i64 = sessions.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?;
        Ok(deleted + u64::try_from(sessions).unwrap_or(0))
    }

    async fn price(&self, model: &str, now: Timestamp) -> Result<Option<Price>, StoreError> {
        let price = sqlx::query(
            "SELECT input_price_per_1k::float8, output_price_per_1k::float8 FROM archon_llm_pricing
             WHERE model_name = $1 AND effective_date <= ($2::timestamptz AT TIME ZONE 'UTC')::date
             ORDER BY effective_date DESC LIMIT 1",
        );
        let rows = self.read(price.bind(rows::text(model)).bind(rows::time(now))).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Price { input_per_1k: row.try_get(0)?, output_per_1k: row.try_get(1)? }))
    }

    fn unreadable(&self) -> u64 {
        self.unreadable.load(Relaxed)
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.take_in_written().await;
        self.read(sqlx::query("SELECT 1 FROM archon_mcp_sessions LIMIT 1")).await?;
        Ok(())
    }
}

/// What one process writes with.
struct Writer {
    options: PgConnectOptions,
    is_pooled: bool,
    /// `None` until it is needed, and after a failure.
    connection: Option<PgConnection>,
    days: Days,
    /// The latest commit that was sent, until it is known to be one.
    doubt: Option<Doubt>,
}

impl Writer {
    async fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let is_pooled = self.is_pooled;
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.options.connect().await?),
        };
        if let Some(doubt) = &self.doubt {
            let has_written = doubt.has_written(connection, &batch.requests, is_pooled).await?;
            self.doubt = None;
            if has_written {
                return Ok(());
            }
        }
        let moments = batch.requests.iter().map(|request| request.started);
        self.days.prepare(connection, moments).await?;
        let connections = rows::latest(&batch.connections);
        let mut touched = batch.touched.clone();
        touched.sort_unstable();
        let ended = rows::first_ends(&batch.ended);

        let mut transaction = connection.begin_with(BEGIN).await?;
        for statement in before_requests(batch, &connections) {
            statement.persistent(!is_pooled).execute(&mut *transaction).await?;
        }
        let mut doubt = None;
        let closed = unfinished::close(&mut transaction, &batch.closed, is_pooled).await?;
        if !batch.requests.is_empty() {
            let ours = requests::ours(&batch.requests, &closed);
            doubt = Some(requests::insert(&mut transaction, batch, &ours, is_pooled).await?);
            let used = slices(&ours);
            for sums in [usage::sums(&used), usage::minutes(&used)] {
                sums.persistent(!is_pooled).execute(&mut *transaction).await?;
            }
        }
        for statement in after_requests(batch, &touched, &ended) {
            statement.persistent(!is_pooled).execute(&mut *transaction).await?;
        }
        self.doubt = doubt;
        transaction.commit().await?;
        self.doubt = None;
        Ok(())
    }
}

/// Returns how to write what requests refer to. Nothing is sent for what is empty.
fn before_requests<'a>(batch: &'a Batch, connections: &'a [Connection]) -> Vec<Statement<'a>> {
    let mut statements = Vec::new();
    if !batch.created.is_empty() {
        statements.push(rows::sessions(&batch.created));
    }
    if !connections.is_empty() {
        statements.push(rows::connections(connections));
    }
    if !batch.unguessed.is_empty() {
        statements.push(rows::unguessed(&batch.unguessed));
    }
    if !batch.opened.is_empty() {
        statements.push(unfinished::calls(&batch.opened));
    }
    statements.extend(lifecycle::rare(batch));
    statements
}

/// Returns how to write the rest. A call leaves the ledger in the transaction that writes its end.
fn after_requests<'a>(
    batch: &'a Batch,
    touched: &'a [(SessionId, Timestamp)],
    ended: &[&'a Session],
) -> Vec<Statement<'a>> {
    let mut statements = Vec::new();
    if !batch.events.is_empty() {
        statements.push(unfinished::events(&batch.events));
    }
    if !batch.forgotten.is_empty() {
        statements.push(unfinished::forgotten(&batch.forgotten));
    }
    statements.extend(batch.forget_before.map(unfinished::expired));
    if !touched.is_empty() {
        statements.push(rows::touches(touched));
    }
    if !ended.is_empty() {
        statements.push(rows::ends(ended));
    }
    statements
}

/// Brings the schema up to date in one transaction, so that the lock is a transaction's as well: a lock of the
/// connection would stay behind on a pooler's.
async fn migrate(connection: &mut PgConnection) -> Result<(), StoreError> {
    // The migrator prepares statements by name, and a pooler's connection may know those names.
    const FORGET_NAMES: &str = "DEALLOCATE ALL";
    let mut migrator = migrator();
    migrator.set_locking(false);
    let mut transaction = connection.begin().await?;
    transaction.execute(FORGET_NAMES).await?;
    transaction.execute(MIGRATION_LOCK).await?;
    takeover::take_over(&mut transaction, &migrator).await?;
    let taken = taken(&mut transaction).await?;
    if EARLIER.are_taken(&taken).map_err(|source| refused(source, &migrator))? {
        let replacement = EARLIER.replacement(&migrator, BYTES);
        transaction.execute(AssertSqlSafe(replacement)).await?;
    }
    migrator.run(&mut *transaction).await.map_err(|source| refused(source, &migrator))?;
    transaction.execute(FORGET_NAMES).await?;
    transaction.commit().await?;
    Ok(())
}

const EARLIER: Earlier = Earlier {
    count: 11,
    first: "ac74e33551073a17663654c69f35fee3ab7fcde11c085f3659c3bd254c0ab453f4ed1d0b1d36fda6aef71b806a6a98e8",
    last: "b231573c3d0aaf5b07e9c1f0cc114f24fc95ebf20c2603db45a8230f8a98a259290861c37db93868097d237ea3e06d64",
};
/// How a literal of bytes begins.
const BYTES: &str = r"'\x";

fn migrator() -> Migrator {
    const FILES: &[steps::File] = steps::files!("postgres", "0001_sessions.sql", "0002_owners.sql");
    steps::migrator(FILES)
}

async fn missing_steps(connection: &mut PgConnection) -> Result<Vec<SchemaStep>, StoreError> {
    let (known, taken) = (migrator(), taken(connection).await?);
    let mut steps =
        steps::missing(&known, &EARLIER, &taken).map_err(|source| refused(source, &known))?;
    takeover::describe(&mut steps, &takeover::strangers(connection).await?);
    Ok(steps)
}

/// Reads which steps were taken in texts without values, which may be sent on any connection of a pooler's.
async fn taken(connection: &mut PgConnection) -> Result<Vec<Taken>, sqlx::Error> {
    const IS_THERE: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    if !sqlx::raw_sql(IS_THERE).fetch_one(&mut *connection).await?.try_get::<bool, _>(0)? {
        return Ok(Vec::new());
    }
    let rows = sqlx::raw_sql(steps::TAKEN).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
}

/// What to do about a schema that cannot be used.
const WAY_OUT: &str = "restore a copy from before, or give this version a database of its own";

fn refused(source: MigrateError, known: &Migrator) -> StoreError {
    let source = match source {
        // The database went away: that is not about the schema.
        MigrateError::Execute(error) => return error.into(),
        source => source,
    };
    let advice = match &source {
        MigrateError::VersionMissing(schema) | MigrateError::VersionTooNew(schema, _) => {
            let known = known.iter().map(|migration| migration.version).max().unwrap_or(0);
            format!(
                "it has schema {schema}, and this version knows schemas up to {known}; start the \
                 version that made it, or give this one a database of its own"
            )
        }
        MigrateError::VersionTooOld(taken, _) => EARLIER.advice(*taken, WAY_OUT),
        _ => WAY_OUT.to_owned(),
    };
    StoreError::Schema { advice, source: source.into() }
}

/// Gives the work up after so long: an answer may never come from a machine that is gone.
async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let late = |_| Err(unavailable(io::ErrorKind::TimedOut, "the database does not answer"));
    tokio::time::timeout(limit, work).await.unwrap_or_else(late)
}

fn unavailable(kind: io::ErrorKind, why: &'static str) -> StoreError {
    sqlx::Error::Io(io::Error::new(kind, why)).into()
}

fn begins_again(error: &StoreError) -> bool {
    let Some(sqlx::Error::Database(error)) = error.of_database() else { return false };
    error.code().is_some_and(|code| BEGIN_AGAIN.contains(&&*code))
}

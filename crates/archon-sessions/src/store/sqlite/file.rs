//! The database's file: opened, known again, and begun anew where it was lost.
//!
//! An open SQLite file goes on working after it was deleted, and takes everything along at the end. So we
//! look, now and then, whether what is open is still what the path leads to.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection as _, Executor, SqliteConnection};
use tokio::time::Instant;

use super::{damage, private, schema};
use crate::store::{LostHistory, StoreError};

/// How long a statement waits for another process's lock before the store counts as unavailable.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Readers beside the one writer: enough for the API's lists, few enough for two cores.
const READERS: u32 = 4;
/// How often we look whether the file is still there: three system calls.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long counting what a lost file held may take; it is of use only to the one who reads the log.
const COUNT_LIMIT: Duration = Duration::from_secs(2);
/// The database, its write-ahead log, and the log's index.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// Leads to the pool of readers, which is another one after the file was opened again. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Readers(
    /// Held for single operations, never across an await.
    Arc<RwLock<SqlitePool>>,
);

impl Readers {
    /// Returns the pool that reads the file that is open now.
    pub(super) fn pool(&self) -> SqlitePool {
        self.0.read().clone()
    }

    fn replace(&self, pool: SqlitePool) {
        *self.0.write() = pool;
    }
}

impl From<SqlitePool> for Readers {
    fn from(pool: SqlitePool) -> Self {
        Self(Arc::new(RwLock::new(pool)))
    }
}

/// Where a database is.
#[derive(Clone)]
pub(super) enum Place {
    /// In this file.
    File(Arc<Path>),
    /// In memory, under this name, which all connections of this process share.
    Memory(Arc<Path>),
}

impl Place {
    /// Returns a place in memory that no other store has.
    pub(super) fn in_memory() -> Self {
        Self::Memory(Path::new(&format!("file:archon-{}", uuid::Uuid::new_v4())).into())
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Memory(path) => path,
        }
    }

    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self, Self::Memory(_))
    }

    /// Returns how to connect to it.
    pub(super) fn options(&self) -> SqliteConnectOptions {
        let options = SqliteConnectOptions::new()
            .filename(self.path())
            .busy_timeout(BUSY_TIMEOUT)
            // The writer says itself what takes too long, in a line and not in pages of SQL.
            .disable_statement_logging();
        match self {
            Self::File(_) => options,
            // Connections that share memory lock tables against each other. Whoever reads may see the half of a
            // batch instead: what is kept nowhere is for trying things out.
            Self::Memory(_) => {
                options.in_memory(true).shared_cache(true).pragma("read_uncommitted", "1")
            }
        }
    }
}

/// See the module.
pub(super) struct File {
    place: Place,
    /// The one connection that writes; `None` while the file cannot be opened, and once it is closed.
    writer: Option<SqliteConnection>,
    readers: Readers,
    parts: Parts,
    looked: Instant,
    /// Set from the moment a file was found lost until its successor is open.
    lost: Option<LostHistory>,
    /// Keys that were given out, one of each name: what they have signed is out there, also where the file is gone.
    keys: Vec<(&'static str, String)>,
    is_closed: bool,
    /// Set while a transaction may be open: who began it may have been cancelled.
    is_begun: bool,
}

impl File {
    pub(super) async fn open(place: Place) -> Result<Self, StoreError> {
        let (writer, pool) = open(&place).await?;
        Ok(Self {
            writer: Some(writer),
            readers: pool.into(),
            parts: Parts::of(place.path()),
            looked: Instant::now(),
            lost: None,
            keys: Vec::new(),
            is_closed: false,
            is_begun: false,
            place,
        })
    }

    pub(super) fn readers(&self) -> Readers {
        self.readers.clone()
    }

    /// Returns the connection to write with. Opens the file again if what was open is gone.
    ///
    /// # Errors
    /// If that cannot be done now; and, once, that what the file held was lost.
    pub(super) async fn writer(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        if self.is_begun {
            self.clear_up().await;
        }
        let is_seen = self.writer.is_some() && self.looked.elapsed() < LOOK_EVERY;
        if !is_seen && !self.is_closed {
            self.keep_open().await?;
            self.looked = Instant::now();
        }
        Ok(self.writer.as_mut().ok_or(sqlx::Error::PoolClosed)?)
    }

    /// Returns the connection for a transaction in several steps. Should it be cancelled between two of them, the
    /// next one to write clears up; call [`File::is_through`] when it is through.
    ///
    /// # Errors
    /// See [`File::writer`].
    pub(super) async fn begin(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.writer().await?;
        self.is_begun = true;
        self.writer.as_mut().ok_or_else(|| sqlx::Error::PoolClosed.into())
    }

    /// Says that a transaction was committed.
    pub(super) fn is_through(&mut self) {
        self.is_begun = false;
    }

    /// Makes the connection ready for another try after a write that failed.
    pub(super) async fn clear_up(&mut self) {
        self.is_begun = false;
        let Some(writer) = &mut self.writer else { return };
        // It may have failed before the transaction began or after it ended; then there is nothing to roll
        // back, and that is no news.
        let _ = writer.execute("ROLLBACK").await;
        // A statement that failed because its table is gone fails before it begins when it is tried again,
        // and sqlx 0.9 does not survive that.
        if writer.clear_cached_statements().await.is_err() {
            // The connection's thread has ended. Dropping it closes what is left, and another is opened.
            self.writer = None;
        }
    }

    /// Looks whether what is open is still what the path leads to.
    ///
    /// # Errors
    /// If it is not.
    pub(super) fn look(&self) -> Result<(), StoreError> {
        let what = match self.standing() {
            Standing::Whole => return Ok(()),
            Standing::WithoutLog => "its write-ahead log was removed",
            Standing::Lost => "the database file was removed or replaced",
        };
        Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::NotFound, what)).into())
    }

    /// Remembers a key, for a file that is begun anew.
    pub(super) fn remember_key(&mut self, name: &'static str, value: &str) {
        if self.keys.iter().all(|(known, _)| *known != name) {
            self.keys.push((name, value.to_owned()));
        }
    }

    pub(super) async fn close_for_good(&mut self) {
        self.is_closed = true;
        self.close().await;
    }

    async fn keep_open(&mut self) -> Result<(), StoreError> {
        match (self.standing(), &mut self.writer) {
            (Standing::Whole, Some(_)) => return Ok(()),
            (Standing::WithoutLog, Some(writer)) => {
                tracing::error!(
                    "the write-ahead log of {} was removed while it was open; saving what was in it",
                    self.place.path().display()
                );
                fold(writer).await?;
            }
            (Standing::Lost, Some(writer)) => self.lost = Some(count(writer).await),
            // It could not be opened again when it was last tried.
            (Standing::Whole | Standing::WithoutLog | Standing::Lost, None) => {}
        }
        // All connections of ours must be gone before there are new ones: SQLite would let both kinds share
        // an index of the log, but not the log.
        self.close().await;
        if self.lost.is_some() {
            self.parts.remove_log(self.place.path());
        }
        let (mut writer, pool) = open(&self.place).await?;
        for (name, value) in &self.keys {
            let key =
                sqlx::query("INSERT INTO archon_mcp_keys VALUES (?, ?) ON CONFLICT DO NOTHING");
            key.bind(*name).bind(value.as_str()).execute(&mut writer).await?;
        }
        self.writer = Some(writer);
        self.readers.replace(pool);
        self.parts = Parts::of(self.place.path());
        self.lost.take().map_or(Ok(()), |history| Err(StoreError::Lost(history)))
    }

    fn standing(&self) -> Standing {
        if self.place.is_in_memory() {
            return Standing::Whole;
        }
        Parts::of(self.place.path()).compared_to(&self.parts)
    }

    async fn close(&mut self) {
        self.readers.pool().close().await;
        if let Some(writer) = self.writer.take()
            && let Err(error) = writer.close().await
        {
            tracing::warn!("could not close the database cleanly: {error}");
        }
    }
}

/// Opens a database and brings its schema up to date.
async fn open(place: &Place) -> Result<(SqliteConnection, SqlitePool), StoreError> {
    let path = place.path();
    // Requests are joined to their sessions as they are written; see `requests`.
    let mut options = place.options().create_if_missing(true).foreign_keys(false);
    if !place.is_in_memory() {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            private::create_folder(folder).map_err(sqlx::Error::Io)?;
        }
        damage::look_for(path).await?;
        private::create_file(path).map_err(sqlx::Error::Io)?;
        PARTS.iter().for_each(|part| private::keep_to_owner(&with(path, part)));
        options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    }
    let named = |error: StoreError| damage::named(error, path);
    let mut writer = options.connect().await.map_err(|error| named(error.into()))?;
    schema::bring_up_to_date(&mut writer).await.map_err(named)?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(BUSY_TIMEOUT)
        // A file that is gone is begun anew by the writer, and by nobody else.
        .connect_with(options.create_if_missing(false))
        .await?;
    Ok((writer, readers))
}

/// Writes all of a log into its database.
async fn fold(writer: &mut SqliteConnection) -> Result<(), StoreError> {
    let (is_busy, _, _): (bool, i64, i64) =
        sqlx::query_as("PRAGMA wal_checkpoint(FULL)").fetch_one(writer).await?;
    if is_busy {
        return Err(sqlx::Error::Protocol("another process reads the removed log".into()).into());
    }
    Ok(())
}

/// Counts what a lost file holds, as long as it is open.
async fn count(writer: &mut SqliteConnection) -> LostHistory {
    let sql = "SELECT (SELECT count(*) FROM archon_mcp_sessions),
                      (SELECT count(*) FROM archon_mcp_requests)";
    let counts = sqlx::query_as::<_, (i64, i64)>(sql).fetch_one(writer);
    let Ok(Ok((sessions, requests))) = tokio::time::timeout(COUNT_LIMIT, counts).await else {
        return LostHistory::default();
    };
    LostHistory { sessions: u64::try_from(sessions).ok(), requests: u64::try_from(requests).ok() }
}

/// Whether an open file is still there.
enum Standing {
    Whole,
    /// The database is; its log or the log's index is not.
    WithoutLog,
    Lost,
}

/// The files that a database is made of, by device and inode.
struct Parts([Option<(u64, u64)>; 3]);

impl Parts {
    fn of(path: &Path) -> Self {
        Self(PARTS.map(|part| {
            let found = std::fs::metadata(with(path, part)).ok()?;
            Some((found.dev(), found.ino()))
        }))
    }

    fn compared_to(&self, open: &Self) -> Standing {
        if self.0[0].is_none() || self.0[0] != open.0[0] {
            Standing::Lost
        } else if self.0 != open.0 {
            Standing::WithoutLog
        } else {
            Standing::Whole
        }
    }

    /// Removes the log of a lost file, which would be applied to whatever is in its place.
    fn remove_log(&self, path: &Path) {
        let there = Self::of(path);
        for (index, part) in PARTS.iter().enumerate().skip(1) {
            if there.0[index].is_some() && there.0[index] == self.0[index] {
                // What cannot be removed is refused or ignored by SQLite.
                let _ = std::fs::remove_file(with(path, part));
            }
        }
    }
}

fn with(path: &Path, part: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(part);
    name.into()
}

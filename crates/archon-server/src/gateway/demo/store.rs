//! The demo server's tables: opening them, and what its two kinds of row share.

use archon_sessions::store::sqlite::Readers;
use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite};

use super::seed;

/// Creates the tables where they are missing.
pub const TABLES: &str = include_str!("schema.sql");

/// How much the demo server keeps, so that no client can fill the disk.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub projects: i64,
    pub tasks: i64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { projects: 10_000, tasks: 100_000 }
    }
}

/// Projects and tasks in SQLite. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) readers: Readers,
    pub(super) limits: Limits,
}

impl Store {
    /// Creates the tables where they are missing, and puts samples into empty ones.
    ///
    /// One transaction, so that two processes that start together do not both add samples.
    pub async fn open(
        readers: impl Into<Readers>,
        limits: Limits,
        now: Timestamp,
    ) -> sqlx::Result<Store> {
        let readers = readers.into();
        let mut tx = readers.pool().begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(TABLES).execute(&mut *tx).await?;
        let is_empty: bool = sqlx::query_scalar(
            "SELECT NOT EXISTS (SELECT 1 FROM archon_demo_projects)
                AND NOT EXISTS (SELECT 1 FROM archon_demo_tasks)",
        )
        .fetch_one(&mut *tx)
        .await?;
        if is_empty {
            seed::insert(&mut tx, now).await?;
        }
        tx.commit().await?;
        Ok(Store { readers, limits })
    }
}

/// A page of rows, and how many there are on all pages.
#[derive(Debug)]
pub struct Found<T> {
    pub rows: Vec<T>,
    pub total: i64,
}

/// Returns a new row's id.
pub fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Returns a time as it is stored: RFC 3339 in UTC, of one length, so that text sorts like time.
pub fn stored_time(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// Adds the condition that every word occurs. `instr`, unlike `LIKE`, has no wildcards to escape.
pub fn push_words(sql: &mut QueryBuilder<Sqlite>, words: &[String]) {
    for word in words {
        sql.push(" AND instr(search_text, ").push_bind(word.clone()).push(") > 0");
    }
}

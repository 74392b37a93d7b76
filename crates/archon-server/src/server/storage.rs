//! The database behind the store: opened at the start, closed at the end.

use std::sync::Arc;

use anyhow::Context;
use archon_sessions::store::postgres::PostgresStore;
use archon_sessions::store::sqlite::SqliteStore;
use archon_sessions::store::transfer::Transfer;
use archon_sessions::store::{Reports, SessionStore};

use crate::config::Database;

/// An open database.
pub enum Storage {
    /// The same as a file, without one: the API reads it like any other.
    Memory(SqliteStore),
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Storage {
    /// Opens it.
    pub async fn open(database: &Database) -> anyhow::Result<Self> {
        let opened = match database {
            Database::Memory => SqliteStore::in_memory().await.map(Self::Memory),
            Database::Sqlite(path) => SqliteStore::open(path).await.map(Self::Sqlite),
            Database::Postgres(url) => PostgresStore::open(url).await.map(Self::Postgres),
        };
        opened.with_context(|| format!("could not open the database {database}"))
    }

    /// Returns the store in it.
    pub fn store(&self) -> Arc<dyn SessionStore> {
        match self {
            Self::Memory(store) | Self::Sqlite(store) => Arc::new(store.clone()),
            Self::Postgres(store) => Arc::new(store.clone()),
        }
    }

    /// Returns what the API asks of it.
    pub fn reports(&self) -> Arc<dyn Reports> {
        match self {
            Self::Memory(store) | Self::Sqlite(store) => Arc::new(store.clone()),
            Self::Postgres(store) => Arc::new(store.clone()),
        }
    }

    /// Returns what gives its rows out and takes them in; `None` where nothing is stored.
    pub fn transfer(&self) -> Option<Arc<dyn Transfer>> {
        match self {
            Self::Memory(_) => None,
            Self::Sqlite(store) => Some(Arc::new(store.clone())),
            Self::Postgres(store) => Some(Arc::new(store.clone())),
        }
    }

    /// Closes it. Call when nothing is written any more.
    pub async fn close(&self) {
        match self {
            Self::Memory(store) | Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}

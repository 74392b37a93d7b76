//! Where sessions are kept, as it is configured.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};
use archon_sessions::store::postgres::PostgresUrl;

/// Where sessions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database; its password is never shown.
    Postgres(PostgresUrl),
    /// Nowhere: for trying things out.
    Memory,
}

/// The file that is meant where nothing is said.
pub(super) const DEFAULT: &str = "data/archon.db";
/// What the names of our files begin with where the database is no file of its own.
const BESIDE_POSTGRES: &str = "data/archon";
/// What names a database where no flag and no variable of ours does.
const VARIABLE: &str = "DATABASE_URL";

impl Database {
    /// Returns what the names of the files beside it begin with; `None` if nothing of it can be handed over.
    pub fn files(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => Some(Path::new(BESIDE_POSTGRES)),
            Self::Memory => None,
        }
    }

    /// Returns what the flag or our own variable says, or else `DATABASE_URL`.
    pub fn overridden(named: Option<String>) -> Option<String> {
        let variable = || std::env::var(VARIABLE).ok().filter(|url| !url.is_empty());
        named.or_else(variable)
    }
}

impl FromStr for Database {
    type Err = anyhow::Error;

    /// Parses a URL, a path or `memory`. An error does not show the text, which may hold a password.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        if PostgresUrl::is_meant_by(text) {
            let url = text.parse().context("could not read the database's URL")?;
            return Ok(Self::Postgres(url));
        }
        if text.contains("://") {
            bail!(
                "sessions are kept in a SQLite file or in PostgreSQL (postgres://…), in no other database; \
                 --db wins over {VARIABLE}"
            );
        }
        Ok(if text == "memory" { Self::Memory } else { Self::Sqlite(text.into()) })
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(url) => write!(f, "PostgreSQL, {url}"),
            Self::Memory => f.write_str("none, sessions end with this process"),
        }
    }
}

//! `archon migrate`: brings a database up to date without serving.

use std::path::PathBuf;

use anyhow::{Context, bail};
use archon_sessions::store::postgres::PostgresStore;
use archon_sessions::store::sqlite::SqliteStore;
use archon_sessions::store::{SchemaStep, StoreError};
use clap::Args;

use super::{print, runtime};
use crate::config::{Config, Database, Overrides};
use crate::server::Storage;

/// `archon serve` does the same at its start; this is for doing it beforehand, and for looking.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Configuration file [default: archon.toml, if there is one]
    #[arg(long, env = "ARCHON_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The SQLite file, or PostgreSQL URL [env: also DATABASE_URL]
    #[arg(long, env = "ARCHON_DB", hide_env_values = true, value_name = "FILE|URL")]
    db: Option<String>,
    /// List pending migrations and change nothing
    #[arg(long)]
    check: bool,
}

impl Migrate {
    /// Brings the database up to date, or says what is missing.
    ///
    /// # Errors
    /// If the database cannot be used, or holds nothing.
    pub fn run(self) -> anyhow::Result<()> {
        let overrides = Overrides { db: Database::overridden(self.db), ..Overrides::default() };
        let database = Config::database(self.config.as_deref(), overrides)?;
        runtime::block_on(migrate(&database, self.check))
    }
}

async fn migrate(database: &Database, is_check: bool) -> anyhow::Result<()> {
    let missing = missing(database).await?;
    if missing.is_empty() {
        return print::lines(&format!("the database {database} is up to date"));
    }
    let steps: Vec<_> = missing.iter().map(|step| format!("  {step}")).collect();
    let (steps, count) = (steps.join("\n"), missing.len());
    if is_check {
        let advice = "`archon migrate` and the next start do them; make a copy before";
        return print::lines(&format!(
            "the database {database} needs {count} steps:\n{steps}\n{advice}"
        ));
    }
    Storage::open(database).await?.close().await;
    print::lines(&format!("the database {database} is up to date after {count} steps:\n{steps}"))
}

/// Returns the steps that a database needs; it is only read.
///
/// # Errors
/// If it cannot be used.
pub async fn missing(database: &Database) -> anyhow::Result<Vec<SchemaStep>> {
    let missing: Result<_, StoreError> = match database {
        Database::Sqlite(path) => SqliteStore::missing_steps(path).await,
        Database::Postgres(url) => PostgresStore::missing_steps(url).await,
        Database::Memory => {
            bail!("sessions that are in memory only have no database; name one with --db")
        }
    };
    missing.with_context(|| format!("could not read the database {database}"))
}

//! A database as a gateway leaves it after months, and how long the API's questions take on it.

mod postgres;
mod queries;
mod sqlite;

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use archon_sessions::store::Reports;
use archon_sessions::store::postgres::{PostgresStore, PostgresUrl};
use archon_sessions::store::sqlite::SqliteStore;

use crate::args::{GenerateArgs, ReportsArgs};

/// Tools that clients call; the first ones most of the time.
const TOOLS: u32 = 20;
/// Users; four in ten sessions are nobody's who is known.
const USERS: u32 = 1000;
/// Types of clients, the first ones most of the time.
const CLIENTS: [&str; 8] =
    ["Claude Code", "Cursor", "VS Code", "Windsurf", "Codex", "Zed", "Gemini", "unknown-client"];

/// Fills a new database.
pub fn generate(args: &GenerateArgs) -> Result<()> {
    let began = Instant::now();
    runtime()?.block_on(async {
        if PostgresUrl::is_meant_by(&args.db) {
            postgres::fill(&args.db.parse()?, args).await
        } else {
            sqlite::fill(Path::new(&args.db), args).await
        }
    })?;
    println!("filled in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// Measures each question, and prints a table.
pub fn measure(args: &ReportsArgs) -> Result<()> {
    runtime()?.block_on(async {
        if PostgresUrl::is_meant_by(&args.db) {
            let store = PostgresStore::open(&args.db.parse()?).await?;
            queries::measure(&store, args.repeats).await?;
            store.close().await;
        } else {
            let store = SqliteStore::open(Path::new(&args.db)).await?;
            queries::measure(&store as &dyn Reports, args.repeats).await?;
            store.close().await;
        }
        Ok(())
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Returns the types of clients as an SQL expression of a number from 0 to 99.
fn client_of(number: &str) -> String {
    let mut sql = format!("CASE (({number}) * ({number}) / 1240)");
    for (place, name) in CLIENTS.iter().enumerate() {
        sql.push_str(&format!(" WHEN {place} THEN '{name}'"));
    }
    sql + " ELSE 'unknown-client' END"
}

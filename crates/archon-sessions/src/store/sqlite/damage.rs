//! A damaged file: how it is known, and what is looked at before anything is written to it.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection as _, SqliteConnection};

use crate::store::{Cause, StoreError};

/// SQLite's codes for a page that makes no sense, and for a file that is no database.
const CODES: [i32; 2] = [11, 26];
/// A file up to this size is read as a whole at start: a tenth of a second at most (measured). Of a larger
/// one only what is needed is read, and damage elsewhere shows when it is met.
const READ_WHOLE_MAX: u64 = 32 * 1024 * 1024;

/// Says of an error that comes from damage which file is damaged.
pub(super) fn named(error: StoreError, path: &Path) -> StoreError {
    match error {
        StoreError::Unavailable(source) if source.downcast_ref().is_some_and(is_damage) => {
            damaged(source, path)
        }
        other => other,
    }
}

/// Looks at a file before it is opened to be written. One that does not exist is not damaged.
///
/// # Errors
/// If what is read of it makes no sense.
pub(super) async fn look_for(path: &Path) -> Result<(), StoreError> {
    let Ok(size) = std::fs::metadata(path).map(|file| file.len()) else { return Ok(()) };
    if size == 0 {
        return refuse_orphaned_log(path);
    }
    // A connection that only reads leaves even a write-ahead log as it is.
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    // What else keeps it from being opened shows when it is opened to be written.
    let found = match options.connect().await {
        Ok(mut connection) => {
            let found = read(&mut connection, size).await;
            let _ = connection.close().await;
            found
        }
        Err(error) => Err(error),
    };
    match found {
        Ok(Some(complaint)) => Err(damaged(sqlx::Error::Protocol(complaint), path)),
        Err(error) if is_damage(&error) => Err(damaged(error, path)),
        Ok(None) | Err(_) => Ok(()),
    }
}

/// Returns the first thing that is wrong, if there is one.
async fn read(connection: &mut SqliteConnection, size: u64) -> Result<Option<String>, sqlx::Error> {
    if size > READ_WHOLE_MAX {
        sqlx::query("SELECT count(*) FROM sqlite_schema").execute(connection).await?;
        return Ok(None);
    }
    let found: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(connection).await?;
    Ok((found != "ok").then_some(found))
}

/// SQLite takes an empty file for a new database, and deletes the log beside it, in which all that was
/// written last may be.
fn refuse_orphaned_log(path: &Path) -> Result<(), StoreError> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    match std::fs::metadata(log) {
        Ok(log) if log.len() > 0 => {
            let what = "the file is empty, but its write-ahead log is not".to_owned();
            Err(damaged(sqlx::Error::Protocol(what), path))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

fn is_damage(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
    // The lower byte is the kind; the rest says where it was met.
    code.is_some_and(|code| CODES.contains(&(code & 0xff)))
}

fn damaged(source: impl Into<Cause>, path: &Path) -> StoreError {
    StoreError::Damaged { path: path.display().to_string(), source: source.into() }
}

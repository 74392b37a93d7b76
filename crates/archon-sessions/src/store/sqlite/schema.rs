//! The schema: brought up to date, or refused in words that help.

use std::path::Path;
use std::sync::LazyLock;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, SqliteConnection};

use crate::store::StoreError;
use crate::store::steps::{self, Earlier, SchemaStep, Taken};

pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| steps::migrator(FILES));
const FILES: &[steps::File] = steps::files!("sqlite", "0001_sessions.sql", "0002_owners.sql");
const EARLIER: Earlier = Earlier {
    count: 12,
    first: "73b18af339f056978683bf9b0ac3350fbf1a015d18bda59ab0d7b7643b800c970c997a90341dcd09e8e14d342115ef2d",
    last: "da59be654120128cbaf7bed66083cff8da7f76e10f620ca3bd7f5b4af9131a34bc7a6c61857ebfe38f759675368417a6",
};
/// How a literal of bytes begins.
const BYTES: &str = "x'";

/// What to do about a schema that cannot be used.
const WAY_OUT: &str = "restore a copy from before, or move the database away to begin a new one";

/// Applies the migrations that are missing, and signs the file with this version if it is the latest that
/// has used it.
///
/// # Errors
/// If the schema is not one to go on from; it is left as it is then.
pub(super) async fn bring_up_to_date(writer: &mut SqliteConnection) -> Result<(), StoreError> {
    match EARLIER.are_taken(&taken(writer).await?) {
        Ok(true) => {
            let replacement = EARLIER.replacement(&MIGRATIONS, BYTES);
            let sql = format!("BEGIN IMMEDIATE; {replacement}; COMMIT");
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *writer).await?;
        }
        Ok(false) => {}
        Err(source) => return Err(refused(source, writer).await),
    }
    // `run` would be the public way, but from within an async trait's method the compiler cannot see its
    // future to be `Send`.
    if let Err(source) = MIGRATIONS.run_direct(None, &mut *writer, false).await {
        return Err(refused(source, writer).await);
    }
    let own = Signature::OWN;
    if Signature::read(writer).await?.0 < own.0 {
        writer.execute(AssertSqlSafe(format!("PRAGMA user_version = {}", own.0))).await?;
    }
    Ok(())
}

/// Returns the steps that a file still needs.
///
/// # Errors
/// If its schema is not one to go on from.
pub(super) async fn missing(path: &Path) -> Result<Vec<SchemaStep>, StoreError> {
    if !path.exists() {
        return steps::missing(&MIGRATIONS, &EARLIER, &[]).map_err(|source| StoreError::Schema {
            advice: WAY_OUT.to_owned(),
            source: source.into(),
        });
    }
    let mut file = SqliteConnectOptions::new().filename(path).read_only(true).connect().await?;
    let taken = taken(&mut file).await?;
    match steps::missing(&MIGRATIONS, &EARLIER, &taken) {
        Ok(steps) => Ok(steps),
        Err(source) => Err(refused(source, &mut file).await),
    }
}

/// Returns the steps that a file went through.
async fn taken(connection: &mut SqliteConnection) -> Result<Vec<Taken>, sqlx::Error> {
    const IS_NEW: &str = "SELECT count(*) = 0 FROM sqlite_master WHERE name = '_sqlx_migrations'";
    if sqlx::query_scalar::<_, bool>(IS_NEW).fetch_one(&mut *connection).await? {
        return Ok(Vec::new());
    }
    sqlx::query_as(steps::TAKEN).fetch_all(connection).await
}

async fn refused(source: MigrateError, writer: &mut SqliteConnection) -> StoreError {
    let advice = match &source {
        MigrateError::VersionMissing(schema) | MigrateError::VersionTooNew(schema, _) => {
            let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
            let maker = Signature::read(writer).await.unwrap_or(Signature(0));
            format!(
                "it was made by {maker}, with schema {schema}, and this is {}, which knows schemas up \
                 to {known}; start that version or a later one, or {WAY_OUT}",
                Signature::OWN
            )
        }
        MigrateError::VersionTooOld(taken, _) => EARLIER.advice(*taken, WAY_OUT),
        MigrateError::VersionMismatch(schema) => {
            format!("schema {schema} in it is not the one that {} has; {WAY_OUT}", Signature::OWN)
        }
        MigrateError::Dirty(schema) | MigrateError::ExecuteMigration(_, schema) => {
            format!("the step to schema {schema} was not finished; {WAY_OUT}")
        }
        // The file cannot be read or written: that is not about the schema.
        _ => match source {
            MigrateError::Execute(error) => return error.into(),
            source => {
                return StoreError::Schema { advice: WAY_OUT.to_owned(), source: source.into() };
            }
        },
    };
    StoreError::Schema { advice, source: source.into() }
}

/// The latest version that has used a file: SQLite's `user_version`, three decimal digits a part.
#[derive(Clone, Copy)]
struct Signature(i64);

impl Signature {
    const OWN: Self = Self(
        1_000_000 * digits(env!("CARGO_PKG_VERSION_MAJOR"))
            + 1_000 * digits(env!("CARGO_PKG_VERSION_MINOR"))
            + digits(env!("CARGO_PKG_VERSION_PATCH")),
    );

    async fn read(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await.map(Self)
    }
}

impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => f.write_str("a version that did not sign it"),
            all => write!(f, "archon {}.{}.{}", all / 1_000_000, all / 1_000 % 1_000, all % 1_000),
        }
    }
}

/// Reads a decimal number while compiling.
const fn digits(text: &str) -> i64 {
    let (bytes, mut value, mut at) = (text.as_bytes(), 0, 0);
    while at < bytes.len() {
        value = 10 * value + (bytes[at] - b'0') as i64;
        at += 1;
    }
    value
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sqlx::Connection as _;

    use super::*;
    use crate::store::sqlite::SqliteStore;
    use crate::store::{Reports, SessionStore};

    /// A database with a session, its connection and a request, changed by this SQL.
    async fn used(path: &Path, change: String) {
        SqliteStore::open(path).await.unwrap().close().await;
        let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
        let rows = "
            INSERT INTO archon_mcp_sessions
                (session_id, client_type, connected_at, last_activity, status)
            VALUES ('3f2b8c1e-0000-4000-8000-000000000001', 'Cursor',
                '2026-01-11T00:20:45.123456Z', '2026-01-11T00:20:45.123456Z', 'active');
            INSERT INTO archon_mcp_connections
                (handle, session_id, upstream, principal, protocol_version, initialize, opened_at)
            VALUES ('3f2b8c1e-0000-4000-8000-000000000002', '3f2b8c1e-0000-4000-8000-000000000001',
                'demo', 'anonymous', '2025-11-25', '{}', '2026-01-11T00:20:45.123456Z');
            INSERT INTO archon_mcp_requests (session_id, method, timestamp, duration_ms, status, upstream)
            VALUES ('3f2b8c1e-0000-4000-8000-000000000001', 'tools/list',
                '2026-01-11T00:20:45.123456Z', 1, 'success', 'demo')";
        sqlx::raw_sql(rows).execute(&mut connection).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn refusal(path: &Path) -> String {
        SqliteStore::open(path).await.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[tokio::test]
    async fn a_database_that_took_all_earlier_steps_opens_with_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        used(&path, steps::as_of_earlier(&EARLIER, EARLIER.count, BYTES)).await;
        let steps = missing(&path).await.unwrap();
        assert_eq!(steps.iter().map(|step| step.version).collect::<Vec<_>>(), [2]);
        for _ in 0..2 {
            let store = SqliteStore::open(&path).await.unwrap();
            let (sessions, connections) = store.active().await.unwrap();
            assert_eq!((sessions.len(), connections.len()), (1, 1));
            let record = store.session_record(sessions[0].id).await.unwrap().unwrap();
            assert_eq!(record.totals.requests, 1);
            let mut connection = store.pool().acquire().await.unwrap();
            let taken = taken(&mut connection).await.unwrap();
            let versions: Vec<_> = taken.iter().map(|step| step.0).collect();
            assert_eq!(versions, [1, 2]);
            drop(connection);
            store.close().await;
        }
    }

    #[tokio::test]
    async fn a_database_that_took_some_earlier_steps_is_refused_and_left_alone() {
        for count in [1, 5, EARLIER.count - 1] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.db");
            used(&path, steps::as_of_earlier(&EARLIER, count, BYTES)).await;
            let refusal = refusal(&path).await;
            assert!(refusal.contains(&format!("has {count} of its 12 steps")), "{refusal}");
            assert!(refusal.contains("open it once") && refusal.contains(WAY_OUT), "{refusal}");
            assert!(missing(&path).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_database_of_a_newer_version_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let newer = "INSERT INTO _sqlx_migrations VALUES (9001, 'x', '', TRUE, x'00', 0);
                     PRAGMA user_version = 7002001";
        used(&path, newer.to_owned()).await;
        let before = std::fs::read(&path).unwrap();
        let refusal = refusal(&path).await;
        assert!(refusal.contains("made by archon 7.2.1, with schema 9001"), "{refusal}");
        assert!(refusal.contains("start that version or a later one"), "{refusal}");
        let rows = |file: &[u8]| file.len();
        assert_eq!(rows(&std::fs::read(&path).unwrap()), rows(&before), "nothing was migrated");
    }

    #[tokio::test]
    async fn a_migration_that_was_not_finished_is_refused() {
        for (broken, expected) in [
            (
                "UPDATE _sqlx_migrations SET success = FALSE",
                "the step to schema 1 was not finished",
            ),
            ("DELETE FROM _sqlx_migrations", "the step to schema 1 was not finished"),
            ("UPDATE _sqlx_migrations SET checksum = x'00'", "schema 1 in it is not the one"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.db");
            used(&path, broken.to_owned()).await;
            let refusal = refusal(&path).await;
            assert!(refusal.contains(expected) && refusal.contains(WAY_OUT), "{refusal}");
        }
    }

    #[test]
    fn each_file_is_a_step() {
        assert!(steps::are_those_of("sqlite", &MIGRATIONS));
    }
}

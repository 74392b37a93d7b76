//! The schema: brought up to date, or refused in words that help.

use std::path::Path;
use std::sync::LazyLock;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor, SqliteConnection};

use crate::store::StoreError;
use crate::store::steps::{self, SchemaStep, Taken};

pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| steps::migrator(FILES));
const FILES: &[steps::File] = steps::files!(
    "sqlite",
    "0001_sessions.sql",
    "0002_unfinished.sql",
    "0003_lifecycle.sql",
    "0004_usage.sql",
    "0005_upstreams.sql",
    "0006_sorting.sql",
    "0007_session_days.sql",
    "0008_minutes.sql",
    "0009_written_by_others.sql",
    "0010_client_keys.sql",
    "0011_tools_of_upstreams.sql",
    "0012_refusals.sql",
    "0013_owners.sql",
);

/// What to do about a schema that cannot be used.
const WAY_OUT: &str = "restore a copy from before, or move the database away to begin a new one";

/// Applies the migrations that are missing, and signs the file with this version if it is the latest that
/// has used it.
///
/// # Errors
/// If the schema is not one to go on from; it is left as it is then.
pub(super) async fn bring_up_to_date(writer: &mut SqliteConnection) -> Result<(), StoreError> {
    // `run` would be the public way, but from within an async trait's method the compiler cannot see its
    // future to be `Send`.
    if let Err(source) = MIGRATIONS.run_direct(None, &mut *writer, false).await {
        return Err(refused(source, writer).await);
    }
    let own = Signature::OWN;
    if Signature::read(writer).await?.0 < own.0 {
        writer.execute(sqlx::AssertSqlSafe(format!("PRAGMA user_version = {}", own.0))).await?;
    }
    Ok(())
}

/// Returns the steps that a file still needs.
///
/// # Errors
/// If its schema is not one to go on from.
pub(super) async fn missing(path: &Path) -> Result<Vec<SchemaStep>, StoreError> {
    const IS_NEW: &str = "SELECT count(*) = 0 FROM sqlite_master WHERE name = '_sqlx_migrations'";
    let mut taken: Vec<Taken> = Vec::new();
    if !path.exists() {
        return steps::missing(&MIGRATIONS, &taken).map_err(|source| StoreError::Schema {
            advice: WAY_OUT.to_owned(),
            source: source.into(),
        });
    }
    let mut file = SqliteConnectOptions::new().filename(path).read_only(true).connect().await?;
    if !sqlx::query_scalar::<_, bool>(IS_NEW).fetch_one(&mut file).await? {
        taken = sqlx::query_as(steps::TAKEN).fetch_all(&mut file).await?;
    }
    match steps::missing(&MIGRATIONS, &taken) {
        Ok(steps) => Ok(steps),
        Err(source) => Err(refused(source, &mut file).await),
    }
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
    use std::borrow::Cow;
    use std::path::Path;

    use sqlx::Connection as _;

    use super::*;
    use crate::store::reports::Days;
    use crate::store::sqlite::SqliteStore;
    use crate::store::{Reports, SessionStore};

    /// A database as the first schema left it, with a session, its connection and a request.
    async fn of_the_first_schema(path: &Path) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        let first = MIGRATIONS.iter().take(1).cloned().collect();
        let first = Migrator { migrations: Cow::Owned(first), ..Migrator::DEFAULT };
        first.run(&mut connection).await.unwrap();
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
        connection
    }

    async fn refusal(path: &Path) -> String {
        SqliteStore::open(path).await.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[tokio::test]
    async fn a_database_of_the_first_schema_is_migrated_with_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        of_the_first_schema(&path).await.close().await.unwrap();
        let store = SqliteStore::open(&path).await.unwrap();
        let (sessions, connections) = store.active().await.unwrap();
        assert_eq!((sessions.len(), connections.len()), (1, 1));
        assert_eq!((sessions[0].client.kind(), &connections[0].setup), ("unknown-client", &None));
        let requests: i64 = sqlx::query_scalar("SELECT count(*) FROM archon_mcp_requests")
            .fetch_one(&store.pool())
            .await
            .unwrap();
        assert_eq!((requests, store.open_calls().await.unwrap().len()), (1, 0));
        // What was there before the sums is in them.
        let usage = store.usage(Days::until(sessions[0].last_activity, 90)).await.unwrap();
        assert_eq!((usage.total.requests, usage.sessions, usage.by_tool.len()), (1, 1, 1));
        let record = store.session_record(sessions[0].id).await.unwrap().unwrap();
        assert_eq!((record.totals.requests, record.upstreams), (1, vec!["demo".to_owned()]));
        let health = store.session_health(sessions[0].last_activity).await.unwrap();
        assert_eq!((health.active, health.ended), (1, 0));
        store.close().await;
    }

    #[tokio::test]
    async fn a_database_of_a_newer_version_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let mut connection = of_the_first_schema(&path).await;
        let newer = "INSERT INTO _sqlx_migrations VALUES (9001, 'x', '', TRUE, x'00', 0);
                     PRAGMA user_version = 7002001";
        sqlx::raw_sql(newer).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
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
            ("CREATE TABLE archon_mcp_calls (x)", "the step to schema 2 was not finished"),
            ("UPDATE _sqlx_migrations SET checksum = x'00'", "schema 1 in it is not the one"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.db");
            let mut connection = of_the_first_schema(&path).await;
            sqlx::raw_sql(broken).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            let refusal = refusal(&path).await;
            assert!(refusal.contains(expected) && refusal.contains(WAY_OUT), "{refusal}");
        }
    }

    #[test]
    fn each_file_is_a_step() {
        assert!(steps::are_those_of("sqlite", &MIGRATIONS));
    }
}

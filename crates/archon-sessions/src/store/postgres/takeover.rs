//! Takes over tables of the same names that are there before ours: those of the project that this one comes from, which
//! people have SQL, rights and dashboards on. They stay the same tables. Columns that are missing are added, types that
//! are too narrow widened; requests stay in one table, without a partition for each day.

use const_format::concatcp;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

use crate::store::{SchemaStep, StoreError, steps};

/// The step that the tables are adapted to; all later ones follow.
const FIRST: i64 = 1;
const TABLES: &str = "'archon_mcp_sessions', 'archon_mcp_requests', 'archon_llm_pricing'";
/// The first schema's words, and what they are where a table may be there.
const ADAPTED: [(&str, &str); 4] = [
    ("CREATE TABLE archon_mcp_requests_default PARTITION OF archon_mcp_requests DEFAULT;", "DEFAULT_PARTITION"),
    ("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS "),
    ("CREATE INDEX ", "CREATE INDEX IF NOT EXISTS "),
    (
        "INSERT INTO archon_llm_pricing VALUES",
        "INSERT INTO archon_llm_pricing
             (provider, model_name, input_price_per_1k, output_price_per_1k, effective_date) VALUES",
    ),
];

/// Returns the names of tables that are there before our first schema; empty where there is nothing to take over.
pub(super) async fn strangers(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    const OURS: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    const THEIRS: &str = concatcp!(
        "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relname IN (",
        TABLES,
        ") AND relnamespace = current_schema()::regnamespace ORDER BY relname"
    );
    if sqlx::raw_sql(OURS).fetch_one(&mut *connection).await?.try_get(0)? {
        const IS_BEGUN: &str = "SELECT count(*) > 0 FROM _sqlx_migrations";
        if sqlx::raw_sql(IS_BEGUN).fetch_one(&mut *connection).await?.try_get(0)? {
            return Ok(Vec::new());
        }
    }
    let rows = sqlx::raw_sql(THEIRS).fetch_all(connection).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Says in the list of steps what the first of them does.
pub(super) fn describe(steps: &mut [SchemaStep], strangers: &[String]) {
    if let Some(first) = steps.first_mut().filter(|_| !strangers.is_empty()) {
        first.description =
            format!("take over the tables that are there: {}", strangers.join(", "));
    }
}

/// Brings tables that are there to our first schema, within the transaction of the migration.
///
/// # Errors
/// If they are not tables that can be adapted; the transaction is to be given up then.
pub(super) async fn take_over(
    connection: &mut PgConnection,
    migrator: &Migrator,
) -> Result<(), StoreError> {
    let strangers = strangers(connection).await?;
    if strangers.is_empty() {
        return Ok(());
    }
    let names = strangers.join(", ");
    adapt(connection, migrator).await.map_err(|error| match error {
        sqlx::Error::Database(_) => StoreError::Schema {
            advice: format!(
                "the tables {names} that are there could not be taken over; rename them, or give the gateway a \
                 database of its own"
            ),
            source: MigrateError::Execute(error).into(),
        },
        error => error.into(),
    })?;
    tracing::info!("took over the tables that were there: {names}");
    Ok(())
}

async fn adapt(connection: &mut PgConnection, migrator: &Migrator) -> Result<(), sqlx::Error> {
    const REQUESTS_KIND: &str = "SELECT coalesce((SELECT relkind::text FROM pg_class
                                                  WHERE oid = to_regclass('archon_mcp_requests')), '')";
    let Some(first) = migrator.iter().find(|step| step.version == FIRST) else { return Ok(()) };
    connection.execute(include_str!("takeover/adapt.sql")).await?;
    let kind = sqlx::raw_sql(REQUESTS_KIND).fetch_one(&mut *connection).await?;
    let kind: String = kind.try_get(0)?;
    let sql = if_missing(first.sql.as_str(), kind == "r");
    connection.execute(AssertSqlSafe(sql)).await?;
    connection.execute(include_str!("takeover/return.sql")).await?;
    connection.execute(include_str!("takeover/sums.sql")).await?;
    let checksum = steps::hex(&first.checksum);
    let is_taken = format!(
        "CREATE TABLE IF NOT EXISTS _sqlx_migrations (
             version BIGINT PRIMARY KEY, description TEXT NOT NULL,
             installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL,
             checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL
         );
         INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES ({FIRST}, 'sessions', TRUE, '\\x{checksum}', 0)"
    );
    connection.execute(AssertSqlSafe(is_taken)).await?;
    Ok(())
}

/// Returns the first schema for a database that has some of its tables.
fn if_missing(first: &str, has_plain_requests: bool) -> String {
    let sql =
        ADAPTED.iter().fold(first.to_owned(), |sql, (ours, adapted)| sql.replace(ours, adapted));
    let partition = if has_plain_requests {
        ""
    } else {
        "CREATE TABLE IF NOT EXISTS archon_mcp_requests_default PARTITION OF archon_mcp_requests DEFAULT;"
    };
    let sql = sql.replace("DEFAULT_PARTITION", partition);
    // The list of prices ends with the first semicolon behind its beginning.
    let end =
        sql.find("INSERT INTO archon_llm_pricing").and_then(|at| Some(at + sql[at..].find(';')?));
    let Some((before, after)) = end.and_then(|end| sql.split_at_checked(end)) else { return sql };
    format!("{before} ON CONFLICT DO NOTHING{after}")
}

#[cfg(test)]
mod tests;

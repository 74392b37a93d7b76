//! Steps of a schema: which of them a database still needs.

use std::fmt;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

/// How both databases tell which steps they have been through: version, checksum, and whether it was finished.
pub(super) const TAKEN: &str =
    "SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version";

/// A file of a step: its name, `0001_what_it_brings.sql`, and its SQL.
pub(super) type File = (&'static str, &'static str);

/// Reads files of a folder of `migrations/` at compile time. `sqlx::migrate!` would do that as well, and has this crate's
/// databases and its TLS library compiled once more, for the compiler.
macro_rules! files {
    ($folder:literal, $($name:literal),* $(,)?) => {
        &[$((
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $folder, "/", $name)),
        )),*]
    };
}
pub(in crate::store) use files;

/// Returns what takes the steps that are missing.
pub(super) fn migrator(files: &[File]) -> Migrator {
    let step = |(name, sql): &File| {
        let (version, what) = name.trim_end_matches(".sql").split_once('_')?;
        let (version, description) = (version.parse().ok()?, what.replace('_', " "));
        let kind = MigrationType::Simple;
        Some(Migration::new(version, description.into(), kind, sql.into_sql_str(), false))
    };
    Migrator::with_migrations(files.iter().filter_map(step).collect())
}

/// A row of [`TAKEN`].
pub(super) type Taken = (i64, Vec<u8>, bool);

/// The steps of builds before the first release. The first step of today leads to the same schema as all of them.
pub(super) struct Earlier {
    /// How many there were.
    pub(super) count: i64,
    /// The first one's checksum, in hexadecimal.
    pub(super) first: &'static str,
    /// The last one's checksum. It can only be in a database that took all steps before it.
    pub(super) last: &'static str,
}

impl Earlier {
    /// Returns whether a database took all of these steps, and none of today's.
    ///
    /// # Errors
    /// If it took some of them: [`MigrateError::VersionTooOld`].
    pub(super) fn are_taken(&self, taken: &[Taken]) -> Result<bool, MigrateError> {
        let (Some(first), Some(last)) = (taken.first(), taken.last()) else { return Ok(false) };
        if hex(&first.1) != self.first || last.0 > self.count || taken.iter().any(|step| !step.2) {
            return Ok(false);
        }
        if (taken.len() as i64, hex(&last.1).as_str()) == (self.count, self.last) {
            return Ok(true);
        }
        Err(MigrateError::VersionTooOld(last.0, self.count))
    }

    /// Returns the SQL that writes the first step of today in place of all of these, where they are written. `literal`
    /// begins a literal of bytes in hexadecimal.
    pub(super) fn replacement(&self, known: &Migrator, literal: &str) -> String {
        let Some(step) = known.iter().next() else { return String::new() };
        let (earlier, now) = (self.first, hex(&step.checksum));
        format!(
            "DELETE FROM _sqlx_migrations WHERE version > 1 AND EXISTS (
                 SELECT 1 FROM _sqlx_migrations WHERE version = 1 AND checksum = {literal}{earlier}');
             UPDATE _sqlx_migrations SET checksum = {literal}{now}'
             WHERE version = 1 AND checksum = {literal}{earlier}'"
        )
    }

    /// Returns what to do about a database that took some of these steps.
    pub(super) fn advice(&self, taken: i64, way_out: &str) -> String {
        let count = self.count;
        format!(
            "it was made by a build before the first release and has {taken} of its {count} steps; open it once \
             with the last of those builds, which takes all {count}, or {way_out}"
        )
    }
}

/// Returns bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One step from a schema to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaStep {
    /// The schema that it leads to.
    pub version: i64,
    /// What it brings, in a few words.
    pub description: String,
}

impl fmt::Display for SchemaStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04} {}", self.version, self.description)
    }
}

/// Returns the steps that are missing after those that were taken.
///
/// # Errors
/// If those are not ones to go on from.
pub(super) fn missing(
    known: &Migrator,
    earlier: &Earlier,
    taken: &[Taken],
) -> Result<Vec<SchemaStep>, MigrateError> {
    if earlier.are_taken(taken)? {
        let later = known.iter().skip(1).map(step_of);
        return Ok(later.collect());
    }
    for (version, checksum, is_finished) in taken {
        if !is_finished {
            return Err(MigrateError::Dirty(*version));
        }
        match known.iter().find(|step| step.version == *version) {
            None => return Err(MigrateError::VersionMissing(*version)),
            Some(step) if *step.checksum != **checksum => {
                return Err(MigrateError::VersionMismatch(*version));
            }
            Some(_) => {}
        }
    }
    let is_taken = |version: i64| taken.iter().any(|(taken, ..)| *taken == version);
    let steps = known.iter().filter(|step| !is_taken(step.version));
    Ok(steps.map(step_of).collect())
}

fn step_of(step: &Migration) -> SchemaStep {
    SchemaStep { version: step.version, description: step.description.to_string() }
}

/// Returns whether each file of a folder of `migrations/` is a step.
#[cfg(test)]
pub(super) fn are_those_of(folder: &str, migrator: &Migrator) -> bool {
    let path = format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(path).unwrap().count();
    migrator.iter().map(|step| step.version).eq(1..=files as i64)
}

/// Returns SQL that makes a database, which took the first step of today, one that took the first of the earlier steps,
/// up to a count.
#[cfg(test)]
pub(super) fn as_of_earlier(earlier: &Earlier, taken: i64, literal: &str) -> String {
    // What later steps brought is taken back.
    let mut sql = "DELETE FROM _sqlx_migrations;
         DROP TABLE archon_mcp_notices;
         DROP INDEX IF EXISTS archon_mcp_sessions_fingerprint;
         DROP INDEX IF EXISTS archon_mcp_sessions_principal;
         ALTER TABLE archon_mcp_sessions DROP COLUMN owner;
         ALTER TABLE archon_mcp_nodes DROP COLUMN name;
         ALTER TABLE archon_mcp_nodes DROP COLUMN address;
         ALTER TABLE archon_mcp_nodes DROP COLUMN place;"
        .to_owned();
    for version in 1..=taken {
        let checksum = match version {
            1 => earlier.first,
            last if last == earlier.count => earlier.last,
            _ => "00",
        };
        sql.push_str(&format!(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES ({version}, 'x', TRUE, {literal}{checksum}', 0);"
        ));
    }
    sql
}

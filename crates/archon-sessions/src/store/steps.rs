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
pub(super) fn missing(known: &Migrator, taken: &[Taken]) -> Result<Vec<SchemaStep>, MigrateError> {
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
    let step = |step: &sqlx::migrate::Migration| SchemaStep {
        version: step.version,
        description: step.description.to_string(),
    };
    Ok(steps.map(step).collect())
}

/// Returns whether each file of a folder of `migrations/` is a step.
#[cfg(test)]
pub(super) fn are_those_of(folder: &str, migrator: &Migrator) -> bool {
    let path = format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(path).unwrap().count();
    migrator.iter().map(|step| step.version).eq(1..=files as i64)
}

//! Steps of a schema: which of them a database still needs.

use std::fmt;

use sqlx::migrate::{MigrateError, Migrator};

/// How both databases tell which steps they have been through: version, checksum, and whether it was finished.
pub(super) const TAKEN: &str =
    "SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version";

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

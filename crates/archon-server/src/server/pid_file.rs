//! The pid file beside the database, and beside that the way back for an upgrade's outcome.
//!
//! Whoever asks for an upgrade leaves an empty file; the process that was asked replaces it with what came of
//! it. Both names begin with the database's, so that they are found by whoever finds the database.

use std::fmt;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// See the module.
#[derive(Clone, Debug)]
pub struct PidFile {
    path: PathBuf,
    outcome: PathBuf,
}

/// What came of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This process has taken over.
    Replaced(u32),
    /// It has not happened, and why.
    Failed(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replaced(successor) => write!(f, "replaced {successor}"),
            Self::Failed(why) => write!(f, "failed {why}"),
        }
    }
}

impl Outcome {
    fn read(text: &str) -> Option<Self> {
        match text.trim_end().split_once(' ')? {
            ("replaced", successor) => successor.parse().ok().map(Self::Replaced),
            ("failed", why) => Some(Self::Failed(why.to_owned())),
            _ => None,
        }
    }
}

impl PidFile {
    /// Returns the one of the process that keeps its sessions here.
    pub fn beside(database: &Path) -> Self {
        let with = |ending: &str| {
            let mut path = database.as_os_str().to_owned();
            path.push(ending);
            path.into()
        };
        Self { path: with(".pid"), outcome: with(".upgrade") }
    }

    /// Writes our own pid. A process that cannot works all the same.
    pub fn claim(&self) {
        let mut private = std::fs::DirBuilder::new();
        private.recursive(true).mode(0o700);
        let folder = self.path.parent().map_or(Ok(()), |folder| private.create(folder));
        if let Err(error) =
            folder.and_then(|()| replace(&self.path, &std::process::id().to_string()))
        {
            tracing::warn!("could not write the pid file {}: {error}", self.path.display());
        }
    }

    /// Removes it, unless it is a successor's by now.
    pub fn release(&self) {
        if self.read().is_ok_and(|pid| pid == std::process::id()) {
            // One that stays names a process that is gone, which its readers find out.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Reads whose it is.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(&self) -> anyhow::Result<u32> {
        let path = self.path.display();
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => bail!(
                "there is no pid file {path}; is archon running? name its database with --db, \
                 its node with --node, or the process with --pid"
            ),
            Err(error) => {
                return Err(error).with_context(|| format!("could not read the pid file {path}"));
            }
        };
        text.trim().parse().with_context(|| format!("there is no pid in {path}"))
    }

    /// Asks for the outcome of the next upgrade.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn ask(&self) -> anyhow::Result<()> {
        write(&self.outcome, "")
            .with_context(|| format!("could not write {}", self.outcome.display()))
    }

    /// Says what came of an upgrade, if anybody asked.
    pub fn tell(&self, outcome: &Outcome) {
        if self.outcome.exists()
            && let Err(error) = replace(&self.outcome, &outcome.to_string())
        {
            tracing::warn!("could not write {}: {error}", self.outcome.display());
        }
    }

    /// Returns the outcome, once it is known.
    pub fn told(&self) -> Option<Outcome> {
        Outcome::read(&std::fs::read_to_string(&self.outcome).ok()?)
    }

    /// Asks no more.
    pub fn forget(&self) {
        let _ = std::fs::remove_file(&self.outcome);
    }
}

/// Replaces a file in one step, so that nobody reads half of it.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    let new = PathBuf::from(new);
    write(&new, &format!("{text}\n"))?;
    std::fs::rename(&new, path)
}

/// Writes a file for its owner alone, whatever the umask says: who may read it knows whom to signal.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_released_by_the_one_whom_it_names_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("archon.db");
        let file = PidFile::beside(&database);
        file.claim();
        assert_eq!(file.read().expect("claimed"), std::process::id());
        std::fs::write(folder.path().join("archon.db.pid"), "1\n").expect("a successor's");
        file.release();
        assert_eq!(file.read().expect("still there"), 1);
        file.claim();
        file.release();
        assert!(file.read().is_err());
    }

    #[test]
    fn an_outcome_reaches_whoever_asked_and_nobody_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = PidFile::beside(&folder.path().join("archon.db"));
        file.tell(&Outcome::Replaced(7));
        assert_eq!(file.told(), None);
        file.ask().expect("asked");
        assert_eq!(file.told(), None);
        for outcome in [Outcome::Replaced(7), Outcome::Failed("it ended: exit status: 1".into())] {
            file.tell(&outcome);
            assert_eq!(file.told(), Some(outcome));
        }
        file.forget();
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}

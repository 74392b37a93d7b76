//! The lease of a node on its database: a second process of the same node would take the first one's calls for those of a
//! dead process.
//!
//! It is a lock (`flock(2)`) on a file beside the database. The kernel releases it when the last process that has the file
//! open is gone, however that ended, and it holds between containers that share the folder. The text in the file says who
//! has the lock, for people. The file is never removed: two processes could then lock two files of the same name.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use archon_sessions::session::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Database};
use crate::fd_passing::{self, RecvFlags};

/// What the names of these files end with.
const ENDING: &str = ".lock";
/// A process that stops gives its calls ten seconds, and then writes what is left; no disk takes longer than the rest.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How often we look whether a process that stops is gone.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Locks of files that were removed while we locked them. Nobody does that twice in a row by accident.
const TRIES: usize = 3;
/// The text is a few hundred bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// Who has a lease, as it says itself. Nothing is decided by it, except whether waiting is worthwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Holder {
    /// Its process id, which means something on its host and in its container only.
    pub pid: u32,
    /// The name of its host or container.
    pub host: String,
    /// When it started, in RFC 3339.
    pub since: String,
    /// Where its MCP endpoint is, once it is ready.
    pub mcp: Option<SocketAddr>,
    /// Where its API is.
    pub api: Option<SocketAddr>,
    /// The upstream at `/mcp`.
    pub default_upstream: Option<String>,
    /// Whether it was told to stop: then the lease is free in a moment.
    pub is_stopping: bool,
}

impl Holder {
    /// Returns true if the lease is free in a moment: the process stops, or has died while it started another one, which
    /// has the file open until it runs.
    fn is_leaving(&self) -> bool {
        let process = |name: &str| Path::new("/proc").join(name).exists();
        let has_died = self.host == host() && process("self") && !process(&self.pid.to_string());
        self.is_stopping || has_died
    }

    /// Returns what this process says of itself at its start.
    pub fn this_process() -> Self {
        let since = Timestamp::now().to_string();
        Self { pid: std::process::id(), host: host(), since, ..Self::default() }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {} since {}", self.pid, self.host, self.since)?;
        if let (Some(mcp), Some(api)) = (self.mcp, self.api) {
            write!(f, " (MCP at {mcp}, API at {api})")?;
        }
        Ok(())
    }
}

/// Returns the name of this machine, or of this container.
pub fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Returns what the names of a process's files begin with, by the lease that it has; `None` if it has none, or nobody says.
pub fn files_of(pid: u32) -> Option<PathBuf> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let leads_to = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    leads_to
        .filter_map(|path| Some(PathBuf::from(path.to_str()?.strip_suffix(ENDING)?)))
        .find(|files| files.is_absolute())
}

/// Returns who has, or last had, the lease of the node with these files.
pub fn last_holder(files: &Path) -> Option<Holder> {
    read(&File::open(path_beside(files)).ok()?)
}

/// A lease that this process has, for as long as this is not dropped.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    file: File,
    /// False where processes of several nodes have the same files: it then only leads to them.
    is_exclusive: bool,
}

impl Lease {
    /// Says who has it.
    pub fn say(&self, holder: &Holder) {
        if !self.is_exclusive {
            return;
        }
        let text = serde_json::to_string(holder).unwrap_or_default() + "\n";
        let length = text.len() as u64;
        let written = self.file.write_all_at(text.as_bytes(), 0);
        if let Err(error) = written.and_then(|()| self.file.set_len(length)) {
            tracing::warn!("could not write {}: {error}", self.path.display());
        }
    }

    /// Lets a successor have it as well: it reads it from the other end of this socket.
    ///
    /// # Errors
    /// If the socket is closed.
    pub fn send(&self, successor: &UnixStream) -> std::io::Result<()> {
        fd_passing::send(successor, b"\n", &[self.file.as_fd()])?;
        Ok(())
    }
}

/// Reads what a predecessor has sent; `None` for one of a version that had no lease.
fn receive(predecessor: &UnixStream) -> Option<File> {
    // It was sent before this process was started.
    let (_, files) = fd_passing::receive(predecessor, &mut [0], RecvFlags::DONTWAIT).ok()?;
    files.into_iter().next().map(File::from)
}

/// A lease that is ours, or will be once a process that stops is gone.
#[derive(Debug)]
pub struct Claim {
    lease: Lease,
    is_ours: bool,
    /// What is claimed, for errors.
    what: String,
}

impl Claim {
    /// Claims the lease of the configured node; `None` where nothing is stored, or where no file can be beside what is.
    ///
    /// # Errors
    /// If a process has it that was not told to stop. The message says which one.
    pub fn begin(
        config: &Config,
        predecessor: Option<&UnixStream>,
    ) -> anyhow::Result<Option<Self>> {
        let node = config.node.as_deref();
        let Some(files) = config.database.files(node) else { return Ok(None) };
        // Without names, gateways on PostgreSQL are told apart by their ports, and may have their files in one folder.
        let is_exclusive = node.is_some() || matches!(config.database, Database::Sqlite(_));
        let what = match node {
            Some(name) => format!("node {name:?} on {}", config.database),
            None => config.database.to_string(),
        };
        Self::at(path_beside(&files), is_exclusive, what, predecessor)
    }

    fn at(
        path: PathBuf,
        is_exclusive: bool,
        what: String,
        predecessor: Option<&UnixStream>,
    ) -> anyhow::Result<Option<Self>> {
        let handed_over = predecessor.and_then(receive).filter(|file| is_at(file, &path));
        let is_ours = handed_over.is_some() || !is_exclusive;
        let file = match handed_over.map_or_else(|| open(&path), Ok) {
            Ok(file) => file,
            Err(error) => {
                // If the database cannot be opened either, that error says more.
                tracing::warn!("could not open {}: {error}", path.display());
                return Ok(None);
            }
        };
        let mut claim = Self { lease: Lease { path, file, is_exclusive }, is_ours, what };
        if !is_ours {
            claim.is_ours = claim.attempt()?;
        }
        Ok(Some(claim))
    }

    /// Waits for a process that stops.
    ///
    /// # Errors
    /// If it is still there after a minute, or another one was faster.
    pub async fn wait(mut self) -> anyhow::Result<Lease> {
        let began = Instant::now();
        if !self.is_ours {
            tracing::info!("waiting for {}, which is stopping or has died", self.holder());
        }
        while !self.is_ours {
            ensure!(
                began.elapsed() < STOP_LIMIT,
                "{} is in use by {}, which was told to stop or has died, and still has it",
                self.what,
                self.holder()
            );
            tokio::time::sleep(LOOK_EVERY).await;
            self.is_ours = self.attempt()?;
        }
        Ok(self.lease)
    }

    /// Returns false if the holder is about to leave.
    fn attempt(&mut self) -> anyhow::Result<bool> {
        let lease = &mut self.lease;
        for _ in 0..TRIES {
            match lease.file.try_lock() {
                Ok(()) if is_at(&lease.file, &lease.path) => {
                    lease.say(&Holder::this_process());
                    return Ok(true);
                }
                // The file was removed meanwhile.
                Ok(()) => {
                    lease.file = open(&lease.path).with_context(|| {
                        format!("could not open {} again", lease.path.display())
                    })?;
                }
                Err(TryLockError::WouldBlock) => {
                    if read(&lease.file).is_some_and(|holder| holder.is_leaving()) {
                        return Ok(false);
                    }
                    bail!(
                        "{} is in use by {}; stop it, or replace it with `archon upgrade`; gateways that share \
                         a database each need a name of their own (`[node] name`, --node)",
                        self.what,
                        self.holder()
                    );
                }
                Err(TryLockError::Error(error)) => {
                    let path = lease.path.display();
                    tracing::warn!(
                        "could not lock {path}, nothing keeps a second gateway out: {error}"
                    );
                    return Ok(true);
                }
            }
        }
        bail!("{} was removed again and again while it was locked", lease.path.display())
    }

    fn holder(&self) -> String {
        let holder = read(&self.lease.file).map(|holder| holder.to_string());
        holder.unwrap_or_else(|| "another process".to_owned())
    }
}

fn path_beside(files: &Path) -> PathBuf {
    let mut path = files.as_os_str().to_owned();
    path.push(ENDING);
    path.into()
}

fn open(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // For writing, without which it cannot be locked over NFS.
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn read(file: &File) -> Option<Holder> {
    let mut text = [0; TEXT_BYTES_MAX];
    let length = file.read_at(&mut text, 0).ok()?;
    serde_json::from_slice(text.get(..length)?).ok()
}

/// Returns true if this path leads to this file.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(found)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (found.dev(), found.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(path: &Path) -> anyhow::Result<Option<Claim>> {
        Claim::at(path.into(), true, "x.db".into(), None)
    }

    async fn taken(path: &Path) -> Lease {
        claim(path).expect("free").expect("a folder").wait().await.expect("ours")
    }

    #[tokio::test]
    async fn a_second_process_is_refused_and_told_who_is_there_until_the_first_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/x.db.lock");
        let lease = taken(&path).await;
        let ports = ["127.0.0.1:8051", "127.0.0.1:8181"].map(|text| text.parse().ok());
        let holder = Holder { mcp: ports[0], api: ports[1], ..Holder::this_process() };
        lease.say(&holder);

        let refused = claim(&path).expect_err("in use").to_string();
        assert!(refused.starts_with(&format!("x.db is in use by {holder}; ")), "{refused}");
        for part in [&format!("process {} on ", std::process::id()), "127.0.0.1:8181", "--node"] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        drop(lease);
        drop(taken(&path).await);
    }

    #[tokio::test]
    async fn one_that_stops_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.db.lock");
        let lease = taken(&path).await;
        lease.say(&Holder { is_stopping: true, ..Holder::this_process() });
        let claim = claim(&path).expect("it stops").expect("a folder");
        assert!(!claim.is_ours);
        let waiting = tokio::spawn(claim.wait());
        tokio::task::yield_now().await;
        drop(lease);
        waiting.await.expect("no panic").expect("ours");
    }

    #[tokio::test]
    async fn one_that_died_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.db.lock");
        let lease = taken(&path).await;
        // No process has such an id.
        lease.say(&Holder { pid: u32::MAX, ..Holder::this_process() });
        let claim = claim(&path).expect("it has died").expect("a folder");
        assert!(!claim.is_ours);
        drop(lease);
        claim.wait().await.expect("ours");
    }

    #[tokio::test]
    async fn a_successor_has_it_without_a_gap() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.db.lock");
        let lease = taken(&path).await;
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        lease.send(&ours).expect("sent");
        let successor = Claim::at(path.clone(), true, "x.db".into(), Some(&theirs));
        let successor = successor.expect("handed over").expect("a folder");
        assert!(successor.is_ours);
        drop(lease);
        claim(&path).expect_err("the successor has it");
        drop(successor);
        drop(taken(&path).await);
    }

    #[tokio::test]
    async fn a_predecessor_without_one_and_one_of_another_database_hand_nothing_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, other) = (folder.path().join("x.db.lock"), folder.path().join("y.db.lock"));
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let first = Claim::at(path.clone(), true, "x.db".into(), Some(&theirs));
        let first = first.expect("free").expect("a folder").wait().await.expect("ours");
        first.send(&ours).expect("sent");
        let second = Claim::at(other.clone(), true, "y.db".into(), Some(&theirs));
        second.expect("free").expect("a folder");
        drop(first);
        drop(taken(&path).await);
    }

    #[tokio::test]
    async fn a_file_that_was_removed_is_no_lease() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.db.lock");
        let lost = taken(&path).await;
        std::fs::remove_file(&path).expect("removed");
        let lease = taken(&path).await;
        claim(&path).expect_err("in use");
        drop((lost, lease));
    }

    #[tokio::test]
    async fn a_process_leads_to_its_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let lease = taken(&folder.path().join("x.db.lock")).await;
        let files = files_of(std::process::id());
        // Other tests of this process have theirs.
        assert!(files.is_some_and(|files| files.is_absolute()));
        drop(lease);
    }

    #[test]
    fn what_was_written_is_read_and_what_is_torn_is_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = folder.path().join("x.db");
        assert_eq!(last_holder(&files), None);
        let path = path_beside(&files);
        let lease = Lease { file: open(&path).expect("opened"), path, is_exclusive: true };
        let long = Holder { default_upstream: Some("a".repeat(64)), ..Holder::this_process() };
        for holder in [long, Holder::this_process()] {
            lease.say(&holder);
            assert_eq!(last_holder(&files), Some(holder));
        }
        lease.file.set_len(5).expect("torn");
        assert_eq!(last_holder(&files), None);
    }
}

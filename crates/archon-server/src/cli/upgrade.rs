//! `archon upgrade`: has a running gateway start its program's file again and hand over to it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::config::{Config, Database, Overrides};
use crate::server::{Outcome, PidFile, READY_LIMIT, files_of};

/// The other process gives up after `READY_LIMIT`, and is given a while to say so.
const ANSWER_LIMIT: Duration = READY_LIMIT.saturating_add(Duration::from_secs(10));
const IN_MEMORY: &str =
    "sessions that are in memory only cannot be handed over; restart archon instead";
/// How often we look whether there is an answer; an upgrade takes a fraction of a second at least.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Finds the running process by the pid file beside its database.
#[derive(Debug, Args)]
pub struct Upgrade {
    /// Process to upgrade, instead of the one in the pid file
    #[arg(long)]
    pid: Option<u32>,
    /// Configuration file [default: archon.toml, if there is one]
    #[arg(long, env = "ARCHON_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// SQLite file, or PostgreSQL URL
    #[arg(long, env = "ARCHON_DB", hide_env_values = true, value_name = "FILE|URL")]
    db: Option<String>,
    /// Node name, if several gateways share the database
    #[arg(long, env = "ARCHON_NODE", value_name = "NAME")]
    node: Option<String>,
}

impl Upgrade {
    /// Asks for the upgrade, and waits for what comes of it.
    ///
    /// # Errors
    /// If it failed. Then the old process goes on, unless the message says that it ended.
    pub fn run(self) -> anyhow::Result<()> {
        let db = Database::overridden(self.db);
        let overrides = Overrides { db, node: self.node, ..Overrides::default() };
        let config = Config::load(self.config.as_deref(), overrides)?;
        let configured = config.database.files(config.node.as_deref());
        let (pid, process, files) = if let Some(pid) = self.pid {
            let process = listening(pid)?;
            (pid, process, files_of_process(pid, configured)?)
        } else {
            let files = configured.context(IN_MEMORY)?;
            let pid = PidFile::beside(&files).read()?;
            (pid, listening(pid)?, files)
        };
        let pid_file = PidFile::beside(&files);
        pid_file.ask()?;
        let outcome = ask(process, &pid_file);
        pid_file.forget();
        match outcome? {
            Outcome::Replaced(successor) => {
                println!("upgraded: process {successor} has taken over from {pid}");
                Ok(())
            }
            Outcome::Failed(why) => bail!("the upgrade failed, process {pid} continues: {why}"),
        }
    }
}

/// Returns what the names of a process's files begin with. It says what came of the upgrade beside its own database, which
/// may be another than the one that is configured here, and its paths begin in its own folder.
fn files_of_process(pid: u32, configured: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    match (files_of(pid), configured) {
        (Some(files), _) => Ok(files),
        // Only Linux tells which files a process has open.
        (None, Some(files)) if !is_linux() => Ok(files),
        (None, _) => bail!(
            "process {pid} has no files beside a database where it could say what came of the upgrade; {IN_MEMORY}"
        ),
    }
}

fn is_linux() -> bool {
    Path::new("/proc/self/status").exists()
}

fn listening(pid: u32) -> anyhow::Result<Pid> {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let process = process.with_context(|| format!("{pid} is no process id"))?;
    check_listens(process)?;
    Ok(process)
}

fn ask(process: Pid, pid_file: &PidFile) -> anyhow::Result<Outcome> {
    kill_process(process, Signal::USR2)
        .with_context(|| format!("could not send SIGUSR2 to process {process}"))?;
    let asked = Instant::now();
    loop {
        // Whether it is there is asked first: a process says what came of it before it ends.
        let is_there = test_kill_process(process).is_ok();
        if let Some(outcome) = pid_file.told() {
            return Ok(outcome);
        }
        ensure!(is_there, "process {process} ended without saying what came of the upgrade");
        ensure!(
            asked.elapsed() < ANSWER_LIMIT,
            "process {process} did not say within {} s what came of the upgrade; its log knows",
            ANSWER_LIMIT.as_secs()
        );
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A process that does not expect SIGUSR2 dies of it, and an old pid may be another program's by now.
fn check_listens(process: Pid) -> anyhow::Result<()> {
    ensure!(test_kill_process(process).is_ok(), "there is no process {process}, or it is not ours");
    // Only Linux tells; elsewhere we trust the pid.
    let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) else {
        ensure!(!is_linux(), "there is no process {process}");
        return Ok(());
    };
    ensure!(
        catches(&status, Signal::USR2),
        "process {process} does not listen for SIGUSR2: it is no archon, or only starting"
    );
    Ok(())
}

/// Reads from `/proc/…/status` whether a signal is caught: a mask in hexadecimal, the first signal lowest.
fn catches(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw() - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caught_signal_is_seen_in_the_mask() {
        assert!(catches("Name:\tarchon\nSigCgt:\t0000000000000800\n", Signal::USR2));
        assert!(!catches("SigCgt:\t0000000000000200\n", Signal::USR2));
        assert!(!catches("SigCgt:\tnonsense\n", Signal::USR2));
        assert!(!catches("", Signal::USR2));
    }
}

//! Upgrades: starts this program's file again, hands the listening sockets over, and steps back once the
//! successor is ready. A successor that does not get ready changes nothing.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, bail};
use tokio::io::AsyncReadExt as _;
use tokio::process::Child;

use super::drain::Ending;
use super::lease::{Holder, Lease};
use super::pid_file::{Outcome, PidFile};
use super::service_manager;
use super::signals::{Signals, Told};
use super::sockets::{API, Kept, MCP, READY, Sockets};
use crate::fd_passing::bequeath;
use crate::gateway::Succession;

/// A successor has so long to get ready. Nobody waits for it: until then this process answers.
pub const READY_LIMIT: Duration = Duration::from_secs(60);
/// Holds the pid of the process that hands over, in its successor's environment.
const PREDECESSOR: &str = "ARCHON_PREDECESSOR";
/// Holds the pids of those before it that are still there.
const EARLIER: &str = "ARCHON_EARLIER_PREDECESSORS";

static PREDECESSORS: OnceLock<Vec<u32>> = OnceLock::new();

/// Returns the process that handed its sockets over to this one, and then those before it that had not ended by then. They
/// may still be answering: for some seconds on the connections that they had, and for longer where a call was in flight.
/// All write to the same store meanwhile, and what they write after our recovery is not in our memory.
pub fn predecessors() -> &'static [u32] {
    PREDECESSORS.get().map_or(&[], Vec::as_slice)
}

/// Reads them from the environment: only where the sockets came with it, since a variable alone may have been
/// inherited from anybody.
pub fn note_predecessor() {
    let pids = |name| env::var(name).unwrap_or_default();
    let (first, earlier) = (pids(PREDECESSOR), pids(EARLIER));
    let pids = first.split_whitespace().chain(earlier.split_whitespace());
    let _ = PREDECESSORS.set(pids.filter_map(|pid| pid.parse().ok()).collect());
}

/// Returns those that are still there.
fn lasting_predecessors() -> String {
    let is_there = |pid: &&u32| fs::exists(format!("/proc/{pid}")).unwrap_or_default();
    let pids: Vec<String> = predecessors().iter().filter(is_there).map(u32::to_string).collect();
    pids.join(" ")
}

/// What a process needs to hand over to the next.
#[derive(Debug)]
pub struct Handover {
    program: PathBuf,
    arguments: Vec<OsString>,
    mcp: OwnedFd,
    api: OwnedFd,
    /// `None` if sessions are in memory only: those cannot be handed over.
    pid_file: Option<PidFile>,
    held: Held,
    kept: Kept,
    /// The process that has taken over, while nobody was told.
    successor: Option<u32>,
    /// What goes over besides the sockets.
    succession: Succession,
}

/// The lease of this process, and what others read in it.
#[derive(Clone, Debug)]
pub struct Held {
    /// `None` where there is nothing to hold.
    pub lease: Option<Arc<Lease>>,
    /// What it says of us.
    pub holder: Holder,
}

impl Held {
    fn say(&self, holder: &Holder) {
        if let Some(lease) = &self.lease {
            lease.say(holder);
        }
    }
}

impl Handover {
    /// Gets ready to hand over: finds the program's file, which may be another one by the time it is needed.
    ///
    /// # Errors
    /// If we are out of descriptors.
    pub fn prepare(
        sockets: &Sockets,
        pid_file: Option<PidFile>,
        held: Held,
        succession: Succession,
    ) -> anyhow::Result<Self> {
        let (mcp, api) = sockets.share()?;
        let program = program();
        let arguments = env::args_os().skip(1).collect();
        Ok(Self {
            program,
            arguments,
            mcp,
            api,
            pid_file,
            held,
            kept: Kept::default(),
            successor: None,
            succession,
        })
    }

    /// Says that this process is ready: in the pid file, and to whoever waits for it, a predecessor or systemd.
    pub fn say_ready(&mut self, predecessor: Option<UnixStream>, kept: Kept) {
        self.kept = kept;
        self.held.say(&self.held.holder);
        if let Some(pid_file) = &self.pid_file {
            pid_file.claim();
        }
        let Some(mut predecessor) = predecessor else {
            service_manager::tell("READY=1");
            return;
        };
        if let Err(error) = predecessor.write_all(b"!") {
            // Then we are the only one left, and the sockets are ours either way.
            tracing::warn!("the predecessor is gone already: {error}");
            service_manager::tell(&format!("MAINPID={}\nREADY=1", std::process::id()));
            return;
        }
        self.succession.follow(predecessor);
    }

    /// Waits until this process should end, and tries each upgrade that is asked for. The lease is not given back here: a
    /// process that was told to stop has it until all is written.
    pub async fn until_over(&mut self, signals: &mut Signals) -> Ending {
        loop {
            let ending = match signals.next().await {
                Told::Stop => Some(Ending::Stopped),
                Told::Upgrade => self.upgrade(signals).await,
            };
            if let Some(ending) = ending {
                if ending == Ending::Stopped {
                    // Before the lease says so: the next process finds the port free.
                    self.kept.leave();
                    self.held.say(&Holder { is_stopping: true, ..self.held.holder.clone() });
                    service_manager::tell("STOPPING=1");
                }
                return ending;
            }
        }
    }

    /// Returns how this process ends, if the upgrade or a signal in the middle of it ends it.
    async fn upgrade(&mut self, signals: &mut Signals) -> Option<Ending> {
        let Some(pid_file) = self.pid_file.clone() else {
            tracing::warn!("upgrade refused: sessions are in memory only and would be lost");
            return None;
        };
        let (ending, outcome) = match self.attempt(signals).await {
            Ok(Attempt::Replaced(pid)) => {
                tracing::info!(pid, "upgrade: process {pid} has taken over");
                service_manager::tell(&format!("MAINPID={pid}"));
                (Some(Ending::Replaced), Outcome::Replaced(pid))
            }
            Ok(Attempt::Interrupted) => {
                tracing::info!("upgrade given up: told to stop");
                (Some(Ending::Stopped), Outcome::Failed("told to stop meanwhile".into()))
            }
            Err(error) => {
                tracing::error!("upgrade failed, this process continues: {error:#}");
                (None, Outcome::Failed(format!("{error:#}")))
            }
        };
        match outcome {
            // Whoever asked may connect next, and not to this process.
            Outcome::Replaced(pid) => self.successor = Some(pid),
            Outcome::Failed(_) => {
                // The other one may have come as far as to write its own.
                pid_file.claim();
                self.held.say(&self.held.holder);
                pid_file.tell(&outcome);
            }
        }
        ending
    }

    /// Says that a successor has taken over, if one has. This process accepts no connection any more, and what it shared
    /// with its successor is the successor's alone.
    pub fn over(self) {
        if let (Some(pid_file), Some(pid)) = (&self.pid_file, self.successor) {
            pid_file.tell(&Outcome::Replaced(pid));
        }
    }

    async fn attempt(&self, signals: &mut Signals) -> anyhow::Result<Attempt> {
        tracing::info!("upgrade: starting {} again", self.program.display());
        let mut successor = self.start_successor()?;
        let pid = successor.process.id().context("the new process ended at once")?;
        let told = {
            let mut ready = std::pin::pin!(successor.ready());
            loop {
                // A signal that loses stays pending; what the successor said stays in its pipe.
                tokio::select! {
                    ready = &mut ready => break ready.map(|()| Attempt::Replaced(pid)),
                    told = signals.next() => match told {
                        Told::Stop => break Ok(Attempt::Interrupted),
                        Told::Upgrade => tracing::warn!("SIGUSR2 ignored: an upgrade is under way"),
                    },
                }
            }
        };
        if matches!(told, Ok(Attempt::Replaced(_))) {
            self.succession.precede(successor.ready);
        } else {
            // It has accepted nothing, so nobody misses it.
            let _ = successor.process.kill().await;
        }
        told
    }

    fn start_successor(&self) -> anyhow::Result<Successor> {
        let shared = || Ok((self.mcp.try_clone()?, self.api.try_clone()?, UnixStream::pair()?));
        let (mcp, api, (ours, theirs)) = shared()
            .map_err(|error: std::io::Error| error)
            .context("could not share the sockets")?;
        ours.set_nonblocking(true)?;
        if let Some(lease) = &self.held.lease {
            lease.send(&ours).context("could not hand over the lease")?;
        }
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env(PREDECESSOR, std::process::id().to_string())
            .env(EARLIER, lasting_predecessors());
        bequeath(&mut command, [(MCP, mcp), (API, api), (READY, theirs.into())])?;
        let process = tokio::process::Command::from(command)
            .spawn()
            .with_context(|| format!("could not start {}", self.program.display()))?;
        Ok(Successor { process, ready: tokio::net::UnixStream::from_std(ours)? })
    }
}

enum Attempt {
    Replaced(u32),
    Interrupted,
}

/// A process that is about to take over.
struct Successor {
    process: Child,
    ready: tokio::net::UnixStream,
}

impl Successor {
    /// Waits until it is ready.
    async fn ready(&mut self) -> anyhow::Result<()> {
        let mut word = [0];
        match tokio::time::timeout(READY_LIMIT, self.ready.read(&mut word)).await {
            Ok(Ok(1)) => Ok(()),
            Ok(_) => {
                // It has closed its end. That one is gone as well is nearly certain, and soon will be.
                let status =
                    tokio::time::timeout(Duration::from_secs(1), self.process.wait()).await;
                match status {
                    Ok(Ok(status)) => bail!("the new process ended before it was ready: {status}"),
                    _ => bail!(
                        "the new process closed the pipe on which it should say that it is ready"
                    ),
                }
            }
            Err(_) => {
                bail!("the new process was not ready within {} s", READY_LIMIT.as_secs())
            }
        }
    }
}

/// Returns the program's file by the name under which it was started, if that leads to it: where the name is a
/// link, an upgrade may have turned it to another file. Resolved now, since the file that runs may be deleted
/// by the time it is needed.
pub fn program() -> PathBuf {
    let name = PathBuf::from(env::args_os().next().unwrap_or_default());
    let Ok(running) = env::current_exe() else { return name };
    let started = if name.components().count() > 1 {
        std::path::absolute(&name).ok()
    } else {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).map(|folder| folder.join(&name)).find(|file| file.is_file())
    };
    let is_running = |file: &PathBuf| {
        file.is_absolute() && fs::canonicalize(file).ok() == fs::canonicalize(&running).ok()
    };
    started.filter(is_running).unwrap_or(running)
}

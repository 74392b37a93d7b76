//! Starting the processes of a run, and stopping them whatever happens.

pub mod gateway;
pub mod nginx;
pub mod usage;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::mcp::Endpoint;

/// How long a process may take until it serves.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// How long a process may take to end by itself before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// What of its log a process that failed leaves in the error message.
const LOG_LINES_SHOWN: usize = 10;

/// A child process that is stopped when dropped.
pub struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a process; what it says on standard error goes to a log in `folder`.
    pub fn start(name: &'static str, command: &mut Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).context("could not create a log")?;
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            // A group of its own: whatever it starts is stopped with it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("could not start {name}"))?;
        Ok(Self { name, child, log })
    }

    /// Waits for the line that names the endpoint, and goes on reading what follows it.
    pub fn endpoint(&mut self, marker: &'static str) -> Result<Endpoint> {
        let [endpoint] = self.endpoints([marker])?;
        Ok(endpoint)
    }

    /// Waits for the lines that name these endpoints, in their order, and goes on reading what follows.
    pub fn endpoints<const N: usize>(
        &mut self,
        markers: [&'static str; N],
    ) -> Result<[Endpoint; N]> {
        let stdout = self.child.stdout.take().context("standard output was taken before")?;
        let (found, finds) = mpsc::sync_channel(N);
        std::thread::spawn(move || {
            let mut markers = markers.iter().peekable();
            // Reads to the end, so that the process never blocks on a full pipe.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let named = markers.peek().and_then(|marker| line.split_once(**marker));
                if let Some((_, url)) = named {
                    let _ = found.try_send(url.trim().to_owned());
                    markers.next();
                }
            }
        });
        let mut endpoints = Vec::new();
        for _ in markers {
            let url = match finds.recv_timeout(START_PATIENCE) {
                Ok(url) => url,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(self.failure("named no endpoint in time"));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(self.failure("ended at once"));
                }
            };
            endpoints.push(Endpoint::parse(&url)?);
        }
        endpoints.try_into().map_err(|_| anyhow!("{} named too few endpoints", self.name))
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            // When all have ended there is nobody left to tell.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Returns an error that ends with what the process said last.
    pub fn failure(&self, what: &str) -> anyhow::Error {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
        anyhow!("{} {what}\n{last}", self.name)
    }
}

impl Drop for Server {
    /// Asks the process and all it started to end, and kills what does not.
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let start = Instant::now();
        while self.is_running() && start.elapsed() < STOP_PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.signal(Signal::KILL);
        // Collects the exit; it was killed, so this does not block.
        let _ = self.child.wait();
    }
}

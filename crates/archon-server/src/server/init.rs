//! `archon serve` as process 1 of a container: holds the listening sockets and runs the gateway as a child.
//!
//! A container ends with its process 1, and its port closes with it. So process 1 does what systemd does for a service: it
//! hands the sockets over (`sd_listen_fds(3)`), learns which process serves (`sd_notify(3)`), forwards signals to it, reaps
//! orphans, and restarts it after a crash. When the gateway exits by itself, it exits with the same status.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use signal_hook::iterator::Signals;

use super::sockets::{API, Inherited, MCP, Sockets};
use super::upgrade::program;
use crate::config::Config;
use crate::fd_passing::bequeath;

/// The pause before a restart after a crash: the first, and the longest.
const REST: Duration = Duration::from_millis(100);
const REST_MAX: Duration = Duration::from_secs(5);
/// A gateway that served for longer than this has not crashed at its start.
const SETTLED: Duration = Duration::from_secs(10);
/// Crashes at start in a row, after which this process exits and leaves restarts to the container's policy.
const CRASHES_MAX: u32 = 5;
/// How often the pause checks for a signal to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The exit status of a process that SIGTERM ended.
const STOPPED: u8 = 143;
/// Notifications are a line or two.
const NOTE_BYTES_MAX: usize = 4096;

/// See the module.
pub struct Init {
    /// The program's file by its name: after an upgrade it is the new one.
    program: PathBuf,
    sockets: [TcpListener; 2],
    notes: UnixDatagram,
    /// Where notifications are sent, as `NOTIFY_SOCKET` has it.
    notes_at: String,
    /// The process that serves.
    gateway: Option<Pid>,
    started: Instant,
    is_ready: bool,
    is_stopping: bool,
    crashes: u32,
}

impl Init {
    /// Binds the ports.
    ///
    /// # Errors
    /// If one is in use.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let Sockets { mcp, api, .. } = Sockets::open(Inherited::default(), config).await?;
        let sockets = [mcp.listener.into_std()?, api.listener.into_std()?];
        // The network may be one that containers share.
        let name = format!("archon-init-{}", uuid::Uuid::new_v4());
        let notes = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)
            .context("could not listen for notifications")?;
        notes.set_nonblocking(true)?;
        Ok(Self {
            program: program(),
            sockets,
            notes,
            notes_at: format!("@{name}"),
            gateway: None,
            started: Instant::now(),
            is_ready: false,
            is_stopping: false,
            crashes: 0,
        })
    }

    /// Runs the gateway until it exits by itself, or crashes repeatedly at start; returns its exit status, by the convention of
    /// shells.
    ///
    /// # Errors
    /// If it cannot be started, or signals cannot be received.
    pub fn run(mut self) -> anyhow::Result<u8> {
        let mut signals = Signals::new([SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR2])?;
        self.start()?;
        loop {
            let came: Vec<i32> = signals.wait().collect();
            self.hear();
            came.iter().for_each(|signal| self.pass_on(*signal));
            let Some(status) = self.bury() else { continue };
            match self.next(status) {
                Next::Exit(code) => return Ok(code),
                Next::Start(rest) => {
                    if self.rest(&mut signals, rest) {
                        return Ok(STOPPED);
                    }
                    // A successor of the one that crashed may serve by now.
                    if self.gateway.is_none() {
                        self.start()?;
                    }
                }
            }
        }
    }

    /// Waits before the next start; returns true if a signal to stop arrives meanwhile.
    fn rest(&mut self, signals: &mut Signals, rest: Duration) -> bool {
        let until = Instant::now() + rest;
        while Instant::now() < until {
            std::thread::sleep(LOOK_EVERY.min(until.saturating_duration_since(Instant::now())));
            if signals.pending().any(|signal| matches!(signal, SIGTERM | SIGINT)) {
                return true;
            }
        }
        self.hear();
        self.bury();
        false
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let [mcp, api] = &self.sockets;
        let sockets = [(MCP, mcp.try_clone()?.into()), (API, api.try_clone()?.into())];
        let mut command = Command::new(&self.program);
        command
            .args(std::env::args_os().skip(1))
            .env("NOTIFY_SOCKET", &self.notes_at)
            // A terminal's signals are for us to pass on, once.
            .process_group(0);
        let child =
            bequeath(&mut command, sockets)?.spawn().context("could not start the gateway")?;
        self.gateway = Pid::from_raw(i32::try_from(child.id())?);
        self.started = Instant::now();
        Ok(())
    }

    /// Reads which process serves: after an upgrade it is another one, which was told before the old one ended.
    fn hear(&mut self) {
        let mut note = [0; NOTE_BYTES_MAX];
        while let Ok(length) = self.notes.recv(&mut note) {
            let text = String::from_utf8_lossy(&note[..length]);
            let main = text.lines().find_map(|line| line.strip_prefix("MAINPID=")?.parse().ok());
            if let Some(pid) = main.and_then(Pid::from_raw) {
                self.gateway = Some(pid);
            }
            self.is_ready |= text.lines().any(|line| line == "READY=1");
        }
    }

    fn pass_on(&mut self, signal: i32) {
        self.is_stopping |= matches!(signal, SIGTERM | SIGINT);
        // A process that only starts would die of SIGUSR2; SIGHUP means nothing to any.
        let is_for_it = matches!(signal, SIGTERM | SIGINT) || (signal == SIGUSR2 && self.is_ready);
        let signal = Signal::from_named_raw(signal).filter(|_| is_for_it);
        if let (Some(gateway), Some(signal)) = (self.gateway, signal) {
            // One that has just ended is reaped next.
            let _ = kill_process(gateway, signal);
        }
    }

    /// Reaps all ended children, including adopted orphans; returns how the gateway ended, if it has.
    fn bury(&mut self) -> Option<WaitStatus> {
        let mut ended = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if Some(pid) == self.gateway {
                ended = Some(status);
                self.gateway = None;
            }
        }
        ended
    }

    /// Decides what follows the gateway's end.
    fn next(&mut self, status: WaitStatus) -> Next {
        let signal = status.terminating_signal();
        let code = status.exit_status().or(signal.map(|signal| 128 + signal)).unwrap_or(1);
        let code = u8::try_from(code).unwrap_or(u8::MAX);
        // A start that failed just after a crash may have met what the crash left behind.
        let has_crashed = signal.is_some() || (code != 0 && self.crashes > 0 && !self.is_ready);
        self.is_ready = false;
        if !has_crashed || self.is_stopping {
            return Next::Exit(code);
        }
        self.crashes = if self.started.elapsed() < SETTLED { self.crashes + 1 } else { 1 };
        if self.crashes > CRASHES_MAX {
            return Next::Exit(code);
        }
        let how = signal
            .map_or("could not start".to_owned(), |signal| format!("was ended by signal {signal}"));
        eprintln!("archon: the gateway {how}; starting it again");
        Next::Start(REST.saturating_mul(1 << (self.crashes - 1)).min(REST_MAX))
    }
}

/// What follows from the end of a gateway.
enum Next {
    /// The end of the container, with this status.
    Exit(u8),
    /// Another start, after this time.
    Start(Duration),
}

//! `archon serve` as process 1 of a container: holds the listening sockets and runs the gateway as a child.
//!
//! A container ends with its process 1, and its port closes with it. So process 1 does what systemd does for a service: it
//! hands the sockets over (`sd_listen_fds(3)`), hears which process serves (`sd_notify(3)`), passes signals on to it, buries
//! orphans, and starts it again when it has crashed. It ends as the gateway ends by itself.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use signal_hook::iterator::Signals;

use super::sockets::{API, Inherited, MCP, Sockets};
use super::upgrade::program;
use crate::config::Config;
use crate::keeper::FIRST_DESCRIPTOR;

/// How long a gateway that has crashed rests: at first, and at most.
const REST: Duration = Duration::from_millis(100);
const REST_MAX: Duration = Duration::from_secs(5);
/// A gateway that served for longer than this has not crashed at its start.
const SETTLED: Duration = Duration::from_secs(10);
/// Starts that crash one after another, before the container's own restarts are left to deal with it.
const CRASHES_MAX: u32 = 5;
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
            is_stopping: false,
            crashes: 0,
        })
    }

    /// Runs the gateway until it ends by itself, or crashes again and again; returns its exit status, by the convention of
    /// shells.
    ///
    /// # Errors
    /// If it cannot be started, or signals cannot be heard.
    pub fn run(mut self) -> anyhow::Result<u8> {
        let mut signals = Signals::new([SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR2])?;
        self.start()?;
        for signal in signals.forever() {
            self.hear();
            if signal != SIGCHLD {
                self.is_stopping |= matches!(signal, SIGTERM | SIGINT);
                self.pass_on(signal);
                continue;
            }
            if let Some(status) = self.bury()
                && let Some(code) = self.ended(status)?
            {
                return Ok(code);
            }
        }
        Ok(0)
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let sockets: io::Result<Vec<OwnedFd>> =
            self.sockets.iter().map(|socket| Ok(socket.try_clone()?.into())).collect();
        let mappings = sockets?.into_iter().zip(FIRST_DESCRIPTOR..);
        let mappings = mappings.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
        let child = Command::new(&self.program)
            .args(std::env::args_os().skip(1))
            .env("LISTEN_FDS", self.sockets.len().to_string())
            .env("LISTEN_FDNAMES", format!("{MCP}:{API}"))
            // Nobody knows it before the process is there. Absent, it means whoever reads it.
            .env_remove("LISTEN_PID")
            .env("NOTIFY_SOCKET", &self.notes_at)
            // A terminal's signals are for us to pass on, once.
            .process_group(0)
            .fd_mappings(mappings.collect())?
            .spawn()
            .context("could not start the gateway")?;
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
        }
    }

    fn pass_on(&self, signal: i32) {
        let signal = Signal::from_named_raw(signal);
        if let (Some(gateway), Some(signal)) = (self.gateway, signal) {
            // One that has just ended is buried next.
            let _ = kill_process(gateway, signal);
        }
    }

    /// Buries all that has ended, ours or orphans that became ours; returns how the gateway ended, if it has.
    fn bury(&self) -> Option<WaitStatus> {
        let mut ended = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if Some(pid) == self.gateway {
                ended = Some(status);
            }
        }
        ended
    }

    /// Starts the gateway again if it crashed, or returns what to exit with.
    fn ended(&mut self, status: WaitStatus) -> anyhow::Result<Option<u8>> {
        let Some(signal) = status.terminating_signal() else {
            return Ok(Some(
                status.exit_status().and_then(|code| code.try_into().ok()).unwrap_or(1),
            ));
        };
        self.crashes = if self.started.elapsed() < SETTLED { self.crashes + 1 } else { 1 };
        if self.is_stopping || self.crashes > CRASHES_MAX {
            return Ok(Some(u8::try_from(128 + signal).unwrap_or(u8::MAX)));
        }
        let rest = REST.saturating_mul(1 << (self.crashes - 1)).min(REST_MAX);
        eprintln!("archon: the gateway was ended by signal {signal}; starting it again");
        std::thread::sleep(rest);
        self.start()?;
        Ok(None)
    }
}

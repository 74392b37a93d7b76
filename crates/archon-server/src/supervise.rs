//! `archon supervise`: runs one command, and sees that nothing of it outlives the gateway.
//!
//! The gateway starts one of these for each child of a stdio upstream. It has no runtime and relays no
//! bytes: the command gets the gateway's own pipes. What it does is wait, in two threads:
//!
//! - the main thread, until the command has exited; then it kills whatever the command left behind, whose
//!   new parent it is (it is a subreaper), and exits;
//! - the other one on the control socket, for the word to stop or for the gateway's own death.
//!
//! In an upgrade the gateway's end of that socket goes to its successor, so that it is that one's death from then on.
//!
//! If the supervisor itself is killed, the kernel kills the command (`PDEATHSIG`), and the gateway what is
//! left of its process group.

mod command;
mod control;
mod descendants;

pub use command::RunSupervised;
pub use control::{Report, send_pipes};

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, getpid, kill_process, kill_process_group,
    set_child_subreaper, waitid,
};

/// What the command gets to end by itself when the gateway has died: nobody waits for it any more.
const ORPHAN_GRACE: Duration = Duration::from_millis(500);

/// This program, even if its file was replaced since it was started.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// Set to 0 for a supervisor: our allocator would begin with huge pages, 4 MiB of them, where a supervisor
/// needs a few kilobytes. Not passed on to the command.
pub const HUGE_PAGES: &str = "MIMALLOC_ALLOW_THP";

/// Arguments of the hidden subcommand. Its standard input is the control socket.
#[derive(Debug, Args)]
pub struct Supervise {
    /// Directory to run the command in
    #[arg(long)]
    cwd: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl Supervise {
    /// Runs the command to its end.
    ///
    /// # Errors
    /// If it could not be started at all.
    pub fn run(self) -> anyhow::Result<()> {
        set_child_subreaper(Some(getpid())).context("could not become a subreaper")?;
        ignore_signals()?;
        let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
        let mut control = UnixStream::from(socket);
        let pipes = control::receive_pipes(&control).context("could not receive the pipes")?;
        let leader = self.start(pipes).context("could not start the command")?;
        let group = Arc::new(Group { leader, is_running: Mutex::new(true) });
        Report::Started(leader.as_raw_nonzero().get()).write(&mut control)?;
        let (obeying, orders) = (group.clone(), control.try_clone()?);
        // Its owner is this process, which ends as soon as the command has.
        std::thread::Builder::new().stack_size(64 * 1024).spawn(move || obey(orders, &obeying))?;
        let end = group.wait();
        // The gateway may be gone; what the command left must go all the same.
        let _ = Report::Ended(end).write(&mut control);
        descendants::kill_all();
        let _ = control.flush();
        Ok(())
    }

    /// Starts the command in a process group of its own, on the gateway's pipes. The copies of them that
    /// we hold close when this returns.
    fn start(self, [stdin, stdout, stderr]: [OwnedFd; 3]) -> anyhow::Result<Pid> {
        let mut command = Command::new(THIS_PROGRAM);
        command
            .arg0("archon")
            .arg("run-supervised")
            .arg("--parent")
            .arg(std::process::id().to_string());
        if let Some(cwd) = self.cwd {
            command.arg("--cwd").arg(cwd);
        }
        command.arg("--").args(self.command);
        command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
        command.env_remove(HUGE_PAGES).process_group(0);
        let child = command.spawn()?;
        let raw = i32::try_from(child.id())?;
        Pid::from_raw(raw).context("the command has no process id")
    }
}

/// A service manager may signal all processes of a service at once; when the command stops is for the
/// gateway to say. Handlers, unlike ignored signals, are not passed on to the command.
fn ignore_signals() -> anyhow::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// The command's process group.
struct Group {
    leader: Pid,
    /// True as long as the leader has not been reaped, which is how long its number is its own.
    is_running: Mutex<bool>,
}

impl Group {
    fn signal(&self, signal: Signal) {
        let is_running = self.is_running.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_running {
            // It may have ended just now, which is what we want of it; or left its own group.
            if kill_process_group(self.leader, signal).is_err() {
                let _ = kill_process(self.leader, signal);
            }
        }
    }

    /// Waits until the leader has exited, reaping whatever else dies meanwhile; returns how it ended.
    fn wait(&self) -> String {
        let any = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        loop {
            // Only looks, so that the number of a dead process stays taken until we have dealt with it.
            match waitid(WaitId::All, any) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return format!("lost: {error}"),
            }
            let leader = WaitId::Pid(self.leader);
            let look = any | WaitIdOptions::NOHANG;
            if let Ok(None) = waitid(leader, look) {
                descendants::reap_except(self.leader);
                continue;
            }
            let mut is_running = self.is_running.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = kill_process_group(self.leader, Signal::KILL);
            *is_running = false;
            let leader = WaitId::Pid(self.leader);
            return match waitid(leader, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
                Ok(Some(status)) => describe(&status),
                Ok(None) => "lost".to_owned(),
                Err(error) => format!("lost: {error}"),
            };
        }
    }
}

fn describe(status: &WaitIdStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown status".to_owned(),
    }
}

/// Stops the command once the gateway says so, or has died: first its standard input is closed, which is
/// the gateway's to do (MCP 2025-11-25, Lifecycle, Shutdown), then TERM, then KILL.
fn obey(mut control: UnixStream, group: &Group) {
    let mut grace = control::read_stop(&mut control).unwrap_or(ORPHAN_GRACE);
    for signal in [Signal::TERM, Signal::KILL] {
        grace = pause(&mut control, grace);
        group.signal(signal);
    }
    // What is left are those that changed their group; the leader's end, at the latest now, ends them too.
}

/// Waits for so long, or shorter if the gateway dies meanwhile; returns how long to wait next.
fn pause(control: &mut UnixStream, grace: Duration) -> Duration {
    let mut byte = [0];
    if control.set_read_timeout(Some(grace.max(Duration::from_millis(1)))).is_ok()
        && !matches!(control.read(&mut byte), Ok(0))
    {
        return grace;
    }
    let short = grace.min(ORPHAN_GRACE);
    std::thread::sleep(short);
    short
}

//! Starts a command under its supervisor: the gateway's side of [`crate::supervise`].

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};

use crate::config::StdioConfig;
use crate::supervise::{HUGE_PAGES, Report, THIS_PROGRAM, send_pipes};

/// What speaks of us to ourselves is not the command's business, our database's password and our tokens' secret
/// least of all, and neither is what our own supervisor told us.
const OUR_VARIABLES: [&str; 5] =
    ["ARCHON_", "DATABASE_URL", "MCP_SESSION_SECRET", "LISTEN_", "NOTIFY_SOCKET"];

/// Our ends of a command's pipes.
pub struct Pipes {
    /// Its standard input.
    pub stdin: pipe::Sender,
    /// Its standard output.
    pub stdout: pipe::Receiver,
    /// Its standard error.
    pub stderr: pipe::Receiver,
}

/// A command that was started, with its supervisor.
pub struct Process {
    /// `None` if a predecessor of ours started it: it is no child of this process.
    supervisor: Option<Child>,
    reports: Lines<BufReader<OwnedReadHalf>>,
    orders: OwnedWriteHalf,
    /// The command, and its process group.
    leader: Option<Pid>,
}

impl Process {
    /// Starts a command.
    ///
    /// # Errors
    /// If no process can be made. Whether there is such a command shows later, by how it ends.
    pub fn launch(config: &StdioConfig) -> io::Result<(Self, Pipes)> {
        let (their_stdin, stdin) = io::pipe()?;
        let (stdout, their_stdout) = io::pipe()?;
        let (stderr, their_stderr) = io::pipe()?;
        let (control, their_control) = StdUnixStream::pair()?;
        let mut command = Command::new(THIS_PROGRAM);
        command.arg0("archon").arg("supervise");
        if let Some(cwd) = &config.cwd {
            command.arg("--cwd").arg(cwd);
        }
        command.arg("--").args(&config.command);
        for (name, _) in std::env::vars_os() {
            let is_ours = |ours: &str| name.as_encoded_bytes().starts_with(ours.as_bytes());
            if OUR_VARIABLES.iter().any(|ours| is_ours(ours)) {
                command.env_remove(name);
            }
        }
        command.envs(&config.env.0).env(HUGE_PAGES, "0");
        command.stdin(Stdio::from(OwnedFd::from(their_control))).stdout(Stdio::null());
        // What a supervisor has to say of its own failure belongs to what the command says.
        command.stderr(Stdio::from(their_stderr.try_clone()?));
        // Signals of a terminal are for the gateway, which stops its children in order.
        command.process_group(0);
        let supervisor = command.spawn()?;
        drop(command);
        send_pipes(&control, [their_stdin.as_fd(), their_stdout.as_fd(), their_stderr.as_fd()])?;
        control.set_nonblocking(true)?;
        let (reports, orders) = UnixStream::from_std(control)?.into_split();
        let reports = BufReader::new(reports).lines();
        let pipes = Pipes {
            stdin: pipe::Sender::from_owned_fd(stdin.into())?,
            stdout: pipe::Receiver::from_owned_fd(stdout.into())?,
            stderr: pipe::Receiver::from_owned_fd(stderr.into())?,
        };
        let supervisor = Some(supervisor);
        Ok((Self { supervisor, reports, orders, leader: None }, pipes))
    }

    /// Waits until the command has ended; returns how. Says when it runs, as which process. Safe to drop
    /// and call again.
    pub async fn ended(&mut self, on_start: impl Fn(i32)) -> String {
        loop {
            match self.reports.next_line().await {
                Ok(Some(line)) => match Report::parse(&line) {
                    Some(Report::Ended(how)) => return how,
                    Some(Report::Started(pid)) => {
                        self.leader = Pid::from_raw(pid);
                        on_start(pid);
                    }
                    None => {}
                },
                Ok(None) | Err(_) => {
                    // The supervisor was killed: the kernel kills the command, and the rest is ours.
                    self.kill_group();
                    return "its supervisor was lost".to_owned();
                }
            }
        }
    }

    /// Has it stopped: its input is closed already; TERM and KILL follow after so long each.
    pub async fn stop(&mut self, limit: Duration) {
        let order = format!("stop {}\n", limit.as_millis());
        // Who is gone needs no order.
        let _ = self.orders.write_all(order.as_bytes()).await;
    }

    /// Waits until nothing of it is left, and for longer than that may take: then it is killed.
    pub async fn gone(&mut self, limit: Duration) {
        let Some(supervisor) = &mut self.supervisor else {
            // Its supervisor is the last that closes the control socket.
            let gone = async { while let Ok(Some(_)) = self.reports.next_line().await {} };
            if tokio::time::timeout(limit, gone).await.is_err() {
                self.kill_group();
            }
            return;
        };
        if tokio::time::timeout(limit, supervisor.wait()).await.is_err() {
            self.kill_group();
            if let Some(supervisor) = &mut self.supervisor {
                let _ = supervisor.kill().await;
            }
        }
    }

    /// Returns the control socket, for another process of ours: it goes on with [`Process::resume`].
    ///
    /// # Errors
    /// If the runtime does not let it go.
    pub fn into_control(self) -> io::Result<OwnedFd> {
        let reports = self.reports.into_inner().into_inner();
        let socket = reports.reunite(self.orders).map_err(io::Error::other)?;
        Ok(socket.into_std()?.into())
    }

    /// Goes on with a command that runs, as the leader of this process group.
    ///
    /// # Errors
    /// If this is no control socket.
    pub fn resume(control: OwnedFd, leader: i32) -> io::Result<Self> {
        let control = StdUnixStream::from(control);
        control.set_nonblocking(true)?;
        let (reports, orders) = UnixStream::from_std(control)?.into_split();
        let reports = BufReader::new(reports).lines();
        // 1 is nobody's group but the whole system's.
        let leader = Pid::from_raw(leader).filter(|_| leader > 1);
        Ok(Self { supervisor: None, reports, orders, leader })
    }

    fn kill_group(&self) {
        if let Some(leader) = self.leader {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

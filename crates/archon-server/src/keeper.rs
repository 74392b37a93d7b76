//! `archon keep-port`: keeps the MCP endpoint's listening socket open from a gateway's end to the next start.
//!
//! A client that connects in between waits in the kernel's queue instead of being refused, which many clients never recover
//! from. The gateway starts a keeper when it binds its port by itself, and is connected to it from then on by a Unix socket
//! in the abstract namespace, named after the port's address ([`protocol`]). The end of that connection is the gateway's
//! end, whatever its cause. The next gateway at the same address takes the socket from there. If none comes in time, the
//! keeper closes the socket and ends.
//!
//! It runs in a process group of its own, so that neither a terminal's signals nor those for the gateway's group end it. It
//! accepts nothing, and speaks only to processes of its own user. The API's port has no keeper: its callers should learn
//! at once that the gateway is down.

mod client;
mod protocol;

pub use client::{Tie, has_keeper, is_kept, release, start, take};

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use listenfd::ListenFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use protocol::{JOIN, LEAVING, REFUSED, RELEASE, SERVING, TAKE, is_ours, send_socket};

/// Connections to a keeper: a gateway that leaves and one that starts are two.
const GATEWAYS_MAX: usize = 16;

/// Arguments of the hidden subcommand. It inherits the listening socket and the Unix socket on which gateways ask for it.
#[derive(Debug, Args)]
pub struct KeepPort {
    /// How long the port is kept without a gateway
    #[arg(long)]
    milliseconds: u64,
}

impl KeepPort {
    /// Runs until no socket is left to keep.
    ///
    /// # Errors
    /// If the inherited descriptors are not a listening socket and a Unix socket.
    pub fn run(self) -> anyhow::Result<()> {
        // A working directory would keep its file system busy.
        std::env::set_current_dir("/")?;
        let mut descriptors = ListenFd::from_env();
        let listener = descriptors.take_tcp_listener(0)?.context("no listening socket")?;
        let asked = descriptors.take_unix_listener(1)?.context("no Unix socket")?;
        Port::new(listener, asked, Duration::from_millis(self.milliseconds))?.keep()
    }
}

/// The state that a connected process has reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing yet.
    New,
    /// It has taken the socket, and is not ready.
    Starting,
    /// It accepts connections.
    Serving,
    /// It accepts no more.
    Leaving,
    /// The connection can be closed.
    Gone,
}

/// A connected gateway, or a process that is starting as one.
#[derive(Debug)]
struct Gateway {
    connection: UnixStream,
    phase: Phase,
}

/// A listening socket and its users. The socket is the first field, so that it is closed first.
#[derive(Debug)]
struct Port {
    listener: TcpListener,
    asked: UnixListener,
    gateways: Vec<Gateway>,
    kept_for: Duration,
    /// The deadline: the end of the last gateway that was ready, plus the time to keep the port. A gateway that never gets ready
    /// does not extend it.
    until: Instant,
    is_released: bool,
}

impl Port {
    fn new(
        listener: TcpListener,
        asked: UnixListener,
        kept_for: Duration,
    ) -> std::io::Result<Self> {
        asked.set_nonblocking(true)?;
        let until = Instant::now() + kept_for;
        Ok(Self { listener, asked, gateways: Vec::new(), kept_for, until, is_released: false })
    }

    /// Keeps the socket until the deadline, or until a gateway asks to close it.
    fn keep(mut self) -> anyhow::Result<()> {
        while self.turn() {
            let left =
                self.left().map(Timespec::try_from).transpose().context("too long a time")?;
            let mut sources: Vec<PollFd<'_>> = self.sources().collect();
            match poll(&mut sources, left.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("could not wait"),
            }
        }
        Ok(())
    }

    /// Handles pending messages; returns false when no socket is left to keep.
    fn turn(&mut self) -> bool {
        self.admit();
        // State reports and disconnects come before questions, which may be waiting for them.
        let mut asking = Vec::new();
        for (index, gateway) in self.gateways.iter_mut().enumerate() {
            let was_ready = gateway.is_ready();
            match gateway.hear() {
                Heard::Nothing => {}
                Heard::Question(word) => asking.push((index, word)),
                Heard::End => {
                    if was_ready || gateway.is_ready() {
                        self.until = Instant::now() + self.kept_for;
                    }
                    gateway.phase = Phase::Gone;
                }
            }
        }
        for (index, word) in asking {
            let is_in_use = self.is_in_use();
            if let Some(gateway) = self.gateways.get_mut(index) {
                self.is_released |= gateway.answer(word, is_in_use, &self.listener);
            }
        }
        self.gateways.retain(|gateway| gateway.phase != Phase::Gone);
        !self.is_released && (!self.gateways.is_empty() || Instant::now() < self.until)
    }

    /// Takes new connections.
    fn admit(&mut self) {
        while let Ok((connection, _)) = self.asked.accept() {
            let is_admitted = self.gateways.len() < GATEWAYS_MAX
                && is_ours(&connection)
                && connection.set_nonblocking(true).is_ok();
            if is_admitted {
                self.gateways.push(Gateway { connection, phase: Phase::New });
            }
        }
    }

    /// Returns true if a gateway accepts connections, or is about to.
    fn is_in_use(&self) -> bool {
        let uses = |gateway: &Gateway| matches!(gateway.phase, Phase::Starting | Phase::Serving);
        self.gateways.iter().any(uses)
    }

    /// Returns the remaining time to keep the port, if only time decides.
    fn left(&self) -> Option<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        self.gateways.is_empty().then_some(left)
    }

    fn sources(&self) -> impl Iterator<Item = PollFd<'_>> {
        let connections = self.gateways.iter();
        let connections =
            connections.map(|gateway| PollFd::new(&gateway.connection, PollFlags::IN));
        std::iter::once(PollFd::new(&self.asked, PollFlags::IN)).chain(connections)
    }
}

enum Heard {
    Nothing,
    Question(u8),
    End,
}

impl Gateway {
    /// Returns true if it accepts connections, or did so.
    fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Serving | Phase::Leaving)
    }

    /// Reads its state reports, up to a question or its disconnect.
    fn hear(&mut self) -> Heard {
        loop {
            let mut word = [0];
            match self.connection.read(&mut word) {
                Ok(1) => {}
                Ok(_) => return Heard::End,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Heard::Nothing,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Heard::End,
            }
            self.phase = match (word[0], self.phase) {
                (question @ (TAKE | RELEASE), Phase::New) => return Heard::Question(question),
                (JOIN, Phase::New) | (SERVING, Phase::Starting) => Phase::Serving,
                (LEAVING, Phase::Serving) => Phase::Leaving,
                _ => return Heard::End,
            };
        }
    }

    /// Answers a question; returns whether the port is to be closed.
    fn answer(&mut self, word: u8, is_in_use: bool, listener: &TcpListener) -> bool {
        if is_in_use {
            let _ = self.connection.write_all(&[REFUSED]);
            self.phase = Phase::Gone;
            return false;
        }
        // The process that asked for the close sees its connection close, after the socket was closed.
        let is_released = word == RELEASE;
        if !is_released {
            let is_sent = send_socket(&self.connection, listener).is_ok();
            self.phase = if is_sent { Phase::Starting } else { Phase::Gone };
        }
        is_released
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::thread::JoinHandle;

    use super::*;

    /// Long enough for any test: no test waits for it.
    const LONG: Duration = Duration::from_secs(600);

    /// A keeper in a thread, and a gateway that serves.
    fn kept(kept_for: Duration) -> (SocketAddr, Tie, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = protocol::listen(address).expect("a name");
        let port = Port::new(listener, asked, kept_for).expect("a port");
        // A keeper that starts without a gateway may exit at once.
        let gateway = Tie::join(address).expect("a name");
        let keeper = std::thread::spawn(move || port.keep().expect("kept"));
        (address, gateway, keeper)
    }

    fn connects(address: SocketAddr) -> bool {
        std::net::TcpStream::connect(address).is_ok()
    }

    #[test]
    fn the_next_gateway_gets_the_socket_and_who_connected_meanwhile() {
        let (address, first, keeper) = kept(LONG);
        assert!(take(address).is_none(), "one serves");
        drop(first);
        let waiting = std::net::TcpStream::connect(address).expect("kept");
        let (listener, second) = take(address).expect("free");
        let (_, peer) = listener.accept().expect("one waits");
        assert_eq!(Some(peer), waiting.local_addr().ok());
        assert!(take(address).is_none(), "one starts");
        second.serving();
        assert!(take(address).is_none(), "one serves");
        second.leaving();
        let (_, third) = take(address).expect("nobody accepts any more");
        drop((second, third));
        release(address.port());
        keeper.join().expect("it ends");
        drop(listener);
        assert!(!connects(address));
    }

    #[test]
    fn a_port_without_a_gateway_is_closed_in_time_and_by_a_gateway_that_never_got_ready_no_later() {
        let (address, first, keeper) = kept(Duration::ZERO);
        let successor = Tie::join(address).expect("a keeper");
        drop(first);
        assert!(connects(address), "the successor serves");
        successor.leaving();
        let (listener, starting) = take(address).expect("free");
        drop(successor);
        assert!(connects(address), "one starts");
        drop((starting, listener));
        keeper.join().expect("it ends");
        assert!(!connects(address) && take(address).is_none());
    }

    #[test]
    fn a_name_that_answers_nothing_holds_nobody_up() {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        let squatter = protocol::listen(address).expect("a name");
        let mut queued = Vec::new();
        // Until its queue is full.
        while let Ok(connection) = protocol::connect(address) {
            queued.push(connection);
        }
        assert!(take(address).is_none() && Tie::join(address).is_none() && !queued.is_empty());
        release(address.port());
        drop(squatter);
    }

    #[test]
    fn what_is_in_use_is_not_released_and_nonsense_harms_nobody() {
        let (address, first, keeper) = kept(LONG);
        release(address.port());
        for word in [SERVING, LEAVING, REFUSED, b'?'] {
            let mut stranger = protocol::connect(address).expect("a keeper");
            stranger.write_all(&[word]).expect("written");
            assert!(matches!(stranger.read(&mut [0]), Ok(0) | Err(_)));
        }
        let crowd: Vec<UnixStream> =
            (0..2 * GATEWAYS_MAX).map(|_| protocol::connect(address).expect("heard")).collect();
        drop(crowd);
        assert!(take(address).is_none(), "the first one serves");
        drop(first);
        while take(address).is_none() {}
        release(address.port());
        keeper.join().expect("it ends");
    }
}

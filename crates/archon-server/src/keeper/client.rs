//! A gateway's side of the keeper of its port.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use super::protocol::{
    JOIN, LEAVING, PREFIX, RELEASE, SERVING, TAKE, connect, listen, receive_socket,
};
use crate::fd_passing::bequeath;
use crate::supervise::{HUGE_PAGES, THIS_PROGRAM};

/// A keeper answers within a millisecond.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Addresses of one port: a machine has a few.
const ADDRESSES_MAX: usize = 16;

/// A gateway's connection to the keeper of its port. The keeper treats its end as the gateway's.
#[derive(Debug)]
pub struct Tie(UnixStream);

impl Tie {
    /// Reports that this process serves at an address whose socket it has; `None` if the socket has no keeper.
    pub fn join(address: SocketAddr) -> Option<Self> {
        let tie = Self(connect(address).ok()?);
        tie.0.set_write_timeout(Some(ANSWER_LIMIT)).ok()?;
        tie.say(JOIN);
        Some(tie)
    }

    /// Reports that this process, which has taken the socket, accepts connections.
    pub fn serving(&self) {
        self.say(SERVING);
    }

    /// Reports that it accepts no more connections; returns whether a keeper holds the port.
    pub fn leaving(&self) -> bool {
        self.say(LEAVING)
    }

    fn say(&self, word: u8) -> bool {
        let said = (&self.0).write_all(&[word]);
        if let Err(error) = &said {
            tracing::warn!("the keeper of the port is gone, so a restart will close it: {error}");
        }
        said.is_ok()
    }
}

/// Takes the listening socket of an address from its keeper; `None` if there is none, or another gateway uses it.
pub fn take(address: SocketAddr) -> Option<(TcpListener, Tie)> {
    let tie = Tie(connect(address).ok()?);
    tie.0.set_read_timeout(Some(ANSWER_LIMIT)).ok()?;
    (&tie.0).write_all(&[TAKE]).ok()?;
    let listener = receive_socket(&tie.0).ok()??;
    let is_it = listener.local_addr().is_ok_and(|found| found == address);
    is_it.then_some((listener, tie))
}

/// Returns whether a keeper holds a socket of this port that no gateway uses.
pub fn is_kept(port: u16) -> bool {
    addresses(port).into_iter().any(|address| take(address).is_some())
}

/// Asks keepers to close the sockets of this port that no gateway uses, and waits until they are closed. A socket at another
/// address of the port can also prevent ours from binding.
pub fn release(port: u16) {
    for address in addresses(port) {
        let Ok(connection) = connect(address) else { continue };
        let is_asked = connection.set_read_timeout(Some(ANSWER_LIMIT)).is_ok()
            && (&connection).write_all(&[RELEASE]).is_ok();
        if is_asked {
            // It ends with the socket, or says that it is in use.
            let _ = (&connection).read(&mut [0]);
        }
    }
}

/// Returns whether this port has a keeper, which may belong to another user.
pub fn has_keeper(port: u16) -> bool {
    !addresses(port).is_empty()
}

/// Returns the addresses of this port that have a keeper.
fn addresses(port: u16) -> Vec<SocketAddr> {
    let names = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let address = |line: &str| line.rsplit_once(PREFIX)?.1.parse::<SocketAddr>().ok();
    let found = names.lines().filter_map(address).filter(|address| address.port() == port);
    found.take(ADDRESSES_MAX).collect()
}

/// Starts a keeper of a listening socket; returns this gateway's tie to it.
///
/// # Errors
/// If no process can be started, or the keeper's name is in use.
pub fn start(listener: OwnedFd, address: SocketAddr, kept_for: Duration) -> anyhow::Result<Tie> {
    let asked = listen(address).context("its name is in use")?;
    let mut command = Command::new(THIS_PROGRAM);
    command
        .arg0("archon")
        .arg("keep-port")
        .args(["--milliseconds", &kept_for.as_millis().to_string()])
        // It needs nothing from our environment, which may hold secrets.
        .env_clear()
        .env(HUGE_PAGES, "0")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let sockets = [("kept", listener), ("asked", asked.into())];
    bequeath(&mut command, sockets)?.spawn().context("could not start the process")?;
    Tie::join(address).context("it ended at once")
}

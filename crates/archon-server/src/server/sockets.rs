//! Listening sockets: inherited from whoever started us, kept for us since the last process, or bound here.
//!
//! They are there before anything else is opened, and nothing is accepted before everything is: a connection
//! made in between waits in the kernel's backlog and is answered a moment later instead of being refused.

use std::env;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpSocket, lookup_host};

use super::service_manager;
use super::upgrade::note_predecessor;
use crate::config::Config;
use crate::fd_passing::FIRST_INHERITED;
use crate::keeper::{self, Tie};

/// Connections that wait while nobody accepts: clients reconnect within the second in which we recover, and a
/// thousand of them is what a busy gateway has.
const BACKLOG: u32 = 1024;

/// The MCP endpoint's socket in `LISTEN_FDNAMES`.
pub const MCP: &str = "mcp";
/// The API's.
pub const API: &str = "api";
/// Where a successor says that it is ready; not a listening socket, and only an upgrade passes it.
pub const READY: &str = "archon-ready";

/// What we were started with.
#[derive(Debug, Default)]
pub struct Inherited {
    mcp: Option<StdListener>,
    api: Option<StdListener>,
    predecessor: Option<UnixStream>,
}

impl Inherited {
    /// Takes what `LISTEN_FDS` names over and removes that variable, so that it must be called before any
    /// thread is started. From then on no child of ours inherits them.
    ///
    /// # Errors
    /// If there is something else than listening TCP sockets, or more than we know a use for.
    pub fn take() -> anyhow::Result<Self> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut descriptors = ListenFd::from_env();
        let mut inherited = Self::default();
        for (index, place) in places(descriptors.len(), &names)?.into_iter().enumerate() {
            let number = FIRST_INHERITED as usize + index;
            match place {
                Place::Mcp => inherited.mcp = Some(listening(&mut descriptors, index)?),
                Place::Api => inherited.api = Some(listening(&mut descriptors, index)?),
                Place::Ready => {
                    let socket = descriptors.take_unix_listener(index).with_context(|| {
                        format!("descriptor {number}, inherited as {READY}, is no Unix socket")
                    })?;
                    // Only its kind was checked: it is one end of a pair.
                    inherited.predecessor =
                        socket.map(|socket| UnixStream::from(OwnedFd::from(socket)));
                    note_predecessor();
                }
            }
        }
        Ok(inherited)
    }

    /// Returns true if there is nothing.
    pub fn is_empty(&self) -> bool {
        self.mcp.is_none() && self.api.is_none() && self.predecessor.is_none()
    }

    /// Returns where a predecessor listens and speaks, if one started us.
    pub fn predecessor(&self) -> Option<&UnixStream> {
        self.predecessor.as_ref()
    }
}

/// What an inherited descriptor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Mcp,
    Api,
    Ready,
}

/// Decides what each descriptor is for: by name, else by order. systemd gives a socket without a
/// `FileDescriptorName` the name of its unit, so names of which none is ours are no names.
fn places(count: usize, names: &str) -> anyhow::Result<Vec<Place>> {
    let place = |name: &str| match name {
        MCP => Some(Place::Mcp),
        API => Some(Place::Api),
        READY => Some(Place::Ready),
        _ => None,
    };
    let names: Vec<&str> = names.split(':').collect();
    if !names.iter().any(|name| place(name).is_some()) {
        ensure!(
            count <= 2,
            "{count} sockets were inherited without names; there is a use for two, `{MCP}` and `{API}`"
        );
        return Ok([Place::Mcp, Place::Api].into_iter().take(count).collect());
    }
    ensure!(
        names.len() >= count,
        "{count} sockets were inherited and LISTEN_FDNAMES names {}",
        names.len()
    );
    let mut found = Vec::with_capacity(count);
    for name in names.into_iter().take(count) {
        let Some(place) = place(name) else {
            bail!(
                "a socket was inherited as `{name}`; there is a use for `{MCP}` and `{API}` only"
            );
        };
        ensure!(!found.contains(&place), "two sockets were inherited as `{name}`");
        found.push(place);
    }
    Ok(found)
}

fn listening(descriptors: &mut ListenFd, index: usize) -> anyhow::Result<StdListener> {
    let what = || {
        let number = FIRST_INHERITED as usize + index;
        format!("the inherited descriptor {number} is not a listening TCP socket")
    };
    let listener = descriptors.take_tcp_listener(index).with_context(what)?;
    let listener = listener.with_context(what)?;
    let is_listening = rustix::net::sockopt::socket_acceptconn(&listener).with_context(what)?;
    ensure!(is_listening, what());
    listener.set_nonblocking(true).with_context(what)?;
    Ok(listener)
}

/// A socket that listens, and accepts nothing yet.
#[derive(Debug)]
pub struct Socket {
    /// The socket.
    pub listener: TcpListener,
    origin: Origin,
    keeper: Option<Tie>,
}

/// Where a socket comes from.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// From whoever started us.
    Inherited,
    /// From the last process, by way of its keeper.
    Kept,
    /// From nobody. With port 0 nobody could come back to it.
    Bound { can_be_kept: bool },
}

impl Socket {
    /// Returns what stands beside its address where that is shown.
    pub fn origin(&self) -> &'static str {
        match self.origin {
            Origin::Inherited => " (inherited socket)",
            Origin::Kept => " (kept open since the last process)",
            Origin::Bound { .. } => "",
        }
    }
}

/// Both of them.
#[derive(Debug)]
pub struct Sockets {
    /// The MCP endpoint's.
    pub mcp: Socket,
    /// The API's.
    pub api: Socket,
    /// Where to tell a predecessor that we are ready.
    pub predecessor: Option<UnixStream>,
}

impl Sockets {
    /// Makes the inherited sockets our own, takes those that were kept for us, and binds the others.
    ///
    /// # Errors
    /// If an address is in use, or does not exist.
    pub async fn open(inherited: Inherited, config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            mcp: open(inherited.mcp, &config.host, config.mcp_port).await?,
            api: open(inherited.api, &config.host, config.server_port).await?,
            predecessor: inherited.predecessor,
        })
    }

    /// Returns second descriptors of both, to hand over later: `(mcp, api)`.
    ///
    /// # Errors
    /// If we are out of descriptors.
    pub fn share(&self) -> anyhow::Result<(OwnedFd, OwnedFd)> {
        let share = |socket: &Socket| socket.listener.as_fd().try_clone_to_owned();
        let shared = share(&self.mcp).and_then(|mcp| Ok((mcp, share(&self.api)?)));
        shared.context("could not prepare the sockets for an upgrade")
    }

    /// Has the MCP endpoint's socket kept open after this process for so long, where nobody else does that; returns what that
    /// depends on.
    pub fn keep(&mut self, kept_for: Duration) -> Kept {
        let Ok(address) = self.mcp.listener.local_addr() else { return Kept::default() };
        let tie = match self.mcp.origin {
            // Its predecessor may have had a keeper for it.
            Origin::Inherited if self.predecessor.is_some() => Tie::join(address),
            Origin::Kept => self.mcp.keeper.take().inspect(Tie::serving),
            Origin::Bound { can_be_kept: true } if !kept_for.is_zero() && has_nobody_else() => {
                let listener = self.mcp.listener.as_fd().try_clone_to_owned();
                let started = listener
                    .context("out of descriptors")
                    .and_then(|listener| keeper::start(listener, address, kept_for));
                let unkept = |error| {
                    tracing::warn!(
                        "a restart will close the port: no keeper could be started: {error:#}"
                    );
                };
                started.map_err(unkept).ok()
            }
            Origin::Inherited | Origin::Bound { .. } => None,
        };
        Kept { tie, kept_for }
    }
}

/// Returns false where a keeper would be of no use: it ends with process 1 of a container, and systemd, which keeps sockets
/// itself, ends all processes of a service.
fn has_nobody_else() -> bool {
    std::process::id() != 1 && !service_manager::listens()
}

/// What the keeper of the MCP endpoint's port knows of this process.
#[derive(Debug, Default)]
pub struct Kept {
    tie: Option<Tie>,
    kept_for: Duration,
}

impl Kept {
    /// Says that this process accepts no more connections.
    pub fn leave(&self) {
        if self.tie.as_ref().is_some_and(Tie::leaving) {
            let seconds = self.kept_for.as_secs();
            tracing::info!(seconds, "the MCP port stays open for {seconds} s, for the next start");
        }
    }
}

async fn open(inherited: Option<StdListener>, host: &str, port: u16) -> anyhow::Result<Socket> {
    if let Some(listener) = inherited {
        let listener =
            TcpListener::from_std(listener).context("could not take over an inherited socket")?;
        return Ok(Socket { listener, origin: Origin::Inherited, keeper: None });
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    take_or_bind(host, port).await.with_context(|| {
        let why = if keeper::has_keeper(port) {
            "another gateway uses it, or `archon keep-port` keeps it open for a gateway of another user"
        } else {
            "is it in use?"
        };
        format!("could not listen on {host} port {port}; {why}")
    })
}

/// Takes the socket of an address of this host that is kept, or binds the first one that can be bound.
async fn take_or_bind(host: &str, port: u16) -> std::io::Result<Socket> {
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    for address in &addresses {
        if let Some((listener, tie)) = keeper::take(*address) {
            listener.set_nonblocking(true)?;
            return Ok(Socket {
                listener: TcpListener::from_std(listener)?,
                origin: Origin::Kept,
                keeper: Some(tie),
            });
        }
    }
    let bound = match bind(&addresses) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            keeper::release(port);
            bind(&addresses)
        }
        bound => bound,
    };
    let origin = Origin::Bound { can_be_kept: port != 0 };
    Ok(Socket { listener: bound?, origin, keeper: None })
}

/// Binds the first address that can be bound. The runtime's own way to do that has a backlog that one restart under load
/// fills.
fn bind(addresses: &[SocketAddr]) -> std::io::Result<TcpListener> {
    let mut failed = ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        match socket.bind(*address).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_and_without_names_the_order_does() {
        use Place::{Api, Mcp, Ready};
        for (count, names, expected) in [
            (0, "", vec![]),
            (1, "", vec![Mcp]),
            (2, "", vec![Mcp, Api]),
            (2, "archon.socket:archon.socket", vec![Mcp, Api]),
            (1, "api", vec![Api]),
            (2, "api:mcp", vec![Api, Mcp]),
            (3, "mcp:api:archon-ready", vec![Mcp, Api, Ready]),
        ] {
            assert_eq!(places(count, names).expect(names), expected, "{count} {names}");
        }
    }

    #[test]
    fn what_we_have_no_use_for_is_an_error() {
        for (count, names, complaint) in [
            (3, "", "3 sockets were inherited without names"),
            (2, "mcp", "LISTEN_FDNAMES names 1"),
            (2, "mcp:metrics", "inherited as `metrics`"),
            (2, "mcp:mcp", "two sockets were inherited as `mcp`"),
        ] {
            let error = places(count, names).expect_err(names).to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }
}

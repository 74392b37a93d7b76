//! The protocol between gateways and the keepers of their ports: one byte per message, and the socket itself.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener, UnixStream};

use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use rustix::process::geteuid;

use crate::fd_passing::{self, RecvFlags};

/// A gateway starts, and asks for the socket. The answer is the socket, or [`REFUSED`].
pub const TAKE: u8 = b'T';
/// A gateway serves that has the socket already.
pub const JOIN: u8 = b'J';
/// The gateway that has taken the socket serves.
pub const SERVING: u8 = b'S';
/// The gateway accepts no more connections: another one may take the socket.
pub const LEAVING: u8 = b'L';
/// Close the port, if no gateway uses it.
pub const RELEASE: u8 = b'R';
/// A gateway uses the port.
pub const REFUSED: u8 = b'-';
/// Accompanies a socket.
const GRANTED: u8 = b'+';

/// The prefix of the names of keepers' Unix sockets. The number is the protocol's version.
pub const PREFIX: &str = "archon-keeper-1/";

/// Listens under the name of an address.
///
/// # Errors
/// If another process already listens there.
pub fn listen(address: SocketAddr) -> std::io::Result<UnixListener> {
    UnixListener::bind_addr(&name(address)?)
}

/// Connects to the keeper of an address, if it is of our own user. Never waits: any process can use the name, or fill the
/// queue.
///
/// # Errors
/// If there is no keeper, or its queue is full.
pub fn connect(address: SocketAddr) -> std::io::Result<UnixStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let name = format!("{PREFIX}{address}");
    rustix::net::connect(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    if is_ours(&stream) { Ok(stream) } else { Err(std::io::ErrorKind::PermissionDenied.into()) }
}

fn name(address: SocketAddr) -> std::io::Result<UnixAddress> {
    UnixAddress::from_abstract_name(format!("{PREFIX}{address}"))
}

/// Returns true if the other end is of our own user, or root's: any process can use a name.
pub fn is_ours(stream: &UnixStream) -> bool {
    socket_peercred(stream).is_ok_and(|peer| peer.uid == geteuid() || peer.uid.is_root())
}

/// Sends a listening socket.
pub fn send_socket(to: &UnixStream, listener: &TcpListener) -> std::io::Result<()> {
    fd_passing::send(to, &[GRANTED], &[listener.as_fd()])?;
    Ok(())
}

/// Receives one; `None` if it was refused.
pub fn receive_socket(from: &UnixStream) -> std::io::Result<Option<TcpListener>> {
    let (_, sockets) = fd_passing::receive(from, &mut [0], RecvFlags::empty())?;
    Ok(sockets.into_iter().next().map(TcpListener::from))
}

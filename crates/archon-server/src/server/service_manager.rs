//! What a service manager is told (`sd_notify(3)`): systemd, or our own process 1 of a container.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Names the socket on which it listens.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// Returns true if there is one.
pub fn listens() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Tells it something, such as `READY=1`, if there is one.
pub fn tell(text: &str) {
    let Some(socket) = std::env::var_os(VARIABLE) else { return };
    if let Err(error) = send(&socket, text) {
        tracing::warn!("could not notify the service manager: {error}");
    }
}

/// Sends a text to a socket, which is a path, or a name in the abstract namespace after an `@`.
fn send(socket: &OsStr, text: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(format!("{text}\n").as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_abstract_names_are_reached() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let name = format!("archon-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).expect("a name");
        let listeners = [
            (path.as_os_str().to_owned(), UnixDatagram::bind(&path)),
            (format!("@{name}").into(), UnixDatagram::bind_addr(&abstract_name)),
        ];
        for (socket, listener) in listeners {
            send(&socket, "READY=1").expect("sent");
            let mut text = [0; 16];
            let length = listener.expect("bound").recv(&mut text).expect("received");
            assert_eq!(&text[..length], b"READY=1\n");
        }
        assert!(send(OsStr::new("/nowhere/at/all"), "READY=1").is_err());
    }
}

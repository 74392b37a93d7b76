//! Descriptors that other processes get: over a Unix socket (`SCM_RIGHTS`), or as a child's inheritance
//! (`sd_listen_fds(3)`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Command;

use command_fds::{CommandFdExt as _, FdMapping, FdMappingCollision};
pub use rustix::net::RecvFlags;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// Descriptors of one message: three pipes and a control socket.
pub const FILES_MAX: usize = 4;
/// The first descriptor that a child inherits.
pub const FIRST_INHERITED: i32 = 3;

/// Sends descriptors, at most [`FILES_MAX`], with the first of these bytes; returns how many bytes were sent. Descriptors
/// travel with at least one.
///
/// # Errors
/// If the other end is gone, or a socket that does not block has no room.
pub fn send(socket: impl AsFd, bytes: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
}

/// Receives bytes; returns how many, and the descriptors that came with them. No child inherits those.
///
/// # Errors
/// If there is nothing to read on a socket that does not block.
pub fn receive(
    socket: impl AsFd,
    bytes: &mut [u8],
    flags: RecvFlags,
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = flags | RecvFlags::CMSG_CLOEXEC;
    let read = recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut ancillary, flags)?;
    let mut files = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            files.extend(received);
        }
    }
    Ok((read.bytes, files))
}

/// Has a command inherit sockets, each under its name.
///
/// # Errors
/// If the command inherits others already.
pub fn bequeath<'a, const N: usize>(
    command: &'a mut Command,
    sockets: [(&str, OwnedFd); N],
) -> Result<&'a mut Command, FdMappingCollision> {
    let names = sockets.each_ref().map(|(name, _)| *name).join(":");
    let mappings = sockets.into_iter().zip(FIRST_INHERITED..);
    let mappings = mappings.map(|((_, parent_fd), child_fd)| FdMapping { parent_fd, child_fd });
    command
        .env("LISTEN_FDS", N.to_string())
        .env("LISTEN_FDNAMES", names)
        // Nobody knows it before the process is there. Absent, it means whoever reads it.
        .env_remove("LISTEN_PID")
        .fd_mappings(mappings.collect())
}

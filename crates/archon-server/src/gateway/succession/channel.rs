//! The socket between a predecessor and its successor: frames, each a head in JSON, bytes that go with it, and
//! descriptors (`SCM_RIGHTS`).

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::fd_passing::{self, FILES_MAX, RecvFlags};

/// Bytes of one frame: what a child with many connections has queued for them, or a line that it is in the middle of.
pub const FRAME_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Read at a time.
const CHUNK: usize = 64 * 1024;
/// Two lengths and the number of descriptors.
const START: usize = 9;

/// See the module.
#[derive(Debug, Default)]
pub struct Frame {
    /// JSON.
    pub head: Bytes,
    /// Data that is too large, or not suitable, for JSON.
    pub body: Bytes,
    /// Descriptors, which are the reader's own from then on.
    pub files: Vec<OwnedFd>,
}

impl Frame {
    /// Returns whether it may be written.
    pub fn fits(&self) -> bool {
        self.head.len() + self.body.len() <= FRAME_BYTES_MAX && self.files.len() <= FILES_MAX
    }
}

/// Writes a frame. Not to be dropped before it is done.
///
/// # Errors
/// If the other process has ended.
pub async fn write(socket: &UnixStream, frame: &Frame) -> io::Result<()> {
    let mut start = Vec::with_capacity(START);
    for length in [frame.head.len(), frame.body.len()] {
        let length = u32::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
        start.extend_from_slice(&length.to_be_bytes());
    }
    start.push(u8::try_from(frame.files.len()).map_err(|_| io::ErrorKind::InvalidInput)?);
    let files: Vec<BorrowedFd<'_>> = frame.files.iter().map(|file| file.as_fd()).collect();
    // Descriptors arrive with the first byte.
    let send = || fd_passing::send(socket, &start, &files);
    let written = socket.async_io(Interest::WRITABLE, send).await?;
    for mut rest in [&start[written..], &frame.head, &frame.body] {
        while !rest.is_empty() {
            socket.writable().await?;
            match socket.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Reads frames.
pub struct Reader {
    socket: Arc<UnixStream>,
    buffer: BytesMut,
    /// Descriptors that arrived, and whose frames are not whole yet.
    files: VecDeque<OwnedFd>,
    chunk: Vec<u8>,
    has_begun: bool,
}

impl Reader {
    /// Returns a reader of the frames that the other process writes to this socket.
    pub fn new(socket: Arc<UnixStream>) -> Self {
        let (buffer, files, chunk) = (BytesMut::new(), VecDeque::new(), vec![0; CHUNK]);
        Self { socket, buffer, files, chunk, has_begun: false }
    }

    /// Returns the next frame; `None` at the end. Nothing is lost when this is dropped before it is done.
    ///
    /// # Errors
    /// If the data is not a frame.
    pub async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.cut()? {
                return Ok(Some(frame));
            }
            let Self { socket, chunk, .. } = self;
            let receive = || fd_passing::receive(&*socket, chunk, RecvFlags::DONTWAIT);
            let (read, files) = socket.async_io(Interest::READABLE, receive).await?;
            if read == 0 {
                return Ok(None);
            }
            self.files.extend(files);
            self.buffer.extend_from_slice(&self.chunk[..read]);
        }
    }

    fn cut(&mut self) -> io::Result<Option<Frame>> {
        // The byte that a lease came with, where nobody has taken that.
        while !self.has_begun && self.buffer.first() == Some(&b'\n') {
            self.buffer.advance(1);
        }
        let Some(start) = self.buffer.first_chunk::<START>() else { return Ok(None) };
        let [a, b, c, d, e, f, g, h, files] = *start;
        let length = |bytes| u32::from_be_bytes(bytes) as usize;
        let (head, body) = (length([a, b, c, d]), length([e, f, g, h]));
        if head.saturating_add(body) > FRAME_BYTES_MAX || usize::from(files) > FILES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.has_begun = true;
        if self.buffer.len() < START + head + body {
            return Ok(None);
        }
        if self.files.len() < usize::from(files) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.buffer.advance(START);
        let (head, body) = (self.buffer.split_to(head), self.buffer.split_to(body));
        let files = self.files.drain(..usize::from(files)).collect();
        Ok(Some(Frame { head: head.freeze(), body: body.freeze(), files }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn pair() -> (UnixStream, Reader) {
        let (one, other) = UnixStream::pair().unwrap();
        (one, Reader::new(Arc::new(other)))
    }

    #[tokio::test]
    async fn frames_arrive_with_their_descriptors() {
        let (writer, mut reader) = pair();
        let (pipe, mut end) = io::pipe().unwrap();
        let plain = Frame { head: "{}".into(), ..Frame::default() };
        let large = Bytes::from(vec![b'x'; 3_000_000]);
        let carrying =
            Frame { head: "{\"a\":1}".into(), body: large.clone(), files: vec![pipe.into()] };
        let writing = tokio::spawn(async move {
            // What a lease is sent with, for one.
            writer.try_write(b"\n").unwrap();
            for frame in [&plain, &carrying, &plain] {
                write(&writer, frame).await.unwrap();
            }
        });
        assert_eq!(reader.next().await.unwrap().unwrap().head, "{}");
        let Frame { head, body, mut files } = reader.next().await.unwrap().unwrap();
        assert_eq!((&*head, body == large, files.len()), (&b"{\"a\":1}"[..], true, 1));
        end.write_all(b"y").unwrap();
        let mut byte = [0];
        std::fs::File::from(files.remove(0)).read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"y");
        assert!(reader.next().await.unwrap().unwrap().files.is_empty());
        writing.await.unwrap();
        assert!(reader.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_no_frame_is_an_error() {
        let (writer, mut reader) = pair();
        writer.try_write(b"GET / HTTP/1.1\r\n").unwrap();
        assert!(reader.next().await.is_err(), "it would be gigabytes");
        let (writer, mut reader) = pair();
        writer.try_write(&[0, 0, 0, 0, 0, 0, 0, 0, 1]).unwrap();
        assert!(reader.next().await.is_err(), "its descriptor is missing");
    }
}

//! An HTTP/1.1 client connection that costs little: prebuilt request bytes out, the answer's body in.

mod chunked;
mod head;

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::chunked::Chunked;
pub use self::head::Head;
use self::head::Length;

/// Small answers fit in one read; large ones need few.
const INPUT_BYTES: usize = 64 * 1024;
/// A body larger than this is a fault of the front, not of the scenario.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One keep-alive connection with one request at a time.
pub struct Connection {
    stream: TcpStream,
    /// Bytes received and not yet decoded: `input[start..end]`.
    input: Box<[u8]>,
    start: usize,
    end: usize,
    body: Vec<u8>,
}

/// What of the body is still to come.
enum Rest {
    Bytes(usize),
    Chunks(Chunked),
}

/// A body that is being read; see [`Connection::pull`].
pub struct Body(Rest);

impl Connection {
    /// Connects.
    pub async fn open(to: SocketAddr) -> Result<Self> {
        Self::with_input(to, INPUT_BYTES).await
    }

    /// Connects with a small buffer, for connections that are many and silent.
    pub async fn open_small(to: SocketAddr) -> Result<Self> {
        Self::with_input(to, 4 * 1024).await
    }

    async fn with_input(to: SocketAddr, bytes: usize) -> Result<Self> {
        let stream = TcpStream::connect(to).await.context("could not connect")?;
        stream.set_nodelay(true)?;
        let input = vec![0; bytes].into_boxed_slice();
        Ok(Self { stream, input, start: 0, end: 0, body: Vec::new() })
    }

    /// Sends a request and reads the whole answer; the body is in [`Connection::body`].
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Head> {
        let (head, mut body) = self.begin(request).await?;
        while !body.is_complete() {
            self.pull(&mut body).await?;
        }
        Ok(head)
    }

    /// Sends a request and reads the answer's head.
    pub async fn begin(&mut self, request: &[u8]) -> Result<(Head, Body)> {
        self.stream.write_all(request).await.context("could not send")?;
        self.body.clear();
        let head = loop {
            let received = &self.input[self.start..self.end];
            if let Some(at) = memmem::find(received, b"\r\n\r\n") {
                let head = Head::parse(&received[..at + 2])?;
                self.start += at + 4;
                break head;
            }
            self.fill().await?;
        };
        let mut body = Body(match head.length {
            Length::Bytes(bytes) => Rest::Bytes(bytes),
            Length::Chunked => Rest::Chunks(Chunked::default()),
        });
        self.decode(&mut body)?;
        Ok((head, body))
    }

    /// Waits for more of the body and appends it.
    pub async fn pull(&mut self, body: &mut Body) -> Result<()> {
        if body.is_complete() {
            return Ok(());
        }
        self.fill().await?;
        self.decode(body)
    }

    /// Returns what of the body has arrived.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    fn decode(&mut self, body: &mut Body) -> Result<()> {
        let received = &self.input[self.start..self.end];
        let taken = match &mut body.0 {
            Rest::Bytes(rest) => {
                let taken = received.len().min(*rest);
                self.body.extend_from_slice(&received[..taken]);
                *rest -= taken;
                taken
            }
            Rest::Chunks(chunks) => chunks.decode(received, &mut self.body)?,
        };
        self.start += taken;
        if self.body.len() > BODY_BYTES_MAX {
            bail!("the answer exceeds {BODY_BYTES_MAX} bytes");
        }
        Ok(())
    }

    async fn fill(&mut self) -> Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.input.len() {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.input.len() {
            bail!("the answer's head is too long");
        }
        match self.stream.read(&mut self.input[self.end..]).await.context("could not receive")? {
            0 => bail!("the connection was closed before the answer was complete"),
            bytes => self.end += bytes,
        }
        Ok(())
    }
}

impl Body {
    /// Returns whether all of it has arrived.
    pub fn is_complete(&self) -> bool {
        match &self.0 {
            Rest::Bytes(rest) => *rest == 0,
            Rest::Chunks(chunks) => chunks.is_complete(),
        }
    }
}

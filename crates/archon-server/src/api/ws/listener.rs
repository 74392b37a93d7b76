//! One listener: writes what it is to be told, and reads whether it is still there.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::MissedTickBehavior;

use super::feed::Seat;
use super::filter::Wish;
use super::frame::{self, ClientFrames, CloseCode, Said};
use super::log::{Next, Place};

/// The last frame is waited for so long.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// A client says little.
const READ_BYTES: usize = 512;
/// What the kernel keeps for a listener that does not read, beside what we do: two or three chunks.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// A connection that has become a WebSocket.
pub struct Listener {
    seat: Seat,
    wish: Wish,
    is_deflated: bool,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    frames: ClientFrames,
    /// Whole frames, or the rest of some, in the order in which they are written: a chunk, and the few small
    /// ones that are put behind it.
    pending: VecDeque<Bytes>,
    heard_at: Instant,
    is_ping_due: bool,
    pong: Option<Bytes>,
}

/// Why a listener's loop ends: with a last frame, or without.
enum End {
    Close(CloseCode),
    Gone,
}

impl Listener {
    /// Returns a listener on a connection; with `is_deflated` it takes compressed frames.
    pub fn new(seat: Seat, wish: Wish, is_deflated: bool, stream: TcpStream) -> Self {
        if let Err(error) =
            rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES)
        {
            tracing::debug!("could not bound a listener's send buffer: {error}");
        }
        let (reader, writer) = stream.into_split();
        Self {
            seat,
            wish,
            is_deflated,
            reader,
            writer,
            frames: ClientFrames::new(is_deflated),
            pending: VecDeque::new(),
            heard_at: Instant::now(),
            is_ping_due: false,
            pong: None,
        }
    }

    /// Serves it until it is gone. `read` was read together with its request.
    pub async fn run(mut self, read: Bytes) {
        let end = match self.hear(&read) {
            Some(end) => end,
            None => self.tell().await,
        };
        match end {
            End::Close(code) => self.close(code).await,
            End::Gone => {}
        }
    }

    async fn tell(&mut self) -> End {
        let closing = self.seat.closing().clone();
        let mut closing = pin!(closing.cancelled());
        let (mut place, first) = self.seat.begin(&self.wish).await;
        self.pending.extend(first);
        let ping_every = self.seat.ping_every();
        // It was asked twice, and had most of the time until the third to answer.
        let silent_max = ping_every.mul_f64(2.75);
        let mut ticks = tokio::time::interval(ping_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let mut buffer = [0; READ_BYTES];
        loop {
            if self.pending.is_empty() {
                self.fill(&mut place).await;
            }
            let has_told_all = self.pending.is_empty();
            // What loses is taken up again in the next round: bytes are either read or written, or not.
            tokio::select! {
                () = &mut closing => return End::Close(CloseCode::Away),
                written = write_some(&mut self.writer, &self.pending) => match written {
                    Ok(count) => self.forget(count),
                    Err(_) => return End::Gone,
                },
                read = self.reader.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => return End::Gone,
                    Ok(count) => if let Some(end) = self.hear(&buffer[..count]) {
                        return end;
                    },
                },
                () = self.seat.news(), if has_told_all => {}
                _ = ticks.tick() => {
                    if self.heard_at.elapsed() > silent_max {
                        return End::Gone;
                    }
                    self.is_ping_due = true;
                }
            }
        }
    }

    /// Finds what to write next: between chunks there is room for small frames.
    async fn fill(&mut self, place: &mut Place) {
        self.pending.extend(self.pong.take());
        if std::mem::take(&mut self.is_ping_due) {
            let mut ping = Vec::new();
            frame::append(&mut ping, frame::PING, b"");
            self.pending.push_back(ping.into());
        }
        loop {
            match self.seat.next(place) {
                Next::Part(part) => {
                    let frames = part.choose(self.wish.filter, self.is_deflated);
                    if !frames.is_empty() {
                        self.pending.push_back(frames);
                        return;
                    }
                }
                Next::Wait => return,
                Next::Lost => {
                    let (there, frame) = self.seat.resync(self.wish.filter).await;
                    *place = there;
                    self.pending.push_back(frame);
                    return;
                }
            }
        }
    }

    /// Takes in what the listener says; returns how to end, if it or its manners end it.
    fn hear(&mut self, bytes: &[u8]) -> Option<End> {
        self.heard_at = Instant::now();
        match self.frames.read(bytes) {
            Ok(None) => None,
            Ok(Some(Said::Ping(payload))) => {
                let mut pong = Vec::new();
                frame::append(&mut pong, frame::PONG, &payload);
                // Only the latest is answered, so that one that only asks does not fill our memory.
                self.pong = Some(pong.into());
                None
            }
            Ok(Some(Said::Close)) => Some(End::Close(CloseCode::Normal)),
            Err(code) => Some(End::Close(code)),
        }
    }

    /// Says the last word. A frame that was begun is written to its end first.
    async fn close(mut self, code: CloseCode) {
        self.pending.truncate(1);
        self.pending.push_back(frame::close(code).into());
        let last = async {
            while !self.pending.is_empty() {
                let count = write_some(&mut self.writer, &self.pending).await?;
                self.forget(count);
            }
            self.writer.shutdown().await
        };
        // Whoever does not take it is gone.
        let _ = tokio::time::timeout(CLOSE_LIMIT, last).await;
    }

    fn forget(&mut self, written: usize) {
        if let Some(front) = self.pending.front_mut() {
            front.advance(written.min(front.len()));
            if front.is_empty() {
                self.pending.pop_front();
            }
        }
    }
}

/// Writes of the first of these what the kernel takes; waits if there is nothing to write.
async fn write_some(writer: &mut OwnedWriteHalf, pending: &VecDeque<Bytes>) -> io::Result<usize> {
    match pending.front() {
        Some(bytes) => writer.write(bytes).await,
        None => std::future::pending().await,
    }
}

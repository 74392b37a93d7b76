//! Live events: how long from the end of a call to each of many listeners' sockets.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use archon_sessions::session::Timestamp;
use flate2::{Decompress, FlushDecompress};
use memchr::memmem;
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::drive;
use super::meter::Meter;
use crate::http::Connection;
use crate::mcp::{Call, Endpoint, Session};
use crate::process::usage;

/// Connections that call; each has a call under way at a time.
const CALLERS: usize = 32;
/// One listener in so many reads what it is told; the others count frames. To read all of it would cost more
/// than all that is measured.
const READS_EVERY: usize = 20;
/// What is read at a time.
const INPUT_BYTES: usize = 64 * 1024;
/// Longer than any frame but the first.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// How often a listener looks whether the measurement is over.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What a compressed message ends with, and is left out of it.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Who listens, and to how much.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Crowd {
    pub listeners: usize,
    pub per_second: u32,
    pub is_deflated: bool,
}

/// What a round showed.
#[derive(Debug, Serialize)]
pub struct Told {
    pub crowd: Crowd,
    pub calls_per_second: f64,
    /// Of all listeners together.
    pub frames_per_second: f64,
    pub bytes_per_frame: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub max_us: f64,
    /// Processors that the gateway kept busy.
    pub cores: f64,
    /// And the load generator.
    pub load_cores: f64,
    pub peak_rss_mib: f64,
    pub faults: u64,
    pub fault_texts: Vec<String>,
}

impl fmt::Display for Told {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{:.0} calls/s  {:.2} M frames/s of {:.0} bytes  p50 {:.1} ms  p99 {:.1} ms  slowest {:.1} ms  \
             cores {:.2} + {:.2}  {:.0} MiB",
            self.calls_per_second,
            self.frames_per_second / 1e6,
            self.bytes_per_frame,
            self.p50_us / 1e3,
            self.p99_us / 1e3,
            self.max_us / 1e3,
            self.cores,
            self.load_cores,
            self.peak_rss_mib
        )?;
        for text in &self.fault_texts {
            write!(out, "\n  fault: {text}")?;
        }
        Ok(())
    }
}

/// What the clients of a round count together.
#[derive(Default)]
struct Counts {
    calls: Cell<u64>,
    frames: Cell<u64>,
    bytes: Cell<u64>,
    slowest: Cell<Duration>,
    /// One for all: what is read is gone through at once.
    input: RefCell<Vec<u8>>,
}

fn add(to: &Cell<u64>, count: usize) {
    to.set(to.get() + count as u64);
}

/// Calls and listens for a while.
pub async fn measure(
    mcp: &Endpoint,
    api: &Endpoint,
    crowd: Crowd,
    pids: &[u32],
    window: Duration,
) -> Told {
    let counts = Rc::new(Counts::default());
    counts.input.borrow_mut().resize(INPUT_BYTES, 0);
    let (mcp, api) = (Rc::new(mcp.clone()), Rc::new(api.clone()));
    let outcome = drive(CALLERS + crowd.listeners, window, pids, |client, meter| {
        let (mcp, api, counts) = (Rc::clone(&mcp), Rc::clone(&api), Rc::clone(&counts));
        async move {
            match client.checked_sub(crowd.listeners) {
                Some(caller) => call(&mcp, caller, crowd, &meter, &counts).await,
                None => {
                    let reads = client % READS_EVERY == 0;
                    let listener = Listener::open(&api, crowd.is_deflated, reads).await?;
                    listener.listen(&meter, &counts).await
                }
            }
        }
    })
    .await;
    let seconds = window.as_secs_f64();
    let each = outcome.rate * seconds / 1e6;
    Told {
        crowd,
        calls_per_second: counts.calls.get() as f64 / seconds,
        frames_per_second: counts.frames.get() as f64 / seconds,
        bytes_per_frame: counts.bytes.get() as f64 / counts.frames.get().max(1) as f64,
        p50_us: outcome.p50_us,
        p99_us: outcome.p99_us,
        max_us: counts.slowest.get().as_secs_f64() * 1e6,
        cores: outcome.cpu_us * each / seconds,
        load_cores: outcome.load_cpu_us * each / seconds,
        peak_rss_mib: usage::peak_rss_bytes(pids) as f64 / (1024.0 * 1024.0),
        faults: outcome.faults,
        fault_texts: outcome.fault_texts,
    }
}

/// Calls at fixed times; who is late catches up.
async fn call(
    endpoint: &Endpoint,
    caller: usize,
    crowd: Crowd,
    meter: &Meter,
    counts: &Counts,
) -> Result<()> {
    let mut connection = Connection::open(endpoint.address).await?;
    let session = Session::open(&mut connection, endpoint).await?;
    let mut call = Call::health_check(endpoint, &session);
    meter.arrive();
    let gap = Duration::from_secs(CALLERS as u64) / crowd.per_second;
    let mut due = Instant::now() + gap * caller as u32 / CALLERS as u32;
    while !meter.is_over() {
        tokio::time::sleep_until(due.into()).await;
        let head = connection.exchange(call.advance()).await?;
        let is_right = memmem::find(connection.body(), br#""isError":false"#).is_some();
        if head.status != 200 || !is_right {
            meter.fault(format_args!("a call was answered with {}", head.status));
        }
        if meter.is_measuring() {
            add(&counts.calls, 1);
        }
        due += gap;
    }
    Ok(())
}

/// A WebSocket that reads what it is told, or only counts.
struct Listener {
    stream: TcpStream,
    is_deflated: bool,
    /// `None` for one that only counts.
    reader: Option<Reader>,
    /// The head of a frame, as far as it has come.
    head: Vec<u8>,
    /// What is to come of the payload of the frame whose head has come.
    rest: usize,
    frames: usize,
}

impl Listener {
    async fn open(api: &Endpoint, is_deflated: bool, reads: bool) -> Result<Self> {
        let mut stream = TcpStream::connect(api.address).await.context("could not connect")?;
        let extensions = match is_deflated {
            true => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
            false => "",
        };
        let request = format!(
            "GET /ws/sessions HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extensions}\r\n",
            api.address
        );
        stream.write_all(request.as_bytes()).await?;
        // Byte by byte, so that nothing of the first frame is taken with it.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            ensure!(tokio::io::AsyncReadExt::read(&mut stream, &mut byte).await? == 1, "no answer");
            head.push(byte[0]);
        }
        ensure!(
            head.starts_with(b"HTTP/1.1 101"),
            "not upgraded: {}",
            String::from_utf8_lossy(&head)
        );
        let reader = reads.then(Reader::default);
        Ok(Self { stream, is_deflated, reader, head: Vec::new(), rest: 0, frames: 0 })
    }

    async fn listen(mut self, meter: &Meter, counts: &Counts) -> Result<()> {
        meter.arrive();
        while !meter.is_over() {
            // Whoever waits in vain looks again.
            let Ok(ready) = tokio::time::timeout(LOOK_EVERY, self.stream.readable()).await else {
                continue;
            };
            ready?;
            let mut input = counts.input.borrow_mut();
            match self.stream.try_read(&mut input) {
                Ok(0) => bail!("the gateway closed the connection"),
                Ok(read) => {
                    let before = self.frames;
                    self.take(&input[..read], meter, counts)?;
                    if meter.is_measuring() {
                        add(&counts.frames, self.frames - before);
                        add(&counts.bytes, read);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn take(&mut self, mut input: &[u8], meter: &Meter, counts: &Counts) -> Result<()> {
        let now = Timestamp::now();
        while !input.is_empty() {
            if self.rest == 0 {
                self.head.push(input[0]);
                input = &input[1..];
                let Some(length) = payload_of(&self.head) else { continue };
                self.rest = length;
                self.frames += 1;
                // After the first frame all are compressed, except where something was missed.
                let is_plain = self.head[0] & 0x40 == 0;
                if self.is_deflated && is_plain && self.frames > 1 {
                    bail!("events were missed");
                }
            }
            let part = &input[..input.len().min(self.rest)];
            self.rest -= part.len();
            input = &input[part.len()..];
            if let Some(reader) = &mut self.reader {
                reader.payload.extend_from_slice(part);
            }
            if self.rest == 0 {
                if let Some(reader) = &mut self.reader {
                    reader.read(self.head[0], now, meter, counts)?;
                }
                self.head.clear();
            }
        }
        Ok(())
    }
}

/// Returns the length of the payload, once the head has come.
fn payload_of(head: &[u8]) -> Option<usize> {
    let whole = |bytes: &[u8]| bytes.iter().fold(0, |value, byte| value << 8 | usize::from(*byte));
    match *head.get(1)? {
        126 => head.get(2..4).map(whole),
        127 => head.get(2..10).map(whole),
        length => Some(usize::from(length)),
    }
}

/// Reads messages, and checks that none is missing.
struct Reader {
    payload: Vec<u8>,
    message: Vec<u8>,
    decompress: Decompress,
    latest: Option<u64>,
}

impl Default for Reader {
    fn default() -> Self {
        let (payload, message, latest) = (Vec::new(), Vec::new(), None);
        Self { payload, message, decompress: Decompress::new(false), latest }
    }
}

impl Reader {
    fn read(&mut self, first: u8, now: Timestamp, meter: &Meter, counts: &Counts) -> Result<()> {
        self.message.clear();
        if first & 0x40 == 0 {
            self.message.append(&mut self.payload);
        } else {
            self.payload.extend(TAIL);
            self.message.reserve(MESSAGE_BYTES_MAX);
            let flush = FlushDecompress::Sync;
            self.decompress.decompress_vec(&self.payload, &mut self.message, flush)?;
            self.payload.clear();
        }
        let text = std::str::from_utf8(&self.message).context("a frame is no text")?;
        let seq: u64 = last(text, "\"seq\":")?.parse().context("a frame has a bad number")?;
        let is_event = !text.starts_with(r#"{"type":"health"#);
        if is_event && self.latest.is_some_and(|latest| seq != latest + 1) {
            bail!("after {:?} came {}", self.latest, &text[..text.len().min(300)]);
        }
        self.latest = Some(seq);
        if text.starts_with(r#"{"type":"request""#) {
            let at = Timestamp::parse(last(text, "\"timestamp\":\"")?).context("a bad time")?;
            let took = now.since(at);
            meter.record(took);
            if meter.is_measuring() && took > counts.slowest.get() {
                counts.slowest.set(took);
            }
        }
        Ok(())
    }
}

/// Returns the value that follows the last place of a key.
fn last<'a>(text: &'a str, key: &str) -> Result<&'a str> {
    let at = text.rfind(key).context("a frame lacks a field")?;
    let rest = &text[at + key.len()..];
    let end = rest.find(['"', ',', '}']).context("a frame is cut short")?;
    Ok(&rest[..end])
}

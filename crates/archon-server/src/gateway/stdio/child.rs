//! A child: one run of the command, what it is told and what it says.
//!
//! Three tasks belong to it: one writes to it, one relays its standard error, one reads what it says and sees
//! it to its end. All end with it, and the upstream waits for them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use archon_sessions::layer::codes;
use archon_sessions::session::Era;
use archon_sessions::tracker::Presence;
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::launch::{Pipes, Process};
use super::lines::{Line, Lines};
use super::mailbox::{Event, Mailbox, Role};
use super::message::{self, Message};
use super::stderr::Stderr;
use super::table::{Owner, Routed, Table};
use crate::config::StdioConfig;

/// Messages that wait to be written; who sends more waits too.
const OUTGOING_MAX: usize = 64;
/// What we tell it by ourselves: cancellations, of which there is one a call, and replies.
const ASIDE_MAX: usize = 1024;
/// A client that takes nothing off its stream holds up its own child for so long, then loses messages.
const ROOM_LIMIT: Duration = Duration::from_secs(30);
/// What a child still said before it ended is in the pipe; its supervisor closes that in a moment.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(1);
/// More than the supervisor takes beyond the two limits it was given.
const STOP_SLACK: Duration = Duration::from_secs(3);

/// See the module.
pub struct Child {
    upstream: Arc<str>,
    is_shared: bool,
    /// Held for single operations, never across an await.
    table: Mutex<Table>,
    outgoing: mpsc::Sender<Outgoing>,
    /// Written as soon as may be, and before anything else.
    aside: Mutex<VecDeque<Bytes>>,
    has_aside: Notify,
    /// It takes no more requests, and is told to end.
    stop: CancellationToken,
    /// Whether that was asked of it.
    was_stopped: AtomicBool,
    pid: AtomicI32,
    started: Instant,
    used: Mutex<Instant>,
    /// Whose it is, in the modern era.
    presence: Mutex<Option<Arc<Presence>>>,
    /// How it ended.
    end: OnceLock<String>,
    /// Told once that is known.
    mourned: Notify,
    stderr: Stderr,
    /// Messages that had no place to go.
    dropped: AtomicU64,
    /// A shared child is greeted once: its answer to `initialize`, and whether it was told of it.
    pub greeting: OnceLock<Box<str>>,
    /// See `greeting`.
    pub is_initialized: AtomicBool,
}

struct Outgoing {
    line: Bytes,
    written: oneshot::Sender<()>,
}

/// The child ended, or was told to, before a message was written to it: it did not see it.
#[derive(Debug)]
pub struct Unsent;

/// What is done with a child's end.
pub trait Mourner: Send + Sync + 'static {
    /// Takes note of it; called once, before its calls are told.
    fn ended(&self, child: &Arc<Child>, was_stopped: bool);
}

impl Child {
    /// Starts one; its tasks run on `tasks`.
    ///
    /// # Errors
    /// If no process can be made.
    pub fn start(
        upstream: Arc<str>,
        config: &StdioConfig,
        era: Era,
        is_shared: bool,
        tasks: &TaskTracker,
        mourner: Arc<dyn Mourner>,
    ) -> std::io::Result<Arc<Self>> {
        let (process, pipes) = Process::launch(config)?;
        let (outgoing, queue) = mpsc::channel(OUTGOING_MAX);
        let now = Instant::now();
        let child = Arc::new(Self {
            stderr: Stderr::new(upstream.clone()),
            upstream,
            is_shared,
            table: Mutex::new(Table::new(era, is_shared)),
            outgoing,
            aside: Mutex::default(),
            has_aside: Notify::new(),
            stop: CancellationToken::new(),
            was_stopped: AtomicBool::new(false),
            pid: AtomicI32::new(0),
            started: now,
            used: Mutex::new(now),
            presence: Mutex::default(),
            end: OnceLock::new(),
            mourned: Notify::new(),
            dropped: AtomicU64::new(0),
            greeting: OnceLock::new(),
            is_initialized: AtomicBool::new(false),
        });
        let Pipes { stdin, stdout, stderr } = pipes;
        tasks.spawn(child.clone().write(stdin, queue));
        let relayed = child.clone();
        let relaying = tasks.spawn(async move {
            relayed.stderr.relay(stderr, || relayed.label()).await;
        });
        let lines = Lines::new(stdout, config.message_bytes_max);
        tasks.spawn(child.clone().live(process, lines, relaying, config.clone(), mourner));
        Ok(child)
    }

    /// Returns what is known of its calls.
    pub fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether it takes requests.
    pub fn is_open(&self) -> bool {
        !self.stop.is_cancelled()
    }

    /// Returns when it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Returns when it was last used.
    pub fn used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that it is used, and by whom.
    pub fn touch(&self, owner: Owner, presence: Option<&Arc<Presence>>) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let Some(presence) = presence else { return };
        match owner {
            Owner::Link(link) => self.table().note_presence(link, presence),
            Owner::Session(_) if !self.is_shared => {
                *self.presence.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(presence.clone());
            }
            Owner::Session(_) | Owner::Nobody => {}
        }
    }

    /// Returns whether those whose it is are gone.
    pub fn is_forsaken(&self) -> bool {
        let presence = self.presence.lock().unwrap_or_else(PoisonError::into_inner).clone();
        presence.is_some_and(|presence| presence.has_ended())
            || (self.table().remove_ended_links() && !self.is_shared)
    }

    /// Has it stopped, in order: see [`crate::supervise`].
    pub fn stop(&self) {
        self.was_stopped.store(true, Relaxed);
        self.stop.cancel();
    }

    /// Returns its process id; 0 until it has one.
    pub fn pid(&self) -> i32 {
        self.pid.load(Relaxed)
    }

    /// Waits until it is known how it ended, if it has, for at most so long.
    pub async fn has_ended(&self, limit: Duration) {
        if self.is_open() {
            return;
        }
        let ended = async {
            let mourned = self.mourned.notified();
            if self.end.get().is_none() {
                mourned.await;
            }
        };
        let _ = tokio::time::timeout(limit, ended).await;
    }

    /// Returns whether there was nothing to start: shells say so as we do, by 126 and 127.
    pub fn is_not_a_command(&self) -> bool {
        let how = self.end.get().map(String::as_str);
        matches!(how, Some("exit status 126" | "exit status 127"))
    }

    /// Returns how it ended and what it last said, for people.
    pub fn obituary(&self) -> String {
        let how = self.end.get().map_or("still running", String::as_str);
        match self.stderr.last() {
            last if last.is_empty() => how.to_owned(),
            last => format!("{how}; it last said: {last}"),
        }
    }

    /// Returns its process id and whose it is.
    fn label(&self) -> (i32, Option<String>) {
        let presence = self.presence.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let presence = presence.or_else(|| self.table().only_presence());
        (self.pid.load(Relaxed), presence.map(|presence| presence.id().to_string()))
    }

    /// Writes a message and waits until that is done.
    ///
    /// # Errors
    /// If the child has not seen it, and never will.
    pub async fn send(&self, message: &[u8]) -> Result<(), Unsent> {
        let (written, is_written) = oneshot::channel();
        let outgoing = Outgoing { line: message::line(message), written };
        self.outgoing.send(outgoing).await.map_err(|_| Unsent)?;
        is_written.await.map_err(|_| Unsent)
    }

    /// Tells it something as soon as may be, without waiting.
    fn send_aside(&self, line: Bytes) {
        let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        if aside.len() < ASIDE_MAX {
            aside.push_back(line);
        }
        drop(aside);
        self.has_aside.notify_one();
    }

    /// Nobody reads the stream of this call any more. In the modern era that cancels it (MCP 2026-07-28,
    /// Cancellation); on stdio a child has to be told.
    pub fn leave(&self, era: Era, number: u64) {
        let Some(id) = self.table().leave(number) else { return };
        match era {
            Era::Modern => self.send_aside(message::cancel(&id)),
            Era::Legacy => {}
        }
    }

    async fn write(self: Arc<Self>, mut stdin: pipe::Sender, mut queue: mpsc::Receiver<Outgoing>) {
        // Nothing is lost when it is told to stop: what was not written is reported as that.
        self.stop
            .run_until_cancelled(async {
                loop {
                    let aside =
                        self.aside.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let outgoing = match aside {
                        Some(line) => Outgoing { line, written: oneshot::channel().0 },
                        // A message taken from the queue is written; a notice only makes us look again.
                        None => tokio::select! {
                            () = self.has_aside.notified() => continue,
                            outgoing = queue.recv() => match outgoing {
                                Some(outgoing) => outgoing,
                                None => return,
                            },
                        },
                    };
                    if stdin.write_all(&outgoing.line).await.is_err() {
                        return;
                    }
                    let _ = outgoing.written.send(());
                }
            })
            .await;
        // A child that does not read is as good as one that has ended.
        self.stop.cancel();
    }

    async fn live(
        self: Arc<Self>,
        mut process: Process,
        mut lines: Lines<pipe::Receiver>,
        relaying: tokio::task::JoinHandle<()>,
        config: StdioConfig,
        mourner: Arc<dyn Mourner>,
    ) {
        let runs = |pid| self.runs(pid);
        let mut reading = Box::pin(self.read(&mut lines));
        let (mut how, mut has_read) = (None, false);
        // Whichever comes first, the other is waited for below, within its limit.
        tokio::select! {
            () = &mut reading => has_read = true,
            end = process.ended(runs) => how = Some(end),
            () = self.stop.cancelled() => {}
        }
        let was_stopped = self.was_stopped.load(Relaxed);
        self.stop.cancel();
        let stop_limit = config.stop_limit * 2 + STOP_SLACK;
        if !has_read {
            if how.is_none() {
                process.stop(config.stop_limit).await;
            }
            let limit = if how.is_some() { LAST_WORDS_LIMIT } else { stop_limit };
            let _ = tokio::time::timeout(limit, &mut reading).await;
        }
        drop(reading);
        // It is dead, or nearly: that is told now, and the rest waited for afterwards.
        if how.is_none() {
            how = tokio::time::timeout(LAST_WORDS_LIMIT, process.ended(runs)).await.ok();
        }
        let _ = tokio::time::timeout(LAST_WORDS_LIMIT, relaying).await;
        let _ = self.end.set(how.unwrap_or_else(|| "it closed its output".to_owned()));
        self.mourned.notify_waiters();
        mourner.ended(&self, was_stopped);
        self.table().end_all();
        process.stop(config.stop_limit).await;
        process.gone(stop_limit).await;
    }

    fn runs(&self, pid: i32) {
        self.pid.store(pid, Relaxed);
        let upstream = &*self.upstream;
        tracing::info!(upstream, pid, "{upstream}[{pid}] was started");
    }

    /// Reads what it says until its end.
    async fn read(&self, lines: &mut Lines<pipe::Receiver>) {
        while let Some(line) = lines.next().await {
            match line {
                Line::Whole(line) => {
                    for message in Message::read_line(&line) {
                        match message {
                            Some(message) => self.take(message).await,
                            None => self.tell_nonsense(&line),
                        }
                    }
                }
                Line::TooLong(answered) => self.refuse_too_long(answered).await,
            }
        }
    }

    async fn take(&self, message: Message) {
        let routed = self.table().route(&message);
        let Routed { to_call, to_standalone, reply, dropped } = routed;
        if let Some((mailbox, event)) = to_call {
            self.deliver(&mailbox, event).await;
        }
        for (mailbox, event) in to_standalone {
            self.count_dropped(mailbox.push_over_oldest(event), "a queue was full");
        }
        if let Some(line) = reply {
            self.send_aside(line);
        }
        if let Some(reason) = dropped {
            self.count_dropped(1, reason);
        }
    }

    async fn deliver(&self, mailbox: &Mailbox, event: Event) {
        if mailbox.push(event.clone()) {
            return;
        }
        // A shared child waits for no one, lest one client hold up another.
        if !self.is_shared {
            let _ = tokio::time::timeout(ROOM_LIMIT, mailbox.has_room()).await;
            if mailbox.push(event) {
                return;
            }
        }
        self.count_dropped(1, "its client does not read");
    }

    fn count_dropped(&self, count: u64, reason: &str) {
        if count == 0 {
            return;
        }
        let total = self.dropped.fetch_add(count, Relaxed) + count;
        let (upstream, pid) = (&*self.upstream, self.pid.load(Relaxed));
        tracing::debug!(
            upstream,
            pid,
            total,
            "a message of {upstream}[{pid}] was dropped: {reason}"
        );
    }

    /// What is no message is often a log line that strayed; it is not for clients, and may hold anything.
    fn tell_nonsense(&self, line: &Bytes) {
        let (upstream, pid) = (&*self.upstream, self.pid.load(Relaxed));
        tracing::warn!(
            upstream,
            pid,
            bytes = line.len(),
            "{upstream}[{pid}] said something that is no message on standard output; it was skipped"
        );
    }

    async fn refuse_too_long(&self, answered: Vec<String>) {
        let (upstream, pid) = (&*self.upstream, self.pid.load(Relaxed));
        tracing::warn!(
            upstream,
            pid,
            "{upstream}[{pid}] said a line over `message_bytes_max`; it was skipped"
        );
        for id in answered {
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{},"message":"the call ran, but its answer is larger than this gateway takes from a server"}}}}"#,
                codes::REFUSED
            );
            if let Some(message) = Message::read(text.into()) {
                self.take(message).await;
            }
        }
    }
}

/// A call at a child; when it is dropped nobody reads its stream any more.
pub struct Pending {
    child: Arc<Child>,
    era: Era,
    number: u64,
    mailbox: Arc<Mailbox>,
}

impl Pending {
    /// Returns a call that the table has taken.
    pub fn new(child: Arc<Child>, era: Era, number: u64, mailbox: Arc<Mailbox>) -> Self {
        Self { child, era, number, mailbox }
    }

    /// Returns what is said for it.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Returns whether the answer to come is known to be an error of this code.
    pub fn code(event: &Event) -> Option<i64> {
        match event.role {
            Role::Answer(code) => code,
            Role::News => None,
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.mailbox.leave();
        self.child.leave(self.era, self.number);
        *self.child.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

//! A child: one run of the command, what it is told and what it says.
//!
//! Three tasks belong to it: one writes to it, one relays its standard error, one reads what it says and sees
//! it to its end. All end with it, and the upstream waits for them.

mod handover;
mod run;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use archon_sessions::session::Era;
use archon_sessions::tracker::Presence;
use bytes::{Bytes, BytesMut};
use tokio::net::unix::pipe;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::launch::{Pipes, Process};
use super::layout::Layout;
use super::lines::Lines;
use super::mailbox::Mailbox;
use super::stderr::{Rate, Stderr};
use super::table::{Left, Owner, Table};
use crate::config::StdioConfig;
use crate::gateway::catalog::Catalog;
use crate::gateway::wire::message;

/// Messages that wait to be written; who sends more waits too.
const OUTGOING_MAX: usize = 64;
/// What we tell it by ourselves: cancellations, of which there is one a call, and replies.
const ASIDE_MAX: usize = 1024;

use handover::{Access, Parts};
pub use handover::{ChildState, Given, InUse};

/// See the module.
pub struct Child {
    upstream: Arc<str>,
    /// What is known of the upstream's tools.
    catalog: Arc<Catalog>,
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
    /// Whether it has said a message.
    has_spoken: AtomicBool,
    /// How much of what is not a message is logged. Held for single operations.
    nonsense: Mutex<Rate>,
    /// A shared child is greeted once: its answer to `initialize`, and whether it was told of it.
    pub greeting: OnceLock<Box<str>>,
    /// See `greeting`.
    pub is_initialized: AtomicBool,
    /// Who uses it. Held for single operations, never across an await.
    access: Mutex<Access>,
    /// It goes to another process: its tasks let it go.
    giving: CancellationToken,
    /// Where they leave what they had.
    parts: Mutex<Option<oneshot::Sender<Parts>>>,
}

struct Outgoing {
    line: Bytes,
    written: oneshot::Sender<()>,
}

/// What a child's tasks work with.
struct Held {
    process: Process,
    stdin: pipe::Sender,
    lines: Lines<pipe::Receiver>,
    layout: Layout,
    /// `None` if it has closed it.
    stderr: Option<pipe::Receiver>,
}

/// The same, for the task that sees it to its end.
struct Tasked {
    process: Process,
    lines: Lines<pipe::Receiver>,
    layout: Layout,
    /// Returns its standard input, and what is left to be written to it, if that is to go on elsewhere.
    writing: JoinHandle<Option<(pipe::Sender, BytesMut)>>,
    /// Returns its standard error, if that is to go on elsewhere.
    relaying: JoinHandle<Option<pipe::Receiver>>,
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
        catalog: Arc<Catalog>,
        (era, is_shared): (Era, bool),
        tasks: &TaskTracker,
        mourner: Arc<dyn Mourner>,
    ) -> std::io::Result<Arc<Self>> {
        let (process, pipes) = Process::launch(config)?;
        let (child, queue) = Self::new(upstream, catalog, era, is_shared);
        let Pipes { stdin, stdout, stderr } = pipes;
        let lines = Lines::new(stdout, config.message_bytes_max);
        let layout = Layout::new(config.message_bytes_max);
        let stderr = Some(stderr);
        let held = Held { process, stdin, lines, layout, stderr };
        Self::run(&child, held, queue, config, tasks, mourner);
        Ok(child)
    }

    fn run(
        child: &Arc<Self>,
        held: Held,
        queue: mpsc::Receiver<Outgoing>,
        config: &StdioConfig,
        tasks: &TaskTracker,
        mourner: Arc<dyn Mourner>,
    ) {
        let Held { process, stdin, lines, layout, stderr } = held;
        let writing = tasks.spawn(child.clone().write(stdin, queue));
        let relayed = child.clone();
        let relaying = tasks.spawn(async move {
            let until = relayed.giving.clone();
            relayed.stderr.relay(stderr?, until, || relayed.label()).await
        });
        let tasked = Tasked { process, lines, layout, writing, relaying };
        tasks.spawn(child.clone().live(tasked, config.clone(), mourner));
    }

    /// Returns one without a process, and what is to be written to it.
    fn new(
        upstream: Arc<str>,
        catalog: Arc<Catalog>,
        era: Era,
        is_shared: bool,
    ) -> (Arc<Self>, mpsc::Receiver<Outgoing>) {
        let (outgoing, queue) = mpsc::channel(OUTGOING_MAX);
        let now = Instant::now();
        let child = Arc::new(Self {
            stderr: Stderr::new(upstream.clone()),
            upstream,
            catalog,
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
            has_spoken: AtomicBool::new(false),
            nonsense: Mutex::new(Rate::new(now)),
            greeting: OnceLock::new(),
            is_initialized: AtomicBool::new(false),
            access: Mutex::default(),
            giving: CancellationToken::new(),
            parts: Mutex::default(),
        });
        (child, queue)
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
            Owner::Link(link) => self.table().note_presence(link, presence, Instant::now()),
            Owner::Session(_) if !self.is_shared => {
                *self.presence.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(presence.clone());
            }
            Owner::Session(_) | Owner::Nobody => {}
        }
    }

    /// Returns whether those whose it is are gone. A client that was only silent may come back, and finds it as it
    /// left it, for as long as `kept_for`.
    pub fn is_forsaken(&self, now: Instant, kept_for: Duration) -> bool {
        let presence = self.presence.lock().unwrap_or_else(PoisonError::into_inner).clone();
        presence.is_some_and(|presence| presence.is_gone())
            || (self.table().remove_ended_links(now, kept_for) && !self.is_shared)
    }

    /// Returns whether it has said a message.
    pub fn has_answered(&self) -> bool {
        self.has_spoken.load(Relaxed)
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

    fn reply(&self, replies: Vec<Bytes>) {
        replies.into_iter().for_each(|line| self.send_aside(line));
    }

    /// Nobody reads the stream of this call any more. In the modern era that cancels it (MCP 2026-07-28,
    /// Cancellation); on stdio a child has to be told.
    pub fn leave(&self, era: Era, number: u64) {
        let Left { wire_id, replies } = self.table().leave(number);
        match (era, wire_id) {
            (Era::Modern, Some(id)) => self.send_aside(message::cancel(&id)),
            (Era::Modern, None) | (Era::Legacy, _) => {}
        }
        self.reply(replies);
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
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.mailbox.leave();
        self.child.leave(self.era, self.number);
        *self.child.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

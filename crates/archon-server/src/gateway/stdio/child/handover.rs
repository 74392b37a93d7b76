//! A child on its way from one process of the gateway to the next.

use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use archon_sessions::session::Era;
use archon_sessions::tracker::Presence;
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::{Child, Held, Mourner};
use crate::config::StdioConfig;
use crate::gateway::catalog::Catalog;
use crate::gateway::stdio::launch::Process;
use crate::gateway::stdio::layout::Layout;
use crate::gateway::stdio::lines::Lines;
use crate::gateway::stdio::table::{Table, TableState};

/// What is known of a child, but for what it is in the middle of: that goes with this as bytes, [`Given::body`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ChildState {
    /// Whose it is, as text.
    pub key: String,
    /// What it runs: a digest of the settings that it was started with.
    pub program: String,
    /// The command's process.
    pub pid: i32,
    /// How long it runs.
    started_ms: u64,
    /// How long ago it was used.
    used_ms: u64,
    /// The session whose it is, in the modern era.
    presence: Option<String>,
    has_spoken: bool,
    greeting: Option<String>,
    is_initialized: bool,
    table: TableState,
    last_stderr: String,
    /// The parts of the bytes that go with it: what is still to be written to it, what was read of a line, and of a
    /// message in several.
    unwritten: usize,
    unread: usize,
    held: usize,
    /// Whether the rest of a line is to be skipped.
    is_skipping: bool,
}

/// A child that is given away.
pub struct Given {
    /// What is known of it.
    pub state: ChildState,
    /// What it is in the middle of.
    pub body: Bytes,
    /// Its standard input, standard output and control socket, and its standard error unless that is closed.
    pub files: Vec<OwnedFd>,
}

/// What a child's tasks had of it.
pub struct Parts {
    pub process: Process,
    pub stdin: pipe::Sender,
    pub unwritten: BytesMut,
    pub lines: Lines<pipe::Receiver>,
    pub layout: Layout,
    pub stderr: Option<pipe::Receiver>,
}

/// Who uses a child.
#[derive(Debug, Default)]
pub struct Access {
    uses: usize,
    is_given: bool,
}

/// A child that stays in this process for as long as this lives.
pub struct InUse(Arc<Child>);

impl Deref for InUse {
    type Target = Arc<Child>;

    fn deref(&self) -> &Arc<Child> {
        &self.0
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.access.lock().unwrap_or_else(PoisonError::into_inner).uses -= 1;
    }
}

impl Child {
    /// Keeps it here while something is done with it; `None` if it is on its way to another process.
    pub fn in_use(self: &Arc<Self>) -> Option<InUse> {
        let mut access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        if access.is_given {
            return None;
        }
        access.uses += 1;
        Some(InUse(self.clone()))
    }

    /// Gives it away, if it rests: nobody uses it, and no call is in flight. Whoever has it open here sees its streams end.
    /// `None` if it does not rest, or ends in this moment.
    pub async fn give(&self, key: String, program: String) -> Option<Given> {
        let parts = {
            let mut access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
            let rests = access.uses == 0 && self.table().has_no_call() && self.pid() != 0;
            if access.is_given || !rests || !self.is_open() {
                return None;
            }
            access.is_given = true;
            let (sender, parts) = oneshot::channel();
            *self.parts.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
            self.giving.cancel();
            parts
        };
        let Parts { process, stdin, unwritten, lines, layout, stderr } = parts.await.ok()?;
        let (stdout, unread, is_skipping) = lines.into_parts();
        let held = layout.into_held();
        let mut files = vec![
            stdin.into_nonblocking_fd().ok()?,
            stdout.into_nonblocking_fd().ok()?,
            process.into_control().ok()?,
        ];
        files.extend(stderr.and_then(|stderr| stderr.into_nonblocking_fd().ok()));
        let now = Instant::now();
        let presence = self.presence.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let state = ChildState {
            key,
            program,
            pid: self.pid(),
            started_ms: milliseconds(now.duration_since(self.started)),
            used_ms: milliseconds(now.duration_since(self.used())),
            presence: presence.map(|presence| presence.id().to_string()),
            has_spoken: self.has_answered(),
            greeting: self.greeting.get().map(ToString::to_string),
            is_initialized: self.is_initialized.load(Relaxed),
            table: self.table().give(now),
            last_stderr: self.stderr.last(),
            unwritten: unwritten.len(),
            unread: unread.len(),
            held: held.len(),
            is_skipping,
        };
        let body = [&unwritten[..], &unread, &held].concat().into();
        Some(Given { state, body, files })
    }

    pub(super) fn leave_parts(&self, parts: Parts) {
        let sender = self.parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Where nobody takes them, they are closed, and the child with them.
        if let Some(sender) = sender {
            let _ = sender.send(parts);
        }
    }

    /// It ends here: nobody gets it.
    pub(super) fn keep(&self) {
        drop(self.parts.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Goes on with one that another process had.
    ///
    /// # Errors
    /// If what came with it is not what it should be.
    pub fn resume(
        (upstream, catalog): (Arc<str>, Arc<Catalog>),
        (era, is_shared): (Era, bool),
        given: Given,
        presence: impl Fn(&str) -> Option<Arc<Presence>>,
        config: &StdioConfig,
        (tasks, mourner): (&TaskTracker, Arc<dyn Mourner>),
    ) -> std::io::Result<Arc<Self>> {
        let Given { state, body, files } = given;
        let now = Instant::now();
        let ago = |ms: u64| now.checked_sub(Duration::from_millis(ms)).unwrap_or(now);
        let part = |from: usize, length: usize| {
            body.get(from..from.saturating_add(length)).ok_or(std::io::ErrorKind::InvalidData)
        };
        let unwritten = body.slice_ref(part(0, state.unwritten)?);
        let unread = part(state.unwritten, state.unread)?;
        let held = part(state.unwritten + state.unread, state.held)?;
        let mut files = files.into_iter();
        let mut next = || files.next().ok_or(std::io::ErrorKind::InvalidData);
        let stdin = pipe::Sender::from_owned_fd(next()?)?;
        let stdout = pipe::Receiver::from_owned_fd(next()?)?;
        let process = Process::resume(next()?, state.pid)?;
        let stderr = files.next().map(pipe::Receiver::from_owned_fd).transpose()?;
        let lines = Lines::resume(stdout, config.message_bytes_max, unread, state.is_skipping);
        let layout = Layout::resume(config.message_bytes_max, held, now);

        let (mut child, queue) = Self::new(upstream, catalog, era, is_shared);
        if let Some(child) = Arc::get_mut(&mut child) {
            child.started = ago(state.started_ms);
        }
        *child.table() = Table::resume(era, is_shared, state.table, &presence, now);
        child.pid.store(state.pid, Relaxed);
        *child.used.lock().unwrap_or_else(PoisonError::into_inner) = ago(state.used_ms);
        *child.presence.lock().unwrap_or_else(PoisonError::into_inner) =
            state.presence.as_deref().and_then(presence);
        child.has_spoken.store(state.has_spoken, Relaxed);
        if let Some(greeting) = state.greeting {
            let _ = child.greeting.set(greeting.into());
        }
        child.is_initialized.store(state.is_initialized, Relaxed);
        child.stderr.resume(state.last_stderr);
        if !unwritten.is_empty() {
            child.send_aside(unwritten);
        }
        let held = Held { process, stdin, lines, layout, stderr };
        Self::run(&child, held, queue, config, tasks, mourner);
        Ok(child)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use uuid::Uuid;

    use super::*;
    use crate::gateway::stdio::mailbox::Mailbox;
    use crate::gateway::stdio::table::Owner;
    use crate::gateway::wire::message::Message;

    struct Nobody;

    impl Mourner for Nobody {
        fn ended(&self, _: &Arc<Child>, _: bool) {}
    }

    /// The ends of a child's pipes that its program has, and its supervisor's of the control socket.
    struct Program {
        stdin: pipe::Receiver,
        stdout: pipe::Sender,
        _control: UnixStream,
    }

    fn config() -> StdioConfig {
        StdioConfig::of_line("program").unwrap()
    }

    fn resume(given: Given) -> Arc<Child> {
        let of = ("a".into(), Arc::default());
        let kind = (Era::Legacy, false);
        let tasks = TaskTracker::new();
        Child::resume(of, kind, given, |_| None, &config(), (&tasks, Arc::new(Nobody))).unwrap()
    }

    /// Returns a child that runs, as another process would give it to us, with a link.
    fn running(link: Uuid) -> (Arc<Child>, Program) {
        let (their_stdin, stdin) = std::io::pipe().unwrap();
        let (stdout, their_stdout) = std::io::pipe().unwrap();
        let (control, their_control) = UnixStream::pair().unwrap();
        let program = Program {
            stdin: pipe::Receiver::from_owned_fd(their_stdin.into()).unwrap(),
            stdout: pipe::Sender::from_owned_fd(their_stdout.into()).unwrap(),
            _control: their_control,
        };
        let mut table = Table::new(Era::Legacy, false);
        table.add_link(link, Instant::now());
        let state = ChildState {
            key: format!("link {link}"),
            program: String::new(),
            pid: i32::MAX,
            started_ms: 60_000,
            used_ms: 0,
            presence: None,
            has_spoken: true,
            greeting: Some("{}".into()),
            is_initialized: true,
            table: table.give(Instant::now()),
            last_stderr: "its last words".into(),
            unwritten: 0,
            unread: 0,
            held: 0,
            is_skipping: false,
        };
        let files = vec![stdin.into(), stdout.into(), control.into()];
        (resume(Given { state, body: Bytes::new(), files }), program)
    }

    /// Gives a child away, and takes it over as another process would.
    async fn handed_over(child: Arc<Child>) -> Arc<Child> {
        let given = loop {
            match child.give("link x".into(), "p".into()).await {
                Some(given) => break given,
                None => tokio::task::yield_now().await,
            }
        };
        let text = serde_json::to_string(&given.state).unwrap();
        let state = serde_json::from_str(&text).unwrap();
        assert!(child.in_use().is_none(), "it is not here any more");
        assert!(child.give("link x".into(), "p".into()).await.is_none());
        resume(Given { state, ..given })
    }

    #[tokio::test]
    async fn a_child_goes_on_as_it_was_in_the_middle_of_a_line_either_way() {
        let link = Uuid::new_v4();
        let (child, mut program) = running(link);
        let news = br#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
        program.stdout.write_all(&[&news[..], b"\n", &news[..20]].concat()).await.unwrap();
        let stream = child.table().listen(link).unwrap();
        stream.peek().await;
        child.table().unlisten(link, &stream);

        // More than a pipe holds, so that it is written in part only.
        let large = Bytes::from([&vec![b'y'; 300_000][..], b"\n"].concat());
        child.send_aside(large.clone());
        let mut first = vec![0; 1000];
        program.stdin.read_exact(&mut first).await.unwrap();

        let child = handed_over(child).await;
        assert_eq!((child.pid(), child.obituary().contains("last words")), (i32::MAX, true));
        assert!(child.started().elapsed() >= Duration::from_secs(60));
        assert!(child.has_answered() && child.is_initialized.load(Relaxed));
        program.stdout.write_all(&[&news[20..], b"\n"].concat()).await.unwrap();
        let stream = child.table().listen(link).unwrap();
        while stream.len() < 2 {
            tokio::task::yield_now().await;
        }
        assert!(stream.take_all().iter().all(|event| *event.json == news[..]));
        let mut rest = vec![0; large.len() - 1000];
        program.stdin.read_exact(&mut rest).await.unwrap();
        assert!([first, rest].concat() == large);
    }

    #[tokio::test]
    async fn a_child_in_use_stays() {
        let link = Uuid::new_v4();
        let (child, mut program) = running(link);
        let in_use = child.in_use().unwrap();
        assert!(child.give(String::new(), String::new()).await.is_none());
        let call = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#;
        let message = Message::read(Bytes::from_static(call)).unwrap();
        let mailbox = Arc::<Mailbox>::default();
        child.table().admit(&message, Owner::Link(link), false, mailbox.clone()).unwrap();
        drop(in_use);
        assert!(child.give(String::new(), String::new()).await.is_none(), "a call is in flight");
        let answer = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n";
        program.stdout.write_all(answer).await.unwrap();
        mailbox.answer().await.unwrap();
        handed_over(child).await;
    }
}

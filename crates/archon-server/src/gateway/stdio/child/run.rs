//! The three tasks of a child.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use archon_sessions::layer::codes;
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};

use super::super::layout::{Layout, Piece};
use super::super::lines::{Line, Lines};
use super::super::mailbox::{Event, Mailbox};
use super::super::stderr::Verdict;
use super::super::table::Routed;
use super::{Child, Mourner, Outgoing, Parts, Tasked};
use crate::config::StdioConfig;
use crate::gateway::wire::answer::failure;
use crate::gateway::wire::lenient::{self, Unreadable};
use crate::gateway::wire::message::Message;

/// A client that takes nothing off its stream holds up its own child for so long, then loses messages.
const ROOM_LIMIT: Duration = Duration::from_secs(30);
/// What a child still said before it ended is in the pipe; its supervisor closes that in a moment.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(1);
/// More than the supervisor takes beyond the two limits it was given.
const STOP_SLACK: Duration = Duration::from_secs(3);

/// Why reading is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// It says no more.
    Ended,
    /// It goes on elsewhere, between two lines.
    Given,
}

impl Child {
    /// Writes to it until its end; returns its standard input, and what is left to be written, if it is given away.
    pub(super) async fn write(
        self: Arc<Self>,
        mut stdin: pipe::Sender,
        mut queue: mpsc::Receiver<Outgoing>,
    ) -> Option<(pipe::Sender, BytesMut)> {
        let mut rest = Bytes::new();
        // Nothing is lost when it is told to stop: what was not written is reported as that.
        self.stop
            .run_until_cancelled(async {
                loop {
                    if self.giving.is_cancelled() {
                        return;
                    }
                    let aside =
                        self.aside.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let outgoing = match aside {
                        Some(line) => Outgoing { line, written: oneshot::channel().0 },
                        // A message taken from the queue is written; a notice only makes us look again.
                        None => tokio::select! {
                            () = self.giving.cancelled() => return,
                            () = self.has_aside.notified() => continue,
                            outgoing = queue.recv() => match outgoing {
                                Some(outgoing) => outgoing,
                                None => return,
                            },
                        },
                    };
                    rest = outgoing.line;
                    while !rest.is_empty() {
                        // What was not written goes on with the pipe.
                        let written = tokio::select! {
                            () = self.giving.cancelled() => return,
                            written = stdin.write(&rest) => written,
                        };
                        match written {
                            Ok(written @ 1..) => rest.advance(written),
                            Ok(0) | Err(_) => {
                                self.stop.cancel();
                                return;
                            }
                        }
                    }
                    let _ = outgoing.written.send(());
                }
            })
            .await;
        if self.giving.is_cancelled() && self.is_open() {
            let mut left = BytesMut::from(&rest[..]);
            let aside = {
                let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *aside)
            };
            aside.iter().for_each(|line| left.extend_from_slice(line));
            // Those who sent it have left.
            while let Ok(outgoing) = queue.try_recv() {
                left.extend_from_slice(&outgoing.line);
            }
            return Some((stdin, left));
        }
        // A child that does not read is as good as one that has ended.
        self.stop.cancel();
        None
    }

    pub(super) async fn live(
        self: Arc<Self>,
        tasked: Tasked,
        config: StdioConfig,
        mourner: Arc<dyn Mourner>,
    ) {
        let Tasked { mut process, mut lines, mut layout, mut writing, mut relaying } = tasked;
        let runs = |pid| self.runs(pid);
        let mut reading = Box::pin(self.read(&mut lines, &mut layout));
        let (mut how, mut over) = (None, None);
        // Whichever comes first, the other is waited for below, within its limit.
        tokio::select! {
            read = &mut reading => over = Some(read),
            end = process.ended(runs) => how = Some(end),
            () = self.stop.cancelled() => {}
        }
        if over == Some(Over::Given)
            && let Ok(Some((stdin, unwritten))) = (&mut writing).await
        {
            drop(reading);
            let stderr = (&mut relaying).await.ok().flatten();
            self.leave_parts(Parts { process, stdin, unwritten, lines, layout, stderr });
            return;
        }
        self.keep();
        let has_read = over.is_some();
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

    /// Reads what it says until its end, or until it is given away.
    pub(super) async fn read<R>(&self, lines: &mut Lines<R>, layout: &mut Layout) -> Over
    where
        R: AsyncRead + Unpin,
    {
        loop {
            let due = [layout.due(), self.table().due()].into_iter().flatten().min();
            let wake = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            // Nothing is lost when the time comes first: what was read of a line is kept.
            tokio::select! {
                biased;
                () = self.giving.cancelled() => return Over::Given,
                line = lines.next() => match line {
                    None => break,
                    Some(Line::Whole(line)) => self.take_line(layout, &line).await,
                    Some(Line::TooLong(answered)) => self.refuse_too_long(answered).await,
                },
                () = wake => {
                    let now = Instant::now();
                    if layout.due().is_some_and(|due| due <= now) {
                        self.take_cut(layout.give_up()).await;
                    }
                    let replies = self.table().expire(now);
                    self.reply(replies);
                }
            }
        }
        self.take_cut(layout.give_up()).await;
        Over::Ended
    }

    async fn take_line(&self, layout: &mut Layout, line: &Bytes) {
        let is_message = |text: &Bytes| Message::read(text.clone()).is_some_and(|m| m.is_sound);
        for piece in layout.feed(line, Instant::now(), is_message) {
            match piece {
                Piece::Text(text) => {
                    for said in lenient::read_all(&text) {
                        match said {
                            Ok(message) => self.take(message).await,
                            Err(unreadable) => self.take_unreadable(&unreadable, &text).await,
                        }
                    }
                }
                Piece::Tail(text) => match lenient::read(&text) {
                    Ok(message) if self.table().is_awaited(&message) => self.take(message).await,
                    Ok(_) | Err(_) => self.tell_nonsense(&text),
                },
                Piece::Cut(_) => self.take_cut(Some(piece)).await,
                Piece::Stray(text) => self.take_stray(&text),
            }
        }
    }

    async fn take_cut(&self, piece: Option<Piece>) {
        if let Some(Piece::Cut(text)) = piece {
            self.take_unreadable(&Unreadable::of(&text), &text).await;
        }
    }

    /// Ends the call that was to be answered by this.
    async fn take_unreadable(&self, unreadable: &Unreadable, text: &Bytes) {
        self.tell_nonsense(text);
        if let Unreadable::Answer { id, .. } = unreadable {
            let failed = unreadable.failed(&self.upstream);
            let routed = self.table().fail(id.as_deref(), &failed);
            self.deliver_all(routed).await;
        }
    }

    /// Takes what is not a message. A server that frames its messages as language servers do does not understand ours
    /// either.
    fn take_stray(&self, text: &Bytes) {
        const LENGTH: &[u8] = b"content-length:";
        let is_length = text.get(..LENGTH.len()).is_some_and(|s| s.eq_ignore_ascii_case(LENGTH));
        if !is_length || self.has_spoken.load(Relaxed) {
            return self.tell_nonsense(text);
        }
        let upstream = &*self.upstream;
        tracing::error!(
            upstream,
            "{upstream} writes Content-Length before its messages, as language servers do; MCP servers write one \
             message per line"
        );
        let fault = "it frames its messages with Content-Length, as language servers do; MCP has one message per line";
        let _ = self.end.set(fault.to_owned());
        self.stop.cancel();
    }

    async fn take(&self, message: Message) {
        if message.method == "notifications/tools/list_changed" {
            self.catalog.forget();
        }
        self.has_spoken.store(true, Relaxed);
        let routed = self.table().route(&message, Instant::now());
        self.deliver_all(routed).await;
    }

    async fn deliver_all(&self, routed: Routed) {
        let Routed { to_call, to_standalone, replies, dropped } = routed;
        if let Some((mailbox, event)) = to_call {
            self.deliver(&mailbox, event).await;
        }
        for (mailbox, event) in to_standalone {
            self.count_dropped(mailbox.push_over_oldest(event), "a queue was full");
        }
        self.reply(replies);
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

    /// What is not a message is often a log line that strayed; it is not for clients, and may hold anything.
    fn tell_nonsense(&self, text: &Bytes) {
        let (upstream, pid, bytes) = (&*self.upstream, self.pid.load(Relaxed), text.len());
        match self.nonsense.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now()) {
            Verdict::Drop => {}
            Verdict::Log { dropped } => tracing::warn!(
                upstream,
                pid,
                bytes,
                skipped_before = dropped,
                "{upstream}[{pid}] said something that is not a message on standard output; it was skipped"
            ),
        }
    }

    /// Ends the calls whose answers are too large to keep.
    async fn refuse_too_long(&self, answered: Vec<String>) {
        let (upstream, pid) = (&*self.upstream, self.pid.load(Relaxed));
        tracing::warn!(
            upstream,
            pid,
            "{upstream}[{pid}] said a line over `message_bytes_max`; it was skipped"
        );
        let failed = failure(
            codes::ANSWER_GONE,
            "the call ran, but its answer is larger than this gateway takes from a server"
                .to_owned(),
        );
        for id in answered {
            let id = Some(&*id).filter(|id| !id.is_empty());
            let routed = self.table().fail(id, &failed);
            self.deliver_all(routed).await;
        }
    }
}

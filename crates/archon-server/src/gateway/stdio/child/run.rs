//! The three tasks of a child.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use archon_sessions::layer::codes;
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};

use super::super::launch::Process;
use super::super::lines::{Line, Lines};
use super::super::mailbox::{Event, Mailbox};
use super::super::table::Routed;
use super::{Child, Mourner, Outgoing};
use crate::config::StdioConfig;
use crate::gateway::wire::message::Message;

/// A client that takes nothing off its stream holds up its own child for so long, then loses messages.
const ROOM_LIMIT: Duration = Duration::from_secs(30);
/// What a child still said before it ended is in the pipe; its supervisor closes that in a moment.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(1);
/// More than the supervisor takes beyond the two limits it was given.
const STOP_SLACK: Duration = Duration::from_secs(3);

impl Child {
    pub(super) async fn write(
        self: Arc<Self>,
        mut stdin: pipe::Sender,
        mut queue: mpsc::Receiver<Outgoing>,
    ) {
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

    pub(super) async fn live(
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
        if message.method == "notifications/tools/list_changed" {
            self.catalog.forget();
        }
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

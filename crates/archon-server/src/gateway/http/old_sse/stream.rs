//! One stream of an HTTP+SSE server's: a link, the calls on it, and what the server says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use archon_sessions::layer::{InnerRequest, codes};
use archon_sessions::session::Era;
use archon_sessions::tracker::Presence;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use http_body_util::Full;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::HttpUpstream;
use crate::gateway::stdio::events::events;
use crate::gateway::stdio::mailbox::{Event, Mailbox};
use crate::gateway::stdio::table::{Owner, Routed, Table};
use crate::gateway::wire::Answer;
use crate::gateway::wire::answer::refused;
use crate::gateway::wire::incoming::{Incoming, MESSAGE_BYTES_MAX};
use crate::gateway::wire::message::Message;

/// A client that takes nothing off its stream holds up its own link for so long, then loses messages.
const ROOM_LIMIT: Duration = Duration::from_secs(30);
/// How often we look whether the link's session has ended.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A link whose session has ended is kept for so long after it was last used: its client may come back.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// Answers of ours that wait to be sent; of more, the server hears nothing.
const REPLIES_MAX: usize = 256;

/// See the module.
pub struct Stream {
    link: Uuid,
    /// Where its messages go.
    pub endpoint: Uri,
    /// Cancelled to close it, and once it is closed.
    pub lost: CancellationToken,
    /// Held for single operations, never across an await.
    table: Mutex<Table>,
    /// When it was used last, and by whom.
    used: Mutex<(Instant, Option<Arc<Presence>>)>,
    /// Those of the latest request on it: what we answer by ourselves goes in its client's name.
    headers: Mutex<HeaderMap>,
    /// What we answer in the place of clients. Held for single operations.
    replies: Mutex<VecDeque<Bytes>>,
    /// Told when there are replies, or there may be questions to give up later.
    has_news: Notify,
}

impl Stream {
    /// Returns one that was opened; it ends when `lost` is cancelled.
    pub fn new(link: Uuid, endpoint: Uri, lost: CancellationToken) -> Arc<Self> {
        let mut table = Table::new(Era::Legacy, false);
        table.add_link(link, Instant::now());
        Arc::new(Self {
            link,
            endpoint,
            lost,
            table: Mutex::new(table),
            used: Mutex::new((Instant::now(), None)),
            headers: Mutex::default(),
            replies: Mutex::default(),
            has_news: Notify::new(),
        })
    }

    /// Returns what is known of its calls.
    pub fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }

    /// Returns whose the calls on it are.
    pub fn owner(&self) -> Owner {
        Owner::Link(self.link)
    }

    /// Notes that it is used, and by whom.
    pub fn touch(&self, presence: Option<&Arc<Presence>>) {
        let mut used = self.used.lock();
        used.0 = Instant::now();
        used.1 = presence.cloned().or(used.1.take());
    }

    /// Notes the headers of the latest request on it.
    pub fn note_headers(&self, request: &InnerRequest) {
        let headers = request.headers().clone();
        *self.headers.lock() = headers;
    }

    /// Opens the stream on which the server speaks by itself.
    pub fn listen(self: &Arc<Self>) -> Answer {
        let Some(mailbox) = self.table().listen(self.link) else {
            return refused(StatusCode::NOT_FOUND, None, codes::NO_SESSION, "session not found");
        };
        events(mailbox.clone(), Listening(self.clone(), mailbox))
    }

    fn reply(&self, replies: Vec<Bytes>) {
        let mut waiting = self.replies.lock();
        let room = REPLIES_MAX.saturating_sub(waiting.len());
        waiting.extend(replies.into_iter().take(room));
        drop(waiting);
        self.has_news.notify_one();
    }

    /// Waits for something to answer in the place of clients.
    async fn next_reply(&self) -> Bytes {
        loop {
            let reply = self.replies.lock().pop_front();
            if let Some(reply) = reply {
                return reply;
            }
            let due = self.table().due();
            let due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.has_news.notified() => {}
                () = due => {
                    let given_up = self.table().expire(Instant::now());
                    self.reply(given_up);
                }
            }
        }
    }

    fn is_forsaken(&self) -> bool {
        let used = self.used.lock();
        let has_ended = used.1.as_ref().is_some_and(|presence| presence.has_ended());
        has_ended && used.0.elapsed() >= KEPT_FOR && self.table().is_idle()
    }
}

/// A GET stream; when it is dropped, another one may be opened.
struct Listening(Arc<Stream>, Arc<Mailbox>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.table().unlisten(self.0.link, &self.1);
        self.0.touch(None);
    }
}

/// A call on a stream; when it is dropped nobody waits for its answer any more.
pub struct Pending {
    stream: Arc<Stream>,
    number: u64,
    mailbox: Arc<Mailbox>,
}

impl Pending {
    /// Returns a call that the table has taken.
    pub fn new(stream: Arc<Stream>, number: u64, mailbox: Arc<Mailbox>) -> Self {
        Self { stream, number, mailbox }
    }

    /// Returns what is said for it.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.mailbox.leave();
        let left = self.stream.table().leave(self.number);
        self.stream.reply(left.replies);
        self.stream.touch(None);
    }
}

impl HttpUpstream {
    /// Reads what the server says on a stream until its end.
    pub(super) async fn live(self, stream: Arc<Stream>, mut incoming: Incoming) {
        let reading = async {
            while let Ok(Some(event)) = incoming.next_event(MESSAGE_BYTES_MAX).await {
                if let Some(message) = event.data.and_then(Message::read) {
                    self.take(&stream, message).await;
                }
            }
        };
        let forsaken = async {
            while !stream.is_forsaken() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        // Whichever comes first, the link is over: what was not read is lost, and its calls are told so below.
        tokio::select! {
            () = reading => {}
            () = forsaken => {}
            () = self.reply_for_clients(&stream) => {}
            () = stream.lost.cancelled() => {}
        }
        stream.lost.cancel();
        self.shared.old.streams().remove(&stream.link);
        stream.table().end_all();
    }

    async fn take(&self, stream: &Arc<Stream>, message: Message) {
        let routed = stream.table().route(&message, Instant::now());
        let Routed { to_call, to_standalone, replies, dropped } = routed;
        if let Some((mailbox, event)) = to_call {
            deliver(&mailbox, event).await;
        }
        for (mailbox, event) in to_standalone {
            mailbox.push_over_oldest(event);
        }
        stream.reply(replies);
        if let Some(reason) = dropped {
            let name = self.name();
            tracing::debug!(upstream = name, "a message of {name} was dropped: {reason}");
        }
    }

    /// Sends what we answer in the place of clients, for as long as it is polled.
    async fn reply_for_clients(&self, stream: &Stream) {
        loop {
            let reply = stream.next_reply().await;
            let mut request = InnerRequest::new(Full::new(reply.slice_ref(reply.trim_ascii())));
            *request.method_mut() = http::Method::POST;
            *request.headers_mut() = stream.headers.lock().clone();
            // A server that does not take it says so to the next call.
            let _ = self.send_from(stream.endpoint.clone(), request, None).await;
        }
    }
}

async fn deliver(mailbox: &Mailbox, event: Event) {
    if !mailbox.push(event.clone()) {
        let _ = tokio::time::timeout(ROOM_LIMIT, mailbox.has_room()).await;
        mailbox.push(event);
    }
}

/// Returns the type of an event, from its bytes; empty for an ordinary one.
pub fn kind(raw: &[u8]) -> &[u8] {
    let lines = raw.split(|byte| matches!(byte, b'\n' | b'\r'));
    let kind = lines.filter_map(|line| line.strip_prefix(b"event:")).next_back();
    kind.map_or(b"", |kind| kind.strip_prefix(b" ").unwrap_or(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_an_event_is_its_last_line_of_that_name() {
        assert_eq!(kind(b"event: endpoint\r\ndata: /m\r\n\r\n"), b"endpoint");
        assert_eq!(kind(b"event:message\nevent:endpoint\ndata: /m\n\n"), b"endpoint");
        assert_eq!(kind(b"data: event: endpoint\n\n"), b"");
    }
}

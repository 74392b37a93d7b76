//! What a legacy server says by itself: its GET stream, and `subscriptions/listen`, which is fed from that and from
//! resource subscriptions.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use archon_sessions::layer::{BoxError, CallFailed, InnerRequest};
use archon_sessions::protocol::Envelope;
use archon_sessions::protocol::forgotten::Asked;
use archon_sessions::protocol::names::LAST_EVENT_ID;
use archon_sessions::protocol::sse::is_event_stream;
use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderValue;
use tokio::sync::broadcast::error::RecvError;

use super::asked::unasked;
use super::flight::RETRY_MAX;
use super::link::Link;
use super::links::{Lease, Leased};
use super::{ModernClients, Shared, to_modern};
use crate::gateway::wire::Answer;
use crate::gateway::wire::incoming::Said;
use crate::gateway::wire::message::{Kind, Message};
use crate::gateway::wire::object::Object;
use crate::gateway::wire::written::{self, Out};

/// Pauses before a stream that ended is opened again: from the first to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Resources that one subscription may name.
const RESOURCES_MAX: usize = 256;
/// How long we wait once for a link's GET stream: some servers say nothing on it before they have something to say.
const OPEN_LIMIT: Duration = Duration::from_secs(2);

/// What a subscription is told of.
#[derive(Clone, Debug, Default)]
struct Filter {
    lists: Vec<&'static str>,
    resources: Vec<String>,
}

/// Lists, and the filter's keys for their changes.
const LISTS: [(&str, &str, &str); 3] = [
    ("tools", "toolsListChanged", "notifications/tools/list_changed"),
    ("prompts", "promptsListChanged", "notifications/prompts/list_changed"),
    ("resources", "resourcesListChanged", "notifications/resources/list_changed"),
];

impl Filter {
    /// Reads what a request asks for, as far as the server has it.
    fn read(envelope: &Envelope, link: &Link) -> Self {
        let params = envelope.params.as_deref().and_then(Object::read).unwrap_or_default();
        let asked = params.get("notifications").and_then(Object::read).unwrap_or_default();
        let initialized = Object::read(link.initialized()).unwrap_or_default();
        let can = initialized.get("capabilities").and_then(Object::read).unwrap_or_default();
        let has = |capability: &str, part: &str| {
            let capability = can.get(capability).and_then(Object::read);
            capability.is_some_and(|capability| capability.get(part) == Some("true"))
        };
        let lists = LISTS
            .iter()
            .filter(|(list, key, _)| asked.get(key) == Some("true") && has(list, "listChanged"));
        let resources =
            asked.get("resourceSubscriptions").filter(|_| has("resources", "subscribe"));
        let resources: Option<Vec<String>> =
            resources.and_then(|uris| serde_json::from_str(uris).ok());
        let mut resources = resources.unwrap_or_default();
        resources.truncate(RESOURCES_MAX);
        Self { lists: lists.map(|(_, key, _)| *key).collect(), resources }
    }

    /// Returns it as JSON text.
    fn text(&self) -> String {
        let mut filter = Object::default();
        for key in &self.lists {
            filter.set(key, "true");
        }
        if !self.resources.is_empty() {
            filter.set("resourceSubscriptions", serde_json::json!(self.resources).to_string());
        }
        filter.to_string()
    }

    fn lets_pass(&self, news: &Bytes) -> bool {
        let Some(message) = Message::read(news.clone()) else { return false };
        if message.method == "notifications/resources/updated" {
            let whole = std::str::from_utf8(news).ok().and_then(Object::read).unwrap_or_default();
            let params = whole.get("params").and_then(Object::read).unwrap_or_default();
            return params.text("uri").is_some_and(|uri| self.resources.contains(&uri));
        }
        LISTS.iter().any(|(_, key, method)| message.method == *method && self.lists.contains(key))
    }
}

impl ModernClients {
    /// Opens a subscription.
    pub(super) async fn listen(
        &self,
        request: InnerRequest,
        envelope: Envelope,
        id: &str,
    ) -> Result<Answer, CallFailed> {
        let lease = match self.lease(&request, &envelope, None).await? {
            Leased::Link(lease) => lease,
            Leased::Refused(answer) => return Ok(*answer),
        };
        let (clients, id) = (self.clone(), id.to_owned());
        let listener = Listener { clients, request, envelope, id };
        Ok(written::stream(|out| listener.run(lease, out)))
    }
}

struct Listener {
    clients: ModernClients,
    request: InnerRequest,
    envelope: Envelope,
    /// The subscription's id, as JSON text.
    id: String,
}

impl Listener {
    /// Tells the client what changes, for as long as it listens.
    async fn run(self, lease: Lease, out: Out) -> Result<(), BoxError> {
        let (mut lease, mut is_acknowledged, mut pause) = (lease, false, PAUSE_MIN);
        loop {
            let (link, began) = (lease.link().clone(), Instant::now());
            let mut news = link.news().subscribe();
            self.clients.shared.feed(&link).await;
            let filter = Filter::read(&self.envelope, &link);
            let interest =
                Interest::begin(&self.clients.shared, &link, filter.resources.clone()).await;
            if !std::mem::replace(&mut is_acknowledged, true) {
                out.send(&to_modern::acknowledged(&filter.text(), &self.id)).await;
            }
            loop {
                // Nothing is lost when the link is: what it said before was told.
                tokio::select! {
                    biased;
                    told = news.recv() => match told {
                        Ok(told) if filter.lets_pass(&told) => {
                            out.send(&to_modern::news(&told, &self.id)).await;
                        }
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => break,
                    },
                    () = link.lost.cancelled() => break,
                }
            }
            drop(interest);
            // A server that forgets its sessions at once is not asked for one after the other.
            pause =
                if began.elapsed() < PAUSE_MAX { (pause * 2).min(PAUSE_MAX) } else { PAUSE_MIN };
            tokio::time::sleep(pause).await;
            lease = self.another(&link).await;
        }
    }

    /// Returns another link, once the upstream gives one.
    async fn another(&self, lost: &Arc<Link>) -> Lease {
        let mut pause = PAUSE_MIN;
        loop {
            let leased = self.clients.lease(&self.request, &self.envelope, Some(lost)).await;
            if let Ok(Leased::Link(lease)) = leased {
                return lease;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// An interest in resources, which ends with it.
struct Interest {
    shared: Arc<Shared>,
    link: Arc<Link>,
    uris: Vec<String>,
}

impl Interest {
    async fn begin(shared: &Arc<Shared>, link: &Arc<Link>, uris: Vec<String>) -> Self {
        for uri in &uris {
            link.begin_interest(&shared.plain, uri).await;
        }
        Self { shared: shared.clone(), link: link.clone(), uris }
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let (shared, link, uris) =
            (self.shared.clone(), self.link.clone(), std::mem::take(&mut self.uris));
        if uris.is_empty() || link.lost.is_cancelled() {
            return;
        }
        self.shared.tasks.spawn(async move {
            for uri in &uris {
                link.end_interest(&shared.plain, uri).await;
            }
        });
    }
}

impl Shared {
    /// Has a link's GET stream read for as long as there is the link, and waits until it is open.
    pub(super) async fn feed(self: &Arc<Self>, link: &Arc<Link>) {
        if link.given.is_cancelled() {
            return;
        }
        if !link.is_fed.swap(true, Relaxed) {
            let (shared, link) = (self.clone(), link.clone());
            let stopping = self.stopping.clone();
            self.tasks.spawn(async move {
                stopping.run_until_cancelled(shared.read_news(&link)).await;
            });
        }
        let mut is_open = link.is_open.subscribe();
        let opened = tokio::time::timeout(OPEN_LIMIT, is_open.wait_for(|is_open| *is_open)).await;
        if opened.is_err() {
            link.is_open.send_replace(true);
        }
    }

    /// Reads a link's GET stream until the link is lost.
    async fn read_news(&self, link: &Arc<Link>) {
        let (mut pause, mut place) = (PAUSE_MIN, Place::default());
        while !link.lost.is_cancelled() {
            // What is said on a lost link concerns nobody.
            let goes_on = tokio::select! {
                goes_on = self.read_stream(link, &mut place) => goes_on,
                () = link.lost.cancelled() => return,
                () = link.given.cancelled() => return,
            };
            if !goes_on {
                // Nobody is told anything, and nobody waits for it.
                link.is_open.send_replace(true);
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(place.retry.unwrap_or(pause)) => {}
                () = link.lost.cancelled() => return,
                () = link.given.cancelled() => return,
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Reads the stream once, from where it was read to; false if the server has none for us.
    async fn read_stream(&self, link: &Arc<Link>, place: &mut Place) -> bool {
        let mut request = link.get();
        let last = place.last.as_ref().and_then(|last| HeaderValue::from_bytes(last).ok());
        let is_resumed = last.is_some();
        if let Some(last) = last {
            request.headers_mut().insert(LAST_EVENT_ID, last);
        }
        let Ok(answer) = self.plain.call(request).await else { return true };
        let (is_forgotten, answer) = link.is_forgotten(&self.plain, Asked::Stream, answer).await;
        if is_forgotten {
            link.lost.cancel();
            return true;
        }
        if !is_event_stream(answer.headers()) {
            let status = answer.status();
            if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
                // The next request may come with a better token.
                link.is_fed.store(false, Relaxed);
            }
            // It may not know the event, and have the stream.
            *place = Place::default();
            return is_resumed || status.is_success() || status.is_server_error();
        }
        let Said::Messages(mut incoming) = Said::of(answer) else { return true };
        link.is_open.send_replace(true);
        while let Ok(Some(message)) = incoming.next().await {
            match message.kind {
                Kind::Notification if message.method == "notifications/message" => {
                    // Without a call in flight nobody has asked for it.
                    let _ = link.hand_to_oldest(message);
                }
                Kind::Notification => link.publish(message.bytes),
                // It asks whether we are here, not a client.
                Kind::Request if message.method == "ping" => self.refuse(link, &message).await,
                Kind::Request => {
                    if let Some(message) = link.hand_to_oldest(message) {
                        self.refuse(link, &message).await;
                    }
                }
                Kind::Answer { .. } => {}
            }
        }
        place.last = incoming.last_id().cloned().or(place.last.take());
        place.retry = incoming.retry().map(|retry| retry.min(RETRY_MAX)).or(place.retry);
        true
    }

    /// Answers what a server asks outside of any call: no client can be asked then.
    async fn refuse(&self, link: &Arc<Link>, message: &Message) {
        if let Some(reply) = unasked(message) {
            let _ = link.tell(&self.plain, reply).await;
        }
    }
}

/// Where a GET stream goes on (MCP 2025-11-25, Transports, Resumability).
#[derive(Debug, Default)]
struct Place {
    /// The latest event.
    last: Option<Bytes>,
    /// How long to wait before it is asked for again, where the server said so.
    retry: Option<Duration>,
}

//! The stream on which a legacy server speaks by itself: opened, kept open, come back to (MCP 2025-11-25, Transports,
//! Listening for Messages from the Server).

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use reqwest::Response;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::attempt::is_stream;
use super::stream::RETRY_MS_MAX;
use super::{Inner, Link};
use crate::session::Era;
use crate::wire::headers::LAST_EVENT_ID;
use crate::wire::http::retry_after;
use crate::wire::message::Incoming;
use crate::wire::sse::{Decoder, Event};

/// A session begins with its stream, so that nothing is missed that the server says at once. One that keeps the head
/// of the stream back until then is not waited for longer.
const OPENING_LIMIT: Duration = Duration::from_secs(2);
/// A stream on which not even a comment came for so long may be dead without our knowing.
const SILENCE_LIMIT: Duration = Duration::from_secs(300);
/// Before the stream is opened again, whatever the server asks for.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Statuses that say "not now"; 409, where the server still holds the stream that broke.
const BUSY: [u16; 7] = [409, 425, 429, 500, 502, 503, 504];

/// One link's stream, over as many connections as it takes.
struct Standing {
    client: Weak<Inner>,
    link: Arc<Link>,
    last_event_id: Option<String>,
    retry_ms: Option<u64>,
    /// Since the last event.
    failures: u32,
    opened: Option<oneshot::Sender<()>>,
}

impl Inner {
    /// Opens the stream of a link in place of one that was open before, if anybody hears it.
    pub(super) async fn listen(self: &Arc<Self>, link: &Arc<Link>) {
        if !self.settings.wants_progress || link.era == Era::Modern {
            return;
        }
        let (opened, is_open) = oneshot::channel();
        let standing = Standing {
            client: Arc::downgrade(self),
            link: link.clone(),
            last_event_id: None,
            retry_ms: None,
            failures: 0,
            opened: Some(opened),
        };
        let stop = self.stop.clone();
        let task = self.tasks.spawn(async move {
            tokio::select! {
                () = standing.run() => {}
                // Nobody is left to hear it.
                () = stop.cancelled() => {}
            }
        });
        let before = self
            .standing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(task.abort_handle());
        if let Some(before) = before {
            before.abort();
        }
        let _ = timeout(OPENING_LIMIT, is_open).await;
    }

    fn take_standing(self: &Arc<Self>, link: &Arc<Link>, message: Incoming) {
        match message {
            Incoming::Request { id, method, params } => {
                self.answer_beside(link, id, &method, params);
            }
            Incoming::Notification { method, params } => self.hear(None, &method, params),
            Incoming::Answer { .. } => tracing::debug!("received an answer to no request"),
        }
    }
}

impl Standing {
    /// Keeps the stream open as long as there is a client; returns where the server has none.
    async fn run(mut self) {
        loop {
            let Some(wait) = self.once().await else { return };
            let asked =
                self.retry_ms.map_or(wait, |ms| Duration::from_millis(ms.min(RETRY_MS_MAX)));
            let Some(client) = self.client.upgrade() else { return };
            let pause = client.settings.retry.delay(self.failures, fastrand::f64());
            drop(client);
            self.failures = self.failures.saturating_add(1).min(16);
            tokio::time::sleep(asked.max(wait).max(PAUSE_MIN) + pause).await;
        }
    }

    /// Hears one stream; returns how long the server asks to wait, or nothing if there is no other.
    async fn once(&mut self) -> Option<Duration> {
        let request = {
            let client = self.client.upgrade()?;
            let mut headers = client.headers(&self.link);
            let from = self.last_event_id.as_deref().map(HeaderValue::try_from);
            if let Some(Ok(from)) = from {
                headers.insert(LAST_EVENT_ID, from);
            }
            client.http.stream_request(headers)
        };
        let response = match timeout(SILENCE_LIMIT, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                tracing::debug!("the standing stream broke: {}", error.without_url());
                return Some(Duration::ZERO);
            }
            Err(_) => return Some(Duration::ZERO),
        };
        let status = response.status();
        if BUSY.contains(&status.as_u16()) {
            return Some(retry_after(response.headers(), Timestamp::now()).unwrap_or_default());
        }
        if !status.is_success() || !is_stream(&response) {
            return self.refused(status);
        }
        if let Some(opened) = self.opened.take() {
            let _ = opened.send(());
        }
        self.hear(response).await;
        Some(Duration::ZERO)
    }

    async fn hear(&mut self, mut response: Response) {
        let mut decoder = Decoder::default();
        while let Ok(Ok(Some(piece))) = timeout(SILENCE_LIMIT, response.chunk()).await {
            let Ok(events) = decoder.take(&piece) else { return };
            for event in events {
                let Some(client) = self.client.upgrade() else { return };
                self.take(&client, event);
            }
        }
    }

    fn take(&mut self, client: &Arc<Inner>, event: Event) {
        self.failures = 0;
        self.retry_ms = event.retry_ms.or(self.retry_ms);
        for message in Incoming::all(event.data.as_bytes()) {
            client.take_standing(&self.link, message);
        }
        if let Some(id) = event.id.filter(|id| !id.is_empty()) {
            self.last_event_id = Some(id);
        }
    }

    fn refused(&mut self, status: StatusCode) -> Option<Duration> {
        if self.last_event_id.take().is_some() {
            // What was missed is gone; what comes from here on is not.
            tracing::info!("the standing stream is begun anew: {status}");
            return Some(Duration::ZERO);
        }
        // Most say 405, and some 404: that is about the stream, and says nothing of the session.
        tracing::debug!("the server has no standing stream: {status}");
        None
    }
}

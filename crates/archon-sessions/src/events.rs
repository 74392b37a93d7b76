//! What happens to sessions, told as it happens to whoever listens: a numbered ring in memory.
//!
//! Calls publish here, so publishing is cheap: with nobody listening it is the load of one number; else one
//! short lock, and no text is built. A listener is never waited for: one that falls behind learns that it
//! has missed something, and looks at the whole again.

mod ring;
mod subscription;

pub use subscription::{Heard, Resync, Subscription};

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::protocol::Found;
use crate::session::{DisconnectReason, Session, SessionId, Timestamp};
use crate::store::Outcome;
use ring::Ring;

/// What is told of one session's life is told at most so often; a client that calls a thousand times a second
/// is as alive as one that calls once.
const UPDATE_EVERY: Duration = Duration::from_secs(1);
/// Texts in an event are cut off after so many characters, as in the stored rows.
const TEXT_CHARS_MAX: usize = 500;

/// Something that happened, with its place in the order of all that happened.
#[derive(Debug)]
pub struct Event {
    /// One more than that of the event before it, of the same process.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What.
    pub what: SessionEvent,
}

/// What can happen to a session.
#[derive(Debug)]
pub enum SessionEvent {
    /// It began. Its client's capabilities are left out.
    Created(Box<Session>),
    /// It is alive; told at most once a second.
    Updated {
        /// Whose life it shows.
        session: SessionId,
        /// By what.
        by: Sign,
    },
    /// It ended.
    Disconnected {
        /// Which one.
        session: SessionId,
        /// Why.
        reason: DisconnectReason,
        /// How long it was.
        duration: Duration,
    },
    /// Its client took it back with a reconnect token.
    Reconnected {
        /// Which one.
        session: SessionId,
        /// How often that has happened to it.
        reconnect_count: i64,
    },
    /// A call of it has ended.
    Request(Box<FinishedCall>),
}

impl SessionEvent {
    /// Returns the session that it is about.
    pub fn session(&self) -> SessionId {
        match self {
            Self::Created(session) => session.id,
            Self::Updated { session, .. }
            | Self::Disconnected { session, .. }
            | Self::Reconnected { session, .. } => *session,
            Self::Request(call) => call.session,
        }
    }

    /// Returns about how much memory it takes.
    fn bytes(&self) -> usize {
        let text = match self {
            Self::Created(session) => {
                let client = &session.client;
                let texts = [&client.name, &client.version];
                let texts = texts.iter().filter_map(|text| text.as_deref()).map(str::len);
                size_of::<Session>() + texts.sum::<usize>() + session.protocol_version.len()
            }
            Self::Updated { .. } | Self::Disconnected { .. } | Self::Reconnected { .. } => 0,
            Self::Request(call) => call.bytes(),
        };
        size_of::<Event>() + text
    }
}

/// A sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A heartbeat: nothing else was wanted.
    Heartbeat,
    /// The call of a tool.
    ToolCall,
    /// Any other request.
    Request,
}

impl Sign {
    /// Returns the word for it on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::ToolCall => "tool_call",
            Self::Request => "request",
        }
    }
}

/// A call that has ended, as far as it is known without reading its answer.
#[derive(Debug)]
pub struct FinishedCall {
    /// Whose call.
    pub session: SessionId,
    /// The JSON-RPC method.
    pub method: Box<str>,
    /// The tool, where one was called.
    pub tool: Option<Box<str>>,
    /// The upstream it went to.
    pub upstream: Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
    /// How long its answer took, in microseconds.
    pub duration_us: i64,
    /// Size of the request's body.
    pub request_bytes: i64,
    /// Size of what was sent in answer.
    pub response_bytes: i64,
    /// What went wrong, if anything did.
    pub failure: Option<Failure>,
}

impl FinishedCall {
    /// Returns what went wrong, in at most 500 characters. Reads the answer: not for the path of a call.
    pub fn error(&self) -> Option<Box<str>> {
        let text = match self.failure.as_ref()? {
            Failure::Said(text) => text.clone(),
            Failure::Answered(answer) => Found::in_answer(answer).message?,
        };
        Some(text.chars().filter(|c| *c != '\0').take(TEXT_CHARS_MAX).collect::<String>().into())
    }

    fn bytes(&self) -> usize {
        let failure = match &self.failure {
            Some(Failure::Said(text)) => text.len(),
            Some(Failure::Answered(answer)) => answer.len(),
            None => 0,
        };
        let tool = self.tool.as_deref().map_or(0, str::len);
        size_of::<Self>() + self.method.len() + tool + failure
    }
}

/// Where it is said what went wrong with a call.
#[derive(Debug)]
pub enum Failure {
    /// We know it ourselves.
    Said(Box<str>),
    /// The answer says it.
    Answered(Bytes),
}

/// When a session was told to be alive, so that it is not told too often.
#[derive(Debug, Default)]
pub struct LastTold(std::sync::atomic::AtomicI64);

impl LastTold {
    /// Returns true if it is time to say it again; of several that ask at once, to one of them.
    fn is_due(&self, now: Timestamp) -> bool {
        let told = self.0.load(Relaxed);
        now.since(Timestamp::from_micros(told)) >= UPDATE_EVERY
            && self.0.compare_exchange(told, now.as_micros(), Relaxed, Relaxed).is_ok()
    }
}

/// Where events are published and listened to. Clones are one.
#[derive(Clone)]
pub struct Events(Arc<Shared>);

struct Shared {
    epoch: u64,
    /// How many listen. Changes under the ring's lock only.
    listeners: AtomicUsize,
    /// Held for single operations, never across an await.
    ring: Mutex<Ring>,
    news: Notify,
}

impl Events {
    /// Returns an empty ring of a process that starts now.
    ///
    /// Numbers begin at the microsecond of the start, so that those of an earlier process are smaller than any
    /// of this one, and all of them are exact in JavaScript.
    pub fn starting(now: Timestamp) -> Self {
        let epoch = u64::try_from(now.as_micros()).unwrap_or(1).max(1);
        Self(Arc::new(Shared {
            epoch,
            listeners: AtomicUsize::new(0),
            ring: Mutex::new(Ring::beginning_at(epoch)),
            news: Notify::new(),
        }))
    }

    /// Returns what tells this process's numbers from another's.
    pub fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// Returns true if somebody listens. Nothing is kept while nobody does.
    pub fn is_heard(&self) -> bool {
        self.0.listeners.load(Relaxed) > 0
    }

    /// Listens: to what comes after the event `since`, or to what happens from now on.
    ///
    /// # Errors
    /// If that is no longer known, or never was: then subscribe from now on and look at the whole again.
    pub fn subscribe(&self, since: Option<u64>) -> Result<Subscription, Resync> {
        let mut ring = self.0.ring();
        if self.0.listeners.load(Relaxed) == 0 {
            ring.skip();
        }
        let next = match since {
            None => ring.next_seq(),
            Some(since) if ring.has_all_after(since) => since + 1,
            Some(_) => return Err(Resync),
        };
        self.0.listeners.fetch_add(1, Relaxed);
        Ok(Subscription::new(self.0.clone(), next))
    }

    /// Tells that a session began.
    pub fn created(&self, session: &Session) {
        if self.is_heard() {
            let mut told = Box::new(session.clone());
            // Up to 16 KiB of what no listener shows.
            told.client.capabilities = None;
            self.publish(session.connected_at, SessionEvent::Created(told));
        }
    }

    /// Tells that a session is alive, unless that was told a moment ago.
    pub fn updated(&self, session: SessionId, told: &LastTold, by: Sign, now: Timestamp) {
        if self.is_heard() && told.is_due(now) {
            self.publish(now, SessionEvent::Updated { session, by });
        }
    }

    /// Tells that a session ended.
    pub fn disconnected(&self, session: &Session) {
        let Some((end, reason)) = session.end.and_then(|end| Some((end, end.reason?))) else {
            return;
        };
        if self.is_heard() {
            let duration = end.at.since(session.connected_at);
            let what = SessionEvent::Disconnected { session: session.id, reason, duration };
            self.publish(end.at, what);
        }
    }

    /// Tells that a client took its session back with a reconnect token.
    pub fn reconnected(&self, session: SessionId, reconnect_count: i64, now: Timestamp) {
        if self.is_heard() {
            self.publish(now, SessionEvent::Reconnected { session, reconnect_count });
        }
    }

    /// Tells that a call has ended; `call` is only asked for if somebody listens.
    pub fn finished(&self, at: Timestamp, call: impl FnOnce() -> FinishedCall) {
        if self.is_heard() {
            self.publish(at, SessionEvent::Request(Box::new(call())));
        }
    }

    fn publish(&self, at: Timestamp, what: SessionEvent) {
        let bytes = what.bytes();
        self.0.ring().push(at, what, bytes);
        // Cheap while the listeners are busy: only one that waits is woken.
        self.0.news.notify_waiters();
    }
}

impl Shared {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock()
    }
}

#[cfg(test)]
mod tests;

//! A legacy connection to a modern server: what a legacy server would remember of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use archon_sessions::protocol::Envelope;
use archon_sessions::tracker::Presence;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::meta::Meta;
use crate::gateway::wire::message::canonical;
use crate::gateway::wire::object::Object;

/// The protocol's log levels (MCP 2025-11-25, Logging).
const LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
/// A legacy server may choose what it logs for a client that did not say; a modern one logs nothing.
const LEVEL: &str = "info";
/// Resources a client may subscribe to; as many as the layer sets up again.
const SUBSCRIPTIONS_MAX: usize = 256;
/// Questions that wait for the client's answers; it shows its user a few at a time.
const ASKED_MAX: usize = 64;
/// A server acknowledges a subscription at once; the client does not wait for one that does not.
const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(5);

/// See the module.
pub struct Connection {
    pub meta: Meta,
    /// What the server tells of by itself: keys of a subscription's filter.
    changes: Vec<&'static str>,
    // The locks are held for single operations, never across an await.
    presence: Mutex<Option<Arc<Presence>>>,
    level: Mutex<String>,
    asked: Mutex<Asked>,
    /// Calls in flight, as many as a session may have: some clients give the same id to several.
    calls: Mutex<Vec<InFlight>>,
    calls_begun: AtomicU64,
    wanted: watch::Sender<Wanted>,
    /// The turn of `wanted` that the server has acknowledged last.
    heard: watch::Sender<u64>,
    /// Open GET streams.
    listeners: AtomicUsize,
}

struct InFlight {
    number: u64,
    /// What the client knows it by.
    id: String,
    cancelled: CancellationToken,
}

/// What the client wants to be told of.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Counts its changes.
    pub turn: u64,
    /// Resources.
    pub uris: BTreeSet<String>,
}

#[derive(Default)]
struct Asked {
    next: u64,
    waiting: HashMap<String, oneshot::Sender<Reply>>,
}

/// What a client said to a question: JSON text.
#[derive(Debug)]
pub enum Reply {
    /// The result.
    Result(String),
    /// The JSON-RPC error.
    Error(String),
}

impl Connection {
    /// Returns a connection with this `initialize` result (JSON text).
    pub fn new(meta: Meta, initialized: &str) -> Self {
        let result = Object::read(initialized).unwrap_or_default();
        let capabilities = result.get("capabilities").and_then(Object::read).unwrap_or_default();
        let tells = |list: &str| {
            let capability = capabilities.get(list).and_then(Object::read);
            capability.is_some_and(|one| one.get("listChanged") == Some("true"))
        };
        let lists = [
            ("tools", "toolsListChanged"),
            ("prompts", "promptsListChanged"),
            ("resources", "resourcesListChanged"),
        ];
        let changes = lists.into_iter().filter(|(list, _)| tells(list)).map(|(_, key)| key);
        Self {
            meta,
            changes: changes.collect(),
            presence: Mutex::default(),
            level: Mutex::new(LEVEL.to_owned()),
            asked: Mutex::default(),
            calls: Mutex::default(),
            calls_begun: AtomicU64::new(0),
            wanted: watch::Sender::default(),
            heard: watch::Sender::default(),
            listeners: AtomicUsize::new(0),
        }
    }

    /// Notes the session that uses it, if that is known.
    pub fn touch(&self, presence: Option<&Arc<Presence>>) {
        if let Some(presence) = presence {
            *lock(&self.presence) = Some(presence.clone());
        }
    }

    /// Returns whether its session has ended.
    pub fn is_forsaken(&self) -> bool {
        lock(&self.presence).as_ref().is_some_and(|presence| presence.has_ended())
    }

    /// Returns the least severe log messages that the client wants.
    pub fn level(&self) -> String {
        lock(&self.level).clone()
    }

    /// Takes `logging/setLevel`; false if it names no level.
    pub fn set_level(&self, envelope: &Envelope) -> bool {
        let params = envelope.params.as_deref().and_then(Object::read);
        let level = params.and_then(|params| params.text("level"));
        match level.filter(|level| LEVELS.contains(&&**level)) {
            Some(level) => {
                *lock(&self.level) = level;
                true
            }
            None => false,
        }
    }

    /// Takes a subscription or the end of one, and waits until it is in force; false if there are too many.
    pub async fn subscribe(&self, uri: &str, is_on: bool) -> bool {
        let (mut turn, mut is_full) = (0, false);
        self.wanted.send_if_modified(|wanted| {
            is_full = is_on && wanted.uris.len() >= SUBSCRIPTIONS_MAX && !wanted.uris.contains(uri);
            let is_changed = !is_full
                && if is_on { wanted.uris.insert(uri.to_owned()) } else { wanted.uris.remove(uri) };
            wanted.turn += u64::from(is_changed);
            turn = wanted.turn;
            is_changed
        });
        // Without a stream to be told on there is nothing to wait for.
        if is_on && !is_full && self.listeners.load(Relaxed) > 0 {
            let mut heard = self.heard.subscribe();
            let is_heard = heard.wait_for(|heard| *heard >= turn);
            let _ = tokio::time::timeout(SUBSCRIBE_LIMIT, is_heard).await;
        }
        !is_full
    }

    /// Takes a notification of the client's.
    pub fn notified(&self, envelope: &Envelope) {
        if &*envelope.method != "notifications/cancelled" {
            return;
        }
        let params = envelope.params.as_deref().and_then(Object::read);
        let id = params.as_ref().and_then(|params| params.get("requestId"));
        let Some(id) = id.map(canonical) else { return };
        let mut calls: Vec<_> = {
            let calls = lock(&self.calls);
            calls.iter().filter(|call| call.id == id).map(|call| call.cancelled.clone()).collect()
        };
        // Of several nobody knows which one is meant.
        if let (Some(call), true) = (calls.pop(), calls.is_empty()) {
            call.cancel();
        }
    }

    /// Takes the client's answer to a question.
    pub fn answered(&self, envelope: &Envelope) {
        let Some(answer) = Object::read(&envelope.source) else { return };
        let reply = match (answer.get("result"), answer.get("error")) {
            (Some(result), _) => Reply::Result(result.to_owned()),
            (None, Some(error)) => Reply::Error(error.to_owned()),
            (None, None) => return,
        };
        let asked = answer.text("id").and_then(|id| lock(&self.asked).waiting.remove(&id));
        if let Some(asked) = asked {
            // Who asked may have gone meanwhile.
            let _ = asked.send(reply);
        }
    }

    /// Returns a new question's id and where its answer comes; `None` if too many are open.
    pub fn ask(self: &Arc<Self>) -> Option<(Asking, oneshot::Receiver<Reply>)> {
        let mut asked = lock(&self.asked);
        if asked.waiting.len() >= ASKED_MAX {
            return None;
        }
        asked.next += 1;
        let id = format!("archon-ask-{}", asked.next);
        let (sender, receiver) = oneshot::channel();
        asked.waiting.insert(id.clone(), sender);
        Some((Asking { connection: self.clone(), id }, receiver))
    }

    /// Notes a call in flight, for as long as what is returned lives.
    pub fn begin(self: &Arc<Self>, id: &str) -> Running {
        let (number, cancelled) =
            (self.calls_begun.fetch_add(1, Relaxed), CancellationToken::new());
        lock(&self.calls).push(InFlight {
            number,
            id: canonical(id),
            cancelled: cancelled.clone(),
        });
        Running { connection: self.clone(), number, cancelled }
    }

    /// Notes an open GET stream, for as long as what is returned lives.
    pub fn listen(self: &Arc<Self>) -> Listening {
        self.listeners.fetch_add(1, Relaxed);
        Listening { connection: self.clone(), wanted: self.wanted.subscribe() }
    }
}

/// A question that the client was asked.
pub struct Asking {
    connection: Arc<Connection>,
    /// The request's id.
    pub id: String,
}

impl Drop for Asking {
    fn drop(&mut self) {
        lock(&self.connection.asked).waiting.remove(&self.id);
    }
}

/// A call in flight.
pub struct Running {
    connection: Arc<Connection>,
    number: u64,
    /// Set once its client does not want it any more.
    pub cancelled: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        lock(&self.connection.calls).retain(|call| call.number != self.number);
    }
}

/// An open GET stream.
pub struct Listening {
    connection: Arc<Connection>,
    /// What the client wants to be told of.
    pub wanted: watch::Receiver<Wanted>,
}

impl Listening {
    /// Returns the filter of a subscription to what is wanted (JSON text); `None` if that is nothing.
    pub fn filter(&self, wanted: &Wanted) -> Option<String> {
        let mut filter = Object::default();
        for change in &self.connection.changes {
            filter.set(change, "true");
        }
        if !wanted.uris.is_empty() {
            let uris: Vec<&String> = wanted.uris.iter().collect();
            filter.set("resourceSubscriptions", serde_json::json!(uris).to_string());
        }
        (!filter.is_empty()).then(|| filter.to_string())
    }

    /// Notes that the server tells of what was wanted at this turn.
    pub fn is_heard(&self, turn: u64) {
        self.connection.heard.send_replace(turn);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.connection.listeners.fetch_sub(1, Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

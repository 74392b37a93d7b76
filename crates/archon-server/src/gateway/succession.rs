//! Hands the state of sessions over to the successor process: the children of stdio upstreams with their state, and the
//! links of modern clients at legacy servers.
//!
//! A child belongs to one process at a time. While both run, a request that comes to the process which does not have its
//! child is passed on to the one that has it, over the socket between them, and is answered from there ([`Peer::relay`]):
//! so it runs once, whichever process received it, and neither process waits. The predecessor hands a child over
//! ([`Children::give`](super::stdio)) in a moment in which no call is in flight at it, at the latest when its own
//! connections have ended; from then on requests that still come on its old connections are passed on to the successor,
//! as are its handshakes. A call that is in flight is answered by the process that began it.
//!
//! When the predecessor dies in the middle, its successor has what was handed over. The rest ended with it, and clients
//! get what they get after a crash: what was passed on and is not answered may have run.
//!
//! A process without this protocol sends nothing on the socket, and closes it: each then keeps its own children, as
//! processes of different [versions](said::VERSION) do.

mod channel;
mod peer;
mod said;

pub use peer::{Origin, Peer};
pub use said::{Asked, Headers, Said};

use std::fmt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use archon_sessions::session::SessionId;
use archon_sessions::tracker::{Presence, Tracker};
use bytes::Bytes;
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;

use self::channel::Frame;
use self::peer::{Household, Served};
use super::Upstream;

/// How often a draining process checks which of its children can be handed over.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The other processes of this gateway while they run, as upstreams see them.
#[derive(Default)]
pub struct Peers {
    predecessor: OnceLock<Arc<Peer>>,
    successor: OnceLock<Arc<Peer>>,
    is_closing: AtomicBool,
}

impl Peers {
    /// Returns whom a request may be passed on to that comes from there: never back.
    pub fn beyond(&self, origin: Origin) -> Vec<Arc<Peer>> {
        let mut peers = Vec::new();
        if origin != Origin::Predecessor {
            peers.extend(self.predecessor.get().cloned());
        }
        if origin != Origin::Successor {
            peers.extend(self.successor().cloned());
        }
        peers
    }

    /// Returns the process that has taken over, if it takes children over as well.
    pub fn successor(&self) -> Option<&Arc<Peer>> {
        self.successor.get().filter(|peer| peer.is_open_now())
    }

    /// Returns the process that this one has taken over from.
    pub fn predecessor(&self) -> Option<&Arc<Peer>> {
        self.predecessor.get()
    }

    /// Returns whether this process has no connections any more, so that only the successor's requests keep children
    /// here.
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Relaxed)
    }
}

/// See the module. Clones are one.
#[derive(Clone)]
pub struct Succession(Arc<State>);

struct State {
    tracker: Tracker,
    upstreams: Vec<Upstream>,
    /// The successor, whether or not its first message has arrived.
    successor: OnceLock<Arc<Peer>>,
    giving: OnceLock<AbortOnDropHandle<()>>,
}

impl fmt::Debug for Succession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Succession")
    }
}

impl Succession {
    /// Returns that of this process; must be called on a runtime.
    pub fn new(tracker: Tracker, upstreams: Vec<Upstream>) -> Self {
        let (successor, giving) = (OnceLock::new(), OnceLock::new());
        Self(Arc::new(State { tracker, upstreams, successor, giving }))
    }

    /// Takes over the state of the process at the other end of this socket. Call when it knows that this one is ready, and
    /// before the first request.
    pub fn follow(&self, predecessor: StdUnixStream) {
        let socket =
            predecessor.set_nonblocking(true).and_then(|()| UnixStream::from_std(predecessor));
        match socket {
            Ok(socket) => {
                let peer = Peer::start(socket, Origin::Predecessor, self.0.clone(), |_| {});
                for upstream in &self.0.upstreams {
                    let _ = upstream.peers().predecessor.set(peer.clone());
                }
            }
            Err(error) => tracing::warn!("nothing can be taken over from the predecessor: {error}"),
        }
    }

    /// Begins to hand over the state of this process to the one at the other end of this socket, which is ready.
    pub fn precede(&self, successor: UnixStream) {
        let state = self.0.clone();
        let first = move |peer: &Arc<Peer>| {
            for upstream in &state.upstreams {
                let _ = upstream.peers().successor.set(peer.clone());
                upstream.hand_over(peer);
            }
        };
        let peer = Peer::start(successor, Origin::Successor, self.0.clone(), first);
        let _ = self.0.successor.set(peer.clone());
        let state = self.0.clone();
        let giving = async move {
            if !peer.is_open().await {
                return;
            }
            while peer.is_open_now() {
                for upstream in &state.upstreams {
                    upstream.give_children(&peer).await;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        // It ends with the process, or with its successor.
        let _ = self.0.giving.set(AbortOnDropHandle::new(tokio::spawn(giving)));
    }

    /// Waits until a successor has everything that can be handed over. Call when no connection is open any more, with a
    /// time limit, since a call may still be in flight whose client has left.
    pub async fn finish(&self) {
        let upstreams = &self.0.upstreams;
        let Some(peer) = self.0.successor.get() else { return };
        // Without open connections, this process may get here before its successor's first message.
        if !peer.is_open().await {
            return;
        }
        for upstream in upstreams {
            upstream.peers().is_closing.store(true, Relaxed);
            upstream.give_up_waiting();
        }
        // What it still asks of us, or we pass on to it for our own predecessor, is on its way until then.
        if let Some(predecessor) = upstreams.first().and_then(|one| one.peers().predecessor()) {
            tokio::select! {
                () = predecessor.is_gone() => {}
                () = peer.is_gone() => {}
            }
        }
        while peer.is_open_now() && upstreams.iter().any(|one| one.children().unwrap_or(0) > 0) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        for upstream in upstreams {
            upstream.hand_over(peer);
        }
        peer.flush().await;
    }
}

impl State {
    fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.name() == name)
    }

    /// Returns an active session, from memory.
    fn presence(&self, id: &str) -> Option<Arc<Presence>> {
        self.tracker.presence(id.parse::<SessionId>().ok()?)
    }
}

impl Household for State {
    fn answer(&self, from: Origin, upstream: String, asked: Asked, body: Bytes) -> Served {
        let Some(upstream) = self.upstream(&upstream).cloned() else {
            return Box::pin(async { Ok(None) });
        };
        let presence = asked.session.as_deref().and_then(|id| self.presence(id));
        Box::pin(async move { upstream.answer_peer(from, asked, presence, body).await })
    }

    fn take(&self, from: Origin, said: Said, frame: Frame) {
        match said {
            Said::Child { upstream, child } => match self.upstream(&upstream) {
                Some(upstream) => {
                    upstream.take_child(*child, frame.body, frame.files, |id| self.presence(id));
                }
                None => super::stdio::stop_unknown(&upstream, &child, frame.files),
            },
            Said::Link { upstream, link } => {
                if let Some(upstream) = self.upstream(&upstream) {
                    upstream.take_link(*link);
                }
            }
            Said::AskLink { number, upstream, sessions } => {
                let Some(peer) = self.upstreams.first().and_then(|one| {
                    let peers = one.peers();
                    if from == Origin::Successor {
                        peers.successor.get().cloned()
                    } else {
                        peers.predecessor.get().cloned()
                    }
                }) else {
                    return;
                };
                if let Some(upstream) = self.upstream(&upstream) {
                    let sessions = sessions.iter().filter_map(|id| id.parse().ok());
                    upstream.give_links(&peer, &sessions.collect::<Vec<_>>());
                }
                peer.say(&Said::NotHere { number });
            }
            Said::Eras { upstream, is_modern, versions } => {
                if let Some(upstream) = self.upstream(&upstream) {
                    upstream.learn_eras(is_modern, versions);
                }
            }
            _ => {}
        }
    }
}

//! Which modern clients of a legacy server have no other way than the bridge.
//!
//! A client of both eras that keeps no handle would lose its state at the server with each call, and falls back to the
//! handshake at once where `server/discover` is refused (MCP 2026-07-28, Versioning, Backward Compatibility). A client
//! of the modern era alone gives up instead; its two ways of asking are the same. So each is refused first. Who asks
//! again later, and did no handshake meanwhile, has none: it is answered from then on.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use archon_sessions::layer::{Exchange, InnerRequest, PeerAddress};
use archon_sessions::protocol::Envelope;
use archon_sessions::session::ClientInfo;
use http::header::USER_AGENT;
use lru::LruCache;
use parking_lot::{Mutex, MutexGuard};

/// Clients remembered, forty bytes each. The one that was heard of least recently gives way, and is refused once more.
const CLIENTS_MAX: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// A client that falls back does so at once; two of a kind that start together are not one that asks again.
const SETTLED_AFTER: Duration = Duration::from_secs(3);
/// A person who tries again does so within this; later the first refusal says nothing any more.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);

/// See the module.
pub struct Fallbacks {
    hasher: RandomState,
    /// Held for single operations, never across an await.
    clients: Mutex<LruCache<Client, Known>>,
}

/// A client: who authenticated, from where, with which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client(u64);

#[derive(Clone, Copy, Debug)]
struct Known {
    heard: Instant,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It did a handshake.
    SpeaksBoth,
    /// It was refused, first at this time.
    Refused(Instant),
    /// It was refused, and asked again.
    ModernOnly,
}

/// What a client's `server/discover` is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A refusal: it is to do a handshake.
    FallBack,
    /// What it asks for, for the first time.
    CrossFirst,
    /// What it asks for.
    Cross,
}

impl Default for Fallbacks {
    fn default() -> Self {
        let clients = Mutex::new(LruCache::sparse(CLIENTS_MAX));
        Self { hasher: RandomState::new(), clients }
    }
}

impl Fallbacks {
    /// Returns who sends a request.
    pub fn client(&self, request: &InnerRequest, info: &ClientInfo) -> Client {
        let exchange = request.extensions().get::<Exchange>();
        let peer = request.extensions().get::<PeerAddress>().map(|peer| peer.0.ip());
        let principal = exchange.map(|exchange| exchange.principal.to_string());
        let agent = request.headers().get(USER_AGENT);
        Client(self.hasher.hash_one((principal, peer, agent, &info.name, &info.version)))
    }

    /// Notes that a client does a handshake.
    pub fn shakes_hands(&self, client: Client, now: Instant) {
        self.clients().put(client, Known { heard: now, state: State::SpeaksBoth });
    }

    /// Returns what to say to a client's `server/discover`.
    pub fn discovers(&self, client: Client, now: Instant) -> Verdict {
        let known = self.clients().peek(&client).copied();
        let known = known.filter(|known| now.duration_since(known.heard) < REMEMBERED_FOR);
        let (state, verdict) = match known.map(|known| known.state) {
            None => (State::Refused(now), Verdict::FallBack),
            Some(State::SpeaksBoth) => (State::SpeaksBoth, Verdict::FallBack),
            Some(State::Refused(at)) if now.duration_since(at) < SETTLED_AFTER => {
                (State::Refused(at), Verdict::FallBack)
            }
            Some(State::Refused(_)) => (State::ModernOnly, Verdict::CrossFirst),
            Some(State::ModernOnly) => (State::ModernOnly, Verdict::Cross),
        };
        self.clients().put(client, Known { heard: now, state });
        verdict
    }

    fn clients(&self) -> MutexGuard<'_, LruCache<Client, Known>> {
        self.clients.lock()
    }
}

/// Returns what a modern request says of its client.
pub fn info(envelope: &Envelope) -> ClientInfo {
    ClientInfo::read(envelope.meta.client_info.as_deref(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Client = Client(1);

    #[test]
    fn a_client_that_falls_back_is_refused_each_time() {
        let (fallbacks, start) = (Fallbacks::default(), Instant::now());
        assert_eq!(fallbacks.discovers(CLIENT, start), Verdict::FallBack);
        fallbacks.shakes_hands(CLIENT, start);
        for seconds in [1, 10, 1000] {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(fallbacks.discovers(CLIENT, now), Verdict::FallBack, "{seconds}");
        }
    }

    #[test]
    fn a_client_that_only_asks_again_has_no_other_way() {
        let (fallbacks, start) = (Fallbacks::default(), Instant::now());
        let at = |seconds| fallbacks.discovers(CLIENT, start + Duration::from_secs(seconds));
        // Two of a kind that start together are not one that asks again.
        assert_eq!([at(0), at(1), at(2)], [Verdict::FallBack; 3]);
        assert_eq!([at(4), at(5)], [Verdict::CrossFirst, Verdict::Cross]);
        assert_eq!(at(5 + REMEMBERED_FOR.as_secs()), Verdict::FallBack);
        // A handshake shows that there is another way after all.
        fallbacks.shakes_hands(CLIENT, start + Duration::from_secs(10_000));
        assert_eq!(at(10_010), Verdict::FallBack);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (fallbacks, start) = (Fallbacks::default(), Instant::now());
        for n in 0..=CLIENTS_MAX.get() as u64 {
            fallbacks.discovers(Client(n), start + Duration::from_millis(n));
        }
        assert_eq!(fallbacks.clients().len(), CLIENTS_MAX.get());
        assert!(!fallbacks.clients().contains(&Client(0)));
    }
}

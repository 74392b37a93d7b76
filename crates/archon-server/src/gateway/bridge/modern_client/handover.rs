//! Links that go from one process of the gateway to the next; see [`crate::gateway::succession`].
//!
//! Nothing of a link is a process of ours, so that both processes may use it for as long as both are there. The one that
//! came later reads its GET stream, and says its end to the upstream.

use std::fmt;
use std::sync::Arc;

use archon_sessions::layer::InnerRequest;
use archon_sessions::session::SessionId;
use archon_sessions::tracker::Presence;
use serde::{Deserialize, Serialize};

use super::link::Link;
use super::{ModernClients, Shared};
use crate::gateway::succession::{Origin, Peer, Said};

/// What is known of a link.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenLink {
    /// The session that it is for.
    pub session: String,
    /// The upstream's name for it.
    pub handle: Option<String>,
    /// See [`archon_sessions::tracker::Affinity`].
    pub affinity: String,
    /// The protocol version in force.
    pub version: String,
    /// The result of `initialize`, JSON text.
    pub initialized: String,
    /// The number of the next request of our own.
    pub next: u64,
    /// The log level that was set last.
    pub level: Option<String>,
}

/// Its handle is a secret.
impl fmt::Debug for GivenLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenLink").field("session", &self.session).finish_non_exhaustive()
    }
}

impl ModernClients {
    /// Gives up the calls that wait for what their clients answer.
    pub fn give_up_parked(&self) {
        self.shared.parked.clear();
    }

    /// Has a peer have the links of these sessions, or of all. Those that the successor has are its own from then on.
    pub fn give_links(&self, peer: &Arc<Peer>, sessions: Option<&[SessionId]>) {
        let shared = &self.shared;
        let is_successor = peer.role() == Origin::Successor;
        for (session, link) in shared.links.of(sessions) {
            if link.lost.is_cancelled() || (is_successor && link.given.is_cancelled()) {
                continue;
            }
            let state = Box::new(link.state(session));
            peer.say(&Said::Link { upstream: shared.plain.name().to_owned(), link: state });
            if is_successor {
                link.given.cancel();
            }
        }
    }

    /// Takes over the link of a session, for when its client comes.
    pub fn take_link(&self, link: GivenLink) {
        if let Ok(session) = link.session.parse() {
            self.shared.links.take_over(session, link);
        }
    }
}

impl Shared {
    /// Returns the link that another process has, or had, for a session that has none here.
    pub(super) async fn taken_over(
        &self,
        presence: &Presence,
        request: &InnerRequest,
    ) -> Option<Arc<Link>> {
        let sessions: Vec<SessionId> =
            [Some(presence.id()), presence.continues_from()].into_iter().flatten().collect();
        let mut state = self.links.taken_over(&sessions);
        for peer in [self.peers.predecessor(), self.peers.successor()].into_iter().flatten() {
            if state.is_none() {
                let ids = sessions.iter().map(ToString::to_string).collect();
                peer.ask_link(self.plain.name(), ids).await;
                state = self.links.taken_over(&sessions);
            }
        }
        let (id, name) = (presence.id(), self.plain.name());
        let link = Link::resume(state?, request)?;
        if self.peers.successor().is_some() {
            // It is the successor's.
            link.given.cancel();
        }
        tracing::debug!(session_id = %id, "session {id} goes on at {name} as another process of this gateway began it");
        Some(link)
    }
}

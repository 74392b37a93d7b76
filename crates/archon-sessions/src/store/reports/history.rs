//! What was before and after a session, and who tried to take it back.

use std::collections::HashSet;

use crate::session::{SessionId, Timestamp};

/// Sessions of a [`Chain`] in each direction.
pub const CHAIN_MAX: usize = 20;
/// Attempts to take a session back that are shown of it. They are rate limited, and older ones are deleted.
pub const ATTEMPTS_MAX: usize = 50;

/// The sessions that one continues and that continue it, each way the nearest first and at most [`CHAIN_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Those that it goes on from.
    pub before: Vec<ChainLink>,
    /// Those that go on from it; of several that continue the same one, the first.
    pub after: Vec<ChainLink>,
}

/// A session of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainLink {
    /// Which.
    pub id: SessionId,
    /// When it began.
    pub connected_at: Timestamp,
    /// When it ended; `None` while it is active.
    pub disconnected_at: Option<Timestamp>,
    /// The stored reason of its end, which an older system may have named.
    pub disconnect_reason: Option<String>,
}

/// Leaves out what comes a second time: imported sessions may continue each other in a circle.
pub(crate) fn once(of: SessionId, links: Vec<ChainLink>) -> Vec<ChainLink> {
    let mut seen = HashSet::from([of]);
    links.into_iter().take_while(|link| seen.insert(link.id)).collect()
}

/// A row of `archon_mcp_reconnect_attempts`: somebody tried to take a session back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// When.
    pub at: Timestamp,
    /// From which address, where that is known.
    pub peer: Option<String>,
    /// Who: `issuer#subject`, or `anonymous`.
    pub principal: String,
    /// How it ended: `reconnected`, or the word for the refusal.
    pub result: String,
}

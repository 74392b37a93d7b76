//! The processes that use one store, as they say of themselves.

use std::sync::Arc;

use crate::session::Timestamp;

/// A process: a row of `archon_mcp_nodes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// Which process, `node#incarnation`; another name after each start.
    pub node: Arc<str>,
    /// Where other nodes reach it, `host:port`; `None` for one that they cannot reach.
    pub address: Option<Arc<str>>,
    /// The machine and the process namespace in which its number means something.
    pub place: Option<Arc<str>>,
    /// Its sign of life.
    pub heard_at: Timestamp,
    /// Nothing heard of it until then, it is gone.
    pub expected_until: Timestamp,
}

impl NodeRow {
    /// Returns the name of its node, which is the same after a restart; of a process without one, its own.
    pub fn name(&self) -> &str {
        name_of(&self.node)
    }

    /// Returns true while it is expected to be there.
    pub fn is_present(&self, now: Timestamp) -> bool {
        self.expected_until > now
    }
}

/// Returns the name of the node of a process.
pub(crate) fn name_of(process: &str) -> &str {
    process.rsplit_once('#').map_or(process, |(name, _)| name)
}

/// What may be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruning {
    /// Sessions that ended before this moment, and all that belongs to them; `None` keeps them.
    pub sessions_before: Option<Timestamp>,
    /// Attempts to reconnect, and requests that were turned away, before this moment.
    pub attempts_before: Timestamp,
    /// Rows of each that are kept, however young the others are.
    pub attempts_max: u32,
    /// Rows of one table at most, so that nobody waits long for it.
    pub rows_max: u32,
}

//! The processes that use one store, as they say of themselves.

use std::sync::Arc;

use crate::session::Timestamp;

/// A process: a row of `archon_mcp_nodes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// Which process; another name after each start.
    pub node: Arc<str>,
    /// Its sign of life.
    pub heard_at: Timestamp,
    /// Nothing heard of it until then, it is gone.
    pub expected_until: Timestamp,
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

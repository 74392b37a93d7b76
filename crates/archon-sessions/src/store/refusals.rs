//! What is kept of requests that were turned away before they had a place in a session. Strangers cause them, so they
//! are counted by the minute.

use std::sync::Arc;

use crate::session::{Network, Principal, Timestamp};

/// Requests that were turned away for one cause, at one upstream, from one address, within a minute: a row of
/// `archon_mcp_refusals`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRequests {
    /// When that minute began.
    pub minute: Timestamp,
    /// Why, in one word.
    pub cause: &'static str,
    /// Where; empty for what is no upstream's.
    pub upstream: Arc<str>,
    /// From where; `None` where that is not known, or one of too many.
    pub peer: Option<Network>,
    /// Who sent the first of them.
    pub principal: Principal,
    /// What its sender calls itself.
    pub client: Option<Box<str>>,
    /// What it was told.
    pub detail: Box<str>,
    /// How many there were. They are added to those that are stored, twice where the answer to a commit was lost.
    pub count: u32,
    /// When the last of them came.
    pub last_at: Timestamp,
}

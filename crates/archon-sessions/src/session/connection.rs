//! A connection: a legacy handshake that we answered, and what is needed to redo it upstream.

use std::sync::Arc;

use super::{McpSessionId, Principal, SessionId, Timestamp};

/// A handle (`Mcp-Session-Id` value) bound to a session. It outlives the session's presence: after an
/// idle timeout the same handle is bound to the session that continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// What the client sends.
    pub handle: McpSessionId,
    /// The session it is bound to now.
    pub session: SessionId,
    /// The name of the upstream it was opened at; the handle means nothing elsewhere.
    pub upstream: Arc<str>,
    /// Who opened it; to anyone else the handle is unknown.
    pub principal: Principal,
    /// The negotiated version.
    pub protocol_version: Box<str>,
    /// The `params` of the client's `initialize`, as JSON text.
    pub initialize: Arc<str>,
    /// The upstream's own `Mcp-Session-Id` for it, if the upstream keeps one.
    pub link: Option<Box<str>>,
    /// What the client set up on it since, as JSON text that the tracker writes and reads.
    pub setup: Option<Arc<str>>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Set once it has ended: the handle answers 404 from then on.
    pub ended_at: Option<Timestamp>,
}

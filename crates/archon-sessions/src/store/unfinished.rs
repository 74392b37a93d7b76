//! What is kept of calls and streams that are not over: the ledger of calls in flight, and the log of
//! events that their clients may not have yet.

use std::sync::Arc;

use bytes::Bytes;

use crate::protocol::event_id::StreamId;
use crate::session::{McpSessionId, SessionId, Timestamp};

/// Names a call in the ledger, unique over all calls of all times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub i64);

/// A call that was begun and has not ended: a row of `archon_mcp_calls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCall {
    /// Which.
    pub id: CallId,
    /// Whose.
    pub session: SessionId,
    /// On which legacy connection.
    pub handle: Option<McpSessionId>,
    /// The JSON-RPC id as JSON text.
    pub request: Box<str>,
    /// A digest of its `params`, to know the same call again.
    pub digest: Box<str>,
    /// The JSON-RPC method.
    pub method: Box<str>,
    /// The tool, where one was called.
    pub tool: Option<Box<str>>,
    /// The upstream it went to.
    pub upstream: Arc<str>,
    /// When it arrived.
    pub started: Timestamp,
    /// Size of the request's body.
    pub request_bytes: i64,
    /// The process that has it in flight.
    pub node: Arc<str>,
}

/// An event of a legacy stream, as it was sent: a row of `archon_mcp_events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// On which stream.
    pub stream: StreamId,
    /// Its number there.
    pub seq: u64,
    /// The connection that the stream belongs to; to any other it is unknown.
    pub handle: McpSessionId,
    /// The event's lines, the empty one at their end included.
    pub bytes: Bytes,
    /// Whether it, or one before it, was the last answer that the stream was to bring.
    pub is_answered: bool,
    /// When it was sent.
    pub at: Timestamp,
}

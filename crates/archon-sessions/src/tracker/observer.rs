//! Who watches the tracker: what happened is told once, in types, and off the way of a call.
//!
//! A hook instead of a facade for metrics: one telling serves metrics and traces alike, each tracker has its own
//! observer instead of one for the process, and the library depends on no exporter.

use std::fmt;
use std::time::Duration;

use super::call::Carried;
use crate::session::{McpSessionId, Session, SessionId, Timestamp};
use crate::store::{Outcome, RequestRow};

/// Hears what happens; what it does not implement, it does not care for. Requests and batches are told by the
/// writer's thread, the others by whoever does them; all must be quick, since nothing else is written meanwhile.
pub trait Observer: fmt::Debug + Send + Sync {
    /// A session began. `client_type` is one of a bounded number.
    fn session_began(&self, _client_type: &str, _session: &Session) {}

    /// A session ended; `session` says how.
    fn session_ended(&self, _client_type: &str, _session: &Session) {}

    /// A request ended. While the store is away this is told all the same; not of rows that were dropped because
    /// too many waited.
    fn request_ended(&self, _request: &EndedRequest<'_>) {}

    /// The row of a request that had ended is on its way to the store: its tokens are known now.
    fn request_counted(&self, _row: &RequestRow) {}

    /// The store wrote a batch.
    fn batch_written(&self, _rows: usize, _took: Duration) {}

    /// The store could not write a batch, or has not answered for long; the batch is tried again.
    fn store_failed(&self) {}

    /// The start found so many active sessions, and so many that had timed out meanwhile.
    fn recovered(&self, _active: usize, _timed_out: usize) {}

    /// The start found so many calls that a crash had interrupted.
    fn interrupted(&self, _calls: usize) {}

    /// The reaper looked for silent sessions, and ended so many.
    fn reaped(&self, _ended: usize) {}

    /// Calls of a session run without the upstream state of those before, since its client shows no proof. Told once
    /// for each session.
    fn state_lost(&self, _upstream: &str, _session: &Session) {}

    /// A request was turned away before it had a place in a session. `cause` is one of a fixed number of words, and
    /// `upstream` is empty for what is no upstream's.
    fn refused(&self, _upstream: &str, _cause: &'static str) {}

    /// Returns true if requests should keep where they stand in their clients' traces.
    fn wants_trace_context(&self) -> bool {
        false
    }
}

/// A request that has ended.
#[derive(Debug)]
pub struct EndedRequest<'a> {
    /// Whose.
    pub session: SessionId,
    /// The handle of its legacy connection.
    pub handle: Option<McpSessionId>,
    /// Its id as JSON text.
    pub id: &'a str,
    /// The JSON-RPC method, as the client wrote it.
    pub method: &'a str,
    /// The tool, where one was called.
    pub tool: Option<&'a str>,
    /// The upstream it went to.
    pub upstream: &'a str,
    /// The protocol version of its connection, or what it said itself.
    pub protocol_version: &'a str,
    /// When it arrived.
    pub started: Timestamp,
    /// How long its answer took.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// Of which kind its failure is, if it failed.
    pub error: Option<ErrorType>,
    /// What went wrong, in words.
    pub error_message: Option<&'a str>,
    /// Size of the request's body.
    pub request_bytes: u64,
    /// Size of what was sent in answer.
    pub response_bytes: u64,
    /// Where it stands in a trace; only if the observer wants to know.
    pub carried: Option<&'a Carried>,
}

/// How a request failed, in few words: `error.type` of OpenTelemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// Not answered in time.
    Timeout,
    /// A tool's result with `isError`.
    Tool,
    /// A JSON-RPC error of this code: the upstream's or our own.
    Code(i64),
    /// Nobody answered it: its client cancelled it, or the upstream sent none.
    Unanswered,
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("timeout"),
            Self::Tool => f.write_str("tool_error"),
            Self::Code(code) => write!(f, "{code}"),
            Self::Unanswered => f.write_str("unanswered"),
        }
    }
}

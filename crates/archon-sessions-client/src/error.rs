//! What can go wrong, told apart by what a caller does next.

use std::error::Error as StdError;
use std::time::Duration;

use http::StatusCode;
use rmcp::model::CallToolResult;
use serde_json::Value;

/// The cause of an error, where there is one.
pub type Source = Box<dyn StdError + Send + Sync>;

/// Why a request has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server was reached and there is no session to send this in. Nothing has run.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The server could not be reached, or does not take the request now. Nothing has run: try again later.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The server answered, and its answer is an error. Calling again gives the same, or runs the tool again.
    #[error(transparent)]
    Tool(Box<ToolError>),
    /// The call may have run. Check before you call again; it is never sent again for you, unless the tool is
    /// idempotent and you said that this is to be believed ([`RetryPolicy::trust_annotations`](crate::RetryPolicy)).
    #[error(transparent)]
    OutcomeUnknown(#[from] OutcomeUnknown),
}

impl Error {
    /// Returns whether nothing has run, so that calling again cannot do anything twice.
    pub fn is_safe_to_repeat(&self) -> bool {
        match self {
            Self::Session(_) | Self::Connection(_) => true,
            Self::Tool(_) | Self::OutcomeUnknown(_) => false,
        }
    }
}

impl From<ToolError> for Error {
    fn from(error: ToolError) -> Self {
        Self::Tool(Box::new(error))
    }
}

/// There is no session to send a request in.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SessionError {
    /// What to do about it depends on this.
    pub reason: SessionReason,
    pub(crate) message: String,
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionReason {
    /// [`Client::close`](crate::Client::close) was called.
    Closed,
    /// The server does not take our handshake: what it says is in the message.
    HandshakeRefused,
    /// The server speaks no protocol version that was allowed; these it does speak.
    UnsupportedVersion(Vec<String>),
    /// The server does not know the session, and does not know the one that was made in its place either.
    Unknown,
    /// A session was not given back. The result is one of the gateway's: `token_mismatch`, `token_expired`,
    /// `session_already_disconnected`, `rate_limited`, …
    NotReconnected(String),
    /// The server keeps no sessions that can be taken back: there is no gateway of ours in front of it.
    NotTracked,
}

impl SessionError {
    pub(crate) fn new(reason: SessionReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    pub(crate) fn closed() -> Self {
        Self::new(SessionReason::Closed, "this client was closed; connect another one")
    }
}

/// The server could not be reached, or does not take a request now. Nothing has run.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConnectionError {
    /// What to do about it depends on this.
    pub reason: ConnectionReason,
    /// When to try again, where the server said so.
    pub retry_after: Option<Duration>,
    pub(crate) message: String,
    #[source]
    source: Option<Source>,
}

/// Why a request did not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionReason {
    /// No connection: refused, no such name, no TLS, or not in time.
    Unreachable,
    /// The gateway is there, the server behind it is not.
    UpstreamUnreachable,
    /// The server asks to wait: too many requests, or it is not ready.
    Busy,
    /// The credentials are missing or not good.
    Unauthorized,
    /// The server, or something before it, refuses requests like this one, with this status.
    Refused(StatusCode),
}

impl ConnectionError {
    pub(crate) fn new(reason: ConnectionReason, message: impl Into<String>) -> Self {
        Self { reason, retry_after: None, message: message.into(), source: None }
    }

    pub(crate) fn caused(self, source: impl Into<Source>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    pub(crate) fn retry_after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }
}

/// The server answered with an error.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ToolError {
    /// The JSON-RPC code, where the request itself failed; `None` where a tool ran and said that it failed.
    pub code: Option<i64>,
    /// What came with the code.
    pub data: Option<Value>,
    /// What the tool returned, with `isError`.
    pub result: Option<CallToolResult>,
    /// What the tool needs to know first: the modern `input_required` result as it came, with `inputRequests` and
    /// `requestState`. A [`Handler`](crate::Handler) answers that.
    pub input_required: Option<Value>,
    pub(crate) message: String,
}

impl ToolError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code: None, data: None, result: None, input_required: None, message }
    }
}

/// The call may have run, and its answer did not come.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct OutcomeUnknown {
    /// What is known of it.
    pub reason: UnknownReason,
    pub(crate) message: String,
    #[source]
    source: Option<Source>,
}

/// How an outcome came to be unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownReason {
    /// The connection broke after the request was sent.
    ConnectionLost,
    /// No answer in time: the call may still run.
    TimedOut,
    /// The server behind the gateway was lost, or the gateway was, while the call was in flight.
    UpstreamLost,
    /// The call has run, and its answer is no longer kept.
    AnswerGone,
}

impl OutcomeUnknown {
    pub(crate) fn new(reason: UnknownReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), source: None }
    }

    pub(crate) fn caused(self, source: impl Into<Source>) -> Self {
        Self { source: Some(source.into()), ..self }
    }
}

//! Names on the wire: headers, cookie, `_meta` keys.

use http::HeaderName;

/// A legacy connection's handle (MCP 2025-11-25, Transports, Session Management).
pub const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// Accepted in place of [`MCP_SESSION_ID`] for clients that could not send that.
pub const X_MCP_SESSION_ID: HeaderName = HeaderName::from_static("x-mcp-session-id");
/// The session in force: in every answer, and accepted from the client.
pub const X_ARCHON_SESSION_ID: HeaderName = HeaderName::from_static("x-archon-session-id");
/// A long random value from an agent's configuration: a proof that all its requests show.
pub const X_ARCHON_CLIENT_KEY: HeaderName = HeaderName::from_static("x-archon-client-key");
/// Between nodes only: the node that has the session of a request which was sent to another.
pub const X_ARCHON_OWNER: HeaderName = HeaderName::from_static("x-archon-owner");
/// How long, in whole seconds, a client wants its new session to be allowed to be silent.
pub const X_ARCHON_SESSION_TIMEOUT: HeaderName =
    HeaderName::from_static("x-archon-session-timeout");
/// The protocol version of a request after the handshake, or of every modern request.
pub const MCP_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// Mirrors `method` in the modern era.
pub const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// Mirrors `params.name`, `params.uri` or `params.taskId` in the modern era.
pub const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");
/// Where a legacy client wants a stream to go on from.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx and its kind not to gather an event stream before they pass it on.
pub const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Where the HTTP request stands in a trace (W3C Trace Context).
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The cookie that shows which session a modern client belongs to: see [`Cookie`](crate::session::Cookie).
pub const COOKIE: &str = "archon_session";

/// `_meta` keys of the modern era.
pub mod meta {
    /// Required: the version this request speaks.
    pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// Required: what the client can do.
    pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// Optional: who the client is.
    pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
}

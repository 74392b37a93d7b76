//! What crosses the wire: HTTP requests, JSON-RPC messages, streams of events.

pub(crate) mod headers;
pub(crate) mod http;
pub(crate) mod message;
pub(crate) mod sse;

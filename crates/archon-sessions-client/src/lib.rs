//! A client for MCP servers behind Archon Sessions.
mod client;
mod error;
mod handler;
mod retry;
mod session;
mod state;
mod wire;

pub use client::{CallOptions, Client, ClientBuilder, Health, Heartbeat};
pub use error::{
    ConnectionError, ConnectionReason, Error, OutcomeUnknown, SessionError, SessionReason, Source,
    ToolError, UnknownReason,
};
pub use handler::Handler;
pub use retry::RetryPolicy;
pub use rmcp::model;
pub use session::{ChangeCause, Era, EraChoice, Session, SessionChange};
pub use state::{SavedState, Secret};

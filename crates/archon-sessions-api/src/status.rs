//! The process: how it runs and how it is configured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Time;

/// `GET /api/mcp/status`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceStatus {
    /// Always `running`.
    pub status: String,
    /// Seconds since the start.
    pub uptime: u64,
    /// The latest warnings and errors of this process, oldest first.
    pub logs: Vec<LogLine>,
    /// Its version.
    pub version: String,
    /// Sessions that are present on this gateway.
    pub active_sessions: u64,
    /// Whether the session store works.
    pub store: StoreStatus,
    /// Upstreams by name.
    pub upstreams: BTreeMap<String, UpstreamStatus>,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Time,
    /// `WARN` or `ERROR`.
    pub level: String,
    /// What it says.
    pub message: String,
}

/// The session store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreStatus {
    /// `healthy` or `unhealthy`.
    pub status: String,
    /// Why it is not healthy.
    pub reason: Option<String>,
    /// Rows that wait to be written.
    pub queued_rows: u64,
    /// Rows that could not wait any longer.
    pub dropped_rows: u64,
    /// Rows in a database file that was removed while it was open.
    pub lost_rows: u64,
}

/// An upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpstreamStatus {
    /// `up`, `down` or `unknown`, by what happened last.
    pub status: String,
    /// Processes that run its command; `null` for one that is reached over HTTP.
    pub children: Option<u64>,
}

/// `GET /api/mcp/config`: what a client or an operator may want to know, and no secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceConfig {
    /// Where the MCP endpoint listens.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Always `streamable-http`.
    pub transport: String,
    /// Its path.
    pub path: String,
    /// The port of this API.
    pub api_port: u16,
    /// Upstreams, the default one first.
    pub upstreams: Vec<UpstreamConfig>,
    /// What sessions are kept in: `sqlite`, `postgres` or `memory`.
    pub database: String,
    /// `relaxed` or `strict`.
    pub durability: String,
    /// Seconds that a session may be silent.
    pub session_timeout: u64,
    /// Seconds between two looks of the reaper.
    pub reap_every_seconds: u64,
    /// Seconds that a handle is good after an idle timeout.
    pub resume_window_seconds: u64,
    /// Seconds that a call may go without a sign of its answer.
    pub call_timeout_seconds: u64,
    /// Whether this API requires a token.
    pub auth_required: bool,
    /// The model whose price estimates costs.
    pub pricing_model: Option<String>,
}

/// An upstream as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpstreamConfig {
    /// Its name.
    pub name: String,
    /// Its path on the MCP port.
    pub path: String,
    /// `http`, `stdio` or `demo`.
    pub kind: String,
}

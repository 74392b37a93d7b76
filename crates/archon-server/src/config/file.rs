//! `archon.toml` as it is written; what it leaves out stays unset.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use archon_sessions_api::access::Role;
use indexmap::IndexMap;
use serde::Deserialize;

use super::auth::Auth;
use super::time::{Days, Minutes, Seconds, SecondsOrZero};
use super::{Crossing, Durability, LogFormat};

/// The whole file. An unknown key is an error: a misspelt limit must not pass for a limit.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    pub server: Server,
    pub node: Node,
    pub api: Api,
    pub store: Store,
    pub sessions: Sessions,
    pub limits: Limits,
    pub websocket: WebSocket,
    pub tools: Tools,
    pub log: Log,
    pub telemetry: Telemetry,
    pub health: Health,
    pub auth: Auth,
    /// In the order of the file: it says which is the default.
    pub upstreams: IndexMap<String, Upstream>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    pub host: Option<String>,
    pub mcp_port: Option<u16>,
    pub server_port: Option<u16>,
    pub keep_port_seconds: Option<SecondsOrZero>,
    pub allowed_hosts: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    pub probe_seconds: Option<SecondsOrZero>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    pub name: Option<String>,
    pub address: Option<String>,
    pub lease_seconds: Option<Seconds>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    pub tokens: Vec<ApiToken>,
    pub cors_origins: Vec<String>,
}

/// `[[api.tokens]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiToken {
    pub name: String,
    pub sha256: String,
    pub role: Role,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    pub database: Option<String>,
    pub durability: Option<Durability>,
    pub retention_days: Option<Days>,
    pub events_bytes_per_client: Option<usize>,
    pub events_bytes_max: Option<usize>,
    pub events_seconds_max: Option<Seconds>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sessions {
    pub idle_timeout_seconds: Option<Seconds>,
    pub absolute_timeout_seconds: Option<Seconds>,
    pub idle_timeout_seconds_max: Option<Seconds>,
    pub timeouts: Vec<TimeoutRule>,
    pub reap_every_seconds: Option<Seconds>,
    pub resume_window_seconds: Option<Seconds>,
    pub call_timeout_seconds: Option<Seconds>,
    pub reconnect_token_minutes: Option<Minutes>,
    pub reconnects_per_minute: Option<u32>,
    pub reconnects_per_minute_of_address: Option<u32>,
    pub calls_max: Option<u32>,
    pub streams_max: Option<u32>,
    pub sessions_max: Option<usize>,
    pub pricing_model: Option<String>,
    pub count_tokens: Option<bool>,
}

/// `[[sessions.timeouts]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeoutRule {
    pub client: Option<String>,
    pub principal: Option<String>,
    pub user: Option<String>,
    pub idle_timeout_seconds: Seconds,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub body_bytes_max: Option<usize>,
    pub body_seconds_max: Option<Seconds>,
    /// Its older name was of the one era that it counted.
    #[serde(alias = "initialize_per_second")]
    pub new_sessions_per_second: Option<u32>,
    #[serde(alias = "initialize_burst")]
    pub new_sessions_burst: Option<u32>,
    pub limit_loopback: Option<bool>,
    pub connections_max: Option<usize>,
    pub connections_max_per_address: Option<usize>,
    pub header_seconds_max: Option<Seconds>,
    pub headers_max: Option<usize>,
    pub header_bytes_max: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebSocket {
    pub listeners_max: Option<usize>,
    pub backlog_bytes: Option<usize>,
    pub ping_seconds: Option<Seconds>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tools {
    pub inject: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub format: Option<LogFormat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    pub otlp_endpoint: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    #[serde(default)]
    pub default: bool,
    #[serde(default)]
    pub trust_annotations: bool,
    #[serde(default)]
    pub bridge: Crossing,
    pub call_timeout_seconds: Option<Seconds>,
    // One that is reached over HTTP:
    pub url: Option<String>,
    pub headers: Option<BTreeMap<String, String>>,
    pub connect_timeout_seconds: Option<Seconds>,
    pub restart_grace_seconds: Option<SecondsOrZero>,
    pub tls_ca_file: Option<PathBuf>,
    pub forward_headers: Option<Vec<String>>,
    #[serde(default)]
    pub forward_authorization: bool,
    pub bearer_env: Option<String>,
    pub identity_header: Option<String>,
    // One that we start ourselves:
    pub command: Option<Command>,
    pub env: Option<BTreeMap<String, String>>,
    pub cwd: Option<PathBuf>,
    pub shared: Option<bool>,
    pub children_max: Option<usize>,
    pub idle_shutdown_seconds: Option<Seconds>,
    pub stop_seconds: Option<Seconds>,
    pub start_timeout_seconds: Option<Seconds>,
    pub message_bytes_max: Option<usize>,
}

/// A command: words, or a line that is split into words as a shell would.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Command {
    Line(String),
    Words(Vec<String>),
}

/// Reads a file.
///
/// # Errors
/// If it cannot be read, or is not what this type says; the message names the line.
pub fn read(path: &Path) -> anyhow::Result<File> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("could not read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not a good configuration", path.display()))
}

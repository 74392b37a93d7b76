//! The configuration: `archon.toml`, then the environment, then flags; each default with its reason.

mod api;
mod auth;
mod database;
mod digest;
mod file;
mod forwarding;
mod reconnect;
mod stdio;
mod time;
mod upstream;
mod websocket;

pub use api::{ApiConfig, TOKEN_VARIABLE};
pub use auth::{ApiKeyConfig, AuthConfig, IssuerConfig, is_loopback, is_secure};
pub use database::{Database, NAMELESS_NODE};
pub use digest::SecretDigest;
pub use forwarding::{Forwarding, X_API_KEY, is_of_one_hop};
pub use reconnect::TokenVariables;
pub use stdio::StdioConfig;
pub use upstream::{Crossing, HttpConfig, Reached, UpstreamConfig, split_variable};
pub use websocket::FeedLimits;

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use archon_sessions::layer::{AllowedHosts, Limits};
use archon_sessions::session::{Pattern, TimeoutRule};
use archon_sessions::tracker::{self, AddressRate, Settings};
use clap::ValueEnum;
use serde::Deserialize;

use time::Time;

/// A configuration that has been checked.
#[derive(Debug)]
pub struct Config {
    /// Address to listen on. This machine only, unless the operator says otherwise.
    pub host: String,
    /// Port of the MCP endpoint.
    pub mcp_port: u16,
    /// Port of the API and health.
    pub server_port: u16,
    /// How long the MCP endpoint's port stays open after the process, for the next one; zero for not at all.
    pub keep_port: Duration,
    /// Where sessions are kept.
    pub database: Database,
    /// The name of this gateway among those that use the database, if the operator gave it one.
    pub node: Option<String>,
    /// Where other gateways on the database reach this one; `None` if it is alone on it.
    pub node_address: Option<String>,
    /// Who may use the MCP endpoint; `None` for everybody.
    pub auth: Option<AuthConfig>,
    /// The servers we stand in front of; the first is the default.
    pub upstreams: Vec<UpstreamConfig>,
    /// Whether our own tools stand beside the upstream's.
    pub inject_tools: bool,
    /// How sessions behave.
    pub sessions: Settings,
    /// Where the layer draws its lines.
    pub limits: Limits,
    /// Where the listener draws its lines.
    pub listen: ListenLimits,
    /// Who may use the API.
    pub api: ApiConfig,
    /// Where the feed of live events draws its lines.
    pub feed: FeedLimits,
    /// How log lines look.
    pub log: LogConfig,
    /// Where traces go.
    pub telemetry: TelemetryConfig,
    /// How often we look whether upstreams are there; `None` for never.
    pub probe_every: Option<Duration>,
}

/// Bounds on what a peer can open before it has said anything.
#[derive(Clone, Copy, Debug)]
pub struct ListenLimits {
    /// Connections at a time; more wait in the kernel's queue.
    pub connections_max: usize,
    /// Connections of one address at a time; more are closed at once.
    pub connections_max_per_address: usize,
    /// Whether addresses of this machine count as well.
    pub limits_loopback: bool,
    /// How long a peer may take to send its request's headers.
    pub header_time_max: Duration,
    /// Headers of one request.
    pub headers_max: usize,
    /// Bytes of one request's headers.
    pub header_bytes_max: usize,
}

impl ListenLimits {
    /// Ten times what a client sends.
    pub const HEADERS_MAX: usize = 100;
}

/// How log lines look.
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    /// Text or JSON.
    pub format: LogFormat,
}

/// Where traces go.
#[derive(Clone, Debug, Default)]
pub struct TelemetryConfig {
    /// The address of an OpenTelemetry collector, without the path for traces. The standard variables win over it.
    pub otlp_endpoint: Option<String>,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// What a crash may cost; see [`tracker::Durability`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// A crash may lose the request rows of the last 250 ms.
    #[default]
    Relaxed,
    /// A crash loses no row.
    Strict,
}

/// What flags and the environment say; they win over the file.
#[derive(Debug, Default)]
pub struct Overrides {
    /// `NAME=URL` or `NAME=COMMAND`, in order.
    pub upstreams: Vec<String>,
    /// See [`Config::host`].
    pub host: Option<String>,
    /// See [`Config::mcp_port`].
    pub mcp_port: Option<u16>,
    /// See [`Config::server_port`].
    pub server_port: Option<u16>,
    /// A path, a PostgreSQL URL, or `memory`.
    pub db: Option<String>,
    /// See [`Settings::durability`].
    pub durability: Option<Durability>,
    /// Added to those of the file.
    pub allowed_hosts: Vec<String>,
    /// A token for the API that makes an operator. No flag: others can read a command line.
    pub api_token: Option<ApiSecret>,
    /// See [`Config::inject_tools`].
    pub no_tools: bool,
    /// See [`LogConfig::format`].
    pub log_format: Option<LogFormat>,
    /// See [`Config::node`].
    pub node: Option<String>,
    /// See [`Config::node_address`].
    pub node_address: Option<String>,
    /// What the environment says of reconnect tokens.
    pub tokens: TokenVariables,
}

/// A token in clear; it is never shown.
pub struct ApiSecret(pub String);

impl std::fmt::Debug for ApiSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiSecret")
    }
}

/// Read if it is there and no other file is named.
const DEFAULT_FILE: &str = "archon.toml";
const DEFAULT_HOST: &str = "127.0.0.1";
const DEFAULT_MCP_PORT: u16 = 8051;
const DEFAULT_SERVER_PORT: u16 = 8181;
/// Clients give a connection up after 30 s, as the SDKs do. Where a gateway is one of many, a balancer sends its clients to
/// the others sooner if they are refused.
const KEEP_PORT: Duration = Duration::from_secs(30);
/// Where nodes on one machine reach each other: at a port of the system's choice.
const DEFAULT_NODE_ADDRESS: &str = "127.0.0.1:0";
/// How long a node is waited for of which nothing is heard.
const LEASE: Duration = Duration::from_secs(10);

impl Config {
    /// Reads the file, applies what wins over it, and checks the whole.
    ///
    /// # Errors
    /// With what is wrong, and where.
    pub fn load(path: Option<&Path>, overrides: Overrides) -> anyhow::Result<Self> {
        let file = Self::file(path)?;
        Self::build(file, overrides)
    }

    /// Reads where the gateway listens, and nothing else: the rest may need an environment that only the
    /// gateway has.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn addresses(path: Option<&Path>, overrides: Overrides) -> anyhow::Result<Addresses> {
        Ok(Addresses::of(Self::file(path)?.server, &overrides))
    }

    /// Reads where sessions are kept, and nothing else.
    ///
    /// # Errors
    /// If the file cannot be read, or names no database.
    pub fn database(path: Option<&Path>, overrides: Overrides) -> anyhow::Result<Database> {
        let database = overrides.db.or(Self::file(path)?.store.database);
        database.as_deref().unwrap_or(database::DEFAULT).parse()
    }

    fn file(path: Option<&Path>) -> anyhow::Result<file::File> {
        match path {
            Some(path) => file::read(path),
            None if Path::new(DEFAULT_FILE).exists() => file::read(Path::new(DEFAULT_FILE)),
            None => Ok(file::File::default()),
        }
    }

    fn build(file: file::File, overrides: Overrides) -> anyhow::Result<Self> {
        let file::File {
            server,
            api,
            node,
            store,
            sessions,
            limits,
            websocket,
            tools,
            log,
            telemetry,
            health,
            auth,
            upstreams,
        } = file;
        let mut hosts = server.allowed_hosts.clone();
        let keep_port = server.keep_port_seconds;
        let Addresses { host, mcp_port, server_port } = Addresses::of(server, &overrides);
        hosts.extend(overrides.allowed_hosts);
        let is_loopback =
            host.parse().map_or(host == "localhost", |ip: std::net::IpAddr| ip.is_loopback());
        if !is_loopback && hosts.iter().all(|name| AllowedHosts::is_origin(name)) {
            bail!(
                "listening on {host} needs `allowed_hosts`: the names under which clients reach this \
                 server (or \"*\" to let in any name, which gives up the guard against DNS rebinding)"
            );
        }
        let api = ApiConfig::read(api, overrides.api_token.map(|ApiSecret(token)| token))?;
        api.check_reach(&host, is_loopback)?;
        let auth = auth.check(is_loopback)?;
        let mut upstreams: Vec<UpstreamConfig> = if overrides.upstreams.is_empty() {
            upstream::from_file(upstreams)?
        } else {
            overrides.upstreams.iter().map(|text| text.parse()).collect::<Result<_, _>>()?
        };
        upstream::check_names(&upstreams)?;
        let reconnect = sessions.reconnect(overrides.tokens, &limits)?;
        for upstream in &mut upstreams {
            if let Reached::Http(http) = &mut upstream.reached {
                http.forwarding.keeps_api_key = auth.is_some();
            }
        }
        let database = overrides.db.as_ref().or(store.database.as_ref());
        let database: Database = database.map_or(database::DEFAULT, String::as_str).parse()?;
        let address = overrides.node_address.or(node.address);
        let lease = Time::or(node.lease_seconds, LEASE);
        let node = node_name(overrides.node.or(node.name))?;
        let is_one_of_many = node.is_some() || matches!(database, Database::Postgres(_));
        let standard = if is_one_of_many { Duration::ZERO } else { KEEP_PORT };
        Ok(Self {
            mcp_port,
            server_port,
            keep_port: Time::or(keep_port, standard),
            database,
            node,
            node_address: is_one_of_many
                .then(|| address.unwrap_or_else(|| DEFAULT_NODE_ADDRESS.to_owned())),
            auth,
            upstreams,
            inject_tools: !overrides.no_tools && tools.inject.unwrap_or(true),
            sessions: Settings {
                reconnect,
                new_sessions: limits.new_sessions(),
                lease: if is_one_of_many { lease } else { Settings::default().lease },
                ..sessions.settings(&store, overrides.durability)?
            },
            limits: limits.layer(AllowedHosts::loopback().and(hosts).and([&host])),
            listen: limits.listen()?,
            telemetry: telemetry.checked()?,
            probe_every: health.probe_every(),
            api,
            feed: websocket.feed(),
            log: LogConfig { format: overrides.log_format.or(log.format).unwrap_or_default() },
            host,
        })
    }
}

/// Where a gateway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// See [`Config::host`].
    pub host: String,
    /// See [`Config::mcp_port`].
    pub mcp_port: u16,
    /// See [`Config::server_port`].
    pub server_port: u16,
}

impl Addresses {
    fn of(server: file::Server, overrides: &Overrides) -> Self {
        let host = overrides.host.clone().or(server.host);
        Self {
            host: host.unwrap_or_else(|| DEFAULT_HOST.into()),
            mcp_port: overrides.mcp_port.or(server.mcp_port).unwrap_or(DEFAULT_MCP_PORT),
            server_port: overrides
                .server_port
                .or(server.server_port)
                .unwrap_or(DEFAULT_SERVER_PORT),
        }
    }
}

/// Returns the name if it can be told from an incarnation's.
fn node_name(name: Option<String>) -> anyhow::Result<Option<String>> {
    match &name {
        Some(text) if text.is_empty() || text.contains('#') => {
            bail!("`node.name` must be a text without `#`, not {text:?}")
        }
        Some(_) | None => Ok(name),
    }
}

impl file::Sessions {
    fn settings(
        self,
        store: &file::Store,
        durability: Option<Durability>,
    ) -> anyhow::Result<Settings> {
        let standard = Settings::default();
        Ok(Settings {
            idle_timeout: Time::or(self.idle_timeout_seconds, standard.idle_timeout),
            absolute_timeout: self.absolute_timeout_seconds.map(|limit| limit.0),
            retention: store.retention_days.map(|days| days.0),
            idle_timeout_max: Time::or(self.idle_timeout_seconds_max, standard.idle_timeout_max),
            timeout_rules: self
                .timeouts
                .into_iter()
                .map(file::TimeoutRule::rule)
                .collect::<anyhow::Result<_>>()?,
            reap_every: Time::or(self.reap_every_seconds, standard.reap_every),
            resume_window: Time::or(self.resume_window_seconds, standard.resume_window),
            call_timeout: Time::or(self.call_timeout_seconds, standard.call_timeout),
            calls_max: self.calls_max.unwrap_or(standard.calls_max),
            streams_max: self.streams_max.unwrap_or(standard.streams_max),
            sessions_max: self.sessions_max.unwrap_or(standard.sessions_max),
            pricing_model: self.pricing_model.map(Into::into).or(standard.pricing_model),
            count_tokens: self.count_tokens.unwrap_or(standard.count_tokens),
            durability: match durability.or(store.durability).unwrap_or_default() {
                Durability::Relaxed => tracker::Durability::Relaxed,
                Durability::Strict => tracker::Durability::Strict,
            },
            events_bytes_per_client: store
                .events_bytes_per_client
                .unwrap_or(standard.events_bytes_per_client),
            events_bytes_max: store.events_bytes_max.unwrap_or(standard.events_bytes_max),
            events_age_max: Time::or(store.events_seconds_max, standard.events_age_max),
            // Those of other tables are put beside them.
            ..standard
        })
    }
}

impl file::Health {
    /// A server that is away is noticed within the time in which people look twice.
    fn probe_every(&self) -> Option<Duration> {
        let every = Time::or(self.probe_seconds, Duration::from_secs(30));
        Some(every).filter(|every| !every.is_zero())
    }
}

impl file::Telemetry {
    fn checked(self) -> anyhow::Result<TelemetryConfig> {
        let otlp_endpoint = self.otlp_endpoint;
        let is_address = |text: &String| {
            let uri = text.parse::<http::Uri>().ok();
            uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")))
        };
        if !otlp_endpoint.as_ref().is_none_or(is_address) {
            bail!("`telemetry.otlp_endpoint` must be an address such as http://127.0.0.1:4318");
        }
        Ok(TelemetryConfig { otlp_endpoint })
    }
}

impl file::TimeoutRule {
    fn rule(self) -> anyhow::Result<TimeoutRule> {
        if self.client.is_none() && self.principal.is_none() && self.user.is_none() {
            bail!("a rule of `sessions.timeouts` names a `client`, a `principal`, or a `user`");
        }
        let idle_timeout = self.idle_timeout_seconds.0;
        let pattern = |text: Option<String>| text.as_deref().map(Pattern::new);
        let (client, principal) = (pattern(self.client), pattern(self.principal));
        Ok(TimeoutRule { client, principal, user: pattern(self.user), idle_timeout })
    }
}

impl file::Limits {
    fn layer(&self, hosts: AllowedHosts) -> Limits {
        let standard = Limits::default();
        Limits {
            body_bytes_max: self.body_bytes_max.unwrap_or(standard.body_bytes_max),
            body_time_max: Time::or(self.body_seconds_max, standard.body_time_max),
            hosts,
            call_timeout: None,
        }
    }

    fn new_sessions(&self) -> AddressRate {
        let rate = AddressRate::default();
        AddressRate {
            per_second: self.new_sessions_per_second.unwrap_or(rate.per_second),
            burst: self.new_sessions_burst.unwrap_or(rate.burst),
            limits_loopback: self.limit_loopback.unwrap_or(rate.limits_loopback),
        }
    }

    fn listen(&self) -> anyhow::Result<ListenLimits> {
        let connections_max = self.connections_max.unwrap_or(10_000);
        // Half of them stay for others. One proxy in front may need as many as it has clients.
        let per_address = self.connections_max_per_address.unwrap_or((connections_max / 2).max(1));
        if per_address == 0 {
            bail!("`limits.connections_max_per_address` must be positive");
        }
        Ok(ListenLimits {
            connections_max,
            connections_max_per_address: per_address,
            limits_loopback: self.limit_loopback.unwrap_or_default(),
            // A connection that is kept open between two requests waits by the same clock.
            header_time_max: Time::or(self.header_seconds_max, Duration::from_secs(60)),
            headers_max: self.headers_max.unwrap_or(ListenLimits::HEADERS_MAX),
            header_bytes_max: self.header_bytes_max.unwrap_or(64 * 1024).max(8 * 1024),
        })
    }
}

#[cfg(test)]
mod tests;

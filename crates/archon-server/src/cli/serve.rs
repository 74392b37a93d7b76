//! `archon serve`: reads the configuration, checks it, and runs the server until it is told to stop.

mod check;

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::runtime;
use crate::config::{
    ApiSecret, Config, Database, Durability, LogFormat, Overrides, TOKEN_VARIABLE, TokenVariables,
    split_variable,
};
use crate::server::{Inherited, Init};
use crate::{logging, server};

/// Flags win over the environment, which wins over `archon.toml`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Configuration file [default: archon.toml, if there is one]
    #[arg(long, env = "ARCHON_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// MCP server to serve: its URL, or a command that speaks MCP on standard input and output; repeatable, the
    /// first is the default [env: ARCHON_UPSTREAM, one per line]. Without any, the built-in demo server answers.
    // Commands hold commas, so the variable is not for clap to split.
    #[arg(long = "upstream", value_name = "NAME=URL|COMMAND")]
    upstreams: Vec<String>,
    /// Address to listen on
    #[arg(long, env = "ARCHON_HOST")]
    host: Option<String>,
    /// Port of the MCP endpoint; 0 for any free port
    #[arg(long, env = "ARCHON_MCP_PORT", value_name = "PORT")]
    mcp_port: Option<u16>,
    /// Port of the API, the dashboard and health; 0 for any free port
    #[arg(long, env = "ARCHON_SERVER_PORT", value_name = "PORT")]
    server_port: Option<u16>,
    /// SQLite file, PostgreSQL URL (prefer the variable, since others can read a command line), or `memory`
    /// [env: also DATABASE_URL]
    #[arg(long, env = "ARCHON_DB", hide_env_values = true, value_name = "FILE|URL")]
    db: Option<String>,
    /// Node name, required where several gateways share a database
    #[arg(long, env = "ARCHON_NODE", value_name = "NAME")]
    node: Option<String>,
    /// Address at which other gateways on the database reach this one; never open it to clients
    #[arg(long, env = "ARCHON_NODE_ADDRESS", value_name = "HOST:PORT")]
    node_address: Option<String>,
    /// Durability of request rows in a crash
    #[arg(long, env = "ARCHON_DURABILITY", value_enum)]
    durability: Option<Durability>,
    /// Host name under which clients reach this server, or origin whose pages may use it; repeatable
    #[arg(
        long = "allowed-host",
        env = "ARCHON_ALLOWED_HOSTS",
        value_name = "HOST",
        value_delimiter = ','
    )]
    allowed_hosts: Vec<String>,
    /// Do not add the gateway's own tools
    #[arg(long, env = "ARCHON_NO_TOOLS")]
    no_tools: bool,
    /// Format of log lines
    #[arg(long, env = "ARCHON_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
    /// Check the configuration, the database, the ports and each upstream, and exit
    #[arg(long)]
    check: bool,
}

impl Serve {
    /// Runs the server.
    pub fn run(self) -> anyhow::Result<()> {
        let check = self.check;
        let file = self.config.clone();
        let config = Config::load(file.as_deref(), self.overrides())?;
        if check {
            return runtime::block_on(check::try_out(config));
        }
        // Before the runtime starts its threads: this changes the environment.
        let inherited = Inherited::take()?;
        if std::process::id() == 1 && inherited.is_empty() && !config.keep_port.is_zero() {
            let init = runtime::block_on(Init::open(&config))?;
            std::process::exit(init.run()?.into());
        }
        logging::start(config.log.format)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("could not start the runtime")?;
        runtime.block_on(server::run(config, inherited))
    }

    fn overrides(self) -> Overrides {
        Overrides {
            upstreams: if self.upstreams.is_empty() {
                split_variable(&std::env::var("ARCHON_UPSTREAM").unwrap_or_default())
            } else {
                self.upstreams
            },
            host: self.host,
            mcp_port: self.mcp_port,
            server_port: self.server_port,
            db: Database::overridden(self.db),
            durability: self.durability,
            allowed_hosts: self.allowed_hosts,
            api_token: std::env::var(TOKEN_VARIABLE).ok().map(ApiSecret),
            no_tools: self.no_tools,
            log_format: self.log_format,
            node: self.node,
            node_address: self.node_address,
            tokens: TokenVariables::read(),
        }
    }
}

//! `archon serve`: reads the configuration, checks it, and runs the server until it is told to stop.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::{print, runtime};
use crate::config::{
    ApiSecret, Config, Database, Durability, LogFormat, Overrides, TOKEN_VARIABLE, TokenVariables,
    UpstreamConfig, split_variable,
};
use crate::gateway::Upstream;
use crate::server::{Inherited, last_holder};
use crate::{logging, server};

/// Flags win over the environment, which wins over `archon.toml`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Configuration file [default: archon.toml, if there is one]
    #[arg(long, env = "ARCHON_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// An MCP server to stand in front of: its URL, or a command to start that speaks MCP on standard
    /// input and output; may be given several times, the first is the default [env: ARCHON_UPSTREAM, a
    /// line each]. Without any, the built-in demo server answers.
    // Commands hold commas, so the variable is not for clap to split.
    #[arg(long = "upstream", value_name = "NAME=URL|COMMAND")]
    upstreams: Vec<String>,
    /// Address to listen on
    #[arg(long, env = "ARCHON_HOST")]
    host: Option<String>,
    /// Port of the MCP endpoint; 0 takes a free one
    #[arg(long, env = "ARCHON_MCP_PORT", value_name = "PORT")]
    mcp_port: Option<u16>,
    /// Port of the API and health; 0 takes a free one
    #[arg(long, env = "ARCHON_SERVER_PORT", value_name = "PORT")]
    server_port: Option<u16>,
    /// SQLite file, PostgreSQL URL (better kept out of the command line, in the variable), or `memory`
    /// [env: also DATABASE_URL]
    #[arg(long, env = "ARCHON_DB", hide_env_values = true, value_name = "FILE|URL")]
    db: Option<String>,
    /// Name of this gateway among those that use the database
    #[arg(long, env = "ARCHON_NODE", value_name = "NAME")]
    node: Option<String>,
    /// What a crash may cost: rows of a quarter of a second, or nothing
    #[arg(long, env = "ARCHON_DURABILITY", value_enum)]
    durability: Option<Durability>,
    /// A host name under which clients reach this server, or an origin whose pages may use it; may be given several times
    #[arg(
        long = "allowed-host",
        env = "ARCHON_ALLOWED_HOSTS",
        value_name = "HOST",
        value_delimiter = ','
    )]
    allowed_hosts: Vec<String>,
    /// Leave out the gateway's own tools
    #[arg(long, env = "ARCHON_NO_TOOLS")]
    no_tools: bool,
    /// How log lines look
    #[arg(long, env = "ARCHON_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
    /// Check the configuration, try each upstream, and exit
    #[arg(long)]
    check: bool,
}

/// Says what `/mcp` leads to, and what that changes for clients of the gateway that has these files, or last had them.
fn default_upstream(upstreams: &[UpstreamConfig], before: Option<&str>) -> Option<String> {
    let default = upstreams.first()?;
    let why = if default.is_marked_default { "`default = true`" } else { "the first one" };
    let leads = format!("/mcp leads to {} ({why})", default.name);
    let Some(before) = before.filter(|before| *before != default.name) else { return Some(leads) };
    let before_is_there = upstreams.iter().any(|upstream| upstream.name == before);
    let moved = if before_is_there {
        "clients with an Mcp-Session-Id from there stay there, and all others move"
    } else {
        "which is no upstream any more: its clients begin new sessions"
    };
    let before = print::plain(before);
    Some(format!("{leads}\n/mcp last led to {before}; {moved}"))
}

/// Tries the upstreams of a configuration that is good in itself, and says what came of it.
async fn try_out(config: Config) -> anyhow::Result<()> {
    let files = config.database.files(config.node.as_deref());
    let before = files.and_then(|files| last_holder(&files)?.default_upstream);
    if let Some(said) = default_upstream(&config.upstreams, before.as_deref()) {
        print::lines(&said)?;
    }
    let mut failed = 0;
    for configured in &config.upstreams {
        let upstream = Upstream::open(configured)?;
        let tried = upstream.try_out().await;
        upstream.stop().await;
        match tried {
            Ok(()) => print::lines(&format!("upstream {} answers", configured.name))?,
            Err(why) => {
                failed += 1;
                let (name, why) = (&configured.name, print::plain(&why));
                print::lines(&format!("upstream {name} does not answer: {why}"))?;
            }
        }
    }
    match failed {
        0 => {
            let count = config.upstreams.len();
            print::lines(&format!("the configuration is good: {count} upstreams"))?;
        }
        1 => bail!("the configuration is good, but one of its upstreams does not answer"),
        more => bail!("the configuration is good, but {more} of its upstreams do not answer"),
    }
    Ok(())
}

impl Serve {
    /// Runs the server.
    pub fn run(self) -> anyhow::Result<()> {
        let check = self.check;
        let file = self.config.clone();
        let config = Config::load(file.as_deref(), self.overrides())?;
        if check {
            return runtime::block_on(try_out(config));
        }
        // Before the runtime starts its threads: this changes the environment.
        let inherited = Inherited::take()?;
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
            tokens: TokenVariables::read(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_said_with_what_moves() {
        let upstreams = ["a=http://a.example/mcp", "b=http://b.example/mcp"];
        let mut upstreams = upstreams.map(|text| text.parse().expect(text));
        let said = |upstreams: &[UpstreamConfig], before| {
            default_upstream(upstreams, before).expect("there are some")
        };
        for before in [None, Some("a")] {
            assert_eq!(said(&upstreams, before), "/mcp leads to a (the first one)");
        }
        upstreams[0].is_marked_default = true;
        let moved = said(&upstreams, Some("b"));
        assert!(moved.starts_with("/mcp leads to a (`default = true`)\n/mcp last led to b; "));
        assert!(moved.contains("stay there"), "{moved}");
        assert!(said(&upstreams, Some("gone")).contains("no upstream any more"));
        assert_eq!(default_upstream(&[], None), None);
    }
}

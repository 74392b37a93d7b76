//! The command line: one command a file.

mod api;
mod client_config;
mod completions;
mod deployment;
mod doctor;
mod export;
mod import;
mod inspect;
mod man;
mod migrate;
mod openapi;
mod print;
mod progress;
mod runtime;
mod serve;
mod sessions;
mod token;
mod upgrade;
mod watch;

use clap::{CommandFactory, Parser, Subcommand};

use crate::keeper::KeepPort;
use crate::supervise::{RunSupervised, Supervise};

/// One hop where nothing is lost: durable, tracked sessions in front of any MCP server.
#[derive(Debug, Parser)]
#[command(name = "archon", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway, its API and its health endpoints.
    Serve(serve::Serve),
    /// Replace a running gateway with its program as it is on disk now, without a refused connection or a failed call.
    Upgrade(upgrade::Upgrade),
    /// List, show and end sessions of a running gateway.
    Sessions(sessions::Sessions),
    /// Watch session events live.
    Watch(watch::Watch),
    /// Check a running deployment from end to end.
    Doctor(doctor::Doctor),
    /// Write sessions and requests of a running gateway as JSON Lines.
    Export(export::Export),
    /// Import an export into a running gateway.
    Import(import::Import),
    /// Print the configuration for an agent (Claude Code, Cursor, VS Code, …).
    ClientConfig(client_config::ClientConfig),
    /// Open the official MCP Inspector on this deployment; needs Node.
    Inspect(inspect::Inspect),
    /// Migrate a database to this version without serving.
    Migrate(migrate::Migrate),
    /// Create a token for the API.
    Token(token::Token),
    /// Print a shell's completion script.
    Completions(completions::Completions),
    /// Print the manual page, or write the pages of all commands.
    Man(man::Man),
    /// Print the description of the API.
    #[command(name = "openapi", hide = true)]
    OpenApi(openapi::OpenApi),
    /// What the gateway starts for its port.
    #[command(hide = true)]
    KeepPort(KeepPort),
    /// What the gateway starts for each child of a stdio upstream.
    #[command(hide = true)]
    Supervise(Supervise),
    /// The command itself, before it is one.
    #[command(hide = true)]
    RunSupervised(RunSupervised),
}

/// Returns the command as people see it: what is hidden is neither in the manual nor completed.
fn shown() -> clap::Command {
    let all = Cli::command();
    let visible: Vec<_> =
        all.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    clap::Command::new("archon")
        .version(env!("CARGO_PKG_VERSION"))
        .about(all.get_about().cloned().unwrap_or_default())
        .subcommand_required(true)
        .subcommands(visible)
}

/// Runs a command to its end.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(serve) => serve.run(),
        Command::Upgrade(upgrade) => upgrade.run(),
        Command::Sessions(sessions) => sessions.run(),
        Command::Watch(watch) => watch.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Export(export) => export.run(),
        Command::Import(import) => import.run(),
        Command::ClientConfig(client) => client.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Migrate(migrate) => migrate.run(),
        Command::Token(token) => token.run(),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
        Command::OpenApi(openapi) => openapi.run(),
        Command::KeepPort(keep) => keep.run(),
        Command::Supervise(supervise) => supervise.run(),
        Command::RunSupervised(run) => run.run(),
    }
}

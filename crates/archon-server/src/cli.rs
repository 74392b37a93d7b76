//! The command line: one command a file.

mod openapi;
mod serve;
mod upgrade;

use clap::{Parser, Subcommand};

use crate::supervise::{RunSupervised, Supervise};

/// One hop where nothing is lost: durable, tracked sessions in front of any MCP server.
#[derive(Debug, Parser)]
#[command(name = "archon", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway, its API and its health endpoints.
    Serve(serve::Serve),
    /// Have a running gateway start its program again, which may be a new version, without a refused connection
    /// or a failed call.
    Upgrade(upgrade::Upgrade),
    /// Print the description of the API.
    #[command(name = "openapi", hide = true)]
    OpenApi(openapi::OpenApi),
    /// What the gateway starts for each child of a stdio upstream.
    #[command(hide = true)]
    Supervise(Supervise),
    /// The command itself, before it is one.
    #[command(hide = true)]
    RunSupervised(RunSupervised),
}

/// Runs a command to its end.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(serve) => serve.run(),
        Command::Upgrade(upgrade) => upgrade.run(),
        Command::OpenApi(openapi) => openapi.run(),
        Command::Supervise(supervise) => supervise.run(),
        Command::RunSupervised(run) => run.run(),
    }
}

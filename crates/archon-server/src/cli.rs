//! The command line: one command a file.

mod serve;

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
        Command::Supervise(supervise) => supervise.run(),
        Command::RunSupervised(run) => run.run(),
    }
}

//! The command line: one command a file.

mod serve;

use clap::{Parser, Subcommand};

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
}

/// Runs a command to its end.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(serve) => serve.run(),
    }
}

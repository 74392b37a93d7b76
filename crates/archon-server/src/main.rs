//! The `archon` binary: parses, runs, and sets the exit code.

mod api;
mod cli;
mod cluster;
mod config;
mod dashboard;
mod fd_passing;
mod gateway;
mod identity;
mod keeper;
mod logging;
mod overview;
mod server;
mod supervise;
mod telemetry;
mod tls;

use std::process::ExitCode;

use clap::Parser;

// Calls are many small allocations on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("archon: {error:#}");
            ExitCode::FAILURE
        }
    }
}

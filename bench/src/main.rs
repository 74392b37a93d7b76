//! Load generator and comparison runner: direct, nginx and the gateway in one run, interleaved.

mod args;
mod check;
mod http;
mod load;
mod mcp;
mod process;
mod report;
mod run;
mod sse;
mod upstream;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Upstream(args) => upstream::serve(args).map(|()| true),
        Command::Run(args) => run::run(&args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("archon-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

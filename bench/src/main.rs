//! Load generator and comparison runner: direct, nginx and the gateway in one run, interleaved.

mod args;
mod check;
mod dataset;
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
        Command::Generate(args) => dataset::generate(&args).map(|()| true),
        Command::Reports(args) => dataset::measure(&args).map(|()| true),
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

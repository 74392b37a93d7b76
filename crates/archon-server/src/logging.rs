//! Log lines, on standard error: one line each, as text or as JSON.

mod latest;
mod limiter;
mod writer;

pub use latest::latest;
pub use limiter::tell_withheld;

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::prelude::*;

use crate::config::LogFormat;

/// Starts logging. `ARCHON_LOG` filters as `RUST_LOG` does elsewhere; without it, `info` and above, and
/// of the libraries only what went wrong.
pub fn start(format: LogFormat) -> anyhow::Result<()> {
    let filter = match std::env::var("ARCHON_LOG") {
        Ok(filter) => EnvFilter::try_new(filter).context("ARCHON_LOG is not a log filter")?,
        Err(_) => EnvFilter::new("warn,archon=info,archon_sessions=info,rmcp=error"),
    };
    let is_terminal = std::io::stderr().is_terminal();
    let lines =
        tracing_subscriber::fmt::layer().with_writer(|| writer::Lines).with_ansi(is_terminal);
    let registry =
        tracing_subscriber::registry().with(filter).with(limiter::Limiter).with(latest::Latest);
    match format {
        LogFormat::Text => registry.with(lines.with_target(false)).init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).init(),
    }
    Ok(())
}

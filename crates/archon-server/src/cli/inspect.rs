//! `archon inspect`: opens the official MCP Inspector on this deployment.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;
use clap::Args;

use super::deployment::Deployment;

/// The package, as npm calls it.
const PACKAGE: &str = "@modelcontextprotocol/inspector";

/// Runs the Inspector with `npx`, which fetches it the first time.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The Inspector's command line instead of its page
    #[arg(long)]
    cli: bool,
    /// The Inspector's version
    #[arg(long, default_value = "latest", value_name = "VERSION", value_parser = version)]
    inspector: String,
    #[command(flatten)]
    deployment: Deployment,
    /// What the Inspector is given as well: `archon inspect --cli -- --method tools/list`
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Inspect {
    /// Becomes the Inspector.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn run(self) -> anyhow::Result<()> {
        let url = self.deployment.url()?;
        let mut command = Command::new("npx");
        command.arg("-y").arg(format!("{PACKAGE}@{}", self.inspector));
        if self.cli {
            command.arg("--cli");
        } else {
            eprintln!("opening the MCP Inspector on {url}; Ctrl-C ends it");
        }
        command.args(["--transport", "http", "--server-url", url.as_str()]).args(self.arguments);
        // Its exit code, its signals and its terminal are then the user's own.
        let error = command.exec();
        match error.kind() {
            ErrorKind::NotFound => Err(error).context(
                "the MCP Inspector needs Node and there is no npx; install Node 22 or later \
                 (https://nodejs.org) and try again",
            ),
            _ => Err(error).context("could not start npx"),
        }
    }
}

/// A version, not something else that npm would take in its place.
fn version(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if !text.is_empty() && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err("a version, for example 2.12.0 or latest".to_owned())
}

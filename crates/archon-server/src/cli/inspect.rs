//! `archon inspect`: opens the official MCP Inspector on this deployment.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use clap::Args;

use super::deployment::Deployment;

/// The package, as npm calls it.
const PACKAGE: &str = "@modelcontextprotocol/inspector";
/// The version that our tests run (tests/package.json). A newer one may want other arguments.
const TESTED: &str = "2.12.0";
/// Names a file of servers. The Inspector refuses to be given one together with a URL.
const CATALOG_VARIABLE: &str = "MCP_CATALOG_PATH";

/// Runs the Inspector with `npx`, which fetches it the first time.
#[derive(Debug, Args)]
pub struct Inspect {
    /// Run the Inspector's command line instead of its page
    #[arg(long)]
    cli: bool,
    /// The Inspector's version, or latest
    #[arg(long, default_value = TESTED, value_name = "VERSION", value_parser = version)]
    inspector: String,
    /// An installed `mcp-inspector` to use instead of the one that npx downloads
    #[arg(
        long,
        env = "ARCHON_INSPECTOR",
        value_name = "FILE",
        value_hint = clap::ValueHint::ExecutablePath
    )]
    program: Option<PathBuf>,
    #[command(flatten)]
    deployment: Deployment,
    /// Further arguments of the Inspector: `archon inspect --cli -- --method tools/list`
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Inspect {
    /// Becomes the Inspector.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn run(self) -> anyhow::Result<()> {
        let mut command = match &self.program {
            Some(program) => Command::new(program),
            None => npx(&self.inspector),
        };
        let url = self.deployment.url()?;
        if self.cli {
            command.arg("--cli");
        } else {
            eprintln!("opening the MCP Inspector on {url}; Ctrl-C ends it");
        }
        command.args(["--transport", "http", "--server-url", url.as_str()]).args(self.arguments);
        command.env_remove(CATALOG_VARIABLE);
        // Its exit code, its signals and its terminal are then the user's own.
        let error = command.exec();
        match (error.kind(), self.program) {
            (_, Some(program)) => {
                Err(error).with_context(|| format!("could not start {}", program.display()))
            }
            (ErrorKind::NotFound, None) => Err(error).context(
                "the MCP Inspector needs Node and there is no npx; install Node 22 or later \
                 (https://nodejs.org) and try again",
            ),
            (_, None) => Err(error).context("could not start npx"),
        }
    }
}

fn npx(version: &str) -> Command {
    let mut command = Command::new("npx");
    command.arg("-y").arg(format!("{PACKAGE}@{version}"));
    command
}

/// A version, not something else that npm would take in its place.
fn version(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if !text.is_empty() && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err("a version, for example 2.12.0 or latest".to_owned())
}

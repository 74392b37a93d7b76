//! The upstream and the gateway as child processes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Server;
use crate::mcp::Endpoint;

/// Starts the MCP server from this same binary; it ends with us even if we are killed.
pub fn start_upstream(is_silent: bool, folder: &Path) -> Result<(Server, Endpoint)> {
    let binary = std::env::current_exe().context("could not find our own binary")?;
    let mut command = Command::new(binary);
    command.args(["upstream", "--port", "0", "--until-eof"]);
    if is_silent {
        command.arg("--silent-streams");
    }
    let mut server = Server::start("upstream", &mut command, folder)?;
    let endpoint = server.endpoint("listening on ")?;
    Ok((server, endpoint))
}

/// Starts the gateway before the upstream, with a database of its own in the folder.
pub fn start(
    name: &'static str,
    binary: &Path,
    upstream: &Endpoint,
    more: &[String],
    folder: &Path,
) -> Result<(Server, Endpoint)> {
    let (server, [endpoint, _]) = start_with_api(name, binary, upstream, more, folder)?;
    Ok((server, endpoint))
}

/// The same; returns where its MCP endpoint and its API are.
pub fn start_with_api(
    name: &'static str,
    binary: &Path,
    upstream: &Endpoint,
    more: &[String],
    folder: &Path,
) -> Result<(Server, [Endpoint; 2])> {
    ensure!(
        binary.is_file(),
        "no gateway at {}; build it or pass --without-archon",
        binary.display()
    );
    let mut command = Command::new(binary);
    command.args(["serve", "--upstream", &format!("echo={}", upstream.url())]);
    command.args(["--mcp-port", "0", "--server-port", "0", "--db"]);
    command.arg(folder.join(format!("{name}.db"))).args(more);
    let mut server = Server::start(name, &mut command, folder)?;
    let endpoints = server.endpoints(["MCP endpoint: ", "health: "])?;
    Ok((server, endpoints))
}

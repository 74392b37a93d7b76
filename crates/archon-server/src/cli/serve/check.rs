//! `archon serve --check`: tries what a configuration that is good in itself names, and changes nothing.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::Url;
use serde_json::Value;

use crate::cli::api::http_client;
use crate::cli::{deployment, migrate, print};
use crate::config::{Config, Database, UpstreamConfig};
use crate::gateway::Upstream;
use crate::keeper;
use crate::server::last_holder;

/// A gateway that is there answers within milliseconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Tries the database, the ports and each upstream, and says what came of it, a line each.
///
/// # Errors
/// If one of them cannot be used.
pub async fn try_out(config: Config) -> anyhow::Result<()> {
    let mut failed = 0;
    let database = try_database(&config.database).await;
    failed += usize::from(!tell(&format!("database {}", config.database), database)?);
    for (name, port) in [("MCP", config.mcp_port), ("API", config.server_port)] {
        let found = try_port(&config.host, port).await;
        failed += usize::from(!tell(&format!("{name} port {port}"), found)?);
    }
    let files = config.database.files(config.node.as_deref());
    let before = files.and_then(|files| last_holder(&files)?.default_upstream);
    if let Some(said) = default_upstream(&config.upstreams, before.as_deref()) {
        print::lines(&said)?;
    }
    let mut silent = 0;
    for configured in &config.upstreams {
        let upstream = Upstream::open(configured)?;
        let tried = upstream.try_out().await;
        upstream.stop().await;
        match tried {
            Ok(()) => print::lines(&format!("upstream {} answers", configured.name))?,
            Err(why) => {
                silent += 1;
                let (name, why) = (&configured.name, print::plain(&why));
                print::lines(&format!("upstream {name} does not answer: {why}"))?;
            }
        }
    }
    match (failed, silent) {
        (0, 0) => {
            let count = config.upstreams.len();
            print::lines(&format!("the configuration is good: {count} upstreams"))
        }
        (0, 1) => bail!("the configuration is good, but one of its upstreams does not answer"),
        (0, more) => bail!("the configuration is good, but {more} of its upstreams do not answer"),
        (_, _) => bail!("the configuration is good, but what it names cannot be used"),
    }
}

/// Says what `/mcp` leads to, and what that changes for clients of the gateway that has these files, or last had them.
fn default_upstream(upstreams: &[UpstreamConfig], before: Option<&str>) -> Option<String> {
    let default = upstreams.first()?;
    let why = if default.is_marked_default { "`default = true`" } else { "the first one" };
    let leads = format!("/mcp leads to {} ({why})", default.name);
    let Some(before) = before.filter(|before| *before != default.name) else { return Some(leads) };
    let before_is_there = upstreams.iter().any(|upstream| upstream.name == before);
    let moved = if before_is_there {
        "clients with an Mcp-Session-Id from there stay there, and all others move"
    } else {
        "which is no upstream any more: its clients begin new sessions"
    };
    let before = print::plain(before);
    Some(format!("{leads}\n/mcp last led to {before}; {moved}"))
}

/// Prints a line; returns whether it is a good one.
fn tell(what: &str, found: anyhow::Result<String>) -> anyhow::Result<bool> {
    let is_good = found.is_ok();
    let said = found.unwrap_or_else(|error| format!("cannot be used: {error:#}"));
    print::lines(&format!("{what} {}", print::plain(&said)))?;
    Ok(is_good)
}

/// Reads which steps a database needs; a file is not made.
async fn try_database(database: &Database) -> anyhow::Result<String> {
    if let Database::Memory = database {
        return Ok("ends with the process".to_owned());
    }
    if let Database::Sqlite(path) = database {
        try_file(path)?;
    }
    let missing = migrate::missing(database).await?;
    Ok(match missing.len() {
        0 => "is up to date".to_owned(),
        steps => format!("can be used; the start brings it up to date ({steps} steps)"),
    })
}

/// Checks that a file can be written, or made in a folder that is there or can be made.
fn try_file(path: &Path) -> anyhow::Result<()> {
    match OpenOptions::new().write(true).open(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).context("it cannot be written"),
    }
    let folders = path.ancestors().skip(1);
    let here = |folder: &Path| folder.as_os_str().is_empty() || folder.exists();
    if let Some(folder) = folders.into_iter().find(|folder| here(folder)) {
        let is_folder = folder.as_os_str().is_empty() || folder.is_dir();
        ensure!(is_folder, "{} is not a folder", folder.display());
    }
    Ok(())
}

/// Checks that a port is free, or that it is a gateway that has it.
async fn try_port(host: &str, port: u16) -> anyhow::Result<String> {
    if port == 0 {
        return Ok("is any that is free".to_owned());
    }
    match TcpListener::bind((host, port)) {
        Ok(_) => Ok("is free".to_owned()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if keeper::is_kept(port) {
                return Ok("is kept for the next start".to_owned());
            }
            if is_gateway(host, port).await {
                return Ok("is in use by the gateway that runs now".to_owned());
            }
            bail!("another program listens there")
        }
        Err(error) => Err(error).with_context(|| format!("could not listen on {host}")),
    }
}

/// Asks whoever listens there for its health, as only a gateway answers.
async fn is_gateway(host: &str, port: u16) -> bool {
    let Ok(url) = deployment::at(host, port, "/health") else { return false };
    match tokio::time::timeout(ANSWER_LIMIT, health(url)).await {
        // The API's port, and the MCP endpoint's.
        Ok(Ok(said)) => said["service"] == "mcp" || said["health"]["upstreams"].is_object(),
        Ok(Err(_)) | Err(_) => false,
    }
}

async fn health(url: Url) -> anyhow::Result<Value> {
    let client = http_client(&url)?;
    let text = client.get(url).send().await?.text().await?;
    Ok(serde_json::from_str(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_said_with_what_moves() {
        let upstreams = ["a=http://a.example/mcp", "b=http://b.example/mcp"];
        let mut upstreams = upstreams.map(|text| text.parse().expect(text));
        let said = |upstreams: &[UpstreamConfig], before| {
            default_upstream(upstreams, before).expect("there are some")
        };
        for before in [None, Some("a")] {
            assert_eq!(said(&upstreams, before), "/mcp leads to a (the first one)");
        }
        upstreams[0].is_marked_default = true;
        let moved = said(&upstreams, Some("b"));
        assert!(moved.starts_with("/mcp leads to a (`default = true`)\n/mcp last led to b; "));
        assert!(moved.contains("stay there"), "{moved}");
        assert!(said(&upstreams, Some("gone")).contains("no upstream any more"));
        assert_eq!(default_upstream(&[], None), None);
    }

    #[tokio::test]
    async fn a_port_of_another_program_is_told_from_a_free_one() {
        let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = other.local_addr().unwrap().port();
        // It closes what it accepts: there is no answer to wait for.
        let accepting = tokio::spawn(async move {
            while let Ok((connection, _)) = other.accept().await {
                drop(connection);
            }
        });
        let error = try_port("127.0.0.1", port).await.unwrap_err().to_string();
        assert!(error.contains("another program"), "{error}");
        accepting.abort();
        assert!(try_port("127.0.0.1", 0).await.is_ok());
        assert!(try_port("192.0.2.1", 1).await.is_err(), "an address of no interface here");
    }

    #[tokio::test]
    async fn a_database_is_tried_without_making_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/x.db");
        let said = try_database(&Database::Sqlite(path.clone())).await.unwrap();
        assert!(said.contains("steps") && !path.exists(), "{said}");
        std::fs::write(folder.path().join("file"), "no database\n".repeat(500)).unwrap();
        let below = folder.path().join("file/x.db");
        assert!(try_database(&Database::Sqlite(below)).await.is_err());
        let damaged = folder.path().join("file");
        assert!(try_database(&Database::Sqlite(damaged)).await.is_err());
    }
}

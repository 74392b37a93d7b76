//! Where a deployment is: its MCP endpoint and its API, as said, or as its configuration has them.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use reqwest::Url;

use crate::config::{Addresses, Config, Overrides};

/// Names a deployment by its endpoint. Without a URL, host and port come from `archon.toml` and the environment,
/// as `archon serve` reads them.
#[derive(Debug, Args)]
pub struct Deployment {
    /// The MCP endpoint [default: this machine's, as configured, or http://127.0.0.1:8051/mcp]
    #[arg(long, env = "ARCHON_URL", value_parser = endpoint)]
    url: Option<Url>,
    #[command(flatten)]
    configured: Configured,
}

/// Finds a deployment on this machine by its configuration, read as `archon serve` reads it.
#[derive(Debug, Args)]
pub struct Configured {
    /// Configuration file [default: archon.toml, if there is one]
    #[arg(long, env = "ARCHON_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[arg(long, env = "ARCHON_HOST", hide = true)]
    host: Option<String>,
    #[arg(long, env = "ARCHON_MCP_PORT", hide = true)]
    mcp_port: Option<u16>,
    #[arg(long, env = "ARCHON_SERVER_PORT", hide = true)]
    server_port: Option<u16>,
}

impl Deployment {
    /// Returns the endpoint's URL.
    ///
    /// # Errors
    /// If it has to be read from a configuration that is not good.
    pub fn url(self) -> anyhow::Result<Url> {
        if let Some(url) = self.url {
            return Ok(url);
        }
        let Addresses { host, mcp_port, .. } = self.configured.addresses()?;
        at(&host, mcp_port, "/mcp")
    }

    /// Returns the configuration by which the deployment is found.
    pub fn configured(&self) -> &Configured {
        &self.configured
    }
}

impl Configured {
    /// Returns the URL of the API.
    ///
    /// # Errors
    /// If the configuration cannot be read.
    pub fn api(&self) -> anyhow::Result<Url> {
        let Addresses { host, server_port, .. } = self.addresses()?;
        at(&host, server_port, "/")
    }

    fn addresses(&self) -> anyhow::Result<Addresses> {
        let overrides = Overrides {
            host: self.host.clone(),
            mcp_port: self.mcp_port,
            server_port: self.server_port,
            ..Overrides::default()
        };
        Config::addresses(self.config.as_deref(), overrides)
    }
}

/// Returns a URL of a server that listens there, as it is reached from this machine.
///
/// # Errors
/// If the port is any.
pub fn at(host: &str, port: u16, path: &str) -> anyhow::Result<Url> {
    ensure!(
        port != 0,
        "the configuration leaves the port to the system (0): name the address itself"
    );
    Ok(Url::parse(&format!("http://{}:{port}{path}", reachable(host)))?)
}

/// Returns the name under which a server that listens there is reached from this machine.
fn reachable(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
        _ => host.to_owned(),
    }
}

/// Parses the URL of an endpoint. One without a path is the default upstream's.
pub fn endpoint(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("an endpoint is http://… or https://…".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials do not belong in a URL: it ends up in logs".to_owned());
    }
    if url.path() == "/" {
        url.set_path("/mcp");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_reached_on_this_machines_own() {
        assert_eq!(reachable("0.0.0.0"), "127.0.0.1");
        assert_eq!(reachable("::"), "127.0.0.1");
        assert_eq!(reachable("::1"), "[::1]");
        assert_eq!(reachable("mcp.example"), "mcp.example");
    }

    #[test]
    fn a_deployment_is_found_by_its_configuration() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "[server]\nhost = \"0.0.0.0\"\nmcp_port = 1\nserver_port = 2\n")
            .unwrap();
        let configured = |server_port| Configured {
            config: Some(file.path().to_owned()),
            host: None,
            mcp_port: None,
            server_port,
        };
        assert_eq!(configured(None).api().unwrap().as_str(), "http://127.0.0.1:2/");
        assert_eq!(configured(Some(3)).api().unwrap().as_str(), "http://127.0.0.1:3/");
        let deployment = Deployment { url: None, configured: configured(None) };
        assert_eq!(deployment.url().unwrap().as_str(), "http://127.0.0.1:1/mcp");
        let error = configured(Some(0)).api().unwrap_err().to_string();
        assert!(error.contains("port"), "{error}");
        std::fs::write(&file, "[server").unwrap();
        assert!(configured(Some(3)).api().is_err(), "a broken file is said, not passed over");
    }

    #[test]
    fn an_endpoint_is_a_url_without_secrets() {
        assert_eq!(endpoint("http://a:8051").unwrap().as_str(), "http://a:8051/mcp");
        assert_eq!(endpoint("https://a/mcp/x").unwrap().as_str(), "https://a/mcp/x");
        for bad in ["a:8051", "ftp://a/mcp", "http://u:p@a/mcp", "/mcp", ""] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }
}

//! Where a deployment's MCP endpoint is: as said, or as its configuration has it.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use reqwest::Url;

use crate::config::{Config, Overrides};

/// Names a deployment by its endpoint. Without a URL, host and port come from `archon.toml` and the environment,
/// as `archon serve` reads them.
#[derive(Debug, Args)]
pub struct Deployment {
    /// The MCP endpoint [default: this machine's, as configured, or http://127.0.0.1:8051/mcp]
    #[arg(long, env = "ARCHON_URL", value_parser = endpoint)]
    url: Option<Url>,
    /// Its configuration file [default: archon.toml, if there is one]
    #[arg(long, env = "ARCHON_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[arg(long, env = "ARCHON_HOST", hide = true)]
    host: Option<String>,
    #[arg(long, env = "ARCHON_MCP_PORT", hide = true)]
    mcp_port: Option<u16>,
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
        let overrides =
            Overrides { host: self.host, mcp_port: self.mcp_port, ..Overrides::default() };
        let (host, port) = Config::endpoint(self.config.as_deref(), overrides)?;
        Ok(Url::parse(&format!("http://{}:{port}/mcp", reachable(&host)))?)
    }
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
    fn an_endpoint_is_a_url_without_secrets() {
        assert_eq!(endpoint("http://a:8051").unwrap().as_str(), "http://a:8051/mcp");
        assert_eq!(endpoint("https://a/mcp/x").unwrap().as_str(), "https://a/mcp/x");
        for bad in ["a:8051", "ftp://a/mcp", "http://u:p@a/mcp", "/mcp", ""] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }
}

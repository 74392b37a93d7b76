//! How an upstream's host is reached: directly, or through a proxy that the environment names.
//!
//! As curl has it: `HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY` name proxies, `NO_PROXY` hosts that need none; all of
//! them in lower case too. This machine needs none.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, bail};
use archon_sessions::layer::BoxError;
use http::Uri;
use http::header::HeaderValue;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

/// The port of a SOCKS proxy whose URL names none (RFC 1928).
const SOCKS_PORT: u16 = 1080;
/// The variables that name proxies.
const VARIABLES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// See the module. A connector to one host, with TLS to the proxy where that has it.
#[derive(Clone)]
pub struct Way {
    direct: HttpConnector,
    via: Option<Via>,
}

#[derive(Clone)]
enum Via {
    /// The proxy is sent the request itself, with its whole URL; with what authenticates us to it.
    Forward(HttpsConnector<HttpConnector>, Uri, Option<HeaderValue>),
    /// The proxy is asked for a connection.
    Tunnel(Tunnel<HttpsConnector<HttpConnector>>),
    Socks(SocksV5<HttpConnector>),
}

impl Way {
    /// Returns the way to `target` that the environment names, and says in the log which proxy that is.
    ///
    /// # Errors
    /// If a variable names no proxy, or one of a kind that we do not know.
    pub fn from_env(upstream: &str, target: &Uri, connect_limit: Duration) -> anyhow::Result<Self> {
        for name in VARIABLES {
            let value = std::env::var(name).unwrap_or_default();
            let any = Uri::from_static("http://proxied.invalid");
            let is_known = Matcher::builder().all(value.as_str()).build().intercept(&any).is_some();
            // It may hold a password, so it is not repeated.
            if !value.is_empty() && !is_known {
                bail!("{name} does not hold the URL of a proxy");
            }
        }
        let way = Self::of(target, &Matcher::from_env(), connect_limit)?;
        if let Some(proxy) = proxy_of(target, &Matcher::from_env()) {
            let proxy = proxy.uri();
            tracing::info!(upstream, "upstream {upstream} is reached through the proxy {proxy}");
        }
        Ok(way)
    }

    /// Returns the way to `target` by these rules.
    ///
    /// # Errors
    /// If it is through a proxy of a kind that we do not know.
    pub fn of(target: &Uri, rules: &Matcher, connect_limit: Duration) -> anyhow::Result<Self> {
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_nodelay(true);
        direct.set_connect_timeout(Some(connect_limit));
        let via = proxy_of(target, rules).map(|proxy| Via::new(target, &proxy, &direct));
        Ok(Self { via: via.transpose()?, direct })
    }

    /// Returns whether requests go to a proxy as they are, with their whole URL, and what authenticates us to it.
    pub fn forward(&self) -> Option<Option<&HeaderValue>> {
        match &self.via {
            Some(Via::Forward(_, _, authorization)) => Some(authorization.as_ref()),
            Some(Via::Tunnel(_) | Via::Socks(_)) | None => None,
        }
    }
}

impl Via {
    fn new(target: &Uri, proxy: &Intercept, direct: &HttpConnector) -> anyhow::Result<Self> {
        let uri = proxy.uri().clone();
        let authorization = proxy.basic_auth().cloned();
        match uri.scheme_str() {
            Some("http" | "https") => {
                let to_proxy = HttpsConnectorBuilder::new()
                    .with_tls_config(crate::tls::client(None)?)
                    .https_or_http()
                    .enable_http1()
                    .wrap_connector(direct.clone());
                if target.scheme_str() == Some("http") {
                    return Ok(Self::Forward(to_proxy, uri, authorization));
                }
                let tunnel = Tunnel::new(uri, to_proxy);
                Ok(Self::Tunnel(match authorization {
                    Some(authorization) => tunnel.with_auth(authorization),
                    None => tunnel,
                }))
            }
            Some(scheme @ ("socks5" | "socks5h")) => {
                let host = uri.host().unwrap_or_default();
                let port = uri.port_u16().unwrap_or(SOCKS_PORT);
                let address = format!("{scheme}://{host}:{port}/").parse()?;
                let socks = SocksV5::new(address, direct.clone()).local_dns(scheme == "socks5");
                Ok(Self::Socks(match proxy.raw_auth() {
                    Some((user, password)) => socks.with_auth(user.into(), password.into()),
                    None => socks,
                }))
            }
            other => {
                let scheme = other.context("the URL of the proxy has no scheme")?;
                bail!("proxies of the kind {scheme} are not supported; http, https and socks5 are")
            }
        }
    }
}

/// Returns the proxy for a target; none for this machine, whatever the rules say.
fn proxy_of(target: &Uri, rules: &Matcher) -> Option<Intercept> {
    let host = target.host()?.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost")
        }
    };
    if is_loopback { None } else { rules.intercept(target) }
}

type Hop = MaybeHttpsStream<TokioIo<TcpStream>>;

impl Service<Uri> for Way {
    type Response = Hop;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Hop, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // None of these connectors waits for anything here.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        match &mut self.via {
            None => {
                let connecting = self.direct.call(target);
                Box::pin(async move { Ok(MaybeHttpsStream::Http(connecting.await?)) })
            }
            Some(Via::Forward(connector, proxy, _)) => connector.call(proxy.clone()),
            Some(Via::Tunnel(connector)) => {
                let connecting = connector.call(target);
                Box::pin(async move { Ok(connecting.await?) })
            }
            Some(Via::Socks(connector)) => {
                let connecting = connector.call(target);
                Box::pin(async move { Ok(MaybeHttpsStream::Http(connecting.await?)) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(target: &'static str, rules: hyper_util::client::proxy::matcher::Builder) -> String {
        let proxy = proxy_of(&Uri::from_static(target), &rules.build());
        proxy.map_or_else(String::new, |proxy| proxy.uri().to_string())
    }

    #[test]
    fn this_machine_needs_no_proxy_whatever_the_environment_says() {
        for target in [
            "http://localhost:1/",
            "https://LOCALHOST/",
            "http://127.0.0.1/",
            "http://127.9.9.9:80/",
            "http://[::1]:8000/",
            "http://[::ffff:127.0.0.1]/",
            "http://mcp.localhost/",
            "http://localhost./",
        ] {
            assert_eq!(proxy(target, Matcher::builder().all("http://p:1")), "", "{target}");
        }
        assert_ne!(proxy("http://localhost.example/", Matcher::builder().all("http://p:1")), "");
    }

    #[test]
    fn each_scheme_has_its_proxy_and_some_hosts_none() {
        let rules = || {
            let both = Matcher::builder().https("http://s:1").http("h:2").all("socks5://a");
            both.no("in.example, 10.0.0.0/8")
        };
        assert_eq!(proxy("https://h.example/", rules()), "http://s:1/");
        assert_eq!(proxy("http://h.example/", rules()), "http://h:2/");
        for near in ["https://in.example/", "http://a.in.example/", "http://10.1.2.3/"] {
            assert_eq!(proxy(near, rules()), "", "{near}");
        }
        assert_eq!(
            proxy("https://h.example/", Matcher::builder().all("socks5://a")),
            "socks5://a/"
        );
    }

    #[test]
    fn credentials_are_for_the_proxy_and_for_nobody_else() {
        let rules = Matcher::builder().all("http://user:pass%20word@p:1").build();
        let limit = Duration::from_secs(1);
        let way = Way::of(&Uri::from_static("http://h.example/"), &rules, limit).unwrap();
        let authorization = way.forward().unwrap().unwrap();
        assert_eq!(authorization, "Basic dXNlcjpwYXNzIHdvcmQ=");
        assert!(authorization.is_sensitive());
        let way = Way::of(&Uri::from_static("https://h.example/"), &rules, limit).unwrap();
        assert!(way.forward().is_none(), "the upstream's TLS is not for the proxy to read");
        let socks = Matcher::builder().all("socks4://p:1").build();
        let refused = Way::of(&Uri::from_static("https://h.example/"), &socks, limit).err();
        assert!(refused.unwrap().to_string().contains("socks4"));
    }
}

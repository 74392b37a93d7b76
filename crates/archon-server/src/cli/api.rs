//! A client of a running gateway's REST API, for the commands that ask one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use archon_sessions_client::{Api, ApiError, Events, EventsQuery};
use clap::Args;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::deployment::Configured;

/// How long an address may take to be connected to; a gateway that is there takes a millisecond.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Names a gateway by its API, or by its configuration.
#[derive(Debug, Args)]
pub struct GatewayArgs {
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    configured: Configured,
}

impl GatewayArgs {
    /// Returns a client of that gateway; nothing is connected yet.
    ///
    /// # Errors
    /// See [`ApiArgs::client`].
    pub fn client(self) -> anyhow::Result<ApiClient> {
        self.api.client(&self.configured)
    }
}

/// Names a gateway by its API.
#[derive(Debug, Args)]
pub struct ApiArgs {
    /// The gateway's API [default: this machine's, as configured, or http://127.0.0.1:8181]
    #[arg(long, env = "ARCHON_API_URL", value_parser = base)]
    api: Option<Url>,
    /// API token, if the API requires one; prefer the variable, since others can read a command line
    #[arg(long, env = "ARCHON_API_TOKEN", hide_env_values = true)]
    token: Option<Secret>,
}

/// A text that is never shown.
#[derive(Clone)]
pub struct Secret(String);

impl FromStr for Secret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_plain { Ok(Self(text.to_owned())) } else { Err("a token is one word of ASCII") }
    }
}

impl Secret {
    /// Returns the value of `Authorization`; `None` for an empty token, which is none.
    pub fn bearer(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| format!("Bearer {}", self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Asks a gateway, and says what went wrong as commands do.
pub struct ApiClient {
    api: Api,
}

impl ApiArgs {
    /// Returns a client of that gateway, or, where none is named, of the one that is configured; nothing is connected
    /// yet.
    ///
    /// # Errors
    /// If the configuration is needed and cannot be read, or this machine has no certificates to check others against.
    pub fn client(self, configured: &Configured) -> anyhow::Result<ApiClient> {
        let base = self.api.map_or_else(|| configured.api(), Ok)?;
        let api = Api::new(&base)?;
        let token = self.token.map(|token| token.0).filter(|token| !token.is_empty());
        let api = match token {
            Some(token) => api.token(token)?,
            None => api,
        };
        Ok(ApiClient { api })
    }
}

/// Returns a client for a URL. What is on this machine is never reached through a proxy.
///
/// # Errors
/// If this machine has no certificates to check others against.
pub fn http_client(url: &Url) -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("archon/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_LIMIT);
    let builder = if is_loopback(url) { builder.no_proxy() } else { builder };
    builder.build().context("could not prepare an HTTP client")
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    ip.map_or(host == "localhost", |ip| ip.is_loopback())
}

impl ApiClient {
    /// Returns where the API is.
    pub fn base(&self) -> &Url {
        self.api.base()
    }

    /// Asks for something, with parameters.
    ///
    /// # Errors
    /// With what the gateway says and what to do, or why it cannot be asked.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &[(&str, String)],
    ) -> anyhow::Result<T> {
        self.api.get(path, parameters).await.map_err(told)
    }

    /// Sends something.
    ///
    /// # Errors
    /// See [`ApiClient::get`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> anyhow::Result<T> {
        self.api.post(path, body).await.map_err(told)
    }

    /// Returns a request for a path below `/api/mcp/`.
    pub fn request(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, String)],
    ) -> RequestBuilder {
        self.api.request(method, path).query(parameters)
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// See [`ApiClient::get`].
    pub async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        self.api.answer(request).await.map_err(told)
    }

    /// Sends a request, and returns a good answer whose body is still to come.
    ///
    /// # Errors
    /// See [`ApiClient::get`].
    pub async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        self.api.send(request).await.map_err(told)
    }

    /// Listens to what happens.
    ///
    /// # Errors
    /// See [`ApiClient::get`].
    pub async fn events(&self, query: EventsQuery) -> anyhow::Result<Events> {
        self.api.events(query).await.map_err(told)
    }
}

/// Returns what went wrong, and what to do.
pub fn told(error: ApiError) -> anyhow::Error {
    match error {
        ApiError::Unusable(message) => anyhow!(message),
        ApiError::Unreachable { url, source } => {
            let hint = "is archon running there? --api, ARCHON_API_URL or --config names another";
            let context = format!("could not reach the API at {url} ({hint})");
            anyhow::Error::from_boxed(source).context(context)
        }
        ApiError::Refused { status, problem, .. } => {
            let hint = match status {
                StatusCode::UNAUTHORIZED => {
                    "name a token with ARCHON_API_TOKEN; `archon token` makes one"
                }
                _ => &problem.hint,
            };
            // What another process says is shown as what it is: text.
            anyhow!(super::print::plain(&format!("{} ({hint})", problem.detail)))
        }
        ApiError::NotUnderstood { url, source: Some(source), .. } => anyhow!(source).context(
            format!("{url} did not answer as archon does; does --api name the API's port?"),
        ),
        ApiError::NotUnderstood { status, source: None, .. } => {
            anyhow!("the API answered {status}; does --api name the API's port?")
        }
    }
}

/// Parses where an API is.
fn base(text: &str) -> Result<Url, String> {
    let url = super::deployment::endpoint(text)?;
    Ok(if Url::parse(text).is_ok_and(|url| url.path() == "/") {
        url.join("/").map_err(|error| error.to_string())?
    } else {
        url
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let secret: Secret = " archon_x\n".parse().unwrap();
        assert_eq!(format!("{secret:?} {:?}", secret.bearer()), "Secret Some(\"Bearer archon_x\")");
        assert!("".parse::<Secret>().unwrap().bearer().is_none());
        assert!("a b".parse::<Secret>().is_err());
    }

    #[test]
    fn this_machine_is_not_reached_through_a_proxy() {
        let is = |text: &str| is_loopback(&Url::parse(text).unwrap());
        assert!(is("http://127.0.0.1:8181") && is("http://localhost/") && is("http://[::1]:1/"));
        assert!(!is("https://mcp.example/"));
        assert_eq!(base("http://a:8181").unwrap().as_str(), "http://a:8181/");
        assert_eq!(base("https://a/archon").unwrap().as_str(), "https://a/archon");
    }
}

//! A client of a running gateway's REST API, for the commands that ask one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use archon_sessions_api::problem::Problem;
use clap::Args;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;

/// How long an address may take to be connected to; a gateway that is there takes a millisecond.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long an answer may take; the API's own limits are shorter.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Names a gateway by its API.
#[derive(Debug, Args)]
pub struct ApiArgs {
    /// The gateway's API
    #[arg(long, env = "ARCHON_API_URL", default_value = "http://127.0.0.1:8181", value_parser = base)]
    api: Url,
    /// A token for it, if it wants one; better kept out of the command line, in the variable
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

/// Asks a gateway.
pub struct ApiClient {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret>,
}

impl ApiArgs {
    /// Returns a client of that gateway; nothing is connected yet.
    ///
    /// # Errors
    /// If this machine has no certificates to check others against.
    pub fn client(self) -> anyhow::Result<ApiClient> {
        let http = http_client(&self.api)?;
        Ok(ApiClient { http, base: self.api, token: self.token })
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
        &self.base
    }

    /// Returns the value of `Authorization`, if there is a token.
    pub fn bearer(&self) -> Option<String> {
        self.token.as_ref().and_then(Secret::bearer)
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
        let request = self.request(Method::GET, path, parameters).timeout(ANSWER_LIMIT);
        self.answer(request).await
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
        self.answer(self.request(Method::POST, path, &[]).json(body).timeout(ANSWER_LIMIT)).await
    }

    /// Returns a request for a path below `/api/mcp/`.
    pub fn request(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, String)],
    ) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/api/mcp/{path}", self.base.path().trim_end_matches('/')));
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        let request = self.http.request(method, url);
        match self.bearer() {
            Some(bearer) => request.header(reqwest::header::AUTHORIZATION, bearer),
            None => request,
        }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// See [`ApiClient::get`].
    pub async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let answer = self.send(request).await?;
        let text = answer.text().await.context("the gateway's answer broke off; try again")?;
        serde_json::from_str(&text).with_context(|| {
            format!("{} did not answer as archon does; does --api name the API's port?", self.base)
        })
    }

    /// Sends a request, and returns a good answer whose body is still to come.
    ///
    /// # Errors
    /// See [`ApiClient::get`].
    pub async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let answer = request.send().await.map_err(|error| {
            // Its URL would be said twice.
            let error = error.without_url();
            let hint = "is archon running there? --api or ARCHON_API_URL names another";
            anyhow!(error).context(format!("could not reach the API at {} ({hint})", self.base))
        })?;
        // The second is what a WebSocket's handshake is answered with.
        if answer.status().is_success() || answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(answer);
        }
        Err(refused(answer).await)
    }
}

/// Returns what a gateway refused with, and what to do.
async fn refused(answer: Response) -> anyhow::Error {
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    let Ok(Problem { detail, hint, .. }) = serde_json::from_str(&text) else {
        return anyhow!("the API answered {status}; does --api name the API's port?");
    };
    let hint = match status {
        StatusCode::UNAUTHORIZED => "name a token with ARCHON_API_TOKEN; `archon token` makes one",
        _ => &hint,
    };
    // What another process says is shown as what it is: text.
    anyhow!(super::print::plain(&format!("{detail} ({hint})")))
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

//! The issuer's keys: fetched, kept while it is away, asked for again when a token names an unknown one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use parking_lot::Mutex;
use reqwest::Url;
use serde::Deserialize;
use tokio_util::task::AbortOnDropHandle;

use super::keys::KeySet;
use crate::config::{IssuerConfig, is_loopback, is_secure};

/// A document of keys has a few kilobytes; metadata has less.
const DOCUMENT_BYTES_MAX: usize = 512 * 1024;
/// For all that has to be asked. A client waits for it.
const FETCH_LIMIT: Duration = Duration::from_secs(5);
/// How long a key that was withdrawn may still be good.
const KEYS_AGE_MAX: Duration = Duration::from_secs(600);
/// How often an issuer that gave us no keys yet is asked, without a client that asks for it.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// An issuer and what we know of its keys.
#[derive(Debug)]
pub struct Issuer {
    config: IssuerConfig,
    client: reqwest::Client,
    /// Held for single operations, never across an await.
    known: Mutex<Known>,
    /// One question at a time; when an unknown key last led to one.
    turn: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Known {
    keys: Option<Arc<KeySet>>,
    /// Whence they are, to see whether they have changed.
    document: Vec<u8>,
    /// Whether the last question was not answered.
    is_away: bool,
}

/// The keys cannot be had, so nobody can say whether a token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tokens cannot be checked right now; try again")]
pub struct KeysUnavailable;

impl Issuer {
    /// Returns an issuer, and the task that asks it: at once, and then from time to time.
    ///
    /// # Errors
    /// If the certificates to trust cannot be read.
    pub fn start(config: &IssuerConfig) -> anyhow::Result<(Arc<Self>, AbortOnDropHandle<()>)> {
        let tls = crate::tls::client(config.tls_ca_file.as_deref())?;
        let mut client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            // Whoever the issuer sends us on to is not the issuer.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(FETCH_LIMIT)
            .user_agent(concat!("archon/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&config.name.parse()?) {
            client = client.no_proxy();
        }
        let client = client.build().context("could not prepare to ask the issuer for its keys")?;
        let (config, known) = (config.clone(), Mutex::default());
        let issuer = Arc::new(Self { config, client, known, turn: tokio::sync::Mutex::default() });
        let asking = tokio::spawn(issuer.clone().ask_from_time_to_time());
        Ok((issuer, AbortOnDropHandle::new(asking)))
    }

    /// Returns what is configured of it.
    pub fn config(&self) -> &IssuerConfig {
        &self.config
    }

    /// Returns the keys that are known.
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.known().keys.clone()
    }

    /// Asks for keys other than those that were `seen`, unless somebody did a moment ago.
    ///
    /// # Errors
    /// If the issuer does not tell them.
    pub async fn newer_keys(
        &self,
        seen: Option<&Arc<KeySet>>,
    ) -> Result<Arc<KeySet>, KeysUnavailable> {
        let mut asked = self.turn.lock().await;
        let is_new = |keys: &Arc<KeySet>| seen.is_none_or(|seen| !Arc::ptr_eq(seen, keys));
        if let Some(keys) = self.keys().filter(is_new) {
            return Ok(keys);
        }
        if asked.is_none_or(|at| at.elapsed() >= self.config.jwks_refresh) {
            self.fetch().await;
            // Counted from the end: a question that takes long is not to be followed by the next at once.
            *asked = Some(Instant::now());
        }
        let known = self.known();
        if known.is_away { Err(KeysUnavailable) } else { known.keys.clone().ok_or(KeysUnavailable) }
    }

    async fn ask_from_time_to_time(self: Arc<Self>) {
        loop {
            let turn = self.turn.lock().await;
            self.fetch().await;
            drop(turn);
            let has_keys = self.keys().is_some();
            tokio::time::sleep(if has_keys { KEYS_AGE_MAX } else { RETRY_EVERY }).await;
        }
    }

    /// Asks once. What was known stays known if there is no answer.
    async fn fetch(&self) {
        let fetched = tokio::time::timeout(FETCH_LIMIT, self.fetch_keys()).await;
        let fetched = fetched.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer in time")));
        let mut known = self.known();
        let (issuer, was_away) = (&self.config.name, known.is_away);
        match fetched {
            Ok((document, keys)) => {
                if known.document != document {
                    known.keys = Some(Arc::new(keys));
                    known.document = document;
                    tracing::info!(issuer, "got the keys of {issuer}");
                } else if was_away {
                    tracing::info!(issuer, "{issuer} is back, with the same keys");
                }
                known.is_away = false;
            }
            Err(error) => {
                known.is_away = true;
                let has_keys = known.keys.is_some();
                let meanwhile =
                    if has_keys { "those we have stay good" } else { "no token can be checked" };
                if !was_away {
                    tracing::warn!(
                        issuer,
                        has_keys,
                        "could not get the keys of {issuer}, {meanwhile}: {error:#}"
                    );
                }
            }
        }
    }

    async fn fetch_keys(&self) -> anyhow::Result<(Vec<u8>, KeySet)> {
        let url = match &self.config.jwks_url {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        let document = self.get(&url).await?;
        let keys = KeySet::parse(&document, &self.config.algorithms)
            .with_context(|| format!("the document at {url} is unusable"))?;
        Ok((document, keys))
    }

    /// Finds the keys by the issuer's metadata.
    async fn discover(&self) -> anyhow::Result<Url> {
        let mut failed = Vec::new();
        for url in metadata_urls(&self.config.name)? {
            match self.metadata_at(&url).await {
                Ok(found) => return Ok(found),
                Err(error) => failed.push(format!("{error:#}")),
            }
        }
        anyhow::bail!("could not fetch the issuer's metadata: {}", failed.join("; "))
    }

    async fn metadata_at(&self, url: &Url) -> anyhow::Result<Url> {
        #[derive(Deserialize)]
        struct Metadata {
            issuer: String,
            jwks_uri: String,
        }
        let document = self.get(url).await?;
        let metadata: Metadata = serde_json::from_slice(&document)
            .with_context(|| format!("the document at {url} is no metadata"))?;
        // RFC 8414, 3.3: whoever speaks for another issuer is not believed.
        let issuer = metadata.issuer;
        anyhow::ensure!(issuer == self.config.name, "the metadata at {url} is of {issuer:?}");
        let keys: Url = metadata.jwks_uri.parse().context("`jwks_uri` is not a URL")?;
        anyhow::ensure!(is_secure(&keys), "the metadata at {url} names no https `jwks_uri`");
        Ok(keys)
    }

    async fn get(&self, url: &Url) -> anyhow::Result<Vec<u8>> {
        let what = || format!("could not get {url}");
        let request = self.client.get(url.clone()).header("accept", "application/json");
        let mut response = request.send().await.with_context(what)?;
        let status = response.status();
        anyhow::ensure!(status.is_success(), "could not get {url}: {status}");
        let mut document = Vec::new();
        while let Some(some) = response.chunk().await.with_context(what)? {
            let is_room = document.len() + some.len() <= DOCUMENT_BYTES_MAX;
            anyhow::ensure!(is_room, "the document at {url} is too large");
            document.extend_from_slice(&some);
        }
        Ok(document)
    }

    fn known(&self) -> parking_lot::MutexGuard<'_, Known> {
        self.known.lock()
    }
}

/// MCP 2025-11-25, Authorization, Authorization Server Metadata Discovery: RFC 8414 and OpenID Connect, the
/// issuer's path behind the well-known one, or, as OpenID has it, before it.
fn metadata_urls(issuer: &str) -> anyhow::Result<Vec<Url>> {
    const OAUTH: &str = "/.well-known/oauth-authorization-server";
    const OPENID: &str = "/.well-known/openid-configuration";
    let url: Url = issuer.parse()?;
    let path = url.path().trim_end_matches('/').to_owned();
    let mut paths = vec![format!("{OAUTH}{path}"), format!("{OPENID}{path}")];
    if !path.is_empty() {
        paths.push(format!("{path}{OPENID}"));
    }
    let at = |path: String| {
        let mut url = url.clone();
        url.set_path(&path);
        url
    };
    Ok(paths.into_iter().map(at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_where_the_rules_say() {
        let urls = |issuer| {
            let urls = metadata_urls(issuer).unwrap();
            urls.into_iter().map(String::from).collect::<Vec<_>>()
        };
        assert_eq!(
            urls("https://i.example/"),
            [
                "https://i.example/.well-known/oauth-authorization-server",
                "https://i.example/.well-known/openid-configuration"
            ]
        );
        assert_eq!(
            urls("https://i.example/realms/a"),
            [
                "https://i.example/.well-known/oauth-authorization-server/realms/a",
                "https://i.example/.well-known/openid-configuration/realms/a",
                "https://i.example/realms/a/.well-known/openid-configuration"
            ]
        );
    }
}

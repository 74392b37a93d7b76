//! Who may use the MCP endpoint, as it is configured.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use jsonwebtoken::Algorithm;
use reqwest::Url;
use serde::Deserialize;

use super::SecretDigest;
use super::time::{Seconds, SecondsOrZero, Time};

/// Clocks on the internet that are kept right at all are right within seconds; tokens live for minutes at least.
const CLOCK_LEEWAY: Duration = Duration::from_secs(60);
/// More than that would make `exp` mean nothing.
const CLOCK_LEEWAY_MAX: Duration = Duration::from_secs(300);
/// A key that we do not know may be new, or made up by anybody: the issuer is not asked for it more often.
const JWKS_REFRESH: Duration = Duration::from_secs(10);
/// What may sign tokens where nothing is said.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// Each request that shows a key is compared with all of them.
const API_KEYS_MAX: usize = 1000;
/// A name becomes part of a principal, and of rows.
const NAME_CHARS_MAX: usize = 64;

/// `[auth]`, checked. Without it everybody is anonymous.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// Whose tokens are good.
    pub issuer: Option<IssuerConfig>,
    /// Keys that we gave out ourselves.
    pub api_keys: Vec<ApiKeyConfig>,
    /// Whether a request that shows neither is refused.
    pub is_required: bool,
    /// The origin under which clients reach us, without a slash at its end; `None` where it is this machine.
    pub public_url: Option<String>,
}

impl fmt::Display for AuthConfig {
    /// Writes who is let in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuer = self.issuer.as_ref().map(|issuer| format!("with a token of {}", issuer.name));
        let keys = match self.api_keys.len() {
            0 => None,
            1 => Some("with an API key".to_owned()),
            many => Some(format!("with one of {many} API keys")),
        };
        let nobody = (!self.is_required).then(|| "anonymous".to_owned());
        let all: Vec<String> = [issuer, keys, nobody].into_iter().flatten().collect();
        f.write_str(&all.join(", or "))
    }
}

/// An OAuth authorization server.
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// Its name, as the `iss` of its tokens has it, to the letter.
    pub name: String,
    /// What `aud` must hold; where it is empty, our own URL.
    pub audiences: Vec<String>,
    /// Where its keys are, if not where its metadata says.
    pub jwks_url: Option<Url>,
    /// What may sign its tokens.
    pub algorithms: Vec<Algorithm>,
    /// By how much its clock and ours may differ.
    pub leeway: Duration,
    /// How long after a question for an unknown key the next one may follow.
    pub jwks_refresh: Duration,
    /// Certificates to trust, in PEM, in place of the system's.
    pub tls_ca_file: Option<PathBuf>,
}

/// A key that we gave out; we keep its hash.
#[derive(Clone)]
pub struct ApiKeyConfig {
    /// Whose it is.
    pub name: String,
    /// SHA-256 of the key.
    pub sha256: SecretDigest,
}

impl fmt::Debug for ApiKeyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeyConfig({})", self.name)
    }
}

/// `[auth]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    issuer: Option<String>,
    audience: Option<OneOrMany>,
    jwks_url: Option<String>,
    algorithms: Option<Vec<Algorithm>>,
    leeway_seconds: Option<SecondsOrZero>,
    jwks_refresh_seconds: Option<Seconds>,
    tls_ca_file: Option<PathBuf>,
    required: Option<bool>,
    public_url: Option<String>,
    api_keys: Vec<ApiKey>,
}

/// `[[auth.api_keys]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiKey {
    name: String,
    sha256: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Auth {
    /// Checks it; `None` where nobody is asked who he is.
    pub(super) fn check(self, is_loopback: bool) -> anyhow::Result<Option<AuthConfig>> {
        let of_issuer = [
            ("audience", self.audience.is_some()),
            ("jwks_url", self.jwks_url.is_some()),
            ("algorithms", self.algorithms.is_some()),
            ("leeway_seconds", self.leeway_seconds.is_some()),
            ("jwks_refresh_seconds", self.jwks_refresh_seconds.is_some()),
            ("tls_ca_file", self.tls_ca_file.is_some()),
        ];
        if self.issuer.is_none()
            && let Some((setting, _)) = of_issuer.into_iter().find(|(_, is_set)| *is_set)
        {
            bail!("`auth.{setting}` goes with `auth.issuer`, which is missing");
        }
        if self.issuer.is_none() && self.api_keys.is_empty() {
            if self.required == Some(true) || self.public_url.is_some() {
                bail!(
                    "`auth` names neither an `issuer` nor `api_keys`: no client could be admitted"
                );
            }
            return Ok(None);
        }
        let public_url = self.public_url.as_deref().map(origin).transpose()?;
        if self.issuer.is_some() && public_url.is_none() && !is_loopback {
            bail!(
                "`auth.issuer` needs `auth.public_url`: the origin under which clients reach this server, \
                 such as https://mcp.example; their tokens are issued for it"
            );
        }
        let (is_required, api_keys) = (self.required.unwrap_or(true), api_keys(&self.api_keys)?);
        Ok(Some(AuthConfig { issuer: self.issuer()?, api_keys, is_required, public_url }))
    }

    fn issuer(self) -> anyhow::Result<Option<IssuerConfig>> {
        let Some(name) = self.issuer else { return Ok(None) };
        let url = secure_url("auth.issuer", &name)?;
        if url.query().is_some() || url.fragment().is_some() {
            bail!("`auth.issuer` has no query and no fragment (RFC 8414, 2): {name}");
        }
        let jwks_url = self.jwks_url.map(|url| secure_url("auth.jwks_url", &url)).transpose()?;
        let audiences = match self.audience {
            None => Vec::new(),
            Some(OneOrMany::One(one)) => vec![one],
            Some(OneOrMany::Many(many)) => many,
        };
        if audiences.iter().any(String::is_empty) {
            bail!("`auth.audience` is empty; leave it out for this server's own URL");
        }
        let algorithms = self.algorithms.unwrap_or_else(|| ALGORITHMS.to_vec());
        if algorithms.is_empty() || !algorithms.iter().all(|one| ALGORITHMS.contains(one)) {
            bail!("`auth.algorithms` must be asymmetric ones: {ALGORITHMS:?}");
        }
        let leeway = Time::or(self.leeway_seconds, CLOCK_LEEWAY);
        if leeway > CLOCK_LEEWAY_MAX {
            bail!("`auth.leeway_seconds` can be {} at most", CLOCK_LEEWAY_MAX.as_secs());
        }
        Ok(Some(IssuerConfig {
            name,
            audiences,
            jwks_url,
            algorithms,
            leeway,
            jwks_refresh: Time::or(self.jwks_refresh_seconds, JWKS_REFRESH),
            tls_ca_file: self.tls_ca_file,
        }))
    }
}

fn api_keys(all: &[ApiKey]) -> anyhow::Result<Vec<ApiKeyConfig>> {
    if all.len() > API_KEYS_MAX {
        bail!(
            "there can be {API_KEYS_MAX} `auth.api_keys`; give clients tokens of an issuer instead"
        );
    }
    let mut seen = HashSet::new();
    let check = |key: &ApiKey| {
        let name = key.name.clone();
        let is_plain = name.chars().all(|c| !c.is_control()) && !name.trim().is_empty();
        if !is_plain || name.chars().count() > NAME_CHARS_MAX {
            bail!("{name:?} is not a name for an API key");
        }
        if !seen.insert(name.clone()) {
            bail!("two `auth.api_keys` are called {name:?}");
        }
        // It may be the key itself, put there by mistake, so it is not repeated.
        let sha256 = SecretDigest::from_hex(&key.sha256).with_context(|| {
            format!("the `sha256` of the API key {name:?} is not one: 64 hexadecimal digits")
        })?;
        Ok(ApiKeyConfig { name, sha256 })
    };
    all.iter().map(check).collect()
}

/// Parses a URL that is trusted for what it answers: `https`, or on this machine.
fn secure_url(setting: &str, text: &str) -> anyhow::Result<Url> {
    let url: Url = text.parse().with_context(|| format!("`{setting}` is not a URL: {text:?}"))?;
    if !is_secure(&url) {
        bail!("`{setting}` must begin with https://, except on this machine: {text:?}");
    }
    if !url.username().is_empty() || url.password().is_some() {
        bail!("`{setting}` holds a password");
    }
    Ok(url)
}

/// Returns true if nobody on the network can answer in its place.
pub fn is_secure(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

/// Returns true if it is on this machine.
pub fn is_loopback(url: &Url) -> bool {
    // `localhost` may be looked up, but no resolver worth its name leads it elsewhere (RFC 6761, 6.3).
    url.host_str().is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    })
}

/// Returns the origin, without a slash at its end.
fn origin(text: &str) -> anyhow::Result<String> {
    let url: Url =
        text.parse().with_context(|| format!("`auth.public_url` is not a URL: {text:?}"))?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || !is_bare || !url.username().is_empty() {
        bail!(
            "`auth.public_url` is an origin, such as https://mcp.example, with nothing behind it"
        );
    }
    Ok(url.origin().ascii_serialization())
}

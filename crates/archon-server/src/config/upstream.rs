//! What is configured of an upstream.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::{file, seconds};

/// Names become part of a path and of every row.
const NAME_CHARS_MAX: usize = 64;
/// An upstream on this machine answers at once; one far away needs a few round trips.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An upstream.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// What it is called: `/mcp/{name}`.
    pub name: String,
    /// Where it is.
    pub url: UpstreamUrl,
    /// Headers sent with each request; secrets may be among them.
    pub headers: HeaderMap,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a call may go without a sign of its answer, if not as long as elsewhere.
    pub call_timeout: Option<Duration>,
    /// Certificates to trust, in PEM, in place of the system's.
    pub tls_ca_file: Option<PathBuf>,
}

/// An `http` or `https` URL with a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl(pub Uri);

impl FromStr for UpstreamUrl {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().with_context(|| format!("{text:?} is not a URL"))?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_http || uri.host().is_none() {
            bail!("{text:?} is not an http or https URL");
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            bail!("the URL of an upstream holds a password; put it into `headers` instead");
        }
        Ok(Self(uri))
    }
}

impl FromStr for UpstreamConfig {
    type Err = anyhow::Error;

    /// Parses `NAME=URL`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, url) = text.split_once('=').with_context(|| {
            format!("{text:?} is not an upstream; write NAME=URL, as in everything=http://127.0.0.1:3001/mcp")
        })?;
        Ok(Self {
            name: name.into(),
            url: url.parse()?,
            headers: HeaderMap::new(),
            connect_timeout: CONNECT_TIMEOUT,
            call_timeout: None,
            tls_ca_file: None,
        })
    }
}

/// Returns the upstreams of a file, the default one first.
pub(super) fn from_file(
    upstreams: BTreeMap<String, file::Upstream>,
) -> anyhow::Result<Vec<UpstreamConfig>> {
    if upstreams.values().filter(|upstream| upstream.default).count() > 1 {
        bail!("only one upstream can have `default = true`");
    }
    let (mut defaults, mut others) = (Vec::new(), Vec::new());
    for (name, upstream) in upstreams {
        let list = if upstream.default { &mut defaults } else { &mut others };
        list.push(one(name, upstream)?);
    }
    defaults.append(&mut others);
    Ok(defaults)
}

fn one(name: String, upstream: file::Upstream) -> anyhow::Result<UpstreamConfig> {
    let mut headers = HeaderMap::new();
    for (header, value) in &upstream.headers {
        let header_name: HeaderName = header
            .parse()
            .with_context(|| format!("upstreams.{name}: {header:?} is not a header"))?;
        // The value may be a secret, so it is not repeated.
        let mut value: HeaderValue = value
            .parse()
            .with_context(|| format!("upstreams.{name}: the value of {header} is not one"))?;
        value.set_sensitive(true);
        headers.insert(header_name, value);
    }
    let setting = format!("upstreams.{name}.connect_timeout_seconds");
    let call_setting = format!("upstreams.{name}.call_timeout_seconds");
    let own_call_timeout = upstream.call_timeout_seconds;
    Ok(UpstreamConfig {
        url: upstream.url.parse().with_context(|| format!("upstreams.{name}"))?,
        headers,
        connect_timeout: seconds(&setting, upstream.connect_timeout_seconds, CONNECT_TIMEOUT)?,
        call_timeout: own_call_timeout
            .map(|own| seconds(&call_setting, Some(own), CONNECT_TIMEOUT))
            .transpose()?,
        tls_ca_file: upstream.tls_ca_file,
        name,
    })
}

/// Checks that names can be told apart and can stand in a path.
pub(super) fn check_names(upstreams: &[UpstreamConfig]) -> anyhow::Result<()> {
    let mut seen = HashSet::new();
    for UpstreamConfig { name, .. } in upstreams {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_plain) {
            bail!("{name:?} is not a name for an upstream: use letters, digits, '-', '_' and '.'");
        }
        if !seen.insert(name) {
            bail!("two upstreams are called {name:?}");
        }
    }
    Ok(())
}

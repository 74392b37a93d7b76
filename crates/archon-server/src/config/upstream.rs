//! What is configured of an upstream.

use std::collections::HashSet;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use indexmap::IndexMap;
use serde::Deserialize;

use super::time::Time;
use super::{Forwarding, StdioConfig, file, forwarding, stdio};

/// Names become part of a path and of every row.
const NAME_CHARS_MAX: usize = 64;
/// An upstream on this machine answers at once; one far away needs a few round trips.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Most servers are back within it; a client waits as long for its answer anyway.
pub(super) const RESTART_GRACE: Duration = Duration::from_secs(5);

/// An upstream.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// What it is called: `/mcp/{name}`.
    pub name: String,
    /// Whether it is marked as the one at `/mcp`; else that is the first.
    pub is_marked_default: bool,
    /// How long a call may go without a sign of its answer, if not as long as elsewhere.
    pub call_timeout: Option<Duration>,
    /// Whether its word is taken for which tools only read or are idempotent: their calls are sent again
    /// where an answer was lost.
    pub trust_annotations: bool,
    /// Whether clients of the era that it does not speak are served all the same.
    pub crossing: Crossing,
    /// Where it is.
    pub reached: Reached,
}

/// Whether the gateway stands between clients of one era and an upstream of the other: `bridge` in `archon.toml`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Crossing {
    /// Clients that can speak the upstream's era are led to do so; the others are served.
    #[default]
    Auto,
    /// Each client is served in the era that it asks for first.
    Always,
    /// Clients of the other era are refused, as the upstream would refuse them.
    Never,
}

/// How an upstream is reached.
#[derive(Clone, Debug)]
pub enum Reached {
    /// Over HTTP.
    Http(HttpConfig),
    /// By starting it.
    Stdio(StdioConfig),
}

/// A Streamable HTTP server.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Where it is.
    pub url: UpstreamUrl,
    /// Headers sent with each request; secrets may be among them.
    pub headers: HeaderMap,
    /// Which of a client's headers go on.
    pub forwarding: Forwarding,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long calls wait for a server that was there and cannot be reached: it may be restarting.
    pub restart_grace: Duration,
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

    /// Parses `NAME=URL` or `NAME=COMMAND`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, target) = text.split_once('=').with_context(|| {
            format!(
                "{text:?} is not an upstream; write NAME=URL or NAME=COMMAND, \
                 as in everything=http://127.0.0.1:3001/mcp"
            )
        })?;
        let is_url = target.split_whitespace().next().is_some_and(|word| word.contains("://"));
        let reached = if is_url {
            Reached::Http(HttpConfig {
                url: target.parse()?,
                headers: HeaderMap::new(),
                forwarding: Forwarding::default(),
                connect_timeout: CONNECT_TIMEOUT,
                restart_grace: RESTART_GRACE,
                tls_ca_file: None,
            })
        } else {
            Reached::Stdio(
                StdioConfig::of_line(target).with_context(|| format!("upstream {name:?}"))?,
            )
        };
        Ok(Self {
            name: name.into(),
            is_marked_default: false,
            call_timeout: None,
            trust_annotations: false,
            crossing: Crossing::default(),
            reached,
        })
    }
}

/// Splits the value of the environment's variable: an upstream a line, or several URLs separated by
/// commas. A command may hold commas of its own, so it has a line to itself.
pub fn split_variable(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_url = |part: &str| part.split_once('=').is_some_and(|(_, url)| url.starts_with("http"));
    lines
        .flat_map(|line| {
            let parts: Vec<String> = line.split(',').map(|part| part.trim().to_owned()).collect();
            if parts.iter().all(|part| is_url(part)) { parts } else { vec![line.to_owned()] }
        })
        .collect()
}

/// Returns the upstreams of a file: the default one first, which is the file's first unless another is marked, and the others
/// in the file's order.
pub(super) fn from_file(
    upstreams: IndexMap<String, file::Upstream>,
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

fn one(name: String, mut upstream: file::Upstream) -> anyhow::Result<UpstreamConfig> {
    let call_timeout = upstream.call_timeout_seconds.map(|own| own.0);
    let (trust_annotations, crossing) = (upstream.trust_annotations, upstream.bridge);
    let is_marked_default = upstream.default;
    let reached = match (upstream.url.take(), upstream.command.take()) {
        (Some(url), None) => http(&name, &url, upstream).map(Reached::Http)?,
        (None, Some(command)) => stdio::read(&name, command, upstream).map(Reached::Stdio)?,
        (Some(_), Some(_)) => bail!("upstreams.{name}: `url` and `command` exclude each other"),
        (None, None) => bail!("upstreams.{name}: it needs a `url`, or a `command` to start"),
    };
    Ok(UpstreamConfig {
        name,
        is_marked_default,
        call_timeout,
        trust_annotations,
        crossing,
        reached,
    })
}

fn http(name: &str, url: &str, upstream: file::Upstream) -> anyhow::Result<HttpConfig> {
    for (setting, is_set) in [
        ("env", upstream.env.is_some()),
        ("cwd", upstream.cwd.is_some()),
        ("shared", upstream.shared.is_some()),
        ("children_max", upstream.children_max.is_some()),
        ("idle_shutdown_seconds", upstream.idle_shutdown_seconds.is_some()),
        ("stop_seconds", upstream.stop_seconds.is_some()),
        ("start_timeout_seconds", upstream.start_timeout_seconds.is_some()),
        ("message_bytes_max", upstream.message_bytes_max.is_some()),
    ] {
        if is_set {
            bail!("upstreams.{name}: `{setting}` goes with `command`, not with `url`");
        }
    }
    let forwarding = forwarding::read(name, &upstream)?;
    let mut headers = HeaderMap::new();
    for (header, value) in upstream.headers.iter().flatten() {
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
    let has_own = headers.contains_key(AUTHORIZATION);
    if let Some(variable) = &upstream.bearer_env {
        headers.insert(AUTHORIZATION, forwarding::bearer(name, variable)?);
    }
    let ways = [has_own, upstream.bearer_env.is_some(), forwarding.authorization];
    if ways.into_iter().filter(|is_set| *is_set).count() > 1 {
        bail!(
            "upstreams.{name}: `Authorization` in `headers`, `bearer_env` and `forward_authorization` \
             exclude each other"
        );
    }
    Ok(HttpConfig {
        url: url.parse().with_context(|| format!("upstreams.{name}"))?,
        headers,
        forwarding,
        connect_timeout: Time::or(upstream.connect_timeout_seconds, CONNECT_TIMEOUT),
        restart_grace: Time::or(upstream.restart_grace_seconds, RESTART_GRACE),
        tls_ca_file: upstream.tls_ca_file,
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

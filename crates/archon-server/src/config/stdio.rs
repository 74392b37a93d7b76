//! What is configured of an upstream that we start ourselves and reach on its standard input and output.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use super::file;
use super::time::Time;
use super::upstream::RESTART_GRACE;

/// A child per client, each some tens of megabytes if it runs on Node or Python.
const CHILDREN_MAX: usize = 64;
/// Longer than a session may be silent: a client that comes back after lunch finds its state.
const IDLE_SHUTDOWN: Duration = Duration::from_secs(3600);
/// Servers that have something to write before they end do so in a moment.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// `npx` may download the server first.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Four times a request of ours: answers hold files and images.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A command that is an MCP server.
#[derive(Clone, Debug)]
pub struct StdioConfig {
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// Added to our own environment.
    pub env: Environment,
    /// Where it runs, if not where we do.
    pub cwd: Option<PathBuf>,
    /// Whether all clients share one child of their era.
    pub shared: bool,
    /// Children at a time.
    pub children_max: usize,
    /// How long a child lives without a call or an open stream.
    pub idle_shutdown: Duration,
    /// How long a call waits for a command that rests, since it has ended again and again.
    pub restart_grace: Duration,
    /// How long it may take to end after its input was closed, and again after TERM.
    pub stop_limit: Duration,
    /// How long its answer to `initialize` may take.
    pub start_timeout: Duration,
    /// Bytes of one line that it says.
    pub message_bytes_max: usize,
}

/// Variables; their values may be secrets, and are never shown.
#[derive(Clone, Default)]
pub struct Environment(pub BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl StdioConfig {
    /// Returns the standard settings for a command line, which is split as a shell would.
    ///
    /// # Errors
    /// If it has no word, or a quote without an end.
    pub fn of_line(line: &str) -> anyhow::Result<Self> {
        let words = shlex::split(line).context("a quote has no end in the command")?;
        Self::of_words(words)
    }

    fn of_words(command: Vec<String>) -> anyhow::Result<Self> {
        if command.first().is_none_or(String::is_empty) {
            bail!("the command is empty");
        }
        if command.iter().any(|word| word.contains('\0')) {
            bail!("the command holds a NUL");
        }
        Ok(Self {
            command,
            env: Environment::default(),
            cwd: None,
            shared: false,
            children_max: CHILDREN_MAX,
            idle_shutdown: IDLE_SHUTDOWN,
            restart_grace: RESTART_GRACE,
            stop_limit: STOP_LIMIT,
            start_timeout: START_TIMEOUT,
            message_bytes_max: MESSAGE_BYTES_MAX,
        })
    }
}

pub(super) fn read(
    name: &str,
    command: file::Command,
    upstream: file::Upstream,
) -> anyhow::Result<StdioConfig> {
    for (setting, is_set) in [
        ("headers", upstream.headers.is_some()),
        ("connect_timeout_seconds", upstream.connect_timeout_seconds.is_some()),
        ("tls_ca_file", upstream.tls_ca_file.is_some()),
        ("forward_headers", upstream.forward_headers.is_some()),
        ("forward_authorization", upstream.forward_authorization),
        ("bearer_env", upstream.bearer_env.is_some()),
        ("identity_header", upstream.identity_header.is_some()),
    ] {
        if is_set {
            bail!("upstreams.{name}: `{setting}` goes with `url`, not with `command`");
        }
    }
    let standard = match command {
        file::Command::Line(line) => StdioConfig::of_line(&line),
        file::Command::Words(words) => StdioConfig::of_words(words),
    }
    .with_context(|| format!("upstreams.{name}"))?;
    let env = upstream.env.unwrap_or_default();
    let is_name = |name: &String| !name.is_empty() && !name.contains(['=', '\0']);
    if let Some(bad) = env.keys().find(|name| !is_name(name)) {
        bail!("upstreams.{name}: {bad:?} is not a name for a variable");
    }
    if let Some((variable, _)) = env.iter().find(|(_, value)| value.contains('\0')) {
        bail!("upstreams.{name}: the value of {variable} holds a NUL");
    }
    if let Some(cwd) = upstream.cwd.as_ref().filter(|cwd| !cwd.is_dir()) {
        bail!("upstreams.{name}: `cwd` is not a directory: {}", cwd.display());
    }
    if upstream.children_max == Some(0) || upstream.message_bytes_max == Some(0) {
        bail!("upstreams.{name}: `children_max` and `message_bytes_max` must be positive");
    }
    Ok(StdioConfig {
        env: Environment(env),
        cwd: upstream.cwd,
        shared: upstream.shared.unwrap_or(standard.shared),
        children_max: upstream.children_max.unwrap_or(standard.children_max),
        idle_shutdown: Time::or(upstream.idle_shutdown_seconds, standard.idle_shutdown),
        restart_grace: Time::or(upstream.restart_grace_seconds, standard.restart_grace),
        stop_limit: Time::or(upstream.stop_seconds, standard.stop_limit),
        start_timeout: Time::or(upstream.start_timeout_seconds, standard.start_timeout),
        message_bytes_max: upstream.message_bytes_max.unwrap_or(standard.message_bytes_max),
        command: standard.command,
    })
}

//! `archon client-config`: prints what to paste into an agent, or to run, to use this deployment.

mod snippets;

use archon_sessions::session::ClientKey;
use clap::{Args, ValueEnum};

use super::deployment::Deployment;
use super::print;

/// The snippet goes to standard output, where to put it to standard error.
#[derive(Debug, Args)]
pub struct ClientConfig {
    /// The agent
    #[arg(value_enum)]
    agent: Agent,
    /// Name of this server in the agent
    #[arg(long, default_value = "archon", value_parser = server_name)]
    name: String,
    #[command(flatten)]
    deployment: Deployment,
}

/// What can be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Agent {
    ClaudeCode,
    ClaudeDesktop,
    Cursor,
    #[value(name = "vscode", alias = "vs-code")]
    VsCode,
    Windsurf,
    Codex,
    #[value(alias = "gemini-cli")]
    Gemini,
    Zed,
    Inspector,
    Curl,
    Rust,
    Python,
}

impl ClientConfig {
    /// Prints the snippet.
    pub fn run(self) -> anyhow::Result<()> {
        let url = self.deployment.url()?;
        let snippet = snippets::of(self.agent, url.as_str(), &self.name, &ClientKey::random());
        eprintln!("{}", snippet.place);
        print::lines(&snippet.text)
    }
}

/// Every agent takes such a name as it is: as a key in JSON and TOML, and as a word of a command.
fn server_name(text: &str) -> Result<String, String> {
    const LENGTH_MAX: usize = 64;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let starts_well = text.starts_with(|first: char| first.is_ascii_alphanumeric());
    if starts_well && text.len() <= LENGTH_MAX && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "a name has up to {LENGTH_MAX} letters, digits, - and _, and begins with a letter or digit"
    ))
}

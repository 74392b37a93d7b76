//! `archon token`: makes a token for the API, and says what to write into the configuration.

use std::fmt;

use anyhow::anyhow;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, ValueEnum};

use super::print;
use crate::config::SecretDigest;

/// As many bits as its hash has: there is nothing to guess.
const BYTES: usize = 32;
/// Tells people and secret scanners what it is that they found.
const PREFIX: &str = "archon_";

/// The token is printed once, on standard output; its hash, which is all that the gateway needs, on standard error.
#[derive(Debug, Args)]
pub struct Token {
    /// Owner of the token, shown in logs
    #[arg(long, value_parser = name)]
    name: String,
    /// Permissions of the token
    #[arg(long, value_enum, default_value_t = Role::Viewer)]
    role: Role,
}

/// See the API's access rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Read everything.
    Viewer,
    /// End sessions, import, change prices as well.
    Operator,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        })
    }
}

impl Token {
    /// Makes the token.
    ///
    /// # Errors
    /// If the operating system has no randomness to give.
    pub fn run(self) -> anyhow::Result<()> {
        let token = make()?;
        eprintln!("Put this into archon.toml and start archon again (or `archon upgrade`):\n");
        eprintln!("{}", lines(&self.name, self.role, &token));
        eprintln!(
            "\nThe token, which is not kept anywhere; give it to clients as ARCHON_API_TOKEN:\n"
        );
        print::lines(&token)
    }
}

fn make() -> anyhow::Result<String> {
    let mut bytes = [0; BYTES];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| anyhow!("the operating system gave no random bits"))?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

fn lines(name: &str, role: Role, token: &str) -> String {
    let hash = SecretDigest::of(token.as_bytes()).to_hex();
    format!("[[api.tokens]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{hash}\"")
}

/// One line of a log, and a plain text in TOML.
fn name(text: &str) -> Result<String, String> {
    const LENGTH_MAX: usize = 64;
    let is_plain = |letter: char| {
        letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | '@' | ' ')
    };
    if !text.trim().is_empty() && text.len() <= LENGTH_MAX && text.chars().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err(format!("a name has up to {LENGTH_MAX} letters, digits, spaces and any of - _ . @"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_are_long() {
        let (one, two) = (make().unwrap(), make().unwrap());
        assert!(one != two && one.starts_with(PREFIX) && one.len() == PREFIX.len() + 43, "{one}");
    }

    #[test]
    fn the_configuration_holds_the_hash_and_not_the_token() {
        let text = lines("ci", Role::Operator, "archon_x");
        let table: toml::Table = text.parse().unwrap();
        let token = &table["api"]["tokens"][0];
        assert_eq!(token["name"].as_str(), Some("ci"));
        assert_eq!(token["role"].as_str(), Some("operator"));
        assert_eq!(
            token["sha256"].as_str(),
            // printf archon_x | sha256sum
            Some("a4ac6ff1b30f43325d8074dddebf40b20df2455684573e5e0eb07806def54713")
        );
        assert!(!text.contains("archon_x"));
    }
}

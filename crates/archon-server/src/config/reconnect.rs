//! How sessions are taken back with tokens, as it is configured.

use anyhow::{Context, bail};
use archon_sessions::session::TokenKey;
use archon_sessions::tracker::{ReconnectRate, ReconnectSettings};

use super::file;
use super::time::Time;

/// A secret shorter than that is a word that somebody may think of.
const SECRET_BYTES_MIN: usize = 16;
/// What holds the secret; there is no flag for it, since command lines can be read by others on the machine.
const SECRET: &str = "MCP_SESSION_SECRET";
/// What holds the lifetime, in minutes.
const EXPIRY: &str = "MCP_RECONNECT_TOKEN_EXPIRY";

/// What the environment says of reconnect tokens; it wins over the file.
#[derive(Default)]
pub struct TokenVariables {
    /// What tokens are signed with.
    pub secret: Option<String>,
    /// How long they are good, in minutes.
    pub expiry: Option<String>,
}

impl TokenVariables {
    /// Reads the variables; an empty one counts as none.
    pub fn read() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self { secret: variable(SECRET), expiry: variable(EXPIRY) }
    }
}

impl std::fmt::Debug for TokenVariables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenVariables")
    }
}

impl file::Sessions {
    /// Returns the settings of reconnects.
    pub(super) fn reconnect(
        &self,
        variables: TokenVariables,
        limits: &file::Limits,
    ) -> anyhow::Result<ReconnectSettings> {
        let (standard, rate) = (ReconnectSettings::default(), ReconnectRate::default());
        let key = match variables.secret {
            Some(secret) if secret.len() < SECRET_BYTES_MIN => {
                bail!(
                    "{SECRET} must have {SECRET_BYTES_MIN} characters at least; 32 random ones are good"
                )
            }
            Some(secret) => Some(TokenKey::new(secret.as_bytes())),
            None => None,
        };
        let lifetime = match &variables.expiry {
            Some(text) => Some(
                text.parse()
                    .with_context(|| format!("{EXPIRY} is a number of minutes, not {text:?}"))?,
            ),
            None => self.reconnect_token_minutes,
        };
        Ok(ReconnectSettings {
            key,
            token_lifetime: Time::or(lifetime, standard.token_lifetime),
            rate: ReconnectRate {
                per_token: self.reconnects_per_minute.unwrap_or(rate.per_token),
                per_address: self.reconnects_per_minute_of_address.unwrap_or(rate.per_address),
                limits_loopback: limits.limit_loopback.unwrap_or(rate.limits_loopback),
            },
        })
    }
}

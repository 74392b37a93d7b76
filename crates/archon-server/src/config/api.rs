//! Who may use the API, as it is configured.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use archon_sessions_api::access::Role;

use super::{SecretDigest, file};

/// The variable that holds an operator's token.
pub const TOKEN_VARIABLE: &str = "ARCHON_API_TOKEN";
/// Tokens in a configuration; each request that shows one is compared with all.
const TOKENS_MAX: usize = 1000;

/// Who may use the API.
#[derive(Clone, Debug, Default)]
pub struct ApiConfig {
    /// Whoever shows one of these. Without any, the API is open to this machine, and only listens there.
    pub tokens: Vec<ApiToken>,
    /// Origins of pages elsewhere that may use it.
    pub cors_origins: Vec<Box<str>>,
}

/// A token by which the API knows somebody.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// Whose it is.
    pub name: Arc<str>,
    /// What it looks like.
    pub digest: SecretDigest,
    /// What it is good for.
    pub role: Role,
}

impl ApiConfig {
    /// Reads the section and the token of the environment.
    ///
    /// # Errors
    /// With what is wrong, and never with a token.
    pub(super) fn read(
        section: file::Api,
        from_environment: Option<String>,
    ) -> anyhow::Result<Self> {
        let mut tokens = Vec::new();
        if let Some(token) = from_environment.filter(|token| !token.trim().is_empty()) {
            tokens.push(ApiToken {
                name: TOKEN_VARIABLE.into(),
                digest: SecretDigest::of(token.trim().as_bytes()),
                role: Role::Operator,
            });
        }
        for token in section.tokens {
            let name: Arc<str> = token.name.trim().into();
            ensure!(!name.is_empty(), "each of `api.tokens` needs a `name`");
            ensure!(
                tokens.iter().all(|other: &ApiToken| other.name != name),
                "`api.tokens` names {name:?} twice"
            );
            let digest = SecretDigest::from_hex(&token.sha256).with_context(|| {
                format!("`sha256` of the API token {name:?} is not 64 hexadecimal digits")
            })?;
            tokens.push(ApiToken { name, digest, role: token.role });
        }
        ensure!(tokens.len() <= TOKENS_MAX, "`api.tokens` holds more than {TOKENS_MAX} tokens");
        let cors_origins =
            section.cors_origins.into_iter().map(origin).collect::<Result<_, _>>()?;
        Ok(Self { tokens, cors_origins })
    }

    /// Returns what knows one operator, or nobody.
    #[cfg(test)]
    pub fn of_token(token: Option<String>) -> Self {
        Self::read(file::Api::default(), token).unwrap_or_default()
    }

    /// Checks that whoever can reach the API must show a token.
    ///
    /// # Errors
    /// If others than this machine can reach it and no token is configured.
    pub fn check_reach(&self, host: &str, is_loopback: bool) -> anyhow::Result<()> {
        if !is_loopback && self.tokens.is_empty() {
            bail!(
                "listening on {host} needs a token for the API: set {TOKEN_VARIABLE} to a long random text, or \
                 add `[[api.tokens]]` with `name`, `sha256` and `role` to the configuration"
            );
        }
        Ok(())
    }
}

/// Returns the origin as browsers send it. Those of extensions and of programs with a page inside are no addresses
/// (`chrome-extension://ID`, `tauri://localhost`).
fn origin(text: String) -> anyhow::Result<Box<str>> {
    let lower = text.trim_end_matches('/').to_ascii_lowercase();
    let is_origin = lower.split_once("://").is_some_and(|(scheme, host)| {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(is_word)
            && !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_graphic() && !b"/@?#*".contains(&b))
    });
    ensure!(is_origin, "`api.cors_origins` holds {text:?}, which is not like https://ops.example");
    Ok(lower.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str, token: Option<&str>) -> anyhow::Result<ApiConfig> {
        ApiConfig::read(toml::from_str(toml)?, token.map(String::from))
    }

    #[test]
    fn a_configured_digest_is_that_of_its_token() {
        let toml = "[[tokens]]\nname = 'ops'\nrole = 'viewer'\n\
                    sha256 = 'BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD'";
        let config = read(toml, Some(" from-environment\n")).unwrap();
        let by_name = |name: &str| config.tokens.iter().find(|token| &*token.name == name).unwrap();
        assert!(by_name("ops").digest == SecretDigest::of(b"abc"));
        assert_eq!(by_name("ops").role, Role::Viewer);
        assert!(by_name(TOKEN_VARIABLE).digest == SecretDigest::of(b"from-environment"));
        assert_eq!(by_name(TOKEN_VARIABLE).role, Role::Operator);
    }

    #[test]
    fn origins_of_any_scheme_are_taken() {
        for origin in ["https://Ops.example/", "chrome-extension://abc", "tauri://localhost"] {
            let config = read(&format!("cors_origins = ['{origin}']"), None).unwrap();
            let lower = origin.trim_end_matches('/').to_ascii_lowercase();
            assert_eq!(&*config.cors_origins[0], lower);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let digest = "00".repeat(32);
        let token = |name: &str, sha256: &str| {
            format!("[[tokens]]\nname = '{name}'\nsha256 = '{sha256}'\nrole = 'viewer'\n")
        };
        let twice = token("a", &digest).repeat(2);
        for (toml, word) in [
            (token("a", "12"), "64 hexadecimal"),
            (token(" ", &digest), "name"),
            (twice, "twice"),
            ("cors_origins = ['*']".into(), "cors_origins"),
            ("cors_origins = ['https://a.example/x']".into(), "cors_origins"),
            ("cors_origins = ['ops.example']".into(), "cors_origins"),
            ("cors_origins = ['file://']".into(), "cors_origins"),
        ] {
            let error = format!("{:#}", read(&toml, None).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn listening_elsewhere_needs_a_token() {
        let open = read("", Some("  ")).unwrap();
        assert!(open.check_reach("127.0.0.1", true).is_ok());
        let error = open.check_reach("0.0.0.0", false).unwrap_err().to_string();
        assert!(error.contains(TOKEN_VARIABLE) && error.contains("api.tokens"), "{error}");
        assert!(read("", Some("x")).unwrap().check_reach("0.0.0.0", false).is_ok());
    }
}

//! Where a PostgreSQL database is, and with which password: that is never shown.

use std::fmt;
use std::str::FromStr;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use url::Url;

/// A `postgres://` or `postgresql://` URL. It shows as the host and the database, and as nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(Url);

/// Why a text is no such URL; it does not show the text either.
#[derive(Debug, thiserror::Error)]
pub enum PostgresUrlError {
    /// It has another form.
    #[error("it is no URL of the form postgres://user:password@host:port/database")]
    Form,
    /// A parameter has a value that means nothing.
    #[error("one of its parameters has no good value")]
    Parameter,
}

/// Parameters that the driver knows. It would log the values of others, and a misspelt `password` is one.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];
/// Says that a pooler in transaction mode is in between; ours, as others call it too.
const POOLED: &str = "pgbouncer";

impl PostgresUrl {
    /// Returns whether a text means to be one.
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with("postgres:") || text.starts_with("postgresql:")
    }

    /// Returns whether a pooler may give each transaction another connection (`?pgbouncer=true`).
    pub(super) fn is_pooled(&self) -> bool {
        self.0.query_pairs().any(|(key, value)| key == POOLED && value == "true")
    }

    pub(super) fn options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        let mut url = self.0.clone();
        let known = |key: &str| PARAMETERS.contains(&key) || key.starts_with("options[");
        let (kept, others): (Vec<_>, Vec<_>) =
            self.0.query_pairs().partition(|(key, _)| known(key));
        for (key, _) in others.iter().filter(|(key, _)| key != POOLED) {
            tracing::warn!("the database's URL has a parameter that is not known: {key}");
        }
        url.query_pairs_mut().clear().extend_pairs(kept);
        let options = PgConnectOptions::from_url(&url)?;
        // A pooler may refuse what it does not know, and we need no more digits than usual.
        let options = options.extra_float_digits(None).disable_statement_logging();
        Ok(if self.is_pooled() { options.statement_cache_capacity(0) } else { options })
    }
}

impl FromStr for PostgresUrl {
    type Err = PostgresUrlError;

    fn from_str(text: &str) -> Result<Self, PostgresUrlError> {
        let url: Url = text.parse().map_err(|_| PostgresUrlError::Form)?;
        if !matches!(url.scheme(), "postgres" | "postgresql") || url.cannot_be_a_base() {
            return Err(PostgresUrlError::Form);
        }
        let url = Self(url);
        url.options().map_err(|_| PostgresUrlError::Parameter)?;
        Ok(url)
    }
}

impl fmt::Display for PostgresUrl {
    /// Writes `host:port/database`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(options) = self.options() else { return f.write_str("PostgreSQL") };
        match options.get_socket() {
            Some(folder) => write!(f, "{}", folder.display())?,
            None => write!(f, "{}:{}", options.get_host(), options.get_port())?,
        }
        write!(f, "/{}", options.get_database().unwrap_or_else(|| options.get_username()))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_where_it_is_and_no_password() {
        for (text, shown) in [
            (
                "postgres://me:secret@db.example:6432/archon?sslmode=require",
                "db.example:6432/archon",
            ),
            ("postgresql://me:secret@%2Frun%2Fpg/archon?pgbouncer=true", "/run/pg/archon"),
            (
                "postgres://db.example/archon?password=secret&pasword=secret",
                "db.example:5432/archon",
            ),
        ] {
            let url: PostgresUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("secret"));
            assert_eq!(url.is_pooled(), text.contains("pgbouncer"));
        }
    }

    #[test]
    fn a_mistake_is_told_without_the_password() {
        for text in [
            "postgres:secret",
            "mysql://u:secret@h/d",
            "postgres://u:secret@h:x/d",
            "postgres://u:secret@h/d?sslmode=secret",
        ] {
            let error = text.parse::<PostgresUrl>().unwrap_err();
            assert!(!format!("{error:?} {error}").contains("secret"), "{error}");
        }
    }
}

//! Where sessions are kept, as it is configured.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};
use archon_sessions::store::postgres::PostgresUrl;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Where sessions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database; its password is never shown.
    Postgres(PostgresUrl),
    /// Nowhere: for trying things out.
    Memory,
}

/// The file that is meant where nothing is said.
pub(super) const DEFAULT: &str = "data/archon.db";
/// What the names of our files begin with where the database is no file of its own.
const BESIDE_POSTGRES: &str = "data/archon";
/// The node on a SQLite file to which nobody gave a name.
pub const NAMELESS_NODE: &str = "archon";
/// What is written as `%20` where a node's name is part of a file's.
const NO_PART_OF_A_FILE_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
/// What names a database where no flag and no variable of ours does.
const VARIABLE: &str = "DATABASE_URL";
/// What a SQLite URL begins with: its own scheme, SQLAlchemy's with a driver, and SQLite's own form.
const SQLITE: [&str; 5] = ["sqlite", "sqlite3", "sqlite+aiosqlite", "sqlite+pysqlite", "file"];
/// What means a database in memory: our word, and SQLite's.
const MEMORY: [&str; 2] = ["memory", MEMORY_OF_SQLITE];
const MEMORY_OF_SQLITE: &str = ":memory:";
/// How a database is named.
const FORMS: &str = "use a file path, sqlite:PATH, memory or postgres://…";
/// Characters of a parameter's name that an error shows.
const NAME_CHARS: usize = 32;

impl Database {
    /// Returns what the names of a node's files beside it begin with; `None` if nothing of it can be handed over. A node
    /// with a name has files of its own.
    pub fn files(&self, node: Option<&str>) -> Option<PathBuf> {
        let database = match self {
            Self::Sqlite(path) => real(path),
            Self::Postgres(_) => PathBuf::from(BESIDE_POSTGRES),
            Self::Memory => return None,
        };
        let Some(name) = node.filter(|name| *name != NAMELESS_NODE) else { return Some(database) };
        let mut files = database.into_os_string();
        files.push(format!(".{}", utf8_percent_encode(name, NO_PART_OF_A_FILE_NAME)));
        Some(files.into())
    }

    /// Returns what the flag or our own variable says, or else `DATABASE_URL`. An empty variable counts as unset, as
    /// compose files leave it.
    pub fn overridden(named: Option<String>) -> Option<String> {
        let is_set = |text: &String| !text.trim().is_empty();
        named.filter(is_set).or_else(|| std::env::var(VARIABLE).ok().filter(is_set))
    }
}

/// Follows a link to a database, so that all who open it find the same files beside it.
fn real(path: &Path) -> PathBuf {
    let is_link = path.symlink_metadata().is_ok_and(|found| found.is_symlink());
    if is_link { std::fs::canonicalize(path).unwrap_or_else(|_| path.into()) } else { path.into() }
}

impl FromStr for Database {
    type Err = anyhow::Error;

    /// Parses a URL, a path or `memory`. An error does not show the text, which may hold a password.
    ///
    /// SQLite's URLs are read as sqlx and Prisma read them: `sqlite:PATH`, `sqlite://PATH`, `sqlite:///ABSOLUTE`, and
    /// `file:` in place of `sqlite:`, with `%20` for what a URL cannot hold.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            bail!("the database is empty; {FORMS}");
        }
        if PostgresUrl::is_meant_by(text) {
            let url = text.parse().context("could not read the database's URL")?;
            return Ok(Self::Postgres(url));
        }
        match text.split_once(':') {
            Some((scheme, rest)) if SQLITE.iter().any(|s| s.eq_ignore_ascii_case(scheme)) => {
                from_sqlite_url(rest)
            }
            Some((scheme, rest)) if rest.starts_with("//") && is_scheme(scheme) => {
                bail!(
                    "unsupported database URL \"{scheme}://…\"; {FORMS}; --db wins over {VARIABLE}"
                )
            }
            _ if MEMORY.contains(&text) => Ok(Self::Memory),
            _ => Ok(Self::Sqlite(text.into())),
        }
    }
}

/// Reads what follows `sqlite:`.
fn from_sqlite_url(rest: &str) -> anyhow::Result<Database> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.strip_prefix("//").unwrap_or(path);
    // A URL may name the machine that it is read on.
    let path = path.strip_prefix("localhost").filter(|p| p.starts_with('/')).unwrap_or(path);
    let mut is_memory = false;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=').unwrap_or((parameter, "")) {
            // We open it for reading and writing, and create it where it is missing, whatever these say.
            ("mode", "rwc" | "rw") | ("cache", "private" | "shared") => {}
            ("mode", "memory") => is_memory = true,
            ("mode", "ro") | ("immutable", _) => {
                bail!("a read-only database cannot hold sessions; leave mode=ro and immutable out")
            }
            (name, _) => {
                let name: String = name.chars().take(NAME_CHARS).collect();
                bail!("unknown parameter {name:?} of a SQLite URL; leave it out")
            }
        }
    }
    let path =
        percent_decode_str(path).decode_utf8().context("the database's path is not UTF-8")?;
    if path.contains('\0') {
        bail!("the database's path holds a NUL character");
    }
    if is_memory || path.trim_start_matches('/') == MEMORY_OF_SQLITE {
        return Ok(Database::Memory);
    }
    if path.is_empty() || path.ends_with('/') {
        bail!("the SQLite URL names no file; {FORMS}");
    }
    Ok(Database::Sqlite(PathBuf::from(&*path)))
}

/// Returns true for what can stand before `://` (RFC 3986, section 3.1).
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(url) => write!(f, "PostgreSQL, {url}"),
            Self::Memory => f.write_str("none, sessions end with this process"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_file_can_be_named_by_its_path_or_by_a_url() {
        for (text, path) in [
            ("data/archon.db", "data/archon.db"),
            ("/var/lib/archon.db", "/var/lib/archon.db"),
            ("sqlite:data/archon.db", "data/archon.db"),
            ("sqlite://data/archon.db", "data/archon.db"),
            ("sqlite://./archon.db", "./archon.db"),
            ("sqlite://../archon.db", "../archon.db"),
            ("sqlite://archon.db", "archon.db"),
            ("sqlite:/var/lib/archon.db", "/var/lib/archon.db"),
            ("sqlite:///var/lib/archon.db", "/var/lib/archon.db"),
            ("sqlite://localhost/var/lib/archon.db", "/var/lib/archon.db"),
            ("sqlite://localhost.db", "localhost.db"),
            ("SQLite:///var/lib/archon.db", "/var/lib/archon.db"),
            ("sqlite+aiosqlite:///var/lib/archon.db", "/var/lib/archon.db"),
            ("sqlite:///var/lib/archon.db?mode=rwc&cache=shared", "/var/lib/archon.db"),
            ("sqlite:///var/my%20data/a%3Fb.db", "/var/my data/a?b.db"),
            ("file:archon.db", "archon.db"),
            ("file:///var/lib/archon.db", "/var/lib/archon.db"),
            (" sqlite:archon.db\n", "archon.db"),
            // A path may hold a colon.
            ("a:b.db", "a:b.db"),
            ("./memory", "./memory"),
            ("sqlite:memory", "memory"),
            ("sqlite:///memory", "/memory"),
            ("100%.db", "100%.db"),
        ] {
            let database: Database = text.parse().unwrap();
            assert_eq!(database, Database::Sqlite(path.into()), "{text}");
        }
    }

    #[test]
    fn each_node_has_files_of_its_own() {
        let sqlite: Database = "data/archon.db".parse().unwrap();
        let postgres: Database = "postgres://db.example/archon".parse().unwrap();
        for (database, node, files) in [
            (&sqlite, None, Some("data/archon.db")),
            (&sqlite, Some("archon"), Some("data/archon.db")),
            (&sqlite, Some("a-1"), Some("data/archon.db.a-1")),
            (&sqlite, Some("../b c:1"), Some("data/archon.db...%2Fb%20c%3A1")),
            (&postgres, None, Some("data/archon")),
            (&postgres, Some("b"), Some("data/archon.b")),
            (&Database::Memory, Some("b"), None),
        ] {
            assert_eq!(database.files(node), files.map(PathBuf::from), "{node:?}");
        }
    }

    #[test]
    fn a_link_to_a_database_leads_to_the_files_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.db"), folder.path().join("link.db"));
        std::fs::write(&real, "").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let real = real.canonicalize().unwrap();
        assert_eq!(Database::Sqlite(link).files(None), Some(real));
    }

    #[test]
    fn a_database_in_memory_has_sqlites_names_too() {
        for text in [
            "memory",
            ":memory:",
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite:///:memory:",
            "file::memory:?cache=shared",
            "file:any?mode=memory",
        ] {
            assert_eq!(text.parse::<Database>().unwrap(), Database::Memory, "{text}");
        }
    }

    #[test]
    fn what_names_no_database_of_ours_is_refused_without_being_shown() {
        for (text, why) in [
            ("", "is empty"),
            ("  ", "is empty"),
            ("sqlite:", "names no file"),
            ("sqlite://", "names no file"),
            ("sqlite:///var/lib/", "names no file"),
            ("sqlite:x.db?mode=ro", "read-only"),
            ("file:x.db?immutable=1", "read-only"),
            ("sqlite:x.db?password=secret", "unknown parameter \"password\""),
            ("sqlite:x%00y.db", "NUL"),
            ("mysql://me:secret@db.example/archon", "unsupported database URL \"mysql://…\""),
            ("postgres://[", "could not read the database's URL"),
        ] {
            let error = format!("{:#}", text.parse::<Database>().unwrap_err());
            assert!(error.contains(why) && !error.contains("secret"), "{text}: {error}");
        }
    }
}

//! Who authenticated.

use std::fmt;
use std::sync::Arc;

/// The authenticated party behind a request. Sessions and handles are bound to it; another
/// principal's id is unknown to you.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum Principal {
    /// Nobody authenticated.
    #[default]
    Anonymous,
    /// A subject as its issuer names it.
    Identified {
        /// Who vouches: an OAuth issuer URL, or `api-key`.
        issuer: Arc<str>,
        /// Whom for.
        subject: Arc<str>,
    },
}

impl Principal {
    /// Returns true where somebody authenticated.
    pub fn is_authenticated(&self) -> bool {
        matches!(self, Self::Identified { .. })
    }

    /// Reads the stored form that `Display` writes.
    pub fn from_stored(text: &str) -> Self {
        match text.split_once('#') {
            Some((issuer, subject)) => {
                Self::Identified { issuer: issuer.into(), subject: subject.into() }
            }
            None => Self::Anonymous,
        }
    }
}

impl fmt::Display for Principal {
    /// Writes `anonymous`, or `issuer#subject`; an issuer URL has no fragment (RFC 8414, 2).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Identified { issuer, subject } => write!(f, "{issuer}#{subject}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_reads_back() {
        let someone = Principal::Identified {
            issuer: "https://issuer.example".into(),
            subject: "user#7".into(),
        };
        for principal in [Principal::Anonymous, someone] {
            assert_eq!(Principal::from_stored(&principal.to_string()), principal);
        }
    }
}

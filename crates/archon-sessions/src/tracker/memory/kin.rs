//! What joins requests that show no handle.

use super::Proof;
use crate::session::{ClientInfo, Era, Fingerprint, KeyDigest, Principal, Session};

/// What joins requests that show no handle: a client's key, the principal's client, or a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::tracker) enum Kin {
    /// With the client's name: a key that somebody copies to another agent makes them no one client.
    ClientKey(KeyDigest, Principal, Option<Box<str>>),
    Principal(Principal, Option<Box<str>>, Option<Box<str>>),
    Fingerprint(Fingerprint),
}

impl Kin {
    /// Returns what finds a session for a request without a handle.
    pub(in crate::tracker) fn of_session(session: &Session) -> Option<Self> {
        if let Some(key) = session.client_key {
            let name = session.client.name.clone();
            return Some(Self::ClientKey(key, session.principal.clone(), name));
        }
        if session.era != Era::Modern {
            return None;
        }
        if session.principal.is_authenticated() {
            let ClientInfo { name, version, .. } = session.client.clone();
            return Some(Self::Principal(session.principal.clone(), name, version));
        }
        session.fingerprint.map(Self::Fingerprint)
    }

    /// Returns the same as bytes.
    pub(in crate::tracker) fn key(&self) -> Vec<u8> {
        let text = match self {
            Self::ClientKey(key, principal, name) => format!("{key}\n{principal}\n{name:?}"),
            Self::Principal(principal, name, version) => {
                format!("{principal}\n{name:?}\n{version:?}")
            }
            Self::Fingerprint(fingerprint) => fingerprint.to_string(),
        };
        text.into_bytes()
    }

    pub(in crate::tracker) fn proof(&self) -> Proof {
        match self {
            Self::ClientKey(..) => Proof::ClientKey,
            Self::Principal(..) => Proof::Principal,
            Self::Fingerprint(_) => Proof::Fingerprint,
        }
    }
}

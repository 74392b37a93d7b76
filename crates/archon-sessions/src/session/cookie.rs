//! The cookie of a modern client: the id of its session, and what shows that we gave it out.

use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq;

use super::{FingerprintKey, Principal, SessionId};

/// Told apart from what else is digested under the same key.
const PURPOSE: &[u8] = b"archon cookie";

/// The value of the cookie `archon_session`. A session's id alone is no secret: it is in every list. Its seal is a keyed
/// digest of the id and of who got it, so nobody can make one, and nobody else can use it. Nothing of it is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cookie {
    /// The session that it is for.
    pub session: SessionId,
    /// `None` in a cookie of an earlier version.
    seal: Option<u128>,
}

impl Cookie {
    /// Makes out a cookie for a session of this principal. The session need not be there yet.
    pub fn seal(session: SessionId, principal: &Principal, key: &FingerprintKey) -> Self {
        let (id, principal) = (session.as_uuid(), principal.to_string());
        let digest = key.whole_digest([PURPOSE, &id.as_bytes()[..], principal.as_bytes()]);
        let seal = digest.iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte));
        Self { session, seal: Some(seal) }
    }

    /// Returns true if we made it out, to this principal.
    pub fn is_genuine(&self, principal: &Principal, key: &FingerprintKey) -> bool {
        let ours = Self::seal(self.session, principal, key).seal.unwrap_or_default();
        self.seal.is_some_and(|seal| seal.to_be_bytes()[..].ct_eq(&ours.to_be_bytes()[..]).into())
    }

    /// Returns true if it has no seal: an earlier version made it out, or nobody did.
    pub fn is_bare(&self) -> bool {
        self.seal.is_none()
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cookie({})", self.session)
    }
}

impl fmt::Display for Cookie {
    /// Writes the cookie's value, for its client and nobody else.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seal {
            Some(seal) => write!(f, "{}.{seal:032x}", self.session),
            None => self.session.fmt(f),
        }
    }
}

/// A text that is no cookie of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCookie;

impl FromStr for Cookie {
    type Err = NoCookie;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, seal) = match text.split_once('.') {
            Some((id, seal)) if seal.len() == 32 => {
                (id, Some(u128::from_str_radix(seal, 16).map_err(|_| NoCookie)?))
            }
            Some(_) => return Err(NoCookie),
            None => (text, None),
        };
        Ok(Self { session: id.parse().map_err(|_| NoCookie)?, seal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_good_for_whom_it_was_made_out_to() {
        let (key, id) = (FingerprintKey::random(), SessionId::random());
        let somebody = Principal::Identified { issuer: "i".into(), subject: "s".into() };
        let cookie = Cookie::seal(id, &Principal::Anonymous, &key);
        let read: Cookie = cookie.to_string().parse().unwrap();
        assert_eq!((read, read.session, read.is_bare()), (cookie, id, false));
        assert!(read.is_genuine(&Principal::Anonymous, &key));
        assert!(!read.is_genuine(&somebody, &key));
        assert!(!read.is_genuine(&Principal::Anonymous, &FingerprintKey::random()));
        // Neither an id alone nor one with another's seal.
        let bare: Cookie = id.to_string().parse().unwrap();
        assert!(bare.is_bare() && !bare.is_genuine(&Principal::Anonymous, &key));
        let seal = cookie.to_string().split_off(37);
        let other: Cookie = format!("{}.{seal}", SessionId::random()).parse().unwrap();
        assert!(!other.is_genuine(&Principal::Anonymous, &key));
        assert_eq!(format!("{cookie:?}"), format!("Cookie({id})"));
        for bad in [
            "",
            "x",
            ".",
            &format!("{id}."),
            &format!("{id}.{}", &seal[1..]),
            &format!("{id}.{seal}0"),
        ] {
            assert_eq!(bad.parse::<Cookie>(), Err(NoCookie), "{bad}");
        }
    }
}

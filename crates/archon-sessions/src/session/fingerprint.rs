//! What a client without a handle can be guessed by, and nothing more than guessed.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// A keyed digest of where a client calls from and what it says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

/// The key, random and kept with the sessions: nobody can aim for another client's fingerprint, and a restart
/// does not change it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FingerprintKey([u8; 16]);

impl FingerprintKey {
    /// Returns a new key.
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().into_bytes())
    }

    /// Returns the digest of these parts, each told from the next by its length.
    pub fn digest<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Fingerprint {
        let hash = self.whole_digest(parts);
        Fingerprint(hash.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }
}

impl FingerprintKey {
    /// Returns all of the digest: what is a proof must not be found by trying.
    pub(super) fn whole_digest<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(self.0);
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey")
    }
}

impl fmt::LowerHex for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).simple().fmt(f)
    }
}

impl FromStr for FingerprintKey {
    type Err = uuid::Error;

    /// Parses the stored form.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        uuid::Uuid::try_parse(text).map(|uuid| Self(uuid.into_bytes()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = std::num::ParseIntError;

    /// Parses the stored form.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_depends_on_each_part_and_on_the_key() {
        let key = FingerprintKey::random();
        let digest = |parts: &[&str]| key.digest(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(digest(&["a", "b"]), digest(&["a", "b"]));
        assert_ne!(digest(&["a", "b"]), digest(&["ab", ""]));
        assert_ne!(FingerprintKey::random().digest([&b"a"[..]]), key.digest([&b"a"[..]]));
        let again: FingerprintKey = format!("{key:x}").parse().unwrap();
        assert_eq!(again.digest([&b"a"[..]]), key.digest([&b"a"[..]]));
        assert_eq!(digest(&["a"]).to_string().parse(), Ok(digest(&["a"])));
    }
}

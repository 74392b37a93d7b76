//! A client key: what an agent's configuration sends with each request, so that its requests belong together.

use std::fmt;
use std::str::FromStr;

use super::FingerprintKey;

/// Characters of a key: shorter ones can be guessed, longer ones are no key.
const LENGTH: std::ops::RangeInclusive<usize> = 20..=200;
/// Told apart from what else is digested under the same key.
const PURPOSE: &[u8] = b"archon client key";

/// A long random text that an agent sends as a static header (`X-Archon-Client-Key`): a secret, and a proof. It is shown
/// nowhere, not even by `Debug`; what is kept of it is its [`KeyDigest`].
#[derive(Clone, PartialEq, Eq)]
pub struct ClientKey(Box<str>);

/// A text that is no client key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a client key has 20 to 200 visible ASCII characters")]
pub struct NoClientKey;

impl ClientKey {
    /// Returns a new key: 244 random bits from the operating system's generator.
    pub fn random() -> Self {
        let (first, second) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        Self(format!("{}{}", first.simple(), second.simple()).into())
    }

    /// Returns the text, for an agent's configuration and for nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns what is kept of it.
    pub fn digest(&self, key: &FingerprintKey) -> KeyDigest {
        KeyDigest(key.whole_digest([PURPOSE, self.0.as_bytes()]))
    }
}

impl FromStr for ClientKey {
    type Err = NoClientKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_key =
            LENGTH.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_key.then(|| Self(text.into())).ok_or(NoClientKey)
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey")
    }
}

/// The keyed SHA-256 of a client key: stored, and of no use to whoever reads it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest([u8; 32]);

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest")
    }
}

impl fmt::Display for KeyDigest {
    /// Writes the stored form: 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for KeyDigest {
    type Err = std::num::ParseIntError;

    /// Parses the stored form. What is of another length reads as a digest that no key has.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut digest = [0; 32];
        for (place, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2).unwrap_or("x"), 16)?;
        }
        Ok(Self(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_long_and_is_not_shown() {
        let key = ClientKey::random();
        assert_eq!(key.reveal().parse::<ClientKey>(), Ok(key.clone()));
        assert_eq!(format!("{key:?}"), "ClientKey");
        for bad in [
            "",
            "secret",
            "a secret of some words",
            &"k".repeat(201),
            "k\u{e9}kkkkkkkkkkkkkkkkkkkk",
        ] {
            assert_eq!(bad.parse::<ClientKey>(), Err(NoClientKey), "{bad}");
        }
    }

    #[test]
    fn a_digest_depends_on_the_database_and_reads_back() {
        let (key, ours, theirs) =
            (ClientKey::random(), FingerprintKey::random(), FingerprintKey::random());
        let digest = key.digest(&ours);
        assert_eq!(digest, key.digest(&ours));
        assert_ne!(digest, key.digest(&theirs));
        assert_ne!(digest, ClientKey::random().digest(&ours));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!(!digest.to_string().contains(key.reveal()) && format!("{digest:?}") == "KeyDigest");
        assert!("x".parse::<KeyDigest>().is_err() && "ab".parse::<KeyDigest>().is_err());
    }
}

//! Tokens of the issuer: checked once, then known by their hash for as long as they are good.

use std::sync::Arc;

use archon_sessions::session::Timestamp;
use tokio_util::task::AbortOnDropHandle;

use super::Denial;
use super::digest::{Digest, digest};
use super::issuer::Issuer;
use super::keys::KeySet;
use super::token::{Checked, Presented};
use crate::config::IssuerConfig;

/// Tokens that are known; a client has one at a time. Beyond it signatures are checked again, which costs some
/// tens of microseconds each.
const KNOWN_MAX: usize = 10_000;

/// What checks tokens.
#[derive(Debug)]
pub struct Tokens {
    issuer: Arc<Issuer>,
    /// At most [`KNOWN_MAX`]. By the hash: nothing here is of use to who reads our memory.
    known: papaya::HashMap<Digest, Known>,
    _asking: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Known {
    checked: Arc<Checked>,
    /// Those it was checked with: where the issuer has others now, it is checked again.
    keys: Arc<KeySet>,
}

impl Tokens {
    /// Returns what checks tokens of this issuer. Must be called on a runtime.
    ///
    /// # Errors
    /// If the issuer cannot be asked at all.
    pub fn of(issuer: &IssuerConfig) -> anyhow::Result<Self> {
        let (issuer, asking) = Issuer::start(issuer)?;
        Ok(Self { issuer, known: papaya::HashMap::new(), _asking: asking })
    }

    /// Returns what is configured of the issuer.
    pub fn issuer(&self) -> &IssuerConfig {
        self.issuer.config()
    }

    /// Returns what a token says, if it was checked before.
    pub fn known(&self, token: &str, now: Timestamp) -> Option<Arc<Checked>> {
        let keys = self.issuer.keys()?;
        let known = self.known.pin();
        let found = known.get(&digest(token))?;
        let is_good = now < found.checked.good_until && Arc::ptr_eq(&found.keys, &keys);
        is_good.then(|| found.checked.clone())
    }

    /// Checks a token, asking the issuer for its keys if need be.
    ///
    /// # Errors
    /// If the token is not good, or nobody can say.
    pub async fn check(&self, token: &str, now: Timestamp) -> Result<Arc<Checked>, Denial> {
        let issuer = self.issuer.config();
        let presented = Presented::read(token, &issuer.algorithms)?;
        let keys = match self.issuer.keys() {
            Some(keys) if presented.may_be_of(&keys) => keys,
            seen => self.issuer.newer_keys(seen.as_ref()).await?,
        };
        let checked = Arc::new(presented.check(&keys, issuer, now)?);
        self.remember(digest(token), Known { checked: checked.clone(), keys }, now);
        Ok(checked)
    }

    fn remember(&self, digest: Digest, token: Known, now: Timestamp) {
        let known = self.known.pin();
        if known.len() >= KNOWN_MAX {
            known.retain(|_, token| now < token.checked.good_until);
        }
        // All of them are good: whoever comes next is checked again, which costs less than finding out who
        // was not here for longest.
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(digest, token);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use archon_sessions::session::Identity;

    use super::*;
    use crate::identity::token::tests::{issuer, keys};

    #[tokio::test]
    async fn only_so_many_tokens_are_known_and_expired_ones_go_first() {
        // Nobody is asked: what is known was put there.
        let nowhere = "http://127.0.0.1:1".to_owned();
        let tokens = Tokens::of(&IssuerConfig { name: nowhere, ..issuer() }).unwrap();
        let (keys, now) = (Arc::new(keys()), Timestamp::now());
        let put = |number: usize, lifetime| {
            let (identity, audiences) = (Identity::default(), Vec::new());
            let checked = Checked { identity, audiences, good_until: now.plus(lifetime) };
            let known = Known { checked: Arc::new(checked), keys: keys.clone() };
            tokens.remember(digest(&number.to_string()), known, now);
        };
        let hour = Duration::from_secs(3600);
        (0..KNOWN_MAX).for_each(|number| put(number, Duration::from_secs((number % 2) as u64)));
        put(KNOWN_MAX, hour);
        assert_eq!(tokens.known.len(), KNOWN_MAX / 2 + 1);
        (0..2 * KNOWN_MAX).for_each(|number| put(number, hour));
        assert!(tokens.known.len() <= KNOWN_MAX);
    }
}

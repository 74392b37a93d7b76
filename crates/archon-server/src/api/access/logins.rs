//! Logins of browsers: a random cookie that stands for a token, until it expires or this process ends.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use lru::LruCache;
use parking_lot::{Mutex, MutexGuard};

use super::ApiUser;
use crate::config::SecretDigest;

/// The cookie's name.
pub const COOKIE_NAME: &str = "archon_api";
/// How long a login lasts: a working day.
pub const LOGIN_LASTS: Duration = Duration::from_secs(12 * 60 * 60);
/// Logins at a time: far more than a server has operators. The oldest makes room.
const LOGINS_MAX: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

/// See the module.
#[derive(Debug)]
pub struct Logins {
    /// By the digest of the cookie, so that looking one up tells nothing of another. In the order in which they began, which
    /// is that of their ends. Held for single operations, never across an await.
    known: Mutex<LruCache<[u8; 32], Login>>,
}

#[derive(Clone, Debug)]
struct Login {
    user: ApiUser,
    until: Instant,
}

impl Default for Logins {
    fn default() -> Self {
        Self { known: Mutex::new(LruCache::sparse(LOGINS_MAX)) }
    }
}

impl Logins {
    /// Begins a login, and returns the cookie's value: 256 random bits.
    ///
    /// # Errors
    /// If the operating system has no random bits.
    pub fn begin(&self, user: ApiUser) -> anyhow::Result<String> {
        let mut bits = [0; 32];
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.secure_random.fill(&mut bits).ok().context("could not get random bits")?;
        let value = BASE64_URL_SAFE_NO_PAD.encode(bits);
        let login = Login { user, until: Instant::now() + LOGIN_LASTS };
        self.known().put(SecretDigest::of(value.as_bytes()).bytes(), login);
        Ok(value)
    }

    /// Returns who logged in with this cookie.
    pub fn user(&self, cookie: &[u8]) -> Option<ApiUser> {
        let key = SecretDigest::of(cookie).bytes();
        let known = self.known();
        known
            .peek(&key)
            .filter(|login| login.until > Instant::now())
            .map(|login| login.user.clone())
    }

    /// Ends a login.
    pub fn end(&self, cookie: &[u8]) {
        self.known().pop(&SecretDigest::of(cookie).bytes());
    }

    fn known(&self) -> MutexGuard<'_, LruCache<[u8; 32], Login>> {
        self.known.lock()
    }
}

#[cfg(test)]
mod tests {
    use archon_sessions_api::access::Role;

    use super::*;

    #[test]
    fn a_login_is_known_until_it_ends_and_the_oldest_makes_room() {
        let logins = Logins::default();
        let user = ApiUser { role: Role::Viewer, name: Some("ops".into()) };
        let first = logins.begin(user.clone()).unwrap();
        assert_eq!(logins.user(first.as_bytes()), Some(user.clone()));
        assert_eq!(logins.user(b"other"), None);
        let last =
            (0..LOGINS_MAX.get()).map(|_| logins.begin(user.clone()).unwrap()).last().unwrap();
        assert_eq!(logins.user(first.as_bytes()), None, "it made room");
        assert_eq!(logins.known().len(), LOGINS_MAX.get());
        logins.end(last.as_bytes());
        assert_eq!(logins.user(last.as_bytes()), None);
    }
}

//! Keys that we gave out ourselves, known by their hashes.

use std::sync::Arc;

use archon_sessions::session::{Identity, Principal, User};
use subtle::ConstantTimeEq;

use super::digest::{Digest, digest};
use crate::config::ApiKeyConfig;

/// Who vouches for them.
const ISSUER: &str = "api-key";

/// The keys.
#[derive(Debug)]
pub struct ApiKeys(Vec<(Digest, Identity)>);

impl ApiKeys {
    /// Returns those that are configured.
    pub fn of(keys: &[ApiKeyConfig]) -> Self {
        let issuer: Arc<str> = ISSUER.into();
        let identity = |key: &ApiKeyConfig| {
            let name = key.name.as_str();
            let principal = Principal::Identified { issuer: issuer.clone(), subject: name.into() };
            (key.sha256, Identity { principal, user: User::known(Some(name.into()), None, None) })
        };
        Self(keys.iter().map(identity).collect())
    }

    /// Returns true if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whose key this is. All are compared, so that the time it takes tells nothing.
    pub fn find(&self, key: &str) -> Option<&Identity> {
        let hash = digest(key);
        let mut found = None;
        for (known, identity) in &self.0 {
            if bool::from(known.ct_eq(&hash)) {
                found = Some(identity);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_hash() {
        let key =
            |name: &str, secret: &str| ApiKeyConfig { name: name.into(), sha256: digest(secret) };
        let keys = ApiKeys::of(&[key("a", "one"), key("b", "two")]);
        let name = |secret: &str| keys.find(secret).map(|found| found.principal.to_string());
        assert_eq!(name("two").as_deref(), Some("api-key#b"));
        assert_eq!(name("three"), None);
        assert_eq!(name(""), None);
    }
}

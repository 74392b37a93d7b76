//! The hash by which a secret is known here.

use sha2::{Digest as _, Sha256};

/// SHA-256 of a secret.
pub type Digest = [u8; 32];

/// Returns the hash of a secret.
pub fn digest(secret: &str) -> Digest {
    Sha256::digest(secret).into()
}

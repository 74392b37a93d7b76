//! The keys of an issuer: which of them may have signed a token.

use std::str::FromStr;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Issuers have two or three. Without a `kid` each of them is tried.
const KEYS_MAX: usize = 64;

/// What an issuer's JWKS document holds that is of use here.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// What it may sign with: a key is good for its own kind of signature only, whatever a token says.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl KeySet {
    /// Reads a document. Keys that are of no use are left out, so that a new kind of key harms nobody; a
    /// symmetric key is one of them, for whoever reads the document could sign with it.
    ///
    /// # Errors
    /// If it is none, or holds no key that is of use.
    pub fn parse(document: &[u8], allowed: &[Algorithm]) -> Result<Self, NotAKeySet> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(document).map_err(|_| NotAKeySet::Form)?;
        let keys = document.keys.into_iter().filter_map(|key| Key::read(key, allowed));
        let keys: Vec<_> = keys.take(KEYS_MAX).collect();
        if keys.is_empty() { Err(NotAKeySet::Empty) } else { Ok(Self { keys }) }
    }

    /// Returns the keys that may have signed a token with this header.
    pub fn candidates(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &DecodingKey> {
        let is_it = move |key: &&Key| id.is_none() || key.id.as_deref() == id;
        let may = move |key: &&Key| key.algorithms.contains(&algorithm);
        self.keys.iter().filter(is_it).filter(may).map(|key| &key.key)
    }
}

/// Why a document is of no use.
#[derive(Debug, thiserror::Error)]
pub enum NotAKeySet {
    /// It is something else.
    #[error("not a JWKS document")]
    Form,
    /// It holds no key that can be used.
    #[error("it holds no key for signatures of the allowed algorithms")]
    Empty,
}

impl Key {
    fn read(value: Value, allowed: &[Algorithm]) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let named = match &jwk.common.key_algorithm {
            Some(named) => Some(Algorithm::from_str(&named.to_string()).ok()?),
            None => None,
        };
        let is_allowed =
            |one: &Algorithm| allowed.contains(one) && named.is_none_or(|named| named == *one);
        let algorithms: Vec<_> = can_sign(&jwk).iter().copied().filter(is_allowed).collect();
        if algorithms.is_empty() {
            return None;
        }
        Some(Self { key: DecodingKey::from_jwk(&jwk).ok()?, id: jwk.common.key_id, algorithms })
    }
}

/// RFC 7518, 3.1 and RFC 8037, 3.1.
fn can_sign(key: &Jwk) -> &'static [Algorithm] {
    match &key.algorithm {
        AlgorithmParameters::RSA(_) => &[
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            &[Algorithm::EdDSA]
        }
        _ => &[],
    }
}

//! Reconnect tokens: short-lived proofs that let a client take its session back. A token is a JWT (HS256) that we
//! sign; only its digest is stored, and it is good as long as its session has just that digest.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Principal, SessionId, Timestamp};

/// How long a token is good: for a client that restarts, not for one that was stolen from last week.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Who our tokens are for.
const AUDIENCE: &str = "archon-sessions";
/// What they are for: no other token that is signed with the same secret can be used as one.
const PURPOSE: &str = "session_reconnect";
/// A token of ours is a few hundred bytes; the names of a principal may make it longer.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// A token on its way to its client. It has no `Display`, and its `Debug` does not show it: whoever sends it
/// says so by [`ReconnectToken::reveal`].
pub struct ReconnectToken(String);

impl ReconnectToken {
    /// Returns its text: for the client that it is made for, and for nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns what is stored of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for ReconnectToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReconnectToken")
    }
}

/// What is stored of a token: its SHA-256, from which it cannot be made again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenHash(Box<str>);

impl TokenHash {
    /// Returns the digest of a token's text.
    pub fn of(token: &str) -> Self {
        let digest = Sha256::digest(token.as_bytes());
        Self(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
    }

    /// Returns its 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A token and how long it is good.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: ReconnectToken,
    /// It is good until then.
    pub expires_at: Timestamp,
}

/// Why a text is no token for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// It is none of ours: another form, another key, another purpose or audience, or tampered with.
    Invalid,
    /// It was good once.
    Expired,
    /// It is for another session.
    OtherSession,
    /// It is for another principal.
    OtherPrincipal,
}

/// What tokens are signed with. All nodes with the same key accept each other's tokens.
#[derive(Clone)]
pub struct TokenKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    session_id: String,
    principal: String,
    aud: String,
    purpose: String,
    jti: String,
    iat: i64,
    exp: i64,
}

impl TokenKey {
    /// Returns the key that a secret makes.
    pub fn new(secret: &[u8]) -> Self {
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
        }
    }

    /// Returns a new secret, as a store keeps it: 244 random bits in hexadecimal digits.
    pub fn random_secret() -> String {
        let half = || uuid::Uuid::new_v4().simple().to_string();
        half() + &half()
    }

    /// Returns a token for a session and its principal.
    ///
    /// # Errors
    /// If the cryptography behind it fails, which leaves nothing to do.
    pub fn issue(
        &self,
        session: SessionId,
        principal: &Principal,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<IssuedToken, jsonwebtoken::errors::Error> {
        let exp = seconds(now.plus(lifetime));
        let claims = Claims {
            session_id: session.to_string(),
            principal: principal.to_string(),
            aud: AUDIENCE.into(),
            purpose: PURPOSE.into(),
            jti: uuid::Uuid::new_v4().to_string(),
            iat: seconds(now),
            exp,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)?;
        let expires_at = Timestamp::from_micros(exp.saturating_mul(1_000_000));
        Ok(IssuedToken { token: ReconnectToken(token), expires_at })
    }

    /// Decides whether a text is a token for this session and this principal now. Whether it was used before, or
    /// another was issued in its place, only the store knows.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn verify(
        &self,
        token: &str,
        session: SessionId,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<(), TokenFault> {
        let claims = self.claims(token).ok_or(TokenFault::Invalid)?;
        if seconds(now) >= claims.exp {
            return Err(TokenFault::Expired);
        }
        if claims.session_id != session.to_string() {
            return Err(TokenFault::OtherSession);
        }
        if claims.principal != principal.to_string() {
            return Err(TokenFault::OtherPrincipal);
        }
        Ok(())
    }

    /// Returns what a token of ours says.
    fn claims(&self, token: &str) -> Option<Claims> {
        // A header can name keys and algorithms, and ask for things that only some readers know (RFC 8725, 3).
        // Ours never does, so one that differs from ours at all is refused before it is read.
        let (header, _) = token.split_once('.')?;
        if token.len() > TOKEN_BYTES_MAX || header != own_header() {
            return None;
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        // The time is passed in, so the caller compares it.
        validation.validate_exp = false;
        validation.required_spec_claims = ["aud".to_owned()].into();
        let claims =
            jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation).ok()?.claims;
        (claims.purpose == PURPOSE).then_some(claims)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey")
    }
}

fn own_header() -> String {
    let header = serde_json::to_vec(&Header::new(Algorithm::HS256)).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(header)
}

fn seconds(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(1_000_000)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &[u8] = b"a secret of some length, for tests";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_768_000_000_000_000 + seconds * 1_000_000 + 999_999)
    }

    fn ada() -> Principal {
        Principal::Identified { issuer: "https://id.example".into(), subject: "ada#1".into() }
    }

    fn issued(session: SessionId, principal: &Principal) -> IssuedToken {
        TokenKey::new(SECRET).issue(session, principal, TOKEN_LIFETIME, at(0)).unwrap()
    }

    /// A token with these claims changed, signed as ours are.
    fn changed(token: &str, header: &str, change: impl FnOnce(&mut Value)) -> String {
        let body = token.split('.').nth(1).unwrap();
        let mut claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
        change(&mut claims);
        let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
        let message = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(header));
        let key = EncodingKey::from_secret(SECRET);
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    }

    #[test]
    fn a_token_is_good_for_its_session_and_principal_until_it_expires() {
        let (session, other) = (SessionId::random(), SessionId::random());
        let IssuedToken { token, expires_at } = issued(session, &ada());
        let key = TokenKey::new(SECRET);
        let verify = |session, principal: &Principal, now| {
            key.verify(token.reveal(), session, principal, now)
        };
        assert_eq!(
            expires_at.since(at(0)).as_secs(),
            899,
            "whole seconds, never more than asked for"
        );
        assert_eq!(verify(session, &ada(), at(0)), Ok(()));
        assert_eq!(verify(session, &ada(), at(899)), Ok(()));
        assert_eq!(verify(session, &ada(), expires_at), Err(TokenFault::Expired));
        assert_eq!(verify(other, &ada(), at(1)), Err(TokenFault::OtherSession));
        let anonymous = Principal::Anonymous;
        assert_eq!(verify(session, &anonymous, at(1)), Err(TokenFault::OtherPrincipal));
        // In this order: an expired token says nothing about the session it was for.
        assert_eq!(verify(other, &anonymous, at(900)), Err(TokenFault::Expired));
        assert_eq!(verify(other, &anonymous, at(1)), Err(TokenFault::OtherSession));
    }

    #[test]
    fn what_is_not_just_as_we_write_it_is_invalid() {
        let session = SessionId::random();
        let token = issued(session, &ada()).token;
        let text = token.reveal();
        let ours = r#"{"typ":"JWT","alg":"HS256"}"#;
        let (body, signature) = text.split_once('.').unwrap().1.split_once('.').unwrap();
        let none = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none"}"#);
        let header_of = |header: &str| changed(text, header, |_| ());
        let claim =
            |name: &'static str, value: Value| changed(text, ours, |claims| claims[name] = value);
        let without = |name: &'static str| {
            changed(text, ours, |claims| {
                claims.as_object_mut().unwrap().remove(name);
            })
        };
        let other_key = TokenKey::new(b"another secret");
        let others = other_key.issue(session, &ada(), TOKEN_LIFETIME, at(0)).unwrap();
        let table = [
            ("empty", String::new()),
            ("no token", "abc".into()),
            ("two dots", "..".into()),
            ("alg none, no signature", format!("{none}.{body}.")),
            ("alg none, our signature", format!("{none}.{body}.{signature}")),
            ("no signature", format!("{}.{body}.", own_header())),
            ("RS256 with the secret", header_of(r#"{"typ":"JWT","alg":"RS256"}"#)),
            ("HS384 in the header", header_of(r#"{"typ":"JWT","alg":"HS384"}"#)),
            ("kid", header_of(r#"{"typ":"JWT","alg":"HS256","kid":"../../dev/null"}"#)),
            ("jku", header_of(r#"{"typ":"JWT","alg":"HS256","jku":"http://evil"}"#)),
            ("jwk", header_of(r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}"#)),
            ("crit", header_of(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#)),
            ("another key", others.token.reveal().to_owned()),
            ("another purpose", claim("purpose", "login".into())),
            ("no purpose", without("purpose")),
            ("another audience", claim("aud", "somebody".into())),
            ("audiences", claim("aud", json!(["archon-sessions", "somebody"]))),
            ("no audience", without("aud")),
            ("no expiry", without("exp")),
            ("expiry as text", claim("exp", "9999999999".into())),
            ("expiry as a fraction", claim("exp", json!(1e300))),
            ("tampered", format!("{}.{}A.{signature}", own_header(), &body[..body.len() - 1])),
            ("more behind it", format!("{text}.x")),
            ("a space before it", format!(" {text}")),
            ("too long", claim("jti", "x".repeat(TOKEN_BYTES_MAX).into())),
        ];
        let key = TokenKey::new(SECRET);
        assert_eq!(key.verify(&changed(text, ours, |_| ()), session, &ada(), at(1)), Ok(()));
        for (what, forged) in table {
            let found = key.verify(&forged, session, &ada(), at(1));
            assert_eq!(found, Err(TokenFault::Invalid), "{what}");
        }
    }

    #[test]
    fn no_token_and_no_key_shows_itself() {
        let issued = issued(SessionId::random(), &ada());
        assert!(!format!("{issued:?}").contains(issued.token.reveal()));
        assert!(!format!("{:?}", TokenKey::new(SECRET)).contains("secret"));
        assert_eq!(issued.token.hash().as_str().len(), 64);
        assert_eq!(TokenHash::of("abc").as_str().get(..8), Some("ba7816bf"));
        assert_ne!(TokenKey::random_secret(), TokenKey::random_secret());
        assert_eq!(TokenKey::random_secret().len(), 64);
    }
}

//! One token: what it must say to be good. Pure; the time and the keys are passed in.

use archon_sessions::session::{Identity, Principal, Timestamp, User};
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::Deserialize;
use serde_json::Value;

use super::keys::KeySet;
use crate::config::IssuerConfig;

/// Larger ones do not fit into the headers of most servers.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// OpenID Connect Core 1.0, 2: `sub` has at most so many.
const SUBJECT_CHARS_MAX: usize = 255;
/// What is longer is cut off: it is for people to read.
const TEXT_CHARS_MAX: usize = 255;

/// Why a token is not good. Its text goes to the client, and holds nothing that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is something else.
    #[error("the token is not a JWT that is accepted here")]
    Form,
    /// It is signed with something that we do not take.
    #[error("the token's signature algorithm is not accepted here")]
    Algorithm,
    /// It must be understood in a way that we do not.
    #[error("the token is of a kind that is not accepted here")]
    Kind,
    /// No key of the issuer's goes by that name.
    #[error("the token is signed with a key that its issuer does not have")]
    Key,
    /// Somebody else signed it, or it was changed.
    #[error("the token's signature is wrong")]
    Signature,
    /// `exp`
    #[error("the token has expired")]
    Expired,
    /// `exp` is missing.
    #[error("the token never expires, which is not accepted here")]
    NoExpiry,
    /// `nbf`
    #[error("the token is not valid yet")]
    NotYet,
    /// `iss`
    #[error("the token is not of the issuer that is trusted here")]
    Issuer,
    /// `aud`
    #[error("the token was issued for a different audience")]
    Audience,
    /// `sub`
    #[error("the token does not say who it is for")]
    Subject,
}

/// A token that is good, as far as it says itself; for whom is still to be compared.
#[derive(Debug, PartialEq)]
pub struct Checked {
    /// Who shows it.
    pub identity: Identity,
    /// To whom it is made out.
    pub audiences: Vec<String>,
    /// Until when.
    pub good_until: Timestamp,
}

/// A token whose header has been read, and nothing of it believed.
#[derive(Debug)]
pub struct Presented<'a> {
    token: &'a str,
    header: Header,
}

impl<'a> Presented<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// If it is none, or says something that cannot be good with any key.
    pub fn read(token: &'a str, allowed: &[Algorithm]) -> Result<Self, Invalid> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Invalid::Form);
        }
        // "none" is no algorithm here, so such a header cannot be read at all.
        let header = jsonwebtoken::decode_header(token).map_err(|_| Invalid::Form)?;
        if !allowed.contains(&header.alg) {
            return Err(Invalid::Algorithm);
        }
        // RFC 7515, 4.1.11: what is critical and not understood makes it invalid. RFC 8725, 3.11: a token of
        // another kind (a logout, a proof of possession) is no access token, whoever signed it.
        let is_known = header.typ.as_deref().is_none_or(|kind| {
            ["jwt", "at+jwt", "application/at+jwt"]
                .iter()
                .any(|ours| kind.eq_ignore_ascii_case(ours))
        });
        if header.crit.is_some() || !is_known {
            return Err(Invalid::Kind);
        }
        Ok(Self { token, header })
    }

    /// Returns true if one of these keys may have signed it.
    pub fn may_be_of(&self, keys: &KeySet) -> bool {
        keys.candidates(self.header.kid.as_deref(), self.header.alg).next().is_some()
    }

    /// Checks all of it.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn check(
        &self,
        keys: &KeySet,
        issuer: &IssuerConfig,
        now: Timestamp,
    ) -> Result<Checked, Invalid> {
        let mut failed = Invalid::Key;
        for key in keys.candidates(self.header.kid.as_deref(), self.header.alg) {
            match jsonwebtoken::decode::<Claims>(self.token, key, &signature_only(self.header.alg))
            {
                Ok(signed) => return signed.claims.check(issuer, now),
                Err(error) => failed = why(&error),
            }
        }
        Err(failed)
    }
}

/// The claims are ours to check: by the time that is passed in, and `iss` as one text, which it is.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn why(error: &jsonwebtoken::errors::Error) -> Invalid {
    match error.kind() {
        jsonwebtoken::errors::ErrorKind::Json(_) => Invalid::Form,
        _ => Invalid::Signature,
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<f64>,
    nbf: Option<f64>,
    // What people are told is of any form: it decides nothing.
    email: Option<Value>,
    email_verified: Option<Value>,
    name: Option<Value>,
    preferred_username: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Claims {
    fn check(self, issuer: &IssuerConfig, now: Timestamp) -> Result<Checked, Invalid> {
        if self.iss.as_deref() != Some(&*issuer.name) {
            return Err(Invalid::Issuer);
        }
        let leeway = issuer.leeway;
        let good_until = self.exp.map(moment).ok_or(Invalid::NoExpiry)?.plus(leeway);
        if now >= good_until {
            return Err(Invalid::Expired);
        }
        if self.nbf.is_some_and(|begins| now.plus(leeway) < moment(begins)) {
            return Err(Invalid::NotYet);
        }
        let audiences = match self.aud {
            None => return Err(Invalid::Audience),
            Some(Audience::One(one)) => vec![one],
            Some(Audience::Many(many)) => many,
        };
        // A control character would be another one in PostgreSQL, and so another principal.
        let is_subject = |subject: &String| {
            !subject.is_empty()
                && subject.chars().count() <= SUBJECT_CHARS_MAX
                && !subject.chars().any(char::is_control)
        };
        let subject = self.sub.filter(is_subject).ok_or(Invalid::Subject)?;
        // Anybody may say that an address is his: it counts unless its issuer says that it was not shown.
        let is_shown = self.email_verified != Some(Value::Bool(false));
        let email = self.email.filter(|_| is_shown);
        let name = text(self.name).or_else(|| text(self.preferred_username));
        let user = User::known(Some(subject.as_str().into()), text(email), name);
        let principal =
            Principal::Identified { issuer: issuer.name.as_str().into(), subject: subject.into() };
        Ok(Checked { identity: Identity { principal, user }, audiences, good_until })
    }
}

/// RFC 7519, 2: seconds since the epoch, whole or not. What is beyond all measure is far away.
fn moment(seconds: f64) -> Timestamp {
    Timestamp::from_micros((seconds.clamp(0.0, 1e12) * 1e6) as i64)
}

fn text(value: Option<Value>) -> Option<Box<str>> {
    let Some(Value::String(text)) = value else { return None };
    let plain = text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX);
    let plain: String = plain.collect();
    (!plain.is_empty()).then(|| plain.into())
}

#[cfg(test)]
pub(super) mod tests;

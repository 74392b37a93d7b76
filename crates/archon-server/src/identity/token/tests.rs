//! Tokens of all kinds, good and bad.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, encode};
use serde_json::json;

use super::*;

// Two keys that sign nothing but these tests.
const P256: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrWVD3QPALL/bi9Jzq2RCugudb5qmiAUVWkAsK0sVKBShRANCAARSsejJRDR/MWcAo6SkiPvOERxO1n7tlesQcExD2ij2d088YP0lnw8IM/MlFRJW8v8FodY9J7OtqQvxV+Gmil4W";
const ED25519: &str = "MC4CAQAwBQYDK2VwBCIEINr+H/71ms5snN3E9JsZa5goQrFi1NWaMmHhs1adFJLx";
const ED25519_X: &str = "HVGYLaRX0ktKRiA6_cuTR4a7ncZ0Hjr67NK1MWtv3_k";

const ISSUER: &str = "https://issuer.example";
const NOW: i64 = 1_790_000_000;

pub fn issuer() -> IssuerConfig {
    IssuerConfig {
        name: ISSUER.into(),
        audiences: Vec::new(),
        jwks_url: None,
        algorithms: vec![Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256],
        leeway: Duration::from_secs(60),
        jwks_refresh: Duration::from_secs(10),
        tls_ca_file: None,
    }
}

fn document() -> Value {
    json!({ "keys": [
        { "kty": "EC", "kid": "e", "crv": "P-256", "alg": "ES256", "use": "sig",
          "x": "UrHoyUQ0fzFnAKOkpIj7zhEcTtZ-7ZXrEHBMQ9oo9nc",
          "y": "Tzxg_SWfDwgz8yUVElby_wWh1j0ns62pC_FX4aaKXhY" },
        { "kty": "OKP", "kid": "d", "crv": "Ed25519", "x": ED25519_X },
        { "kty": "oct", "kid": "s", "k": "c2VjcmV0" },
        { "kty": "AKP", "kid": "new", "alg": "ML-DSA-44", "pub": "x" },
    ] })
}

pub fn keys() -> KeySet {
    KeySet::parse(document().to_string().as_bytes(), &issuer().algorithms).unwrap()
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": "ada", "aud": "https://mcp.example/mcp", "exp": NOW + 300 })
}

fn signed(algorithm: Algorithm, change: impl FnOnce(&mut Header), claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    let der = |text| STANDARD.decode(text).unwrap();
    let key = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_der(&der(P256)),
        Algorithm::EdDSA => EncodingKey::from_ed_der(&der(ED25519)),
        _ => EncodingKey::from_secret(ED25519_X.as_bytes()),
    };
    header.kid = Some(if algorithm == Algorithm::ES256 { "e" } else { "d" }.into());
    change(&mut header);
    encode(&header, claims, &key).unwrap()
}

fn check(token: &str) -> Result<Checked, Invalid> {
    let (issuer, now) = (issuer(), Timestamp::from_micros(NOW * 1_000_000));
    Presented::read(token, &issuer.algorithms)?.check(&keys(), &issuer, now)
}

fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

fn es256(claims: &Value) -> Result<Checked, Invalid> {
    check(&signed(Algorithm::ES256, |_| {}, claims))
}

#[test]
fn a_good_token_says_who_shows_it() {
    let mut claims = with("email", json!("ada@example.com"));
    claims["preferred_username"] = json!("Ada\u{7} L");
    let checked = es256(&claims).unwrap();
    let user =
        User::known(Some("ada".into()), Some("ada@example.com".into()), Some("Ada L".into()));
    assert_eq!(checked.identity.user, user);
    assert_eq!(checked.identity.principal.to_string(), format!("{ISSUER}#ada"));
    assert_eq!(checked.audiences, ["https://mcp.example/mcp"]);
    assert_eq!(checked.good_until, Timestamp::from_micros((NOW + 360) * 1_000_000));
    let other = check(&signed(Algorithm::EdDSA, |_| {}, &with("aud", json!(["a", "b"])))).unwrap();
    assert_eq!(other.audiences, ["a", "b"]);
    check(&signed(Algorithm::EdDSA, |header| header.kid = None, &claims)).unwrap();
}

#[test]
fn an_address_that_was_not_shown_to_be_theirs_is_not_told() {
    let mut claims = with("email", json!("root@example.com"));
    claims["email_verified"] = json!(false);
    let user = es256(&claims).unwrap().identity.user.unwrap();
    assert_eq!(user.email, None);
}

#[test]
fn claims_that_are_not_good_are_named() {
    let long = "x".repeat(256);
    for (claim, value, expected) in [
        ("exp", json!(NOW - 60), Invalid::Expired),
        ("exp", json!(-1), Invalid::Expired),
        ("exp", json!(null), Invalid::NoExpiry),
        ("exp", json!("tomorrow"), Invalid::Form),
        ("nbf", json!(NOW + 61), Invalid::NotYet),
        ("iss", json!("https://issuer.example/"), Invalid::Issuer),
        ("iss", json!(null), Invalid::Issuer),
        ("iss", json!([ISSUER]), Invalid::Form),
        ("aud", json!(null), Invalid::Audience),
        ("sub", json!(null), Invalid::Subject),
        ("sub", json!(""), Invalid::Subject),
        ("sub", json!("a\u{0}"), Invalid::Subject),
        ("sub", json!(long), Invalid::Subject),
    ] {
        assert_eq!(es256(&with(claim, value.clone())), Err(expected), "{claim} {value}");
    }
    for (claim, value) in [
        ("exp", json!(NOW - 59)),
        ("exp", json!(1e300)),
        ("nbf", json!(NOW + 60)),
        ("email", json!(1)),
    ] {
        assert!(es256(&with(claim, value.clone())).is_ok(), "{claim} {value}");
    }
}

#[test]
fn whoever_has_no_private_key_signs_nothing() {
    let good = signed(Algorithm::ES256, |_| {}, &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let header = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let unsigned = format!("{}.{}.", header(r#"{"alg":"none","typ":"JWT"}"#), parts[1]);
    assert_eq!(check(&unsigned), Err(Invalid::Form));
    // Signed with the public key's text, as if it were a secret.
    let confused = signed(Algorithm::HS256, |_| {}, &claims());
    assert_eq!(check(&confused), Err(Invalid::Algorithm));
    let changed = URL_SAFE_NO_PAD.encode(with("sub", json!("root")).to_string());
    let forged = format!("{}.{changed}.{}", parts[0], parts[2]);
    assert_eq!(check(&forged), Err(Invalid::Signature));
    // A key signs in its own way only, whatever the token names.
    let crossed = signed(Algorithm::EdDSA, |header| header.kid = Some("e".into()), &claims());
    assert_eq!(check(&crossed), Err(Invalid::Key));
    let symmetric = signed(Algorithm::ES256, |header| header.kid = Some("s".into()), &claims());
    assert_eq!(check(&symmetric), Err(Invalid::Key));
    for nonsense in ["", "a", "a.b", "a.b.c", "..", &"x".repeat(20_000)] {
        assert_eq!(check(nonsense), Err(Invalid::Form));
    }
}

#[test]
fn a_token_of_another_kind_is_no_access_token() {
    let of = |change: fn(&mut Header)| check(&signed(Algorithm::ES256, change, &claims()));
    assert_eq!(of(|header| header.crit = Some(vec!["b64".into()])), Err(Invalid::Kind));
    assert_eq!(of(|header| header.typ = Some("logout+jwt".into())), Err(Invalid::Kind));
    assert!(of(|header| header.typ = Some("at+JWT".into())).is_ok());
    assert!(of(|header| header.typ = None).is_ok());
}

#[test]
fn an_issuer_without_a_key_of_use_is_no_issuer() {
    let parse = |text: &str| KeySet::parse(text.as_bytes(), &[Algorithm::ES256]);
    let of_signature = document().to_string();
    assert!(parse(&of_signature).is_ok());
    assert!(parse(&of_signature.replace("\"sig\"", "\"enc\"")).is_err());
    for nonsense in ["", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#] {
        assert!(parse(nonsense).is_err(), "{nonsense}");
    }
}

//! What a request shows of who sends it.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};

use crate::config::X_API_KEY;

/// A credential, before anyone has judged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown<'a> {
    /// Nothing that is meant for us.
    Nothing,
    /// RFC 6750, 2.1. Tokens elsewhere, in a URL above all, are not looked for.
    Bearer(&'a str),
    /// `X-API-Key`
    ApiKey(&'a str),
    /// Something that can be read in two ways, or in none.
    Unclear,
}

/// Returns what a request shows; `X-API-Key` is somebody else's where we gave out no keys.
pub fn shown(headers: &HeaderMap, has_api_keys: bool) -> Shown<'_> {
    match only(headers, &AUTHORIZATION) {
        Ok(Some(value)) => {
            let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
            if scheme.eq_ignore_ascii_case("bearer") {
                let token = token.trim();
                let is_one = !token.is_empty() && !token.contains(char::is_whitespace);
                return if is_one { Shown::Bearer(token) } else { Shown::Unclear };
            }
        }
        Ok(None) => {}
        Err(()) => return Shown::Unclear,
    }
    if !has_api_keys {
        return Shown::Nothing;
    }
    match only(headers, &X_API_KEY) {
        Ok(Some(key)) => Shown::ApiKey(key.trim()),
        Ok(None) => Shown::Nothing,
        Err(()) => Shown::Unclear,
    }
}

/// Returns the one value of a header.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    match (first, second) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn one_credential_counts_and_two_are_unclear() {
        let table: [(&[(&str, &str)], Shown<'_>); 10] = [
            (&[], Shown::Nothing),
            (&[("authorization", "Bearer a")], Shown::Bearer("a")),
            (&[("authorization", "bEARER  a ")], Shown::Bearer("a")),
            (&[("authorization", "Bearer")], Shown::Unclear),
            (&[("authorization", "Bearer a b")], Shown::Unclear),
            (&[("authorization", "Basic a")], Shown::Nothing),
            (&[("authorization", "Basic a"), ("x-api-key", "k")], Shown::ApiKey("k")),
            (&[("authorization", "Bearer a"), ("x-api-key", "k")], Shown::Bearer("a")),
            (&[("authorization", "Bearer a"), ("authorization", "Bearer b")], Shown::Unclear),
            (&[("x-api-key", "k"), ("x-api-key", "l")], Shown::Unclear),
        ];
        for (sent, expected) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in sent {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                headers.append(name, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(shown(&headers, true), expected, "{sent:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(X_API_KEY, HeaderValue::from_static("k"));
        assert_eq!(shown(&headers, false), Shown::Nothing);
    }
}

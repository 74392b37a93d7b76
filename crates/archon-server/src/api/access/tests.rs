//! Who is let in, request by request.

use super::*;

const TOKEN: &str = "an operator's token";

fn access(token: Option<&str>) -> Access {
    let secret = token.map(|token| token.to_owned());
    Access::new(ApiConfig::of_token(secret), None)
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn code(result: Result<Option<ApiUser>, ApiError>) -> &'static str {
    match result {
        Ok(Some(user)) if user.role == Role::Operator => "operator",
        Ok(Some(_)) => "viewer",
        Ok(None) => "nobody",
        Err(error) => error.code(),
    }
}

#[test]
fn without_a_token_everybody_is_an_operator() {
    let open = access(None);
    assert_eq!(code(open.user(&Method::DELETE, &headers(&[]), None)), "operator");
}

#[test]
fn with_one_it_is_asked_for() {
    let closed = access(Some(TOKEN));
    let bearer = format!("bearer {TOKEN}");
    for (shown, expected) in [
        (vec![], "nobody"),
        (vec![("authorization", &*bearer)], "operator"),
        (vec![("authorization", TOKEN)], "operator"),
        (vec![("authorization", "Bearer ")], "invalid_token"),
        (vec![("authorization", "Bearer an operator's tokem")], "invalid_token"),
        (vec![("authorization", "Basic YTpi")], "invalid_token"),
        (vec![("cookie", "archon_api=guessed")], "nobody"),
    ] {
        assert_eq!(code(closed.user(&Method::GET, &headers(&shown), None)), expected, "{shown:?}");
    }
}

#[test]
fn a_change_with_a_cookie_comes_from_our_own_page() {
    let closed = access(Some(TOKEN));
    let user = closed.by_token(TOKEN.as_bytes(), None).unwrap();
    let cookie = format!("a=b; archon_api={}", closed.logins.begin(user).unwrap());
    let from = |more: &[(&'static str, &str)], method: Method| {
        let all = [&[("cookie", &*cookie), ("host", "archon.example:8181")], more].concat();
        code(closed.user(&method, &headers(&all), None))
    };
    assert_eq!(from(&[], Method::GET), "operator");
    assert_eq!(from(&[("origin", "https://archon.example:8181")], Method::DELETE), "operator");
    assert_eq!(from(&[("content-type", "application/json")], Method::POST), "operator");
    let websocket = [("upgrade", "websocket"), ("origin", "http://archon.example:5173")];
    assert_eq!(from(&websocket, Method::GET), "cross_site");
    for foreign in [
        &[][..],
        &[("origin", "https://evil.example")],
        &[("origin", "http://archon.example:5173")],
        &[("origin", "null"), ("content-type", "application/json")],
        &[("content-type", "text/plain")],
    ] {
        assert_eq!(from(foreign, Method::POST), "cross_site", "{foreign:?}");
    }
}

#[test]
fn wrong_tokens_are_limited_and_never_keep_the_right_one_out() {
    let closed = access(Some(TOKEN));
    for peer in [Some([192, 0, 2, 7].into()), Some([127, 0, 0, 1].into()), None] {
        let codes: Vec<&str> =
            (0..30).map(|_| closed.by_token(b"guess", peer).unwrap_err().code()).collect();
        assert_eq!((codes[0], codes[29]), ("invalid_token", "rate_limited"), "{peer:?}");
        assert!(closed.by_token(TOKEN.as_bytes(), peer).is_ok(), "{peer:?}");
        assert_eq!(closed.by_token(b"guess", peer).unwrap_err().code(), "rate_limited");
    }
    let other = Some([192, 0, 2, 8].into());
    assert_eq!(closed.by_token(b"guess", other).unwrap_err().code(), "invalid_token");
}

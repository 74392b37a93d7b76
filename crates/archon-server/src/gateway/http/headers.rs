//! Which headers go on, and which belong to one hop.

use std::fmt::Write as _;

use archon_sessions::session::Principal;
use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

use crate::config::{Forwarding, X_API_KEY, is_of_one_hop};

/// Removes from a client's headers what is not for the upstream, and says who authenticated where that is
/// asked for.
pub fn forward(headers: &mut HeaderMap, forwarding: &Forwarding, principal: &Principal) {
    remove(headers, |name| !goes_on(name, forwarding));
    if let (Some(name), Some(value)) = (&forwarding.identity_header, identity(principal)) {
        headers.insert(name.clone(), value);
    }
}

/// Returns a copy of those headers of a client's that a question of our own takes with it: what the upstream may
/// tell its callers by.
pub fn of_the_caller(
    headers: &HeaderMap,
    forwarding: &Forwarding,
    principal: &Principal,
) -> HeaderMap {
    let chosen = forwarding.chosen.iter().flatten();
    let credentials = forwarding.authorization.then_some(&header::AUTHORIZATION);
    let mut taken = HeaderMap::new();
    for name in chosen.chain(credentials) {
        for value in headers.get_all(name) {
            taken.append(name.clone(), value.clone());
        }
    }
    forward(&mut taken, forwarding, principal);
    taken
}

/// Removes from an upstream's headers what belongs to its own hop.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    remove(headers, is_of_one_hop);
}

fn goes_on(name: &HeaderName, forwarding: &Forwarding) -> bool {
    if is_of_one_hop(name) || is_for_us(name) || is_posing_as(name, forwarding) {
        return false;
    }
    // What a client authenticates with to us is not passed on (MCP, Security Best Practices, Token
    // Passthrough), unless the operator says that it is meant for the upstream.
    if *name == header::AUTHORIZATION {
        return forwarding.authorization;
    }
    match &forwarding.chosen {
        Some(chosen) => is_protocols_own(name) || chosen.contains(name),
        None => !(forwarding.keeps_api_key && *name == X_API_KEY),
    }
}

/// What speaks of the client to us only. And an answer must come uncompressed, or nobody could track it.
fn is_for_us(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 4] =
        [header::HOST, header::COOKIE, header::ORIGIN, header::ACCEPT_ENCODING];
    NAMES.contains(name) || read_as(name.as_str()).take(OURS.len()).eq(OURS.bytes())
}

/// What the names of our own headers begin with.
const OURS: &str = "x-archon-";

/// Returns true if an upstream might take this header of the client's for the one in which we say who
/// authenticated.
fn is_posing_as(name: &HeaderName, forwarding: &Forwarding) -> bool {
    let ours = forwarding.identity_header.as_ref();
    ours.is_some_and(|ours| read_as(name.as_str()).eq(read_as(ours.as_str())))
}

/// To many frameworks `_` and `-` are one.
fn read_as(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().map(|byte| if byte == b'_' { b'-' } else { byte })
}

/// What a server needs to understand a message, and to tell whose trace it belongs to.
fn is_protocols_own(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 4] =
        [header::ACCEPT, header::CONTENT_TYPE, header::CONTENT_LENGTH, header::USER_AGENT];
    let text = name.as_str();
    NAMES.contains(name)
        || text.starts_with("mcp-")
        || matches!(text, "last-event-id" | "traceparent" | "tracestate")
}

/// Returns who authenticated, as `issuer#subject`; whatever is not plain ASCII in it, and `%`, is written as
/// `%XX`.
fn identity(principal: &Principal) -> Option<HeaderValue> {
    if !principal.is_authenticated() {
        return None;
    }
    let mut text = String::new();
    for byte in principal.to_string().bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    HeaderValue::try_from(text).ok()
}

/// Removes those, and what `Connection` names besides. One pass over the few headers there are costs
/// less than a look-up for each name.
fn remove(headers: &mut HeaderMap, is_out: impl Fn(&HeaderName) -> bool) {
    if let Some(connection) = headers.remove(header::CONNECTION) {
        for name in connection.to_str().unwrap_or_default().split(',') {
            headers.remove(name.trim());
        }
    }
    while let Some(name) = headers.keys().find(|name| is_out(name)).cloned() {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        all.iter().map(header).collect()
    }

    fn left(sent: &[(&'static str, &'static str)], forwarding: &Forwarding) -> Vec<String> {
        let mut headers = headers(sent);
        forward(&mut headers, forwarding, &Principal::Anonymous);
        headers.keys().map(|name| name.as_str().to_owned()).collect()
    }

    const SENT: [(&str, &str); 14] = [
        ("accept", "application/json"),
        ("mcp-param-x", "1"),
        ("x-tenant", "t"),
        ("x-api-key", "k"),
        ("connection", "x-mine, close"),
        ("x-mine", "1"),
        ("keep-alive", "5"),
        ("te", "trailers"),
        ("authorization", "Bearer secret"),
        ("cookie", "archon_session=1"),
        ("x-archon-session-id", "1"),
        ("x-archon-session-timeout", "9"),
        ("x-archon-principal", "me"),
        ("x_archon_principal", "me"),
    ];

    #[test]
    fn what_is_for_one_hop_or_for_us_stays_here() {
        let standard = Forwarding::default();
        assert_eq!(left(&SENT, &standard), ["accept", "mcp-param-x", "x-tenant", "x-api-key"]);
        let with_auth = Forwarding { keeps_api_key: true, ..standard };
        assert_eq!(left(&SENT, &with_auth), ["accept", "mcp-param-x", "x-tenant"]);
    }

    #[test]
    fn what_is_chosen_goes_on_beside_the_protocols_own() {
        let tenant = HeaderName::from_static("x-tenant");
        let chosen = Some(vec![tenant, HeaderName::from_static("x-mine")]);
        let forwarding = Forwarding { chosen, keeps_api_key: true, ..Forwarding::default() };
        assert_eq!(left(&SENT, &forwarding), ["accept", "mcp-param-x", "x-tenant"]);
        let forwarding = Forwarding { authorization: true, ..forwarding };
        let expected = ["accept", "mcp-param-x", "x-tenant", "authorization"];
        assert_eq!(left(&SENT, &forwarding), expected);
    }

    #[test]
    fn who_authenticated_is_said_by_us_alone() {
        let name = HeaderName::from_static("x-user");
        let forwarding =
            Forwarding { identity_header: Some(name.clone()), ..Forwarding::default() };
        assert_eq!(left(&[("x-user", "root"), ("x_user", "root")], &forwarding), [""; 0]);
        let mut sent = headers(&[("x-user", "root")]);
        let principal = Principal::Identified {
            issuer: "https://i.example".into(),
            subject: "\u{fc} %\n".into(),
        };
        forward(&mut sent, &forwarding, &principal);
        assert_eq!(sent[name], "https://i.example#%C3%BC%20%25%0A");
    }

    #[test]
    fn a_question_of_our_own_goes_in_the_callers_name() {
        let sent = headers(&SENT);
        let of = |forwarding: &Forwarding| {
            let taken = of_the_caller(&sent, forwarding, &Principal::Anonymous);
            taken.keys().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of(&Forwarding::default()), [""; 0]);
        let chosen = Some(vec![HeaderName::from_static("x-tenant")]);
        let all = Forwarding { chosen, authorization: true, ..Forwarding::default() };
        assert_eq!(of(&all), ["x-tenant", "authorization"]);
    }
}

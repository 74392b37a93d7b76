//! Which headers go on, and which belong to one hop.

use http::HeaderMap;
use http::header::{self, HeaderName};

/// Removes from a client's headers what is not for the upstream.
pub fn forward(headers: &mut HeaderMap) {
    remove(headers, |name| is_of_one_hop(name) || is_for_us(name));
}

/// Removes from an upstream's headers what belongs to its own hop.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    remove(headers, is_of_one_hop);
}

/// RFC 9110, 7.6.1, and what older proxies send.
fn is_of_one_hop(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 7] = [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
    ];
    NAMES.contains(name) || name.as_str() == "keep-alive"
}

/// What speaks of the client to us only. What it authenticates with is for us and not passed on (MCP,
/// Security Best Practices, Token Passthrough); and an answer must come uncompressed, or nobody could
/// track it.
fn is_for_us(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 5] = [
        header::HOST,
        header::COOKIE,
        header::AUTHORIZATION,
        header::ORIGIN,
        header::ACCEPT_ENCODING,
    ];
    NAMES.contains(name) || name.as_str().starts_with("x-archon-")
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

    #[test]
    fn what_is_for_one_hop_or_for_us_stays_here() {
        let mut headers: HeaderMap = [
            ("accept", "application/json"),
            ("mcp-param-x", "1"),
            ("connection", "x-mine, close"),
            ("x-mine", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("authorization", "Bearer secret"),
            ("cookie", "archon_session=1"),
            ("x-archon-session-id", "1"),
            ("x-archon-session-timeout", "9"),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), http::HeaderValue::from_static(value)))
        .collect();
        forward(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["accept", "mcp-param-x"]);
    }
}

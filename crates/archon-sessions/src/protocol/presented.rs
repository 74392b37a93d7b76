//! How a client presents itself: the handles it sends, before anyone has judged them.

use std::time::Duration;

use http::HeaderMap;
use http::header::{COOKIE as COOKIE_HEADER, HeaderValue};

use super::names::{
    COOKIE, MCP_SESSION_ID, X_ARCHON_CLIENT_KEY, X_ARCHON_SESSION_ID, X_ARCHON_SESSION_TIMEOUT,
    X_MCP_SESSION_ID,
};
use crate::session::{ClientKey, Cookie, McpSessionId, SessionId};

/// A handle as presented: absent, well-formed, or something that cannot be one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handle<T> {
    /// Not sent.
    Absent,
    /// Sent, and of our form.
    Sent(T),
    /// Sent, and certainly not ours.
    Malformed,
}

impl<T> Handle<T> {
    /// Returns the handle if one of our form was sent.
    pub fn sent(self) -> Option<T> {
        match self {
            Self::Sent(id) => Some(id),
            Self::Absent | Self::Malformed => None,
        }
    }
}

/// The handles of one request.
#[derive(Clone, Debug)]
pub struct Presented {
    /// `X-Archon-Session-Id`.
    pub session: Handle<SessionId>,
    /// `Mcp-Session-Id`, or `X-MCP-Session-Id` in its place. Means nothing in a modern request.
    pub connection: Handle<McpSessionId>,
    /// The cookie `archon_session`.
    pub cookie: Handle<Cookie>,
    /// `X-Archon-Client-Key`.
    pub client_key: Handle<ClientKey>,
    /// `X-Archon-Session-Timeout`: how long a new session shall be allowed to be silent. What is no positive
    /// number of seconds counts as not sent.
    pub idle_timeout: Option<Duration>,
}

impl Presented {
    /// Reads the handles from the headers.
    pub fn read(headers: &HeaderMap) -> Self {
        let connection = headers.get(MCP_SESSION_ID).or_else(|| headers.get(X_MCP_SESSION_ID));
        Self {
            session: parse(headers.get(X_ARCHON_SESSION_ID)),
            connection: parse(connection),
            cookie: headers
                .get_all(COOKIE_HEADER)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(';'))
                .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
                .map_or(Handle::Absent, parse_text),
            client_key: parse(headers.get(X_ARCHON_CLIENT_KEY)),
            idle_timeout: headers
                .get(X_ARCHON_SESSION_TIMEOUT)
                .and_then(|value| value.to_str().ok()?.trim().parse().ok())
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
        }
    }
}

fn parse<T: std::str::FromStr>(value: Option<&HeaderValue>) -> Handle<T> {
    match value {
        None => Handle::Absent,
        Some(value) => value.to_str().map_or(Handle::Malformed, parse_text),
    }
}

fn parse_text<T: std::str::FromStr>(text: &str) -> Handle<T> {
    text.trim().parse().map_or(Handle::Malformed, Handle::Sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_read_from_their_places() {
        let (session, handle) = (SessionId::random(), McpSessionId::random());
        let mut headers = HeaderMap::new();
        let value = |text: String| HeaderValue::from_str(&text).unwrap();
        headers.insert(X_MCP_SESSION_ID, value(handle.to_string()));
        headers.insert(COOKIE_HEADER, value(format!("a=b; archon_session={session}; c=d")));
        headers.insert(X_ARCHON_CLIENT_KEY, value("not long".into()));
        let presented = Presented::read(&headers);
        assert_eq!(presented.connection, Handle::Sent(handle));
        assert_eq!(presented.cookie.sent().map(|cookie| cookie.session), Some(session));
        assert_eq!(presented.client_key, Handle::Malformed);
        assert_eq!(presented.session, Handle::Absent);

        headers.insert(MCP_SESSION_ID, value("not ours".into()));
        assert_eq!(Presented::read(&headers).connection, Handle::Malformed);
    }
}

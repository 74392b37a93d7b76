//! What is looked at before a request means anything: where it comes from and how large it is.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Uri};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::failure::BoxError;

/// Of a refused header, so much is logged.
const LOGGED_CHARS_MAX: usize = 100;

/// Where the layer draws its lines.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one request body; 4 MiB holds any message but a file that should be a resource.
    pub body_bytes_max: usize,
    /// How long a client may take to send a body.
    pub body_time_max: Duration,
    /// `Host` and `Origin` values that are let in.
    pub hosts: AllowedHosts,
    /// How long a call to this service may go without a sign of its answer; the tracker's setting if
    /// it has none of its own.
    pub call_timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 4 * 1024 * 1024,
            body_time_max: Duration::from_secs(30),
            hosts: AllowedHosts::loopback(),
            call_timeout: None,
        }
    }
}

/// The peer's address, put into a request's extensions by whoever accepted its connection.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub SocketAddr);

/// Why a request is turned away at the edge.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EdgeRefusal {
    /// `Host` is not one of ours: a page may have rebound its name to us.
    #[error("this Host is not served here; add it to `allowed_hosts`")]
    Host,
    /// `Origin` is not one of ours.
    #[error("this Origin is not allowed; add it to `allowed_hosts`")]
    Origin,
    /// The body is larger than the limit.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The body broke off.
    #[error("the body could not be read")]
    Broken,
}

/// Which `Host` and `Origin` values are let in (MCP 2025-11-25, Transports, Security Warning; against
/// DNS rebinding both are checked).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHosts {
    /// Names and addresses, in lower case, without ports; `*` lets all in. Good for `Host`, and for pages that came
    /// from there over HTTP.
    names: Vec<Box<str>>,
    /// Whole origins, in lower case; `scheme://*` lets in all of a scheme.
    origins: Vec<Box<str>>,
}

impl AllowedHosts {
    /// Returns the names of this machine for itself.
    pub fn loopback() -> Self {
        let names = ["localhost", "127.0.0.1", "[::1]"].map(Box::from).to_vec();
        Self { names, origins: Vec::new() }
    }

    /// Adds names and origins. A port in a name is ignored, and `*` lets all in. An origin is what a browser sends:
    /// `https://app.example`, `chrome-extension://ID`, `tauri://localhost`, `null`; with `*` in place of its host it
    /// stands for all of its scheme.
    #[must_use]
    pub fn and(mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        for name in names {
            let name = name.as_ref().trim().to_ascii_lowercase();
            if Self::is_origin(&name) {
                // Browsers send no path; people write one.
                let has_host = !name.ends_with("://");
                let origin = if has_host { name.trim_end_matches('/') } else { &name };
                self.origins.push(origin.into());
            } else {
                let bare = without_port(name.as_bytes()).map_or(&*name, |bare| &name[..bare.len()]);
                self.names.push(bare.into());
            }
        }
        self
    }

    /// Returns true if this names an origin and no host.
    pub fn is_origin(name: &str) -> bool {
        name.contains("://") || name.eq_ignore_ascii_case("null")
    }

    /// Checks `Host` (or the target's authority) and, where sent, `Origin`.
    ///
    /// # Errors
    /// If one of them is not let in.
    pub fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), EdgeRefusal> {
        // Who sends two may mean either (RFC 9112, 3.2): every one must be let in, and there must be one.
        let sent = headers.get_all(HOST).iter().map(HeaderValue::as_bytes);
        let mut hosts = sent.chain(uri.host().map(str::as_bytes)).peekable();
        if headers.get_all(HOST).iter().nth(1).is_some()
            || hosts.peek().is_none()
            || !hosts.all(|host| self.lets_in(host))
        {
            return Err(EdgeRefusal::Host);
        }
        let is_all = headers.get_all(ORIGIN).iter().all(|origin| self.lets_in_origin(origin));
        if is_all { Ok(()) } else { Err(EdgeRefusal::Origin) }
    }

    /// Returns true if pages of this origin are let in.
    pub fn lets_in_origin(&self, origin: &HeaderValue) -> bool {
        let origin = origin.as_bytes();
        let is_listed = self.origins.iter().any(|listed| match listed.strip_suffix("://*") {
            // `scheme://`, and a host that may be empty.
            Some(scheme) => {
                let rest = origin.split_at_checked(scheme.len());
                rest.is_some_and(|(own, rest)| {
                    own.eq_ignore_ascii_case(scheme.as_bytes()) && rest.starts_with(b"://")
                })
            }
            None => origin.eq_ignore_ascii_case(listed.as_bytes()),
        });
        let bare = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
        is_listed || self.has_all() || bare.is_some_and(|bare| self.lets_in(bare))
    }

    fn lets_in(&self, host: &[u8]) -> bool {
        let bare = without_port(host).unwrap_or_default();
        self.has_all() || self.names.iter().any(|name| bare.eq_ignore_ascii_case(name.as_bytes()))
    }

    fn has_all(&self) -> bool {
        self.names.iter().any(|name| &**name == "*")
    }
}

impl EdgeRefusal {
    /// Writes down what was refused, and whose it was.
    pub(super) fn log(&self, parts: &Parts) {
        let sent = |name| {
            let value: Option<&HeaderValue> = parts.headers.get(name);
            let text = value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            text.unwrap_or_default().chars().take(LOGGED_CHARS_MAX).collect::<String>()
        };
        let (host, origin) = (sent(HOST), sent(ORIGIN));
        let peer = parts.extensions.get::<PeerAddress>().map(|peer| peer.0.to_string());
        let peer = peer.unwrap_or_default();
        // In quotes: a header may hold anything.
        tracing::warn!(
            ?host,
            ?origin,
            peer,
            "request refused: {self} (Host {host:?}, Origin {origin:?})"
        );
    }
}

/// Returns the host without its port; `None` if it is not a host.
fn without_port(host: &[u8]) -> Option<&[u8]> {
    let name_end = match host.first()? {
        b'[' => memchr::memchr(b']', host)? + 1,
        _ => memchr::memchr(b':', host).unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(name_end);
    let is_port =
        |p: &[u8]| p.is_empty() || (p[0] == b':' && p[1..].iter().all(u8::is_ascii_digit));
    is_port(port).then_some(name)
}

/// Reads a body whole, within the limits of size and time.
pub(super) async fn collect<B>(body: B, limits: &Limits) -> Result<Bytes, EdgeRefusal>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
{
    let max = limits.body_bytes_max;
    if body.size_hint().lower() > max as u64 {
        return Err(EdgeRefusal::TooLarge(max));
    }
    let read = Limited::new(body, max).collect();
    match tokio::time::timeout(limits.body_time_max, read).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(EdgeRefusal::TooLarge(max)),
        Ok(Err(_)) => Err(EdgeRefusal::Broken),
        Err(_) => Err(EdgeRefusal::TooSlow),
    }
}

/// Headers that say how long the client's own body was; ours has its own length.
pub(super) fn forget_length(headers: &mut HeaderMap) {
    headers.remove(CONTENT_LENGTH);
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, TryStreamExt, stream};
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    fn check(hosts: &AllowedHosts, host: &str, origin: Option<&str>) -> Result<(), EdgeRefusal> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        hosts.check(&headers, &Uri::from_static("/mcp"))
    }

    #[test]
    fn only_our_own_names_are_let_in() {
        let hosts = AllowedHosts::loopback().and(["MCP.example:8443", "[fd00::1]"]);
        for host in [
            "localhost",
            "LOCALHOST:8051",
            "127.0.0.1",
            "127.0.0.1:1",
            "[::1]:8051",
            "mcp.example",
            "[fd00::1]",
        ] {
            assert_eq!(check(&hosts, host, None), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
            "localhost:80@evil",
            "0.0.0.0",
            "",
            "[::1",
            "localhost:x",
        ] {
            assert_eq!(check(&hosts, host, None), Err(EdgeRefusal::Host), "{host}");
        }
        assert_eq!(check(&hosts, "localhost", Some("http://localhost:5173")), Ok(()));
        for origin in [
            "http://evil.example",
            "null",
            "",
            "localhost",
            "https://localhost.evil.example",
            "https://127.0.0.1.evil.example",
        ] {
            assert_eq!(
                check(&hosts, "localhost", Some(origin)),
                Err(EdgeRefusal::Origin),
                "{origin}"
            );
        }
        let any = AllowedHosts::loopback().and(["*"]);
        for origin in ["http://evil.example", "null", "chrome-extension://abc", "file://"] {
            assert_eq!(check(&any, "evil.example", Some(origin)), Ok(()), "{origin}");
        }
    }

    #[test]
    fn an_origin_is_let_in_by_its_own_name_and_is_no_host() {
        const ORIGINS: [&str; 8] = [
            "chrome-extension://abcdefghijklmnop",
            "moz-extension://0a1b",
            "tauri://localhost",
            "capacitor://localhost",
            "vscode-webview://1x2y3z",
            "file://",
            "null",
            "https://app.example:8443",
        ];
        let hosts = AllowedHosts::loopback();
        for origin in ORIGINS {
            assert_eq!(check(&hosts, "localhost", Some(origin)), Err(EdgeRefusal::Origin));
            let named = hosts.clone().and([origin.to_ascii_uppercase()]);
            assert_eq!(check(&named, "localhost", Some(origin)), Ok(()), "{origin}");
            for other in ORIGINS.iter().filter(|other| **other != origin) {
                let refused = Err(EdgeRefusal::Origin);
                assert_eq!(check(&named, "localhost", Some(other)), refused, "{other}");
            }
        }
        let named = hosts.and(["https://app.example/", "vscode-webview://*"]);
        assert_eq!(check(&named, "localhost", Some("https://app.example")), Ok(()));
        assert_eq!(check(&named, "localhost", Some("vscode-webview://any")), Ok(()));
        for refused in
            ["http://app.example", "vscode-webviews://any", "vscode-webview", "app.example"]
        {
            let expected = Err(EdgeRefusal::Origin);
            assert_eq!(check(&named, "localhost", Some(refused)), expected, "{refused}");
        }
        assert_eq!(check(&named, "app.example", None), Err(EdgeRefusal::Host));
    }

    #[test]
    fn a_request_without_a_host_or_with_two_is_refused() {
        let uri = Uri::from_static("/mcp");
        for hosts in [&[][..], &["localhost", "evil.example"], &["evil.example", "localhost"]] {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_static(host));
            }
            assert_eq!(AllowedHosts::loopback().check(&headers, &uri), Err(EdgeRefusal::Host));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_a_size_and_a_time_at_most() {
        let limits = Limits { body_bytes_max: 4, ..Limits::default() };
        let in_parts = |parts: &'static [&'static str]| {
            let frames =
                parts.iter().map(|part| Ok::<_, BoxError>(Frame::data(Bytes::from(*part))));
            StreamBody::new(stream::iter(frames))
        };
        assert_eq!(collect(Full::from("1234"), &limits).await, Ok("1234".into()));
        assert_eq!(collect(in_parts(&["12", "34"]), &limits).await, Ok("1234".into()));
        let too_large = Err(EdgeRefusal::TooLarge(4));
        assert_eq!(collect(Full::from("12345"), &limits).await, too_large);
        assert_eq!(collect(in_parts(&["12", "345"]), &limits).await, too_large);
        let begun = in_parts(&["1"]).into_data_stream().map_ok(Frame::data);
        let endless = StreamBody::new(begun.chain(stream::pending()));
        assert_eq!(collect(endless, &limits).await, Err(EdgeRefusal::TooSlow));
    }
}

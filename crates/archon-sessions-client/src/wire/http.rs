//! HTTP, as far as it matters whether something was sent.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::{Body, Frame, SizeHint};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::cookie::{CookieStore, Jar};
use reqwest::{Client, Response, Url};

use super::sse::EVENT_BYTES_MAX;
use crate::state::Secret;

/// How long an address may take to be connected to; one that is there takes a few round trips.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// So often one request follows a server to another path: a slash more, or none.
const REDIRECTS_MAX: usize = 3;
/// What is read of a refusal; more would not be shown.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// Idle connections are let go before servers close them, where servers are usual (a minute or more): a request that
/// meets a closing connection may have been sent.
const IDLE_LIMIT: Duration = Duration::from_secs(50);

/// Whether a request has begun to leave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent(Arc<AtomicBool>);

impl Sent {
    /// Returns false as long as no server can have read the request.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A body that says when it is asked for its bytes. Until then there is no connection to send them on.
struct Marked {
    bytes: Option<Bytes>,
    sent: Sent,
}

impl Body for Marked {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.sent.0.store(true, Ordering::Release);
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// Asks one endpoint.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    // Held to copy it.
    url: Mutex<Url>,
    jar: Arc<Jar>,
    bearer: Option<HeaderValue>,
    extra: HeaderMap,
}

impl Http {
    /// Prepares to ask an endpoint; connects nothing.
    pub fn new(
        url: Url,
        bearer: Option<HeaderValue>,
        extra: HeaderMap,
        cookies: Option<&Secret>,
    ) -> reqwest::Result<Self> {
        let jar = Arc::new(Jar::default());
        for cookie in cookies.map_or("", Secret::reveal).split("; ").filter(|one| !one.is_empty()) {
            jar.add_cookie_str(&format!("{cookie}; Path=/"), &url);
        }
        let client = builder(&url)
            // A request that met a redirect did not run; it is followed here, with its method and body.
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(IDLE_LIMIT)
            .cookie_provider(jar.clone())
            .build()?;
        Ok(Self { client, url: Mutex::new(url), jar, bearer, extra })
    }

    /// Returns what is asked.
    pub fn url(&self) -> Url {
        self.url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the cookies that the server has set, as they are sent.
    pub fn cookies(&self) -> Option<Secret> {
        let cookies = self.jar.cookies(&self.url())?;
        cookies.to_str().ok().map(Secret::new)
    }

    /// Sends a message. Dropped, it may have sent it: `sent` tells.
    pub async fn post(
        &self,
        headers: HeaderMap,
        body: Bytes,
        sent: &Sent,
    ) -> reqwest::Result<Response> {
        let mut response = self.post_once(&headers, &body, sent).await?;
        for _ in 0..REDIRECTS_MAX {
            let Some(url) = followed(&response) else { break };
            *self.url.lock().unwrap_or_else(PoisonError::into_inner) = url;
            sent.0.store(false, Ordering::Release);
            response = self.post_once(&headers, &body, sent).await?;
        }
        Ok(response)
    }

    async fn post_once(
        &self,
        headers: &HeaderMap,
        body: &Bytes,
        sent: &Sent,
    ) -> reqwest::Result<Response> {
        let body = Marked { bytes: Some(body.clone()), sent: sent.clone() };
        let request = self.request(Method::POST, headers.clone());
        let request = request
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .body(reqwest::Body::wrap(body));
        request.send().await
    }

    /// Comes back to a stream.
    pub async fn get(&self, headers: HeaderMap) -> reqwest::Result<Response> {
        self.stream_request(headers).send().await
    }

    /// Returns the request that opens a stream of the server's own; it needs nothing of this to be sent.
    pub fn stream_request(&self, headers: HeaderMap) -> reqwest::RequestBuilder {
        self.request(Method::GET, headers).header(ACCEPT, "text/event-stream")
    }

    /// Says goodbye.
    pub async fn delete(&self, headers: HeaderMap) -> reqwest::Result<Response> {
        self.request(Method::DELETE, headers).send().await
    }

    fn request(&self, method: Method, headers: HeaderMap) -> reqwest::RequestBuilder {
        let request =
            self.client.request(method, self.url()).headers(self.extra.clone()).headers(headers);
        match &self.bearer {
            Some(bearer) => request.header(AUTHORIZATION, bearer),
            None => request,
        }
    }
}

/// Returns a builder of clients for a URL. What is on this machine is never reached through a proxy.
pub(crate) fn builder(url: &Url) -> reqwest::ClientBuilder {
    let builder = Client::builder()
        .user_agent(concat!("archon-sessions-client/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_LIMIT);
    if is_loopback(url) { builder.no_proxy() } else { builder }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    ip.map_or(host == "localhost", |ip| ip.is_loopback())
}

/// Returns the value of `Authorization` for a token, marked so that it is never shown.
pub(crate) fn bearer(token: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.reveal().trim())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Returns where a request is to go instead; only ever on the same server, so that credentials do not travel.
fn followed(response: &Response) -> Option<Url> {
    let is_redirect = matches!(
        response.status(),
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
    );
    let location = response.headers().get(LOCATION).filter(|_| is_redirect)?.to_str().ok()?;
    let url = response.url().join(location).ok()?;
    (url.origin() == response.url().origin()).then_some(url)
}

/// Returns how long a refusal asks to wait (RFC 9110, 10.2.3: seconds, or a date).
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(then.duration_since(now).try_into().unwrap_or(Duration::ZERO))
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the answer broke off")]
    Broken(#[source] reqwest::Error),
    #[error("the answer is larger than {} MiB", EVENT_BYTES_MAX / (1024 * 1024))]
    TooLarge,
}

/// Reads a whole answer.
pub(crate) async fn read(mut response: Response) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(BodyError::Broken)? {
        if bytes.len() + piece.len() > EVENT_BYTES_MAX {
            return Err(BodyError::TooLarge);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Reads what there is of a refusal, up to a bound.
pub(crate) async fn read_refusal(mut response: Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        let room = REFUSAL_BYTES_MAX - bytes.len();
        bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        if bytes.len() == REFUSAL_BYTES_MAX {
            break;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_to_wait_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let of = |text: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            retry_after(&headers, now)
        };
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert_eq!(of("Sat, 21 Nov 2026 10:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(of("Sat, 21 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!((of("soon"), of("-1")), (None, None));
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_token_is_never_shown() {
        let value = bearer(&"opens-doors".into()).unwrap();
        assert!(!format!("{value:?}").contains("opens"));
        assert!(bearer(&"a\nb".into()).is_none());
    }
}

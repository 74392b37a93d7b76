//! How a client is built.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use rmcp::model::Implementation;
use url::Url;

use super::{Client, Inner, Settings};
use crate::error::{ConnectionError, ConnectionReason, Error};
use crate::handler::{Handler, NoHandler};
use crate::retry::RetryPolicy;
use crate::session::EraChoice;
use crate::state::{SavedState, Secret};
use crate::wire::http::{Http, bearer};

/// How long a request may take, retries and all, unless said.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How often a client that does nothing says that it is alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Heartbeat {
    /// Three times in the time that the gateway lets sessions be silent.
    #[default]
    Auto,
    /// After so long without another request.
    Every(Duration),
    /// Never: the session ends by its silence, and the next call goes on in one that continues it.
    Off,
}

/// Builds a [`Client`].
#[derive(Clone)]
#[must_use]
pub struct ClientBuilder {
    url: String,
    info: Implementation,
    timeout: Duration,
    retry: RetryPolicy,
    era: EraChoice,
    bearer: Option<Secret>,
    headers: HeaderMap,
    heartbeat: Heartbeat,
    handler: Option<Arc<dyn Handler>>,
    state: Option<SavedState>,
}

impl ClientBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            info: Implementation::new("archon-sessions-client", env!("CARGO_PKG_VERSION")),
            timeout: TIMEOUT,
            retry: RetryPolicy::default(),
            era: EraChoice::default(),
            bearer: None,
            headers: HeaderMap::new(),
            heartbeat: Heartbeat::default(),
            handler: None,
            state: None,
        }
    }

    /// Says what this client calls itself. The gateway shows it, and tells clients apart by it.
    pub fn client_info(self, name: impl Into<String>, version: impl Into<String>) -> Self {
        Self { info: Implementation::new(name, version), ..self }
    }

    /// Says how long a request may take, retries and all; 30 s unless said. What was sent and not answered by then has
    /// an unknown outcome.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Says how often, and how fast, requests are sent again that are safe to send again.
    pub fn retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Says which era to speak; modern where the server does, unless said.
    pub fn era(self, era: impl Into<EraChoice>) -> Self {
        Self { era: era.into(), ..self }
    }

    /// Sends a token with each request.
    pub fn bearer(self, token: impl Into<Secret>) -> Self {
        Self { bearer: Some(token.into()), ..self }
    }

    /// Sends a header with each request, beside those of the protocol.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Says how often this client says that it is alive while it does nothing.
    pub fn heartbeat(self, heartbeat: Heartbeat) -> Self {
        Self { heartbeat, ..self }
    }

    /// Hears what the server says by itself, and answers what it asks.
    pub fn handler(self, handler: impl Handler) -> Self {
        Self { handler: Some(Arc::new(handler)), ..self }
    }

    /// Goes on in a session of another client, perhaps of another process.
    pub fn state(self, state: SavedState) -> Self {
        Self { state: Some(state), ..self }
    }

    /// Connects.
    ///
    /// # Errors
    /// If the URL is none, the server cannot be reached, or does not take the handshake. A session that cannot be
    /// gone on with is no error: [`Client::session`] says which one it is.
    pub async fn connect(self) -> Result<Client, Error> {
        let unusable =
            |message: String| ConnectionError::new(ConnectionReason::Unreachable, message);
        let url = endpoint(&self.url)
            .ok_or_else(|| unusable(format!("{:?} is no URL of HTTP", self.url)))?;
        let authorization = self.bearer.as_ref().map(|token| {
            bearer(token).ok_or_else(|| unusable("the token is not one word of ASCII".to_owned()))
        });
        let cookies = self.state.as_ref().and_then(|state| state.cookies.as_ref());
        let http =
            Http::new(url, authorization.transpose()?, self.headers, cookies).map_err(|error| {
                unusable("could not prepare an HTTP client".to_owned()).caused(error)
            })?;
        let settings = Settings {
            info: self.info,
            timeout: self.timeout,
            retry: self.retry,
            era: self.era,
            heartbeat: self.heartbeat,
            wants_progress: self.handler.is_some(),
            handler: self.handler.unwrap_or_else(|| Arc::new(NoHandler)),
        };
        let inner = Inner::new(http, settings);
        inner.connect(self.state).await?;
        inner.start_heartbeat();
        Ok(Client { inner })
    }
}

/// Returns where an endpoint is. A server without a path is one whose endpoint is where the gateway's is.
fn endpoint(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    if url.path() == "/" {
        url.set_path("/mcp");
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_path_has_its_endpoint_at_mcp() {
        let of = |text| endpoint(text).map(|url| url.to_string());
        assert_eq!(of("http://localhost:8051").as_deref(), Some("http://localhost:8051/mcp"));
        assert_eq!(
            of("https://a.example/mcp/files?x=1").as_deref(),
            Some("https://a.example/mcp/files?x=1")
        );
        assert_eq!((of("localhost:8051"), of("ftp://a/"), of("")), (None, None, None));
    }
}

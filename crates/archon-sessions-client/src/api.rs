//! The gateway's own API, typed: who is connected, what they do, what went wrong.

mod queries;

use std::fmt;
use std::time::Duration;

use archon_sessions_api::access::Me;
use archon_sessions_api::analytics::Analytics;
use archon_sessions_api::errors::Errors;
use archon_sessions_api::health::{Health, SessionsHealth};
use archon_sessions_api::logs::Logs;
use archon_sessions_api::pricing::{NewPricing, Price, Pricing};
use archon_sessions_api::problem::Problem;
use archon_sessions_api::reconnect::{Heartbeat, Reconnect, Reconnected, Token};
use archon_sessions_api::sessions::{
    Clients, Disconnect, Disconnected, EndReason, Ended, SessionPage, Sessions,
};
use archon_sessions_api::status::{ServiceConfig, ServiceStatus};
use archon_sessions_api::usage::UsageSummary;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use reqwest::{RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;
use uuid::Uuid;

pub use queries::{
    AnalyticsQuery, ClientFilter, ClientsQuery, Direction, DisconnectedQuery, ErrorsQuery,
    LogsQuery, PageQuery, SessionFilter, SessionOrder, SessionsQuery, Severity, UsageQuery,
};

use crate::state::Secret;
use crate::wire::headers::X_ARCHON_SESSION_ID;
use crate::wire::http::{bearer, builder, read, read_refusal, retry_after};

/// How long an answer may take; the API's own limits are shorter.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Why the API did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The URL is none of HTTP's, or the token cannot be sent.
    #[error("{0}")]
    Unusable(String),
    /// Nobody answered, or the answer broke off. What was asked for may have been done.
    #[error("could not reach the API at {url}")]
    Unreachable {
        /// Where it should be.
        url: Url,
        /// Why it could not be reached.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It refused, and says why. Nothing was done.
    #[error("{} ({})", problem.detail, problem.hint)]
    Refused {
        /// 401 and 403 want a token, 404 knows no such session, 409 says that it has ended, 422 names a parameter.
        status: StatusCode,
        /// What it said.
        problem: Problem,
        /// When to try again, where it said so.
        retry_after: Option<Duration>,
    },
    /// Something answered that is not the API: another port of it, or a proxy.
    #[error("{url} did not answer as the API does, but with {status}")]
    NotUnderstood {
        /// Where it should be.
        url: Url,
        /// What it answered with.
        status: StatusCode,
        /// What could not be read, where that was it.
        #[source]
        source: Option<serde_json::Error>,
    },
}

/// Asks a gateway's API, on its port of its own: `http://127.0.0.1:8181`.
///
/// Nothing is sent again by itself. Reading may be; so may ending, which is refused with 409 the second time.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    base: Url,
    authorization: Option<HeaderValue>,
}

impl Api {
    /// Returns a client of the API at this address. Nothing is connected yet.
    ///
    /// # Errors
    /// If this is no URL of HTTP, or this machine has no certificates to check others against.
    pub fn new(base: impl AsRef<str>) -> Result<Self, ApiError> {
        let text = base.as_ref();
        let base = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = base.ok_or_else(|| ApiError::Unusable(format!("{text:?} is no URL of HTTP")))?;
        let http = builder(&base).build().map_err(|error| unreachable(&base, error))?;
        Ok(Self { http, base, authorization: None })
    }

    /// Shows a token with each request.
    ///
    /// # Errors
    /// If it cannot be sent in a header.
    pub fn token(self, token: impl Into<Secret>) -> Result<Self, ApiError> {
        let authorization = bearer(&token.into());
        let unusable = || ApiError::Unusable("the token is not one word of ASCII".to_owned());
        Ok(Self { authorization: Some(authorization.ok_or_else(unusable)?), ..self })
    }

    /// Returns where the API is.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Returns whether the service is well. One that is not says why in [`ApiError::Refused`] or here.
    ///
    /// # Errors
    /// See [`ApiError`]; so for all that follows.
    pub async fn health(&self) -> Result<Health, ApiError> {
        let answer = self.sent(self.request(Method::GET, "health")).await?;
        // 503 says the same thing in the same form.
        match answer.status() {
            status if status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE => {
                self.understood(answer).await
            }
            _ => Err(self.refused(answer).await),
        }
    }

    /// Returns how the process is and its upstreams are, and its latest warnings.
    pub async fn status(&self) -> Result<ServiceStatus, ApiError> {
        self.get("status", &()).await
    }

    /// Returns how it is configured, without secrets.
    pub async fn config(&self) -> Result<ServiceConfig, ApiError> {
        self.get("config", &()).await
    }

    /// Returns what the token is good for.
    pub async fn me(&self) -> Result<Me, ApiError> {
        self.get("me", &()).await
    }

    /// Returns a page of the clients that are here.
    pub async fn clients(&self, query: &ClientsQuery) -> Result<Clients, ApiError> {
        self.get("clients", query).await
    }

    /// Returns a page of sessions, the latest active first unless asked otherwise.
    pub async fn sessions(&self, query: &SessionsQuery) -> Result<Sessions, ApiError> {
        self.get("sessions", query).await
    }

    /// Returns how many sessions are active, how old, how often they end.
    pub async fn sessions_health(&self) -> Result<SessionsHealth, ApiError> {
        self.get("sessions/health", &()).await
    }

    /// Returns the sessions that ended last, and why sessions ended.
    pub async fn disconnected(&self, query: &DisconnectedQuery) -> Result<Disconnected, ApiError> {
        self.get("sessions/disconnected", query).await
    }

    /// Returns a session with a page of its requests, the latest first.
    pub async fn session(&self, id: Uuid, page: &PageQuery) -> Result<SessionPage, ApiError> {
        self.get(&format!("sessions/{id}"), page).await
    }

    /// Ends a session, for an operator: its handles answer 404 from then on.
    pub async fn end(&self, id: Uuid) -> Result<Ended, ApiError> {
        self.ask(self.request(Method::DELETE, &format!("sessions/{id}"))).await
    }

    /// Ends a session for a reason.
    pub async fn disconnect(&self, id: Uuid, reason: EndReason) -> Result<Ended, ApiError> {
        let body = Disconnect { reason: Some(reason) };
        self.post(&format!("sessions/{id}/disconnect"), &body).await
    }

    /// Says that a session's client is alive.
    pub async fn heartbeat(&self, id: Uuid) -> Result<Heartbeat, ApiError> {
        let request = self.request(Method::POST, &format!("sessions/{id}/heartbeat"));
        self.ask(request.header(X_ARCHON_SESSION_ID, id.to_string())).await
    }

    /// Returns a reconnect token for a session. It replaces the one that there was.
    pub async fn reconnect_token(&self, id: Uuid) -> Result<Token, ApiError> {
        let request = self.request(Method::GET, &format!("sessions/{id}/token"));
        self.ask(request.header(X_ARCHON_SESSION_ID, id.to_string())).await
    }

    /// Shows a reconnect token, and returns the next one.
    pub async fn reconnect(&self, id: Uuid, token: &Secret) -> Result<Reconnected, ApiError> {
        let body = Reconnect { token: token.reveal().to_owned() };
        self.post(&format!("sessions/{id}/reconnect"), &body).await
    }

    /// Returns what was used in a period, by tool, client and user.
    pub async fn usage(&self, query: &UsageQuery) -> Result<UsageSummary, ApiError> {
        self.get("usage/summary", query).await
    }

    /// Returns trends, ratios and response times of a period.
    pub async fn analytics(&self, query: &AnalyticsQuery) -> Result<Analytics, ApiError> {
        self.get("analytics", query).await
    }

    /// Returns a page of requests that went wrong, the latest first.
    pub async fn errors(&self, query: &ErrorsQuery) -> Result<Errors, ApiError> {
        self.get("errors", query).await
    }

    /// Returns a page of requests as lines of a log, the latest first.
    pub async fn logs(&self, query: &LogsQuery) -> Result<Logs, ApiError> {
        self.get("logs", query).await
    }

    /// Returns what models cost.
    pub async fn pricing(&self) -> Result<Pricing, ApiError> {
        self.get("pricing", &()).await
    }

    /// Adds prices, or replaces those of the same model and day, and returns all.
    pub async fn set_pricing(&self, pricing: Vec<Price>) -> Result<Pricing, ApiError> {
        self.send_json(Method::PUT, "pricing", &NewPricing { pricing }).await
    }

    /// Asks for anything else below `/api/mcp/`, with parameters.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &(impl Serialize + ?Sized),
    ) -> Result<T, ApiError> {
        self.ask(self.request(Method::GET, path).query(parameters)).await
    }

    /// Sends anything else below `/api/mcp/`, as JSON.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.send_json(Method::POST, path, body).await
    }

    async fn send_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.ask(self.request(method, path).json(body)).await
    }

    /// Returns a request for a path below `/api/mcp/`, to be changed and then given to [`Api::answer`] or [`Api::send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/api/mcp/{path}", self.base.path().trim_end_matches('/')));
        let request = self.http.request(method, url);
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }

    /// Sends a request, and returns a good answer whose body is still to come: an export, for example.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, ApiError> {
        let answer = self.sent(request).await?;
        // The second is what a WebSocket's handshake is answered with.
        if answer.status().is_success() || answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(answer);
        }
        Err(self.refused(answer).await)
    }

    /// Sends a request, and reads its whole answer. It may take as long as it takes.
    pub async fn answer<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, ApiError> {
        let answer = self.send(request).await?;
        self.understood(answer).await
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ApiError> {
        self.answer(request.timeout(ANSWER_LIMIT)).await
    }

    async fn sent(&self, request: RequestBuilder) -> Result<Response, ApiError> {
        // Its URL would be said twice.
        request.send().await.map_err(|error| unreachable(&self.base, error.without_url()))
    }

    async fn understood<T: DeserializeOwned>(&self, answer: Response) -> Result<T, ApiError> {
        let status = answer.status();
        let body = read(answer).await.map_err(|error| unreachable(&self.base, error))?;
        serde_json::from_slice(&body).map_err(|error| self.not_understood(status, Some(error)))
    }

    async fn refused(&self, answer: Response) -> ApiError {
        let status = answer.status();
        let retry_after = retry_after(answer.headers(), Timestamp::now());
        match serde_json::from_slice(&read_refusal(answer).await) {
            Ok(problem) => ApiError::Refused { status, problem, retry_after },
            Err(_) => self.not_understood(status, None),
        }
    }

    fn not_understood(&self, status: StatusCode, source: Option<serde_json::Error>) -> ApiError {
        ApiError::NotUnderstood { url: self.base.clone(), status, source }
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

pub(crate) fn unreachable(
    url: &Url,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> ApiError {
    ApiError::Unreachable { url: url.clone(), source: source.into() }
}

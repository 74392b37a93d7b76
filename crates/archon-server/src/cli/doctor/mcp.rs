//! The least of an MCP client, of both eras, on plain HTTP: it shows what a library would hide.

use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use archon_sessions::protocol::codes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Url};
use serde_json::{Value, json};

/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// What the sessions are called after.
pub const CLIENT: &str = "archon-doctor";
const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";
const SESSION: &str = "x-archon-session-id";
const HANDLE: &str = "mcp-session-id";

/// Sends messages.
pub struct McpClient {
    http: reqwest::Client,
    url: Url,
    bearer: Option<String>,
}

/// A legacy connection.
pub struct Connection {
    /// Its session, as the gateway named it.
    pub session: String,
    handle: String,
    version: String,
}

/// An answer: the session in force, and the result.
pub struct Answer {
    pub session: Option<String>,
    pub result: Value,
}

impl McpClient {
    /// Returns a client of an endpoint.
    pub fn new(http: reqwest::Client, url: Url, bearer: Option<String>) -> Self {
        Self { http, url, bearer }
    }

    /// Returns a client of one upstream behind the endpoint.
    pub fn at_upstream(&self, name: &str) -> Self {
        let mut url = self.url.clone();
        url.set_path(&format!("/mcp/{name}"));
        Self { http: self.http.clone(), url, bearer: self.bearer.clone() }
    }

    /// Asks what makes no session, and takes a refusal of the server's own for an answer.
    ///
    /// # Errors
    /// If the gateway answers in its place.
    pub async fn is_answered(&self) -> anyhow::Result<()> {
        let (message, headers) = modern("server/discover");
        let (_, body) = self.post(&message, &headers).await?;
        let answer = answer_in(&body).unwrap_or_default();
        let code = answer["error"]["code"].as_i64().unwrap_or(0);
        let why = answer["error"]["message"].as_str().unwrap_or("error");
        ensure!(!codes::OWN.contains(&code), "{code}: {why}");
        Ok(())
    }

    /// Returns where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Asks for the health beside the endpoint.
    pub async fn health(&self) -> anyhow::Result<Value> {
        let mut url = self.url.clone();
        url.set_path("/health");
        let answer = self.http.get(url).timeout(ANSWER_LIMIT).send().await;
        let answer = answer.map_err(reqwest::Error::without_url)?;
        let status = answer.status();
        let body = answer.text().await?;
        serde_json::from_str(&body).with_context(|| format!("{status} is no health of archon's"))
    }

    /// Does a handshake, in a session that is there if one is named.
    pub async fn connect(&self, session: Option<&str>) -> anyhow::Result<Connection> {
        let params = json!({
            "protocolVersion": LEGACY,
            "capabilities": {},
            "clientInfo": { "name": CLIENT, "version": env!("CARGO_PKG_VERSION") },
        });
        let headers: Vec<_> = session.map(|id| (SESSION, id)).into_iter().collect();
        let (answer, result) = self.send(&message("initialize", params), &headers).await?;
        let header =
            |name| value(&answer, name).with_context(|| format!("no {name} in the answer"));
        let version = result["protocolVersion"].as_str().unwrap_or(LEGACY).to_owned();
        let connection = Connection { session: header(SESSION)?, handle: header(HANDLE)?, version };
        let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        self.post(&note, &connection.headers()).await?;
        Ok(connection)
    }

    /// Sends a request of the legacy era.
    pub async fn legacy(
        &self,
        connection: &Connection,
        method: &str,
        params: Value,
    ) -> anyhow::Result<Answer> {
        let (headers, result) = self.send(&message(method, params), &connection.headers()).await?;
        Ok(Answer { session: value(&headers, SESSION), result })
    }

    /// Sends a request of the modern era.
    pub async fn modern(&self, method: &str) -> anyhow::Result<Answer> {
        let (message, headers) = modern(method);
        let (headers, result) = self.send(&message, &headers).await?;
        Ok(Answer { session: value(&headers, SESSION), result })
    }

    /// Says goodbye.
    pub async fn end(&self, connection: &Connection) -> anyhow::Result<()> {
        let request = self.request(Method::DELETE, &connection.headers());
        let answer = request.send().await.map_err(reqwest::Error::without_url)?;
        ensure!(answer.status().is_success(), "DELETE was answered {}", answer.status());
        Ok(())
    }

    async fn send(
        &self,
        message: &Value,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<(HeaderMap, Value)> {
        let (headers, body) = self.post(message, headers).await?;
        let mut answer =
            answer_in(&body).context("there is no JSON-RPC answer in what came back")?;
        let error = &answer["error"];
        ensure!(
            error.is_null(),
            "{}: {}",
            error["code"],
            error["message"].as_str().unwrap_or("error")
        );
        Ok((headers, answer["result"].take()))
    }

    async fn post(
        &self,
        message: &Value,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<(HeaderMap, String)> {
        let request = self
            .request(Method::POST, headers)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .body(message.to_string());
        let answer = request.send().await.map_err(reqwest::Error::without_url)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.text().await.map_err(|_| anyhow!("the answer broke off"))?;
        // An error in JSON-RPC's form says more than its status.
        ensure!(status.is_success() || answer_in(&body).is_some(), "{status}: {body:.200}");
        Ok((headers, body))
    }

    fn request(&self, method: Method, headers: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let mut request = self.http.request(method, self.url.clone()).timeout(ANSWER_LIMIT);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match &self.bearer {
            Some(bearer) => request.header(AUTHORIZATION, bearer),
            None => request,
        }
    }
}

impl Connection {
    fn headers(&self) -> [(&str, &str); 2] {
        [(HANDLE, &self.handle), ("mcp-protocol-version", &self.version)]
    }
}

/// Returns a request of the modern era, and the headers that it goes with.
fn modern(method: &str) -> (Value, [(&str, &str); 2]) {
    let params = json!({ "_meta": {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": CLIENT, "version": env!("CARGO_PKG_VERSION") },
    }});
    (message(method, params), [("mcp-protocol-version", MODERN), ("mcp-method", method)])
}

fn message(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Returns the answer, whether it came as JSON or as an event.
fn answer_in(body: &str) -> Option<Value> {
    let events = body.lines().filter_map(|line| line.strip_prefix("data:"));
    let parsed =
        std::iter::once(body).chain(events).filter_map(|text| serde_json::from_str(text).ok());
    parsed
        .into_iter()
        .find(|message: &Value| message.get("result").is_some() || message.get("error").is_some())
}

//! The requests of a client, built once and patched in place.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};

use crate::check::Answer;
use crate::http::Connection;
use crate::upstream::BIG_PATTERN;

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";
const CLIENT_INFO: &str = r#"{"name":"archon-bench","version":"0.1.0"}"#;

/// Every id has ten digits, so that patching one never moves the rest of the request.
const FIRST_ID: u32 = 1_000_000_000;
const ID_DIGITS: usize = 10;

/// Where a front listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub address: SocketAddr,
    path: String,
}

impl Endpoint {
    /// Reads `http://ADDRESS:PORT/PATH`.
    pub fn parse(url: &str) -> Result<Self> {
        let rest = url.trim().strip_prefix("http://").context("the endpoint must be http")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let address =
            authority.parse().with_context(|| format!("{authority} is no address and port"))?;
        Ok(Self { address, path: format!("/{path}") })
    }

    /// Returns the same path on another port.
    pub fn on_port(&self, port: u16) -> Self {
        Self { address: SocketAddr::new(self.address.ip(), port), path: self.path.clone() }
    }

    /// Returns the URL.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.path)
    }

    fn request(&self, method: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
        let mut request = format!("{method} {} HTTP/1.1\r\nHost: {}\r\n", self.path, self.address);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if method == "POST" {
            request.push_str("Content-Type: application/json\r\n");
            request.push_str("Accept: application/json, text/event-stream\r\n");
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body);
        request.into_bytes()
    }
}

/// A legacy session as its client holds it.
pub struct Session {
    id: Box<str>,
}

impl Session {
    /// Initializes a session: `initialize`, then `notifications/initialized`.
    pub async fn open(connection: &mut Connection, endpoint: &Endpoint) -> Result<Self> {
        let initialize = format!(
            r#"{{"jsonrpc":"2.0","id":{FIRST_ID},"method":"initialize","params":{{"protocolVersion":"{LEGACY}","capabilities":{{}},"clientInfo":{CLIENT_INFO}}}}}"#
        );
        let head = connection.exchange(&endpoint.request("POST", &[], &initialize)).await?;
        let text = String::from_utf8_lossy(connection.body());
        ensure!(head.status == 200, "initialize was answered with {}: {text}", head.status);
        ensure!(text.contains(r#""protocolVersion""#), "initialize was answered with {text}");
        let session = Self { id: head.session.context("initialize assigned no session")? };
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let request = endpoint.request("POST", &session.headers(), initialized);
        let head = connection.exchange(&request).await?;
        ensure!((200..300).contains(&head.status), "initialized was answered with {}", head.status);
        Ok(session)
    }

    /// Returns a session that was opened before.
    pub fn known(id: &str) -> Self {
        Self { id: id.into() }
    }

    /// Ends the session with DELETE.
    pub async fn end(self, connection: &mut Connection, endpoint: &Endpoint) -> Result<()> {
        let request = endpoint.request("DELETE", &self.headers(), "");
        let head = connection.exchange(&request).await?;
        ensure!((200..300).contains(&head.status), "DELETE was answered with {}", head.status);
        Ok(())
    }

    /// Returns the request that opens the session's GET stream.
    pub fn stream_request(&self, endpoint: &Endpoint) -> Vec<u8> {
        let [version, session] = self.headers();
        endpoint.request("GET", &[version, session, ("Accept", "text/event-stream")], "")
    }

    fn headers(&self) -> [(&str, &str); 2] {
        [("MCP-Protocol-Version", LEGACY), ("Mcp-Session-Id", &self.id)]
    }
}

/// The lifecycle a call belongs to.
#[derive(Clone, Copy)]
pub enum Era<'a> {
    Legacy(&'a Session),
    Modern(&'a ModernClient),
}

/// A modern client: its name, and the cookie that it returns as real ones do.
pub struct ModernClient {
    info: String,
    cookie: Option<Box<str>>,
}

impl ModernClient {
    /// Returns a client that no other is mistaken for.
    pub fn new(client: usize) -> Self {
        let info = format!(r#"{{"name":"archon-bench-{client}","version":"0.1.0"}}"#);
        Self { info, cookie: None }
    }

    /// Calls once and keeps the cookie of the answer.
    pub async fn meet(&mut self, connection: &mut Connection, endpoint: &Endpoint) -> Result<()> {
        let mut call = Call::echo(endpoint, Era::Modern(self), 0);
        let head = connection.exchange(call.advance()).await?;
        call.answer.check(&head, connection.body())?;
        self.cookie = head.cookie;
        Ok(())
    }
}

/// A `tools/call` that is sent again and again, each time with a new id.
pub struct Call {
    request: Vec<u8>,
    /// Where the id stands in the request.
    id_places: Vec<usize>,
    next_id: u32,
    answer: Answer,
}

impl Call {
    /// Calls `echo` with a text that names the client and the call, so that no answer fits another.
    pub fn echo(endpoint: &Endpoint, era: Era<'_>, client: usize) -> Self {
        let text = format!("client-{client:05}-call-{FIRST_ID}");
        let arguments = format!(r#"{{"text":"{text}"}}"#);
        Self::new(endpoint, era, "echo", &arguments, Answer::new(FIRST_ID, text.into_bytes()))
    }

    /// Calls `big`.
    pub fn big(endpoint: &Endpoint, era: Era<'_>, bytes: usize) -> Self {
        let mut text = BIG_PATTERN.repeat(bytes.div_ceil(BIG_PATTERN.len()));
        text.truncate(bytes);
        let arguments = format!(r#"{{"bytes":{bytes}}}"#);
        Self::new(endpoint, era, "big", &arguments, Answer::new(FIRST_ID, text))
    }

    /// Calls the gateway's own `health_check`, for which nobody upstream works. Its text is not known before, so
    /// the answer is not checked by [`Call::exchange`].
    pub fn health_check(endpoint: &Endpoint, session: &Session) -> Self {
        let answer = Answer::new(FIRST_ID, Vec::new());
        Self::new(endpoint, Era::Legacy(session), "health_check", "{}", answer)
    }

    /// Calls `events`.
    pub fn events(endpoint: &Endpoint, era: Era<'_>, count: u32, gap_ms: u32) -> Self {
        let arguments = format!(r#"{{"count":{count},"gap_ms":{gap_ms}}}"#);
        let answer = Answer::new(FIRST_ID, b"done".to_vec());
        Self::new(endpoint, era, "events", &arguments, answer)
    }

    fn new(endpoint: &Endpoint, era: Era<'_>, tool: &str, arguments: &str, answer: Answer) -> Self {
        let mut meta = Vec::new();
        if tool == "events" {
            meta.push(format!(r#""progressToken":{FIRST_ID}"#));
        }
        let request_headers = match era {
            Era::Legacy(session) => session.headers().to_vec(),
            Era::Modern(client) => {
                meta.push(format!(r#""io.modelcontextprotocol/protocolVersion":"{MODERN}""#));
                meta.push(r#""io.modelcontextprotocol/clientCapabilities":{}"#.to_owned());
                meta.push(format!(r#""io.modelcontextprotocol/clientInfo":{}"#, client.info));
                let mut headers = vec![
                    ("MCP-Protocol-Version", MODERN),
                    ("Mcp-Method", "tools/call"),
                    ("Mcp-Name", tool),
                ];
                headers.extend(client.cookie.as_deref().map(|cookie| ("Cookie", cookie)));
                headers
            }
        };
        let meta = match meta.is_empty() {
            true => String::new(),
            false => format!(r#""_meta":{{{}}},"#, meta.join(",")),
        };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{FIRST_ID},"method":"tools/call","params":{{{meta}"name":"{tool}","arguments":{arguments}}}}}"#
        );
        let request = endpoint.request("POST", &request_headers, &body);
        let id_places =
            memchr::memmem::find_iter(&request, FIRST_ID.to_string().as_bytes()).collect();
        Self { request, id_places, next_id: FIRST_ID, answer }
    }

    /// Sends the call and checks the answer's id and text.
    ///
    /// # Errors
    ///
    /// The outer error is the connection's and ends its use; the inner one is a wrong answer.
    pub async fn exchange(&mut self, connection: &mut Connection) -> Result<Result<()>> {
        let head = connection.exchange(self.advance()).await?;
        Ok(self.answer.check(&head, connection.body()))
    }

    /// Gives the call the next id and returns the request.
    pub fn advance(&mut self) -> &[u8] {
        self.next_id = self.next_id.checked_add(1).unwrap_or(FIRST_ID);
        let digits = digits(self.next_id);
        for place in &self.id_places {
            self.request[*place..place + ID_DIGITS].copy_from_slice(&digits);
        }
        self.answer.set_id(&digits);
        &self.request
    }

    /// Returns what the last request must be answered with.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }
}

fn digits(mut id: u32) -> [u8; ID_DIGITS] {
    let mut digits = [b'0'; ID_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit += (id % 10) as u8;
        id /= 10;
    }
    digits
}

/// Opens a legacy session, calls once and ends it.
pub async fn try_legacy(endpoint: &Endpoint) -> Result<()> {
    let mut connection = Connection::open(endpoint.address).await?;
    let session = Session::open(&mut connection, endpoint).await?;
    let mut call = Call::echo(endpoint, Era::Legacy(&session), 0);
    call.exchange(&mut connection).await??;
    session.end(&mut connection, endpoint).await
}

/// Calls once as of 2026-07-28.
pub async fn try_modern(endpoint: &Endpoint) -> Result<()> {
    let mut connection = Connection::open(endpoint.address).await?;
    ModernClient::new(0).meet(&mut connection, endpoint).await.context("no modern calls")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_survives_its_url() {
        let endpoint = Endpoint::parse("http://127.0.0.1:80/mcp\n").unwrap();
        assert_eq!(endpoint.url(), "http://127.0.0.1:80/mcp");
        assert_eq!(endpoint.on_port(81).url(), "http://127.0.0.1:81/mcp");
        assert!(Endpoint::parse("https://127.0.0.1:80/mcp").is_err());
    }

    #[test]
    fn advancing_changes_every_id_and_nothing_else() {
        let endpoint = Endpoint::parse("http://127.0.0.1:80/mcp").unwrap();
        let mut call = Call::echo(&endpoint, Era::Modern(&ModernClient::new(7)), 7);
        let before = String::from_utf8(call.request.clone()).unwrap();
        let after = String::from_utf8(call.advance().to_vec()).unwrap();
        assert_eq!(after, before.replace("1000000000", "1000000001"));
        assert_eq!(call.id_places.len(), 2);
    }
}

//! Reads a page of an upstream's tools, and writes ours into it without touching the rest of its bytes.

use archon_sessions::layer::{Exchange, InnerRequest};
use archon_sessions::protocol::names::{MCP_METHOD, MCP_NAME};
use archon_sessions::protocol::sse::is_event_stream;
use archon_sessions::session::Era;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::response::Parts;
use http_body_util::{BodyExt, Full};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Answer, GatewayBody, message};

/// A page larger than this is passed on as it is.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Pages looked through for names that are ours.
pub const PAGES_MAX: usize = 50;

/// What an answer to `tools/list` was.
pub enum Read {
    /// A page of tools.
    Page(Page),
    /// An error, or something we do not understand: to be passed on as it came.
    Other(Answer),
}

/// A page of tools, as bytes and as far as we read it.
pub struct Page {
    parts: Parts,
    bytes: Vec<u8>,
    rest: GatewayBody,
    tools: Vec<Named>,
    next: Option<String>,
    /// Where the array of tools ends: its closing bracket.
    end: usize,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    result: Listed<'a>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    tools: &'a RawValue,
    #[serde(rename = "nextCursor")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    annotations: Option<Annotations>,
}

/// What a server says of its tool (MCP 2025-11-25, Schema, ToolAnnotations).
#[derive(Deserialize)]
struct Annotations {
    #[serde(rename = "readOnlyHint", default)]
    is_read_only: Option<bool>,
    #[serde(rename = "idempotentHint", default)]
    is_idempotent: Option<bool>,
}

impl Named {
    fn is_repeatable(&self) -> bool {
        self.annotations.as_ref().is_some_and(|annotations| {
            annotations.is_read_only == Some(true) || annotations.is_idempotent == Some(true)
        })
    }
}

/// Reads an answer until it has been understood; `None` if the upstream broke off.
pub async fn read(answer: Answer) -> Option<Read> {
    let (parts, mut rest) = answer.into_parts();
    let is_sse = is_event_stream(&parts.headers);
    let mut bytes = Vec::new();
    loop {
        let is_over = match rest.frame().await {
            Some(frame) => {
                if let Ok(data) = frame.ok()?.into_data() {
                    bytes.extend_from_slice(&data);
                }
                false
            }
            None => true,
        };
        let found = match (is_sse, is_over) {
            (true, _) => in_events(&bytes),
            (false, true) => in_message(&bytes, 0),
            (false, false) => None,
        };
        if let Some((tools, next, end)) = found {
            return Some(Read::Page(Page { parts, bytes, rest, tools, next, end }));
        }
        if is_over || bytes.len() > PAGE_BYTES_MAX {
            return Some(Read::Other(Answer::from_parts(parts, rest.with_ahead(bytes.into()))));
        }
    }
}

type Found = (Vec<Named>, Option<String>, usize);

/// Looks through whole lines of data for the answer.
fn in_events(bytes: &[u8]) -> Option<Found> {
    let mut start = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line.ends_with(b"\n")
            && let Some(data) = line.strip_prefix(b"data:")
            && let Some(found) = in_message(data.trim_ascii_end(), start + b"data:".len())
        {
            return Some(found);
        }
        start += line.len();
    }
    None
}

/// Reads a message that stands at `offset`.
fn in_message(json: &[u8], offset: usize) -> Option<Found> {
    let message: Message = serde_json::from_slice(json).ok()?;
    let tools = message.result.tools.get();
    let named: Vec<Named> = serde_json::from_str(tools).ok()?;
    let start = tools.as_ptr() as usize - json.as_ptr() as usize;
    let end = offset + start + tools.len() - 1;
    Some((named, message.result.next, end))
}

impl Page {
    /// Returns the names of its tools.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.tools.iter().map(|tool| tool.name.as_str())
    }

    /// Returns the names of those that may be called again.
    pub fn repeatable(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().filter(|tool| tool.is_repeatable()).map(|tool| tool.name.as_str())
    }

    /// Returns true if more pages follow.
    pub fn has_more(&self) -> bool {
        self.next.is_some()
    }

    /// Returns where the next page starts.
    pub fn next(self) -> Option<String> {
        self.next
    }

    /// Returns the answer as it came.
    pub fn unchanged(self) -> Answer {
        Answer::from_parts(self.parts, self.rest.with_ahead(self.bytes.into()))
    }

    /// Returns the answer with these tools, each JSON text, at the end of its list.
    pub fn with(mut self, tools: &[String]) -> Answer {
        let mut added = tools.join(",");
        if !self.tools.is_empty() {
            added.insert(0, ',');
        }
        self.bytes.splice(self.end..self.end, added.bytes());
        if self.parts.headers.contains_key(CONTENT_LENGTH) {
            self.parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(self.bytes.len()));
        }
        self.unchanged()
    }
}

/// Returns true if this `tools/list` asks for a page that is not the first.
pub fn has_cursor(request: &InnerRequest) -> bool {
    let params = message(request).and_then(|envelope| envelope.params.as_deref());
    params.is_some_and(|params| params.contains("\"cursor\""))
}

/// Returns a `tools/list` of our own on the same connection, or with the same `_meta`.
pub fn request(like: &InnerRequest, cursor: Option<&str>) -> InnerRequest {
    let exchange = like.extensions().get::<Exchange>();
    let mut params = serde_json::Map::new();
    if let Some(meta) = exchange.filter(|e| e.era == Era::Modern).and_then(meta) {
        params.insert("_meta".into(), meta);
    }
    if let Some(cursor) = cursor {
        params.insert("cursor".into(), cursor.into());
    }
    let body = serde_json::json!({
        "jsonrpc": "2.0", "id": "archon-tools", "method": "tools/list", "params": params,
    });
    let mut request = InnerRequest::new(Full::new(Bytes::from(body.to_string())));
    *request.method_mut() = like.method().clone();
    *request.uri_mut() = like.uri().clone();
    *request.headers_mut() = like.headers().clone();
    let headers = request.headers_mut();
    headers.remove(MCP_NAME);
    if headers.contains_key(MCP_METHOD) {
        headers.insert(MCP_METHOD, HeaderValue::from_static("tools/list"));
    }
    let mirrored: Vec<_> =
        headers.keys().filter(|name| name.as_str().starts_with("mcp-param-")).cloned().collect();
    for name in mirrored {
        headers.remove(name);
    }
    if let Some(exchange) = exchange {
        request.extensions_mut().insert(Exchange { message: None, ..exchange.clone() });
    }
    request
}

fn meta(exchange: &Exchange) -> Option<serde_json::Value> {
    #[derive(Deserialize)]
    struct Params {
        #[serde(rename = "_meta")]
        meta: serde_json::Value,
    }
    let params = exchange.message.as_deref()?.envelopes().first()?.params.as_deref()?;
    serde_json::from_str::<Params>(params).ok().map(|params| params.meta)
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;

    async fn added(kind: &'static str, body: &str) -> String {
        let mut answer = Answer::new(GatewayBody::ours(Bytes::copy_from_slice(body.as_bytes())));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let answer = match read(answer).await {
            Some(Read::Page(page)) => page.with(&[r#"{"name":"z"}"#.to_owned()]),
            Some(Read::Other(answer)) => answer,
            None => panic!("broke off"),
        };
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn tools_are_added_and_the_rest_stays_as_it_was() {
        let json = "application/json";
        let page = r#"{ "id":1, "result":{"tools":[ {"name":"a","x":1.0} ],"ttlMs":5}}"#;
        let more = page.replace("} ]", r#"} ,{"name":"z"}]"#);
        assert_eq!(added(json, page).await, more);
        let empty = r#"{"id":1,"result":{"tools":[]}}"#;
        assert_eq!(added(json, empty).await, r#"{"id":1,"result":{"tools":[{"name":"z"}]}}"#);
        let sse = format!("id: 0\ndata: \n\nid: 1\ndata: {page}\n\n");
        assert_eq!(
            added("text/event-stream", &sse).await,
            format!("id: 0\ndata: \n\nid: 1\ndata: {more}\n\n")
        );
        let error = r#"{"id":1,"error":{"code":-32601,"message":"no"}}"#;
        assert_eq!(added(json, error).await, error);
    }
}

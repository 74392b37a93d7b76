//! A legacy client's request, as a modern server wants it. Pure.

use archon_sessions::layer::InnerRequest;
use archon_sessions::protocol::Envelope;
use archon_sessions::protocol::names::{MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION};
use archon_sessions::session::Era;
use http::header::HeaderValue;

use super::meta::Meta;
use crate::gateway::catalog::header_value;
use crate::gateway::wire::object::{Object, text};
use crate::gateway::wire::post;

/// What a call is repeated with that was answered `input_required` (MCP 2026-07-28, Multi Round-Trip Requests).
#[derive(Debug, Default)]
pub struct Round {
    /// The client's answers by the questions' keys, as JSON text.
    pub responses: Option<String>,
    /// The server's state, as JSON text.
    pub state: Option<String>,
}

/// Returns the body of a request: the client's params with what the modern era requires; `id` is JSON text.
pub fn body(
    envelope: &Envelope,
    id: &str,
    meta: &Meta,
    level: Option<&str>,
    round: &Round,
) -> String {
    let mut params = envelope.params.as_deref().and_then(Object::read).unwrap_or_default();
    // To run a call as a task is asked for in another way by each era.
    params.remove(|name| matches!(name, "task" | "inputResponses" | "requestState"));
    let described = meta.describe(params.get("_meta"), level);
    params.set("_meta", described);
    for (name, json) in [("inputResponses", &round.responses), ("requestState", &round.state)] {
        if let Some(json) = json {
            params.set(name, json.as_str());
        }
    }
    request_body(id, &envelope.method, &params)
}

/// Returns the body of `server/discover`.
pub fn discover(meta: &Meta) -> String {
    let mut params = Object::default();
    params.set("_meta", meta.describe(None, None));
    request_body("\"archon-discover\"", "server/discover", &params)
}

/// Returns the body of a `tools/list` of our own.
pub fn list_tools(meta: &Meta, cursor: Option<&str>) -> String {
    let mut params = Object::default();
    params.set("_meta", meta.describe(None, None));
    if let Some(cursor) = cursor {
        params.set("cursor", cursor);
    }
    request_body("\"archon-tools\"", "tools/list", &params)
}

/// Returns the body of `subscriptions/listen` with this filter (JSON text).
pub fn listen(meta: &Meta, filter: &str) -> String {
    let mut params = Object::default();
    params.set("notifications", filter);
    params.set("_meta", meta.describe(None, None));
    request_body("\"archon-listen\"", "subscriptions/listen", &params)
}

fn request_body(id: &str, method: &str, params: &Object<'_>) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{},"params":{params}}}"#, text(method))
}

/// Returns the request that carries a body, with the headers that mirror it.
pub fn request(
    like: &InnerRequest,
    method: &str,
    target: Option<&str>,
    body: String,
) -> InnerRequest {
    let mut request = post(like, Era::Modern, body);
    let headers = request.headers_mut();
    headers.insert(MCP_PROTOCOL_VERSION, HeaderValue::from_static(Era::MODERN_SINCE));
    if let Some(method) = header_value(method) {
        headers.insert(MCP_METHOD, method);
    }
    if let Some(target) = target.and_then(header_value) {
        headers.insert(MCP_NAME, target);
    }
    request
}

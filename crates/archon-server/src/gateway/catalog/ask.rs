//! Asks an upstream for its tools, on the connection of the request at hand and in its client's name.

use std::time::Duration;

use archon_sessions::layer::{Exchange, InnerRequest};
use archon_sessions::protocol::Envelope;
use archon_sessions::protocol::names::{MCP_METHOD, MCP_SESSION_ID};
use archon_sessions::session::Era;
use http::header::HeaderValue;

use super::{Catalog, Page};
use crate::gateway::wire::incoming::Said;
use crate::gateway::wire::object::Object;
use crate::gateway::wire::{Relay, post};

/// How long the pages of a server that runs may take.
pub const ASK_LIMIT: Duration = Duration::from_secs(10);

impl Catalog {
    /// Asks `upstream` for its tools, unless they are known. `like` is the request at hand.
    pub async fn ask<U: Relay>(&self, upstream: &mut U, like: &InnerRequest) {
        let ask = |cursor: Option<String>| {
            let answering = upstream.call(list(like, cursor.as_deref()));
            async {
                let Said::Messages(mut incoming) = Said::of(answering.await.ok()?) else {
                    return None;
                };
                let answer = incoming.answer("").await.ok()?;
                incoming.finish();
                Page::read(&answer.bytes)
            }
        };
        self.complete(ASK_LIMIT, ask).await;
    }
}

/// Returns a `tools/list` of our own on the same connection, or with the same `_meta`.
fn list(like: &InnerRequest, cursor: Option<&str>) -> InnerRequest {
    let exchange = like.extensions().get::<Exchange>();
    let era = exchange.map_or(Era::Legacy, |exchange| exchange.era);
    let mut params = Object::default();
    let meta = exchange.filter(|_| era == Era::Modern).and_then(meta);
    if let Some(meta) = meta {
        params.set("_meta", meta);
    }
    if let Some(cursor) = cursor {
        params.set("cursor", cursor);
    }
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":"archon-tools","method":"tools/list","params":{params}}}"#
    );
    let mut request = post(like, era, body);
    if let Some(link) = like.headers().get(MCP_SESSION_ID) {
        request.headers_mut().insert(MCP_SESSION_ID, link.clone());
    }
    if era == Era::Modern {
        request.headers_mut().insert(MCP_METHOD, HeaderValue::from_static("tools/list"));
    }
    if let (Some(exchange), Some(ours)) = (exchange, request.extensions_mut().get_mut::<Exchange>())
    {
        ours.connection = exchange.connection.clone();
    }
    request
}

/// Returns the `_meta` of a request, as JSON text.
fn meta(exchange: &Exchange) -> Option<String> {
    let message = exchange.message.as_deref()?;
    let params = message.envelopes().first().map(|one: &Envelope| one.params.as_deref())??;
    Object::read(params)?.get("_meta").map(str::to_owned)
}

//! Legacy clients of a modern upstream: a legacy server in this process. Each connection has a link of ours, and is
//! known for as long as this process runs; one that is unknown is answered 404, and the layer opens it again.

mod call;
mod connection;
mod meta;
mod news;
mod to_legacy;
mod to_modern;

use std::num::NonZeroUsize;
use std::sync::Arc;

use archon_sessions::layer::{CallFailed, Exchange, InnerRequest, codes};
use archon_sessions::protocol::names::MCP_SESSION_ID;
use archon_sessions::protocol::{Envelope, Kind};
use bytes::Bytes;
use http::header::HeaderValue;
use http::{Method, StatusCode};
use lru::LruCache;
use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use super::link_of;
use crate::gateway::catalog::Catalog;
use crate::gateway::plain::Plain;
use crate::gateway::wire::Answer;
use crate::gateway::wire::answer::{self, failure, refused};
use crate::gateway::wire::envelope;
use crate::gateway::wire::incoming::Said;
use crate::gateway::wire::message;
use crate::gateway::wire::object::Object;
use connection::Connection;
use meta::Meta;

/// Links of ours begin with this; an upstream's own do not.
const LINK_PREFIX: &str = "archon-bridge-";
/// Connections kept, about a kilobyte each. The one that was used least recently gives way, and is opened again by the
/// layer when it is used.
const CONNECTIONS_MAX: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// Those whose sessions have ended are taken out each time there are so many more.
const SWEEP_EVERY: usize = 500;

/// See the module. Clones are one.
#[derive(Clone)]
pub struct LegacyClients {
    plain: Plain,
    /// What the upstream's tools want of headers.
    catalog: Arc<Catalog>,
    shared: Arc<Shared>,
}

struct Shared {
    /// Held for single operations, never across an await.
    open: Mutex<LruCache<Uuid, Arc<Connection>>>,
}

/// Returns whether a link is of our making.
pub fn is_link(link: Option<&HeaderValue>) -> bool {
    link.is_some_and(|link| link.as_bytes().starts_with(LINK_PREFIX.as_bytes()))
}

/// Returns the params of a handshake, and the version that it asks for; `None` if no server would take it.
pub fn handshake(envelope: &Envelope) -> Option<(Object<'_>, String)> {
    let params = Object::read(envelope.params.as_deref()?)?;
    let version = params.text("protocolVersion")?;
    Some((params, version))
}

impl LegacyClients {
    /// Returns the clients of an upstream: none yet.
    pub fn new(plain: Plain, catalog: Arc<Catalog>) -> Self {
        let open = Mutex::new(LruCache::sparse(CONNECTIONS_MAX));
        Self { plain, catalog, shared: Arc::new(Shared { open }) }
    }

    /// Answers a handshake from what the upstream says to `server/discover`.
    pub async fn initialize(
        &self,
        request: InnerRequest,
        envelope: &Envelope,
    ) -> Result<Answer, CallFailed> {
        let id = envelope.request_id().map_or("null", |id| id);
        let Some((params, asked)) = handshake(envelope) else {
            return Ok(invalid(id, "`initialize` names no `protocolVersion`"));
        };
        let meta = Meta::of_handshake(&params);
        let discover = to_modern::discover(&meta);
        let discover = to_modern::request(&request, "server/discover", None, discover);
        let mut incoming = match Said::of(self.plain.call(discover).await?) {
            Said::Messages(incoming) => incoming,
            Said::Refusal(answer) => return Ok(answer),
        };
        let discovered = incoming.answer(self.plain.name()).await?;
        let Some(result) = message::result(&discovered.bytes) else {
            return Ok(json(to_legacy::error(&discovered.bytes, id, "initialize")));
        };
        self.catalog.greeted(result.as_bytes());
        let version = to_legacy::negotiated(&asked);
        let Some(result) = to_legacy::initialized(&result, version, self.plain.name()) else {
            return Err(CallFailed::lost(self.plain.name()));
        };
        let connection = Connection::new(meta, &result);
        let link = Uuid::new_v4();
        let mut answer = json(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).into());
        if let Ok(link) = HeaderValue::try_from(format!("{LINK_PREFIX}{link}")) {
            answer.headers_mut().insert(MCP_SESSION_ID, link);
        }
        self.keep(link, connection);
        Ok(answer)
    }

    /// Answers what is said on a connection.
    pub async fn call(self, request: InnerRequest) -> Result<Answer, CallFailed> {
        let link = link_of(request.headers()).and_then(|link| link.to_str().ok());
        let link = link.and_then(|link| link.strip_prefix(LINK_PREFIX)?.parse::<Uuid>().ok());
        let Some((link, connection)) =
            link.and_then(|link| Some((link, self.open().get(&link)?.clone())))
        else {
            return Ok(unknown());
        };
        let exchange = request.extensions().get::<Exchange>();
        connection.touch(exchange.and_then(|exchange| exchange.presence.as_ref()));
        match *request.method() {
            Method::GET => return Ok(news::stream(self.plain, connection, request)),
            Method::DELETE => {
                self.open().pop(&link);
                return Ok(answer::empty(StatusCode::OK));
            }
            _ => {}
        }
        let Some(envelope) = envelope(&request).await else {
            return Err(failure(
                codes::INVALID_REQUEST,
                "the body is no single message".to_owned(),
            ));
        };
        let id = match &envelope.kind {
            Kind::Request { id } => id.clone(),
            Kind::Notification => {
                connection.notified(&envelope);
                return Ok(answer::empty(StatusCode::ACCEPTED));
            }
            Kind::Response => {
                connection.answered(&envelope);
                return Ok(answer::empty(StatusCode::ACCEPTED));
            }
        };
        match &*envelope.method {
            "ping" => Ok(done(&id)),
            "logging/setLevel" => Ok(match connection.set_level(&envelope) {
                true => done(&id),
                false => invalid(&id, "`level` is none of the protocol's levels"),
            }),
            "resources/subscribe" | "resources/unsubscribe" => {
                let Some(uri) = envelope.target.as_deref() else {
                    return Ok(invalid(&id, "`uri` is missing"));
                };
                let is_on = &*envelope.method == "resources/subscribe";
                Ok(match connection.subscribe(uri, is_on).await {
                    true => done(&id),
                    false => invalid(&id, "too many subscriptions on this connection"),
                })
            }
            method if is_of_one_era(method) => {
                let message = format!("method `{method}` does not exist at this server");
                Ok(refused(StatusCode::OK, Some(&id), codes::METHOD_NOT_FOUND, &message))
            }
            _ => self.pass(connection, request, envelope).await,
        }
    }

    fn keep(&self, link: Uuid, connection: Connection) {
        let mut open = self.open();
        if open.len().is_multiple_of(SWEEP_EVERY) {
            open.retain(|_, connection| !connection.is_forsaken());
        }
        open.put(link, Arc::new(connection));
    }

    /// The upstream does not take what the bridge says: it may be another one now.
    fn forget(&self, connection: &Arc<Connection>) -> Answer {
        if let Some(eras) = self.plain.eras() {
            eras.forget();
        }
        self.open().retain(|_, other| !Arc::ptr_eq(other, connection));
        unknown()
    }

    fn open(&self) -> MutexGuard<'_, LruCache<Uuid, Arc<Connection>>> {
        self.shared.open.lock()
    }
}

/// Methods that a legacy client may know and the modern era has no counterpart of: tasks are another protocol there.
fn is_of_one_era(method: &str) -> bool {
    method.starts_with("tasks/")
        || method.starts_with("server/")
        || method.starts_with("subscriptions/")
}

/// MCP 2025-11-25, Transports, Session Management: 404 for a session that is not known.
fn unknown() -> Answer {
    refused(StatusCode::NOT_FOUND, None, codes::NO_SESSION, "session not found")
}

fn done(id: &str) -> Answer {
    json(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#).into())
}

fn invalid(id: &str, message: &str) -> Answer {
    refused(StatusCode::OK, Some(id), codes::INVALID_PARAMS, message)
}

/// Returns a message as an answer. Errors too come with 200: other statuses speak of the connection.
fn json(message: Bytes) -> Answer {
    answer::json(StatusCode::OK, message)
}

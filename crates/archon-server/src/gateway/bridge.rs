//! Where the two eras meet: clients of one in front of a server that speaks only the other.
//!
//! What eras agree on passes by untouched. For a legacy client, [`legacy_client`] is a legacy server in this process
//! that asks a modern upstream; for a modern client, [`modern_client`] is the client of a legacy one. Messages are
//! taken apart no further than has to be: what is not added or taken out stays the text that was sent.

mod legacy_client;
mod modern_client;
mod refusal;

use std::sync::Arc;

use archon_sessions::layer::{CallFailed, Exchange, InnerRequest};
use archon_sessions::protocol::Message;
use archon_sessions::protocol::names::MCP_SESSION_ID;
use archon_sessions::session::Era;
use http::header::HeaderValue;
use http::{HeaderMap, Method};

use super::catalog::Catalog;
use super::eras::Speaks;
use super::plain::Plain;
use super::wire::{Answer, Answering, envelope};
use legacy_client::LegacyClients;
use modern_client::ModernClients;
use refusal::{Look, Refused};

/// What the `_meta` keys of the modern era begin with.
const META_PREFIX: &str = "io.modelcontextprotocol/";

/// See the module.
pub struct Bridge {
    plain: Plain,
    catalog: Arc<Catalog>,
    legacy_clients: LegacyClients,
    modern_clients: ModernClients,
}

impl Bridge {
    /// Returns the bridge to an upstream; must be called on a runtime.
    pub fn new(plain: Plain, catalog: Arc<Catalog>) -> Arc<Self> {
        let legacy_clients = LegacyClients::new(plain.clone(), catalog.clone());
        let modern_clients = ModernClients::new(plain.clone(), catalog.clone());
        Arc::new(Self { plain, catalog, legacy_clients, modern_clients })
    }

    /// Ends what it runs by itself.
    pub async fn stop(&self) {
        self.modern_clients.stop().await;
    }

    /// Answers a request, in the client's era.
    pub fn call(self: &Arc<Self>, request: InnerRequest) -> Answering {
        let Some(exchange) = request.extensions().get::<Exchange>() else {
            return self.plain.call(request);
        };
        let eras = self.plain.eras();
        match exchange.era {
            Era::Modern if eras.is_none_or(|eras| eras.is_modern()) => self.plain.call(request),
            Era::Modern => Box::pin(self.clone().modern(request)),
            Era::Legacy if legacy_client::is_link(link_of(request.headers())) => {
                Box::pin(self.legacy_clients.clone().call(request))
            }
            Era::Legacy if may_be_handshake(&request) => Box::pin(self.clone().handshake(request)),
            Era::Legacy => self.plain.call(request),
        }
    }

    /// Passes a handshake on; where the upstream turns out to be one of the modern era, answers it here.
    async fn handshake(self: Arc<Self>, request: InnerRequest) -> Result<Answer, CallFailed> {
        let Some(envelope) = envelope(&request).await.filter(|one| &*one.method == "initialize")
        else {
            return self.plain.call(request).await;
        };
        if self.plain.eras().is_some_and(|eras| eras.refuses_handshakes()) {
            return self.legacy_clients.initialize(request, &envelope).await;
        }
        let (refused, answered) = match self.plain.call(request.clone()).await {
            Ok(answer) => {
                let (look, answer) = refusal::look(answer).await;
                if let Look::Result(result) = &look {
                    self.catalog.greeted(result.as_bytes());
                }
                let refused = if let Look::Refused(refused) = look { Some(refused) } else { None };
                (refused, Ok(answer))
            }
            Err(failed) => (None, Err(failed)),
        };
        // A command of the modern era may also have ended on a handshake.
        let has_ended = answered.is_err() && matches!(self.plain, Plain::Stdio(_));
        if refused.is_none() && !has_ended {
            return answered;
        }
        // What no server would take says nothing of this one.
        if legacy_client::handshake(&envelope).is_none() {
            return answered;
        }
        if !matches!(self.plain.speaks(&request).await, Ok(Some(Speaks::Modern(_)))) {
            return answered;
        }
        if let Some(eras) = self.plain.eras()
            && (has_ended || refused.is_some_and(Refused::is_of_handshakes))
        {
            eras.refused_handshake();
        }
        self.legacy_clients.initialize(request, &envelope).await
    }

    async fn modern(self: Arc<Self>, request: InnerRequest) -> Result<Answer, CallFailed> {
        match self.plain.speaks(&request).await? {
            Some(Speaks::LegacyOnly(_)) => self.modern_clients.clone().call(request).await,
            Some(Speaks::Modern(_)) | None => self.plain.call(request).await,
        }
    }
}

fn link_of(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(MCP_SESSION_ID)
}

/// Returns true unless a request is known not to be a handshake. Our own messages carry no envelope.
fn may_be_handshake(request: &InnerRequest) -> bool {
    let exchange = request.extensions().get::<Exchange>();
    match exchange.and_then(|exchange| exchange.message.as_deref()) {
        Some(Message::Single(envelope)) => &*envelope.method == "initialize",
        Some(Message::Batch(_)) => false,
        None => request.method() == Method::POST && link_of(request.headers()).is_none(),
    }
}

//! Where the two eras meet: clients of one in front of a server that speaks only the other.
//!
//! What eras agree on passes by untouched. For a legacy client, [`legacy_client`] is a legacy server in this process
//! that asks a modern upstream; for a modern client, [`modern_client`] is the client of a legacy one. Messages are
//! taken apart no further than has to be: what is not added or taken out stays the text that was sent.

mod fallback;
mod legacy_client;
mod modern_client;
mod refusal;

use std::sync::Arc;
use std::time::Instant;

use archon_sessions::layer::{CallFailed, Exchange, InnerRequest, codes};
use archon_sessions::protocol::Message;
use archon_sessions::protocol::names::MCP_SESSION_ID;
use archon_sessions::session::{ClientInfo, Era, SessionId};
use http::header::HeaderValue;
use http::{HeaderMap, Method};

use super::catalog::Catalog;
use super::eras::Speaks;
use super::plain::Plain;
use super::succession::{Peer, Peers};
use super::wire::answer::failure;
use super::wire::{Answer, Answering, envelope, message};
use crate::config::Crossing;
use fallback::{Fallbacks, Verdict};
use legacy_client::LegacyClients;
pub use modern_client::GivenLink;
use modern_client::ModernClients;
use refusal::{Look, Refused};

/// What the `_meta` keys of the modern era begin with.
const META_PREFIX: &str = "io.modelcontextprotocol/";

/// See the module.
pub struct Bridge {
    plain: Plain,
    crossing: Crossing,
    fallbacks: Fallbacks,
    catalog: Arc<Catalog>,
    legacy_clients: LegacyClients,
    modern_clients: ModernClients,
    peers: Arc<Peers>,
}

impl Bridge {
    /// Returns the bridge to an upstream; must be called on a runtime.
    pub fn new(
        plain: Plain,
        crossing: Crossing,
        catalog: Arc<Catalog>,
        peers: Arc<Peers>,
    ) -> Arc<Self> {
        let legacy_clients = LegacyClients::new(plain.clone(), catalog.clone());
        let modern_clients = ModernClients::new(plain.clone(), catalog.clone(), peers.clone());
        let fallbacks = Fallbacks::default();
        Arc::new(Self {
            plain,
            crossing,
            fallbacks,
            catalog,
            legacy_clients,
            modern_clients,
            peers,
        })
    }

    /// Ends what it runs by itself.
    pub async fn stop(&self) {
        self.modern_clients.stop().await;
    }

    /// Gives up the calls that wait for what their clients answer.
    pub fn give_up_parked(&self) {
        self.modern_clients.give_up_parked();
    }

    /// Has a peer have the links of these sessions, or of all.
    pub fn give_links(&self, peer: &Arc<Peer>, sessions: Option<&[SessionId]>) {
        self.modern_clients.give_links(peer, sessions);
    }

    /// Takes over the link of a session.
    pub fn take_link(&self, link: GivenLink) {
        self.modern_clients.take_link(link);
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
        let info = ClientInfo::from_initialize(envelope.params.as_deref().unwrap_or_default());
        self.fallbacks.shakes_hands(self.fallbacks.client(&request, &info), Instant::now());
        let is_known = self.plain.eras().is_some_and(|eras| eras.refuses_handshakes());
        if is_known && self.crossing != Crossing::Never {
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
        let Ok(Some(Speaks::Modern(spoken))) = self.plain.speaks(&request).await else {
            return answered;
        };
        if self.crossing == Crossing::Never {
            // A server over HTTP has refused it in its own words.
            return match answered {
                Ok(answer) => Ok(answer),
                Err(_) => {
                    let asked = legacy_client::handshake(&envelope).map(|(_, version)| version);
                    let asked = asked.unwrap_or_default();
                    Err(CallFailed::unsupported_version(self.plain.name(), &asked, &spoken))
                }
            };
        }
        if let Some(eras) = self.plain.eras()
            && (has_ended || refused.is_some_and(Refused::is_of_handshakes))
        {
            eras.refused_handshake();
        }
        self.legacy_clients.initialize(request, &envelope).await
    }

    async fn modern(self: Arc<Self>, request: InnerRequest) -> Result<Answer, CallFailed> {
        // A predecessor says what it knows first.
        if let Some(predecessor) = self.peers.predecessor() {
            predecessor.is_open().await;
        }
        match self.plain.speaks(&request).await? {
            Some(Speaks::LegacyOnly(spoken)) => {
                if let Some(refusal) = self.refusal(&request, &spoken) {
                    return Err(refusal);
                }
                self.modern_clients.clone().call(request).await
            }
            Some(Speaks::Modern(_)) | None => self.plain.call(request).await,
        }
    }

    /// Returns how a modern client's request is refused, if it is, by a server that speaks only these versions.
    fn refusal(&self, request: &InnerRequest, spoken: &[String]) -> Option<CallFailed> {
        let envelope = message(request)?;
        let discovers = &*envelope.method == "server/discover";
        let name = self.plain.name();
        let asked = envelope.meta.protocol_version.as_deref().unwrap_or_default();
        match self.crossing {
            Crossing::Always => None,
            Crossing::Never if discovers => Some(no_discovery(name, asked, spoken)),
            Crossing::Never => Some(CallFailed::unsupported_version(name, asked, spoken)),
            Crossing::Auto if !discovers => None,
            Crossing::Auto => {
                let info = fallback::info(envelope);
                let client = self.fallbacks.client(request, &info);
                match self.fallbacks.discovers(client, Instant::now()) {
                    Verdict::Cross => None,
                    Verdict::CrossFirst => {
                        let client = info.kind();
                        tracing::info!(
                            upstream = name,
                            "{client} asked {name} for server/discover again without a handshake: it speaks only the \
                             modern era, and is bridged from now on; set `bridge = \"always\"` to bridge such \
                             clients at once"
                        );
                        None
                    }
                    Verdict::FallBack => Some(no_discovery(name, asked, spoken)),
                }
            }
        }
    }
}

/// Returns the refusal of `server/discover` by a server without it. `UNSUPPORTED_VERSION` would say that the version is not
/// spoken, but some clients of both eras (rmcp 3.9) take it for the end, and none does so with `METHOD_NOT_FOUND`; its
/// status is that of an unknown method (MCP 2026-07-28, Transports) and of a server of the legacy era (Versioning,
/// Backward Compatibility).
fn no_discovery(upstream: &str, asked: &str, spoken: &[String]) -> CallFailed {
    let unsupported = CallFailed::unsupported_version(upstream, asked, spoken);
    let message = format!("method `server/discover` does not exist: {}", unsupported.message);
    let code = codes::METHOD_NOT_FOUND;
    CallFailed { code, status: codes::modern_status(Some(code)), message, ..unsupported }
}

/// Returns what a call's client is told whose stream has begun when the upstream's answer turns out to be none of the
/// protocol's.
fn unanswered(answer: &Answer) -> CallFailed {
    let status = answer.status();
    if status.is_server_error() {
        let message = format!(
            "the upstream answered HTTP {status}; the call may have run, check before you call again"
        );
        return failure(codes::OUTCOME_UNKNOWN, message);
    }
    let message = format!("the upstream answered HTTP {status}; the call did not run");
    failure(codes::UPSTREAM_UNREACHABLE, message)
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

//! Modern clients of a legacy server: a legacy client in this process. Each session that its client can prove has a
//! link of its own at the upstream, opened when it is first needed; where a session is only a guess, each request has
//! one, since two clients must never meet in one session of the upstream's.

mod asked;
mod call;
mod flight;
mod handover;
mod link;
mod links;
mod news;
mod parked;
#[cfg(test)]
mod tests;
mod to_legacy;
mod to_modern;

use std::sync::Arc;
use std::time::{Duration, Instant};

use archon_sessions::layer::{CallFailed, CurrentSession, Exchange, InnerRequest, codes};
use archon_sessions::protocol::Envelope;
use archon_sessions::session::Era;
use http::StatusCode;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::gateway::catalog::Catalog;
use crate::gateway::plain::Plain;
use crate::gateway::succession::Peers;
use crate::gateway::wire::Answer;
use crate::gateway::wire::answer::{self, refused};
use crate::gateway::wire::envelope;
use crate::gateway::wire::message;
pub use handover::GivenLink;
use link::Link;
use links::{Lease, Leased, Links};
use parked::Parked;

/// How often we look for links and parked calls that nobody needs any more.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long the last words to an upstream may take when we stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// See the module. Clones are one.
#[derive(Clone)]
pub struct ModernClients {
    shared: Arc<Shared>,
}

struct Shared {
    plain: Plain,
    links: Links,
    parked: Parked,
    /// What the upstream's tools want of headers: its own era does not check them.
    catalog: Arc<Catalog>,
    /// What is said to the upstream after a client has gone.
    tasks: TaskTracker,
    stopping: CancellationToken,
    /// Where links may be, and go to, during an upgrade.
    peers: Arc<Peers>,
}

impl ModernClients {
    /// Returns the clients of an upstream: none yet. Looks after them from now on.
    pub fn new(plain: Plain, catalog: Arc<Catalog>, peers: Arc<Peers>) -> Self {
        let shared = Arc::new(Shared {
            plain,
            links: Links::default(),
            parked: Parked::default(),
            catalog,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            peers,
        });
        // It ends with what it looks after, or when that is stopped.
        let (looked_after, stopping) = (Arc::downgrade(&shared), shared.stopping.clone());
        let look = async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let Some(shared) = looked_after.upgrade() else { return };
                shared.look(Instant::now());
            }
        };
        shared.tasks.spawn(async move { stopping.run_until_cancelled(look).await });
        Self { shared }
    }

    /// Says goodbye to the upstream, and ends what runs.
    pub async fn stop(&self) {
        let shared = &self.shared;
        shared.stopping.cancel();
        shared.parked.clear();
        for link in shared.links.clear() {
            shared.close_later(link);
        }
        shared.tasks.close();
        if tokio::time::timeout(STOP_LIMIT, shared.tasks.wait()).await.is_err() {
            let name = shared.plain.name();
            tracing::warn!(upstream = name, "{name} did not take the end of all its sessions");
        }
    }

    /// Answers a request in front of a server that speaks only legacy versions.
    pub async fn call(self, request: InnerRequest) -> Result<Answer, CallFailed> {
        let Some(envelope) = envelope(&request).await else {
            return Ok(refused(
                StatusCode::BAD_REQUEST,
                None,
                codes::INVALID_REQUEST,
                "the body is no message",
            ));
        };
        let Some(id) = envelope.request_id().cloned() else {
            // What a modern client only tells is about streams, and those end when they are closed.
            return Ok(answer::empty(StatusCode::ACCEPTED));
        };
        let version = envelope.meta.protocol_version.as_deref().unwrap_or_default();
        if version != Era::MODERN_SINCE {
            let spoken = [Era::MODERN_SINCE.to_owned()];
            return Err(CallFailed::unsupported_version(
                self.shared.plain.name(),
                version,
                &spoken,
            ));
        }
        match &*envelope.method {
            "server/discover" => self.discover(&request, &envelope, &id).await,
            "subscriptions/listen" => self.listen(request, envelope, &id).await,
            method if is_of_one_era(method) => {
                let message = format!("method `{method}` does not exist at this server");
                Ok(refused(StatusCode::NOT_FOUND, Some(&id), codes::METHOD_NOT_FOUND, &message))
            }
            _ => self.pass(request, envelope, id).await,
        }
    }

    /// Answers from what the upstream said to our handshake.
    async fn discover(
        &self,
        request: &InnerRequest,
        envelope: &Envelope,
        id: &str,
    ) -> Result<Answer, CallFailed> {
        let lease = match self.lease(request, envelope, None).await? {
            Leased::Link(lease) => lease,
            Leased::Refused(answer) => return Ok(*answer),
        };
        let result = to_modern::discovered(lease.initialized());
        let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
        Ok(answer::json(StatusCode::OK, message.into()))
    }

    /// Returns a link for a request: its session's, or one of its own. `forgotten` is one that the upstream does not
    /// know any more.
    async fn lease(
        &self,
        request: &InnerRequest,
        envelope: &Envelope,
        forgotten: Option<&Arc<Link>>,
    ) -> Result<Leased, CallFailed> {
        let exchange = request.extensions().get::<Exchange>();
        let is_proven = exchange
            .and_then(|exchange| exchange.proof)
            .is_some_and(archon_sessions::tracker::Proof::reaches_upstream_state);
        let presence = exchange.and_then(|exchange| exchange.presence.as_ref());
        let shared = &self.shared;
        let Some(presence) = presence.filter(|_| is_proven) else {
            if to_modern::may_ask(&envelope.method) {
                self.loses_state(request);
            }
            return Ok(match Link::open(&shared.plain, request, envelope).await? {
                Ok(link) => Leased::Link(Lease::own(link, shared.clone())),
                Err(refused) => Leased::Refused(Box::new(refused)),
            });
        };
        let (slot, displaced) = shared.links.slot(presence);
        displaced.into_iter().for_each(|link| shared.close_later(link));
        let mut open = slot.link.lock().await;
        if let Some(link) = open.as_ref()
            && forgotten.is_none_or(|forgotten| !Arc::ptr_eq(forgotten, link))
            && !link.lost.is_cancelled()
        {
            link.refresh(request);
            return Ok(Leased::Link(Lease::shared(link.clone(), shared.clone())));
        }
        if forgotten.is_none()
            && open.is_none()
            && let Some(link) = shared.taken_over(presence, request).await
        {
            *open = Some(link.clone());
            return Ok(Leased::Link(Lease::shared(link, shared.clone())));
        }
        Ok(match Link::open(&shared.plain, request, envelope).await? {
            Ok(link) => {
                if forgotten.is_some() {
                    let (id, name) = (presence.id(), shared.plain.name());
                    tracing::info!(session_id = %id, "session {id} opened again at {name}");
                }
                if let Some(before) = open.replace(link.clone()) {
                    before.lost.cancel();
                }
                Leased::Link(Lease::shared(link, shared.clone()))
            }
            Err(refused) => Leased::Refused(Box::new(refused)),
        })
    }
}

impl ModernClients {
    /// Says, once for each session, that a call is about to run without the upstream state of those before: its client
    /// shows no proof that it is the same, and would not find out.
    fn loses_state(&self, request: &InnerRequest) {
        let name = self.shared.plain.name();
        let Some(session) = request.extensions().get::<CurrentSession>() else { return };
        if session.loses_state(name) {
            let (id, client) = (session.id(), session.client().kind());
            tracing::warn!(
                session_id = %id, upstream = name,
                "session {id}: each call of {client} at {name} runs in a session of its own, without the state of those \
                 before, since {client} keeps no cookies and sends neither a client key nor a token; give it a client \
                 key (`archon client-config`), or set `bridge = \"auto\"` for {name} if the client can do a handshake"
            );
        }
    }
}

impl Shared {
    /// Ends what nobody needs any more.
    fn look(self: &Arc<Self>, now: Instant) {
        self.parked.expire(now);
        for link in self.links.take_ended(now) {
            self.close_later(link);
        }
    }

    /// Tells the upstream that a link is not used any more.
    fn close_later(self: &Arc<Self>, link: Arc<Link>) {
        let shared = self.clone();
        self.tasks.spawn(async move { link.close(&shared.plain).await });
    }

    /// Tells the upstream that nobody waits for an answer any more; `stream` is held until it knows.
    fn cancel_later(self: &Arc<Self>, lease: Lease, id: String, stream: impl Send + 'static) {
        let shared = self.clone();
        self.tasks.spawn(async move {
            let line = message::cancel(&id);
            let text = String::from_utf8_lossy(line.trim_ascii()).into_owned();
            let _ = lease.tell(&shared.plain, text).await;
            drop(stream);
        });
    }
}

/// Methods that a modern client may know and the legacy era has no counterpart of, and those that the modern era
/// removed.
fn is_of_one_era(method: &str) -> bool {
    matches!(
        method,
        "initialize"
            | "ping"
            | "logging/setLevel"
            | "resources/subscribe"
            | "resources/unsubscribe"
    ) || ["tasks/", "server/", "subscriptions/"].iter().any(|kind| method.starts_with(kind))
}

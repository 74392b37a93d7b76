//! A request whose session is at another node: it is answered there, and its bytes pass as they are.
//!
//! One hop: a request that was sent on is not sent on again; its node says where the session is, and the node that the
//! client asked sends it there. A node that cannot be reached is waited for until it is there again, or gone: then this one
//! takes over. A call that was lost on the way may have run, and is not sent a second time.

use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};

use super::body::SessionBody;
use super::failure::CallFailed;
use super::flow::{Answer, Flow, InnerService};
use super::reject;
use crate::protocol::names::X_ARCHON_OWNER;
use crate::protocol::{Envelope, Handle, Message, Presented};
use crate::tracker::{Refusal, Unreached};

/// Marks a request that another node has sent on, in its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Forwarded;

/// Marks a request whose call may have run at a node that is gone, in its extensions: it is answered with that, and recorded.
#[derive(Clone, Copy, Debug)]
pub struct MayHaveRun;

/// How often a request was tried. A session may move while it is on its way, hardly twice.
#[derive(Clone, Copy, Debug, Default)]
struct Tried(u8);

const TRIES_MAX: u8 = 4;
/// How long a node is waited for that cannot be reached: longer than it takes to be gone.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// Requests that change nothing at a server, or nothing more when they are sent a second time.
const HARMLESS: [&str; 14] = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "logging/setLevel",
    "subscriptions/listen",
];

impl<S: InnerService> Flow<S> {
    /// Answers a request that has no place here.
    pub(super) async fn not_here(
        self,
        mut parts: Parts,
        body: Bytes,
        id: Option<&str>,
        refusal: Refusal,
    ) -> Answer<S> {
        let Refusal::Elsewhere(node) = refusal else { return reject::admission(id, refusal) };
        if parts.extensions.get::<Forwarded>().is_some() {
            let mut answer = reject::admission(id, Refusal::Elsewhere(node.clone()));
            if let Ok(node) = HeaderValue::from_str(&node) {
                answer.headers_mut().insert(X_ARCHON_OWNER, node);
            }
            return answer;
        }
        let tracker = self.shared.tracker.clone();
        let Tried(tried) = parts.extensions.get().copied().unwrap_or_default();
        match tracker.forward(&node, request(&parts, body.clone())).await {
            Ok(answer) if is_misdirected(&answer) => {}
            Ok(answer) => return answer.map(SessionBody::passed),
            Err(unreached) => {
                tracing::warn!(node = &*node, "node {node} did not answer: {unreached:?}");
                if unreached == Unreached::Lost && !is_harmless(&body) {
                    parts.extensions.insert(MayHaveRun);
                }
                tracker.until_gone(&node, WAIT_MAX).await;
            }
        }
        if tried >= TRIES_MAX {
            return match parts.extensions.get::<MayHaveRun>() {
                Some(_) => reject::failure(id, &CallFailed::interrupted()),
                None => reject::admission(id, Refusal::Unreachable),
            };
        }
        tracker.forget_places(ids(&parts));
        parts.extensions.insert(Tried(tried + 1));
        self.again(parts, body).await
    }

    /// Takes the request as if it had just come.
    fn again(
        self,
        parts: Parts,
        body: Bytes,
    ) -> std::pin::Pin<Box<dyn Future<Output = Answer<S>> + Send>> {
        Box::pin(async move {
            match parts.method {
                Method::GET => self.legacy_stream(parts).await,
                Method::DELETE => self.legacy_delete(parts).await,
                _ => self.post(parts, body).await,
            }
        })
    }
}

/// Returns the request as its client sent it.
fn request(parts: &Parts, body: Bytes) -> Request<Bytes> {
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = parts.headers.clone();
    *request.extensions_mut() = parts.extensions.clone();
    request
}

fn is_misdirected<B>(answer: &Response<B>) -> bool {
    answer.status() == StatusCode::MISDIRECTED_REQUEST
        && answer.headers().contains_key(X_ARCHON_OWNER)
}

/// Returns the ids that a request shows, by which its place is remembered.
fn ids(parts: &Parts) -> impl Iterator<Item = uuid::Uuid> {
    let presented = Presented::read(&parts.headers);
    let connection = presented.connection.sent().map(|handle| handle.as_uuid());
    let session = presented.session.sent().map(|id| id.as_uuid());
    let cookie = match presented.cookie {
        Handle::Sent(cookie) => Some(cookie.session.as_uuid()),
        Handle::Absent | Handle::Malformed => None,
    };
    [connection, session, cookie].into_iter().flatten()
}

fn is_harmless(body: &Bytes) -> bool {
    let is_harmless =
        |one: &Envelope| one.request_id().is_none() || HARMLESS.contains(&&*one.method);
    Message::read(body.clone())
        .is_ok_and(|(_, message)| message.envelopes().iter().all(is_harmless))
        || body.is_empty()
}

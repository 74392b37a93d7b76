//! The legacy handshake: `initialize` goes to the inner service, and what comes back makes a connection.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::Response;
use http::request::Parts;

use super::ahead::Opened;
use super::body::{SAMPLE_MAX, SessionBody};
use super::exchange::Exchange;
use super::flow::{Answer, Flow, InnerService};
use super::request::{caller, inner_request};
use super::{refused, reject};
use crate::protocol::names::{MCP_SESSION_ID, X_ARCHON_SESSION_ID};
use crate::protocol::{Envelope, Message, Presented, legacy};
use crate::session::Era;
use crate::store::Outcome;
use crate::tracker::{Affinity, Arrival, Ending, Handshake, Refusal, causes};

/// `initialize` params are kept to redo the handshake; larger ones are refused.
const PARAMS_MAX: usize = 64 * 1024;

impl<S: InnerService> Flow<S> {
    pub(super) async fn initialize(
        mut self,
        parts: Parts,
        body: Bytes,
        envelope: Envelope,
        arrival: Arrival,
    ) -> Answer<S> {
        let shared = self.shared.clone();
        let tracker = &shared.tracker;
        let (presented, caller) = (Presented::read(&parts.headers), caller(&parts));
        let id = envelope.request_id().cloned();
        let id = id.as_deref();
        let permit = match tracker.let_in(&caller) {
            Ok(permit) => permit,
            Err(refusal) => return reject::admission(id, refusal),
        };
        let params = envelope.params.as_deref().unwrap_or("{}");
        if params.len() > PARAMS_MAX {
            return reject::handshake_too_large(id, PARAMS_MAX);
        }
        if let Err(refusal) = tracker.meet(&presented, params, &caller, arrival.at).await {
            return self.not_here(parts, body, id, refusal).await;
        }
        let initialize: Arc<str> = params.into();
        let request_bytes = body.len();
        self.must_finish.store(true, Relaxed);
        let exchange = Exchange {
            era: Era::Legacy,
            message: Some(Arc::new(Message::Single(envelope.clone()))),
            presence: None,
            proof: None,
            connection: None,
            principal: caller.principal.clone(),
        };
        let affinity = Affinity::default();
        let mut request = inner_request(parts, body, exchange, None);
        request.extensions_mut().insert(affinity.clone());
        let opened = match self.call_inner(request.clone()).await {
            Ok(response) => self.read_answer(response, &request).await,
            Err(failed) => Err(failed),
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(failed) => {
                let answer = reject::failure(id, &failed);
                return refused::mark(answer, causes::HANDSHAKE_FAILED, failed.message);
            }
        };
        let protocol_version = opened.result().and_then(legacy::negotiated_version);
        let Opened { parts, body, read_ahead, answer, bytes } = opened;
        let limit = shared.call_timeout();
        let body = SessionBody::theirs(body, read_ahead, None, None, limit);
        let mut response = Response::from_parts(parts, body);
        let link = response.headers_mut().remove(MCP_SESSION_ID);
        let Some(protocol_version) = protocol_version else {
            // A refused handshake makes no session; its answer goes to the client as it is.
            tracing::warn!(upstream = &*shared.upstream, "initialize was refused by the upstream");
            let answer = answer.as_ref().map(|(_, json)| json.as_slice());
            let reason = refused::reason(answer, response.status());
            return refused::mark(response, causes::HANDSHAKE_REFUSED, reason);
        };
        let upstream = shared.upstream.clone();
        let handshake =
            Handshake { permit, upstream, initialize, protocol_version, link, affinity };
        let admission = match tracker.open(&presented, handshake, &caller, arrival.at).await {
            Ok(admission) => admission,
            Err(refusal) => return reject::admission(id, refusal),
        };
        let mut ended = None;
        if let Some(call) =
            tracker.begin(&admission, &envelope, &shared.upstream, request_bytes, arrival)
        {
            let mut answer = answer.map(|(_, json)| json).unwrap_or_default();
            answer.truncate(SAMPLE_MAX);
            let (outcome, error, code) = (Outcome::Success, None, None);
            ended = call.end(Ending { outcome, error, code, response_bytes: bytes, answer });
        }
        let mut is_stored = true;
        for durable in [admission.durable, ended].into_iter().flatten() {
            is_stored &= durable.wait().await;
        }
        // What only this node knows is lost to its client when others have to serve it.
        if tracker.has_peers() && (!is_stored || tracker.may_serve().await.is_err()) {
            return reject::admission(id, Refusal::StoreUnavailable);
        }
        let headers = response.headers_mut();
        headers.insert(X_ARCHON_SESSION_ID, admission.presence.header().clone());
        if let Some(connection) = &admission.connection {
            headers.insert(MCP_SESSION_ID, connection.header().clone());
        }
        response
    }
}

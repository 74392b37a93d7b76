//! `get_reconnect_token` and `reconnect_session`: a client keeps a proof, and shows it to have its session back.
//!
//! A token is in their arguments and results and nowhere else: nothing here goes to a log, and what is said of bad
//! arguments does not repeat them.

use archon_sessions::layer::{Exchange, InnerRequest, PeerAddress, Rebound};
use archon_sessions::protocol::Envelope;
use archon_sessions::session::{IssuedToken, SessionId, Timestamp};
use archon_sessions::tracker::{Caller, Holder, ReconnectRefusal, Reconnected, Tracker};
use serde::Deserialize;
use serde_json::{Value, json};

use super::tools::Outcome;
use crate::gateway::FromBatch;
use crate::gateway::wire::message;

/// An answer to a batch is a stream of events, which are kept for its client to come back to. Tokens are not.
const ALONE: &str = "call this tool by itself, not in a batch";
/// Neither a guess nor a name becomes a proof.
const NOT_PROVEN: &str = "your session was found without a proof; send the cookie of the last answer, or an \
                          X-Archon-Client-Key with each request, and call again";
const BAD_ARGUMENTS: &str = "reconnect_session takes session_id, a UUID, and reconnect_token, the text that get_reconnect_token gave";

/// Answers `get_reconnect_token`.
pub(super) async fn get_token(
    request: &InnerRequest,
    exchange: &Exchange,
    tracker: &Tracker,
    now: Timestamp,
) -> Outcome {
    let Some(presence) = &exchange.presence else { return refused("no_session", NOT_PROVEN) };
    if is_in_batch(request) {
        return refused("not_in_a_batch", ALONE);
    }
    if exchange.proof.is_none_or(|proof| !proof.reaches_upstream_state()) {
        return refused("not_proven", NOT_PROVEN);
    }
    match tracker.issue_token(presence, now).await {
        Ok(issued) => Outcome::success(json!({
            "success": true,
            "session_id": presence.id().to_string(),
            "reconnect_token": issued.token.reveal(),
            "expires_in_minutes": minutes_left(&issued, now),
            "expires_at": issued.expires_at.to_string(),
        })),
        Err(_) => refused("session_store_unavailable", "the token could not be stored; try again"),
    }
}

/// Answers `reconnect_session`.
pub(super) async fn reconnect(
    request: &InnerRequest,
    exchange: &Exchange,
    tracker: &Tracker,
    now: Timestamp,
) -> Outcome {
    let (Some(held), Some(proof)) = (&exchange.presence, exchange.proof) else {
        return refused("no_session", NOT_PROVEN);
    };
    if is_in_batch(request) {
        return refused("not_in_a_batch", ALONE);
    }
    let Some(arguments) = message(request).and_then(Arguments::of) else {
        return refused("bad_arguments", BAD_ARGUMENTS);
    };
    let peer = request.extensions().get::<PeerAddress>().map(|peer| peer.0.ip());
    let principal = exchange.principal.clone();
    let caller = Caller { principal, peer, ..Caller::default() };
    let Arguments { session_id: id, reconnect_token: token } = arguments;
    let Reconnected { presence, reconnect_count, next } =
        match tracker.reconnect(id, &token, &caller, now).await {
            Ok(reconnected) => reconnected,
            Err(refusal) => return not_reconnected(id, refusal),
        };
    let holder = Holder { presence: held, proof, connection: exchange.connection.as_ref() };
    if let Some(durable) = tracker.rebind(&presence, holder, now) {
        durable.wait().await;
    }
    let content = json!({
        "success": true,
        "reason": "reconnected",
        "session_id": id.to_string(),
        "reconnect_count": reconnect_count,
        "reconnect_token": next.token.reveal(),
        "expires_in_minutes": minutes_left(&next, now),
        "message": "this session is yours again; the token is for the next time",
    });
    Outcome { rebound: Some(Rebound(presence)), ..Outcome::success(content) }
}

struct Arguments {
    session_id: SessionId,
    reconnect_token: String,
}

impl Arguments {
    fn of(envelope: &Envelope) -> Option<Self> {
        #[derive(Deserialize)]
        struct Params {
            arguments: Sent,
        }
        #[derive(Deserialize)]
        struct Sent {
            session_id: String,
            reconnect_token: String,
        }
        let params: Params = serde_json::from_str(envelope.params.as_deref()?).ok()?;
        let Sent { session_id, reconnect_token } = params.arguments;
        Some(Self { session_id: session_id.trim().parse().ok()?, reconnect_token })
    }
}

fn not_reconnected(id: SessionId, refusal: ReconnectRefusal) -> Outcome {
    let mut content = json!({
        "success": false,
        "reason": refusal.as_str(),
        "session_id": id.to_string(),
        "message": format!("Reconnection failed: {refusal}"),
    });
    if let ReconnectRefusal::RateLimited { retry_after } = refusal {
        content["retry_after_seconds"] = retry_after.as_secs_f64().ceil().into();
    }
    Outcome::failure(content)
}

fn refused(reason: &str, message: &str) -> Outcome {
    Outcome::failure(json!({ "success": false, "reason": reason, "message": message }))
}

fn is_in_batch(request: &InnerRequest) -> bool {
    request.extensions().get::<FromBatch>().is_some()
}

/// Returns the whole minutes that a token is good for, rounded up.
fn minutes_left(issued: &IssuedToken, now: Timestamp) -> Value {
    issued.expires_at.since(now).as_secs().div_ceil(60).into()
}

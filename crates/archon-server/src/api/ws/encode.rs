//! Events as frames of the contract.

use archon_sessions::events::{Event, FinishedCall, SessionEvent, Sign};
use archon_sessions::session::{Session, Timestamp};
use archon_sessions::store::Outcome;
use archon_sessions_api::frames::{
    Frame, FrameData, SessionDisconnect, SessionReconnect, SessionUpdate, UpdateType,
};
use archon_sessions_api::{requests, sessions};
use std::time::Duration;
use uuid::Uuid;

use super::filter::Kind;
use super::frame::{self, Opcode};
use super::log::Chunks;

/// Adds an event to the chunks that listeners get.
pub fn add(event: &Event, chunks: &mut Chunks) {
    let session = event.what.session().as_uuid();
    let (kind, what) = on_wire(event);
    chunks.add(event.seq, kind, Some(session), |frames| {
        append(frames, event.seq, Some(session), what, event.at);
    });
}

/// Appends a frame.
pub fn append(
    to: &mut Vec<u8>,
    seq: u64,
    session_id: Option<Uuid>,
    what: FrameData,
    at: Timestamp,
) {
    let said = Frame { what, seq, session_id, timestamp: at.to_string() };
    // Types of ours with texts for keys always have a JSON form.
    let Ok(json) = serde_json::to_vec(&said) else { return };
    frame::append(to, Opcode::Text, &json);
}

fn on_wire(event: &Event) -> (Kind, FrameData) {
    match &event.what {
        SessionEvent::Created(session) => {
            (Kind::SessionCreated, FrameData::SessionCreated(session_on_wire(session)))
        }
        SessionEvent::Updated { by, .. } => {
            let update_type = match by {
                Sign::Heartbeat => UpdateType::Heartbeat,
                Sign::ToolCall => UpdateType::ToolCall,
                Sign::Request => UpdateType::Request,
            };
            let update = SessionUpdate { update_type, last_activity: event.at.to_string() };
            (Kind::SessionUpdated, FrameData::SessionUpdated(update))
        }
        SessionEvent::Disconnected { reason, duration, .. } => {
            let total_duration = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
            let end = SessionDisconnect { reason: reason.as_str().to_owned(), total_duration };
            (Kind::SessionDisconnected, FrameData::SessionDisconnected(end))
        }
        SessionEvent::Reconnected { reconnect_count, .. } => {
            let reconnect = SessionReconnect { reconnect_count: i64::from(*reconnect_count) };
            (Kind::SessionReconnected, FrameData::SessionReconnected(reconnect))
        }
        SessionEvent::Request(call) => {
            (Kind::Request, FrameData::Request(call_on_wire(call, event.at)))
        }
    }
}

/// What is not known before the row is stored, its number and its cost, is left empty.
fn call_on_wire(call: &FinishedCall, ended: Timestamp) -> requests::Request {
    let took = Duration::from_micros(u64::try_from(call.duration_us).unwrap_or(0));
    requests::Request {
        id: None,
        session_id: call.session.as_uuid(),
        method: call.method.to_string(),
        tool_name: call.tool.as_deref().map(str::to_owned),
        upstream: call.upstream.to_string(),
        timestamp: ended.minus(took).to_string(),
        duration_ms: call.duration_us / 1000,
        duration_us: call.duration_us,
        status: match call.outcome {
            Outcome::Success => requests::Outcome::Success,
            Outcome::Error => requests::Outcome::Error,
            Outcome::Timeout => requests::Outcome::Timeout,
        },
        error_message: call.error().map(String::from),
        prompt_tokens: 0,
        completion_tokens: 0,
        estimated_cost: 0.0,
        request_bytes: call.request_bytes,
        response_bytes: call.response_bytes,
        model: None,
    }
}

/// Returns a session as the API shows it.
pub fn session_on_wire(session: &Session) -> sessions::Session {
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    let end = session.end;
    let expires = session.last_activity.plus(session.idle_timeout).to_string();
    sessions::Session {
        session_id: session.id.as_uuid(),
        client_type: session.client.kind().to_owned(),
        client_name: text(&session.client.name),
        client_version: text(&session.client.version),
        client_capabilities: None,
        connected_at: session.connected_at.to_string(),
        last_activity: session.last_activity.to_string(),
        expires_at: end.is_none().then_some(expires),
        disconnected_at: end.map(|end| end.at.to_string()),
        total_duration: session.total_duration(),
        status: match end {
            None => sessions::Status::Active,
            Some(_) => sessions::Status::Disconnected,
        },
        disconnect_reason: end.and_then(|end| end.reason).map(|reason| reason.as_str().to_owned()),
        user_id: None,
        user_email: None,
        user_name: None,
        metadata: None,
        principal: session.principal.to_string(),
        era: session.era.as_str().to_owned(),
        protocol_version: session.protocol_version.clone(),
        continues: session.continues.map(|id| id.as_uuid()),
        idle_timeout_seconds: i64::try_from(session.idle_timeout.as_secs()).unwrap_or(i64::MAX),
        reconnect_count: 0,
    }
}

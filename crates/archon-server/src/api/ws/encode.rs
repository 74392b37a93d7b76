//! Events as frames of the contract.

use std::time::Duration;

use archon_sessions::events::{Event, FinishedCall, SessionEvent, Sign};
use archon_sessions::session::{Session, Timestamp};
use archon_sessions::store::RequestRow;
use archon_sessions::store::reports::{SessionRecord, Totals};
use archon_sessions::tracker::Tracker;
use archon_sessions_api::frames::{
    Frame, FrameData, SessionDisconnect, SessionReconnect, SessionUpdate, UpdateType,
};
use archon_sessions_api::requests::Request;
use archon_sessions_api::sessions;
use uuid::Uuid;

use super::filter::Kind;
use super::frame;
use super::log::Chunks;
use crate::api::wire;

/// Adds an event to the chunks that listeners get.
pub fn add(event: &Event, tracker: &Tracker, chunks: &mut Chunks) {
    let session = event.what.session().as_uuid();
    let (kind, what) = on_wire(event, tracker);
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
    frame::append(to, frame::TEXT, &json);
}

fn on_wire(event: &Event, tracker: &Tracker) -> (Kind, FrameData) {
    match &event.what {
        SessionEvent::Created(session) => (
            Kind::SessionCreated,
            FrameData::SessionCreated(session_on_wire((**session).clone(), tracker)),
        ),
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
            let reconnect = SessionReconnect { reconnect_count: *reconnect_count };
            (Kind::SessionReconnected, FrameData::SessionReconnected(reconnect))
        }
        SessionEvent::Request(call) => {
            (Kind::Request, FrameData::Request(call_on_wire(call, event.at)))
        }
    }
}

/// What is not known before the row is stored, its number and its cost, is left empty.
fn call_on_wire(call: &FinishedCall, ended: Timestamp) -> Request {
    let took = Duration::from_micros(u64::try_from(call.duration_us).unwrap_or(0));
    let row = RequestRow {
        call: None,
        session: call.session,
        method: call.method.clone(),
        tool: call.tool.clone(),
        upstream: call.upstream.clone(),
        started: ended.minus(took),
        duration_us: call.duration_us,
        outcome: call.outcome,
        error: call.error(),
        request_bytes: call.request_bytes,
        response_bytes: call.response_bytes,
        prompt_tokens: 0,
        completion_tokens: 0,
        cost_micros: 0,
        model: None,
    };
    wire::request(None, row)
}

/// Returns a session as memory knows it, in the API's words. Its capabilities, up to 16 KiB, are left out.
pub fn session_on_wire(mut session: Session, tracker: &Tracker) -> sessions::Session {
    session.client.capabilities = None;
    let record = SessionRecord {
        client_type: session.client.kind().to_owned(),
        metadata: None,
        disconnect_reason: None,
        total_duration: session.total_duration(),
        totals: Totals::default(),
        upstreams: Vec::new(),
        session,
    };
    wire::session(record, tracker)
}

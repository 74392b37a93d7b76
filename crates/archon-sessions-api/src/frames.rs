//! What is sent on the WebSocket `/ws/sessions`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Time;
use crate::health::SessionsHealth;
use crate::requests::Request;
use crate::sessions::Session;

/// A frame: `{type, seq, session_id?, data, timestamp}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Frame {
    /// What happened: `type` and `data`.
    #[serde(flatten)]
    pub what: FrameData,
    /// Its number, to be sent as `since` by who comes back. A frame that is no event carries that of the latest event.
    pub seq: u64,
    /// Whom it is about, where it is about one session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Uuid>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Time,
}

/// What happened.
// One at a time, on its way to or from a text.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum FrameData {
    /// How things are; the first frame.
    Snapshot(Snapshot),
    /// Events were missed: how things are now.
    Resync(Snapshot),
    /// A session began.
    SessionCreated(Session),
    /// A session shows a sign of life; at most one a second for each.
    SessionUpdated(SessionUpdate),
    /// A session ended.
    SessionDisconnected(SessionDisconnect),
    /// A client took its session back.
    SessionReconnected(SessionReconnect),
    /// A call has ended.
    Request(Request),
    /// How sessions are, every five seconds.
    HealthUpdate(SessionsHealth),
}

/// How things are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    /// As in `GET /api/mcp/sessions/health`.
    pub health: SessionsHealth,
    /// Active sessions, the latest active first; not all where there are many.
    pub sessions: Vec<Session>,
    /// How many are active.
    pub total: u64,
    /// Which process numbers these events: to be sent back as `epoch` beside `since`.
    pub epoch: u64,
}

/// What a sign of life was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpdateType {
    /// A heartbeat.
    Heartbeat,
    /// A call of a tool.
    ToolCall,
    /// Any other request.
    Request,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionUpdate {
    /// What it was.
    pub update_type: UpdateType,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub last_activity: Time,
}

/// An end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionDisconnect {
    /// Why, in the words of `disconnect_reason`.
    pub reason: String,
    /// Seconds from the session's start to its end.
    pub total_duration: i64,
}

/// A reconnect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionReconnect {
    /// How often this session was reconnected.
    pub reconnect_count: i64,
}

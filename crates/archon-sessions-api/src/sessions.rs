//! Sessions: one, lists of them, and their ends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Time;
use crate::reconnect::Attempt;
use crate::requests::Request;

/// Whether a session is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The client is here.
    Active,
    /// The session has ended.
    Disconnected,
    /// It ended in an older system, from which it was imported.
    Expired,
}

/// A session: a row of `archon_mcp_sessions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Its id: `X-Archon-Session-Id`.
    pub session_id: Uuid,
    /// The client's known product name, or its own.
    pub client_type: String,
    /// The name that the client sent.
    pub client_name: Option<String>,
    /// The version that the client sent.
    pub client_version: Option<String>,
    /// The capabilities that the client sent.
    #[schema(value_type = Option<Object>)]
    pub client_capabilities: Option<serde_json::Value>,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub connected_at: Time,
    /// The latest sign of life.
    #[schema(value_type = String, format = DateTime)]
    pub last_activity: Time,
    /// When it ends if nothing more is heard of it; `null` once it has ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Time>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub disconnected_at: Option<Time>,
    /// Seconds from its start to its end.
    pub total_duration: Option<i64>,
    /// Whether it is present.
    pub status: Status,
    /// Why it ended: `timeout_no_activity`, `client_disconnect`, `error`, `operator`, `server_shutdown`.
    pub disconnect_reason: Option<String>,
    /// Whose client it is, where somebody authenticated.
    pub user_id: Option<String>,
    /// That user's e-mail address.
    pub user_email: Option<String>,
    /// That user's name.
    pub user_name: Option<String>,
    /// What else is kept with it.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<serde_json::Value>,
    /// Who authenticated: `issuer#subject`, or `anonymous`.
    pub principal: String,
    /// `legacy` or `modern`.
    pub era: String,
    /// The protocol version in force when it began.
    pub protocol_version: String,
    /// The session that it goes on from.
    pub continues: Option<Uuid>,
    /// How long it may be silent.
    pub idle_timeout_seconds: i64,
    /// How often its client took it back with a reconnect token.
    pub reconnect_count: i64,
}

/// A session as it is stored, with what it has used so far: calls that are not over yet are not in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StoredSession {
    /// The session.
    #[serde(flatten)]
    pub session: Session,
    /// How many requests it made.
    pub total_requests: i64,
    /// How many of them failed or were not answered in time.
    pub total_errors: i64,
    /// Tokens that the client sent.
    pub total_prompt_tokens: i64,
    /// Tokens that came back.
    pub total_completion_tokens: i64,
    /// Estimated, in dollars: what tools are called with at the model's output price, what they return at its input
    /// price.
    pub total_cost: f64,
    /// The upstreams that it used, in the order in which it came to them; the first eight.
    pub upstreams: Vec<String>,
}

/// `GET /api/mcp/sessions`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sessions {
    /// One page of those that were asked for.
    pub sessions: Vec<StoredSession>,
    /// How many are present on this gateway.
    pub active_sessions: u64,
    /// Seconds that a session may be silent, unless a rule or its client says otherwise.
    pub session_timeout: u64,
    /// Since this gateway started.
    pub server_uptime_seconds: u64,
    /// How many there are of those that were asked for.
    pub total: u64,
    /// False where there are more than `total` says: it was not worth counting on.
    pub total_is_exact: bool,
    /// What to send as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// `GET /api/mcp/clients`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Clients {
    /// Those that were asked for, the latest active first.
    pub clients: Vec<Client>,
    /// How many there are.
    pub total: u64,
    /// What to send as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// Whether a client that is here does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientStatus {
    /// It was active within the last minute.
    Active,
    /// It was silent for longer.
    Idle,
}

/// A client that is here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Client {
    /// Its session.
    pub session_id: Uuid,
    /// Its known product name, or its own.
    pub client_type: String,
    /// The name that it sent.
    pub client_name: Option<String>,
    /// The version that it sent.
    pub client_version: Option<String>,
    /// Whether it does something.
    pub status: ClientStatus,
    /// When it came.
    #[schema(value_type = String, format = DateTime)]
    pub connected_at: Time,
    /// The latest sign of life.
    #[schema(value_type = String, format = DateTime)]
    pub last_activity: Time,
    /// Since then.
    pub idle_seconds: i64,
    /// Whose client it is, where somebody authenticated.
    pub user_id: Option<String>,
    /// `legacy` or `modern`.
    pub era: String,
    /// How many requests it made.
    pub total_requests: i64,
    /// How many of them failed or were not answered in time.
    pub total_errors: i64,
    /// Tokens that it sent.
    pub total_prompt_tokens: i64,
    /// Tokens that came back.
    pub total_completion_tokens: i64,
    /// Estimated, in dollars: what tools are called with at the model's output price, what they return at its input
    /// price.
    pub total_cost: f64,
    /// The upstreams that it used, in the order in which it came to them; the first eight.
    pub upstreams: Vec<String>,
}

/// `GET /api/mcp/sessions/disconnected`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Disconnected {
    /// The latest that ended.
    pub sessions: Vec<StoredSession>,
    /// All that ended in the period.
    pub statistics: DisconnectStatistics,
    /// Which period that is.
    pub period: Period,
}

/// Ends in a period.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DisconnectStatistics {
    /// How many.
    pub total_disconnected: i64,
    /// How many for each reason.
    pub disconnect_reasons: BTreeMap<String, i64>,
    /// How long they lasted on average.
    pub avg_duration_seconds: i64,
    /// The longest.
    pub max_duration_seconds: i64,
    /// The shortest.
    pub min_duration_seconds: i64,
}

/// From when to when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Period {
    /// From this moment on.
    #[schema(value_type = String, format = DateTime)]
    pub start_date: Time,
    /// Up to this one.
    #[schema(value_type = String, format = DateTime)]
    pub end_date: Time,
    /// How many days that is; the first and the last may be parts of one.
    pub days: u32,
}

/// `GET /api/mcp/sessions/{id}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionPage {
    /// The session.
    pub session: Session,
    /// A page of its requests, the latest first.
    pub requests: Vec<Request>,
    /// What to send as `cursor` for earlier requests; `null` on the last page.
    pub next_cursor: Option<String>,
    /// All of its requests together.
    pub summary: SessionSummary,
    /// The upstreams that it used, in the order in which it came to them; the first eight.
    pub upstreams: Vec<String>,
    /// Whether its calls run without the upstream state of those before: its client speaks another era than the upstream
    /// and shows no proof that it is the same. Known while the session is present.
    #[serde(default)]
    pub loses_state: bool,
    /// The session that it goes on from.
    pub continues: Option<Uuid>,
    /// The session that goes on from it.
    pub continued_by: Option<Uuid>,
    /// All of these, as far as twenty each way.
    pub chain: SessionChain,
    /// The latest reconnect attempts, the latest first and at most fifty. They are kept for thirty
    /// days at most.
    pub reconnect_attempts: Vec<Attempt>,
}

/// What was before and after a session, each way the nearest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionChain {
    /// The sessions that it goes on from.
    pub before: Vec<ChainedSession>,
    /// Those that go on from it; of several that continue the same one, the first.
    pub after: Vec<ChainedSession>,
}

/// A session before or after another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChainedSession {
    /// Which.
    pub session_id: Uuid,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub connected_at: Time,
    /// When it ended; `null` while it is present.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub disconnected_at: Option<Time>,
    /// Why it ended.
    pub disconnect_reason: Option<String>,
}

/// A session's requests together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionSummary {
    /// How many.
    pub total_requests: i64,
    /// How many of them failed or were not answered in time.
    pub total_errors: i64,
    /// Tokens that the client sent.
    pub total_prompt_tokens: i64,
    /// Tokens that came back.
    pub total_completion_tokens: i64,
    /// Both.
    pub total_tokens: i64,
    /// Estimated, in dollars: what tools are called with at the model's output price, what they return at its input
    /// price.
    pub total_cost: f64,
}

/// `POST /api/mcp/sessions/{id}/disconnect`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Disconnect {
    /// Why it ends: `operator` (as when left out), `client_disconnect`, `error` or `server_shutdown`.
    pub reason: Option<EndReason>,
}

/// Why somebody ends a session by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// An operator wants it to end: its handles answer 404 from then on.
    Operator,
    /// Its client has gone: the same for its handles.
    ClientDisconnect,
    /// It cannot go on: its client may, in a session that continues it.
    Error,
    /// The server is gone for good.
    ServerShutdown,
}

/// The answer to an end by hand. The end is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ended {
    /// Always true.
    pub success: bool,
    /// Which session.
    pub session_id: Uuid,
    /// What happened, for people.
    pub message: String,
    /// Why.
    pub disconnect_reason: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub disconnected_at: Time,
    /// Seconds from its start to its end.
    pub total_duration: i64,
}

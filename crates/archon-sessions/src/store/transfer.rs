//! Sessions, requests and prices on their way from one database to another, in a form that belongs to neither.
//!
//! A record says what its row says, so that what was taken in and given out again is the same to the byte. What
//! proves who a client is stays behind: tokens' hashes, fingerprints, connections.

mod identity;
mod times;

pub use identity::NATIVE_ID_MAX;
pub(super) use identity::{Content, Known, Stored, guest_id, plan};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{Outcome, RequestRow, StoreError};
use crate::session::{DisconnectReason, SessionId, Status, Timestamp};

/// Rows that are read, or written, at a time: some hundred kilobytes of them, and a transaction that others hardly
/// wait for.
pub const PART_ROWS: usize = 500;

/// Gives all rows out in pages, and takes rows in.
#[async_trait]
pub trait Transfer: Send + Sync + 'static {
    /// Returns the prices, in order.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn prices(&self) -> Result<Vec<PriceRecord>, StoreError>;

    /// Returns the largest id of a request so far. Sessions that are read afterwards include those of all requests
    /// up to it.
    ///
    /// # Errors
    /// If the store is not available.
    async fn last_request(&self) -> Result<i64, StoreError>;

    /// Returns the first [`PART_ROWS`] sessions after one, in the order of their ids.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn sessions(
        &self,
        of: &Selection,
        after: Option<SessionId>,
    ) -> Result<Vec<SessionRecord>, StoreError>;

    /// Returns the first [`PART_ROWS`] requests after an id and up to one, in the order of their ids.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn requests(
        &self,
        of: &Selection,
        after: i64,
        until: i64,
    ) -> Result<Vec<RequestRecord>, StoreError>;

    /// Writes rows in one transaction: all of them are durable when this returns, or none. Sessions and requests
    /// that are there stay as they are; prices of the same model and day are replaced. Taking in the same rows
    /// again changes nothing.
    ///
    /// # Errors
    /// If the store is not available.
    async fn take_in(&self, part: &Part) -> Result<TakenIn, StoreError>;
}

/// Which rows are given out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection {
    /// Sessions that were active since then, and their requests since then.
    pub since: Option<Timestamp>,
    /// One session.
    pub session: Option<SessionId>,
}

impl Selection {
    /// Returns the smallest and the largest id of sessions on the page after one; `None` if there is none.
    pub(super) fn ids(&self, after: Option<SessionId>) -> Option<(Uuid, Uuid)> {
        let next = |id: SessionId| id.as_uuid().as_u128().checked_add(1).map(Uuid::from_u128);
        let first = self.session.map_or(Uuid::nil(), SessionId::as_uuid);
        let last = self.session.map_or(Uuid::max(), SessionId::as_uuid);
        let first = after.map_or(Some(first), next)?;
        (first <= last).then_some((first, last))
    }
}

/// Rows that are taken in together. Sessions come before their requests, in the same part or an earlier one.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Prices.
    pub prices: Vec<PriceRecord>,
    /// Sessions.
    pub sessions: Vec<SessionRecord>,
    /// Requests.
    pub requests: Vec<RequestRecord>,
}

impl Part {
    /// Returns how many rows there are.
    pub fn len(&self) -> usize {
        self.prices.len() + self.sessions.len() + self.requests.len()
    }

    /// Returns true if there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What became of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenIn {
    /// Sessions that are new.
    pub sessions: u64,
    /// Sessions that were there.
    pub known_sessions: u64,
    /// Requests that are new.
    pub requests: u64,
    /// Requests that were there.
    pub known_requests: u64,
    /// Requests left out, since their session is neither there nor came before them.
    pub requests_without_session: u64,
    /// Prices that are new or have changed.
    pub prices: u64,
}

impl std::ops::AddAssign for TakenIn {
    fn add_assign(&mut self, more: Self) {
        self.sessions += more.sessions;
        self.known_sessions += more.known_sessions;
        self.requests += more.requests;
        self.known_requests += more.known_requests;
        self.requests_without_session += more.requests_without_session;
        self.prices += more.prices;
    }
}

/// A session, as its row of `archon_mcp_sessions` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // The columns' names; docs of the table say what they mean.
pub struct SessionRecord {
    pub session_id: Uuid,
    #[serde(default = "unknown_client")]
    pub client_type: String,
    #[serde(default)]
    pub client_name: Option<String>,
    #[serde(default)]
    pub client_version: Option<String>,
    #[serde(default)]
    pub client_capabilities: Option<Value>,
    #[serde(with = "times")]
    pub connected_at: Timestamp,
    #[serde(with = "times")]
    pub last_activity: Timestamp,
    #[serde(default, with = "times::optional")]
    pub disconnected_at: Option<Timestamp>,
    #[serde(default)]
    pub total_duration: Option<i32>,
    pub status: Status,
    #[serde(default)]
    pub disconnect_reason: Option<String>,
    #[serde(default)]
    pub user_id: Option<String>,
    #[serde(default)]
    pub user_email: Option<String>,
    #[serde(default)]
    pub user_name: Option<String>,
    #[serde(default)]
    pub metadata: Option<Value>,
    #[serde(default)]
    pub reconnect_count: i32,
    #[serde(default = "anonymous")]
    pub principal: String,
    #[serde(default = "legacy")]
    pub era: String,
    #[serde(default)]
    pub protocol_version: String,
    #[serde(default)]
    pub continues: Option<Uuid>,
    #[serde(default = "idle_timeout_seconds")]
    pub idle_timeout_seconds: u32,
}

impl SessionRecord {
    /// Returns the session as it is taken in: one that has been silent for longer than it may be is over, whatever
    /// it was when it was given out. One that may still be there stays so; its client can go on with it.
    #[must_use]
    pub fn as_of(mut self, now: Timestamp) -> Self {
        let silence = std::time::Duration::from_secs(self.idle_timeout_seconds.into());
        let is_over = now.since(self.last_activity) >= silence || self.last_activity > now;
        if self.status == Status::Active && is_over {
            // When it would have been noticed, had nobody stopped looking.
            let end = self.last_activity.plus(silence).min(now).max(self.connected_at);
            let seconds = end.since(self.connected_at).as_secs();
            self.status = Status::Disconnected;
            self.disconnected_at = Some(end);
            self.total_duration = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
            self.disconnect_reason = Some(DisconnectReason::TimeoutNoActivity.as_str().to_owned());
        }
        self
    }
}

fn unknown_client() -> String {
    "unknown-client".to_owned()
}

fn anonymous() -> String {
    "anonymous".to_owned()
}

fn legacy() -> String {
    "legacy".to_owned()
}

fn idle_timeout_seconds() -> u32 {
    u32::try_from(crate::session::IDLE_TIMEOUT.as_secs()).unwrap_or(u32::MAX)
}

/// A request, as its row of `archon_mcp_requests` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // The columns' names; docs of the table say what they mean.
pub struct RequestRecord {
    pub id: i64,
    pub session_id: Uuid,
    pub method: String,
    #[serde(default)]
    pub tool_name: Option<String>,
    #[serde(default)]
    pub prompt_tokens: i32,
    #[serde(default)]
    pub completion_tokens: i32,
    #[serde(default)]
    pub estimated_cost: f64,
    #[serde(with = "times")]
    pub timestamp: Timestamp,
    pub duration_ms: i32,
    pub status: Outcome,
    #[serde(default)]
    pub error_message: Option<String>,
    #[serde(default)]
    pub upstream: String,
    /// Older systems have milliseconds only.
    #[serde(default)]
    pub duration_us: i64,
    #[serde(default)]
    pub request_bytes: i64,
    #[serde(default)]
    pub response_bytes: i64,
    #[serde(default)]
    pub model: Option<String>,
}

impl RequestRecord {
    /// Returns the row that the tracker would have written, for the sums that are kept of all rows.
    pub(super) fn as_row(&self) -> RequestRow {
        RequestRow {
            call: None,
            session: SessionId::from_uuid(self.session_id),
            method: self.method.as_str().into(),
            tool: self.tool_name.as_deref().map(Into::into),
            upstream: self.upstream.as_str().into(),
            started: self.timestamp,
            duration_us: self.duration_us,
            outcome: self.status,
            error: None,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            prompt_tokens: self.prompt_tokens.into(),
            completion_tokens: self.completion_tokens.into(),
            cost_micros: (dollars(self.estimated_cost) * 1e6).round() as i64,
            model: None,
        }
    }
}

/// A price, as its row of `archon_llm_pricing` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // The columns' names; docs of the table say what they mean.
pub struct PriceRecord {
    pub provider: String,
    pub model_name: String,
    pub input_price_per_1k: f64,
    pub output_price_per_1k: f64,
    #[serde(with = "times::date")]
    pub effective_date: String,
}

/// The most that `NUMERIC(10,6)` holds.
const DOLLARS_MAX: f64 = 9_999.999_999;

/// Returns dollars as both databases hold them: in millionths.
pub(super) fn dollars(amount: f64) -> f64 {
    let amount = if amount.is_finite() { amount.clamp(-DOLLARS_MAX, DOLLARS_MAX) } else { 0.0 };
    (amount * 1e6).round() / 1e6
}

/// Returns JSON that was stored as text; `Value` sorts its keys, so that it is the same from each database.
pub(super) fn value(text: Option<&str>) -> Option<Value> {
    text.and_then(|text| serde_json::from_str(text).ok())
}

#[cfg(test)]
mod tests;

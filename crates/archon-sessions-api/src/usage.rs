//! `GET /api/mcp/usage/summary`: what was used in a period, and by whom.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::sessions::Period;

/// What was used in a period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageSummary {
    /// Which.
    pub period: Period,
    /// All of it.
    pub summary: UsageTotals,
    /// By tool; requests that call none are not here.
    pub by_tool: BTreeMap<String, Usage>,
    /// By client type.
    pub by_client: BTreeMap<String, Usage>,
    /// By user; what nobody authenticated for is under `anonymous`.
    pub by_user: BTreeMap<String, Usage>,
}

/// All that was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageTotals {
    /// Requests.
    pub total_requests: i64,
    /// Tokens that clients sent.
    pub total_prompt_tokens: i64,
    /// Tokens that came back.
    pub total_completion_tokens: i64,
    /// Both.
    pub total_tokens: i64,
    /// In dollars.
    pub total_cost: f64,
    /// Sessions that made requests.
    pub unique_sessions: i64,
}

/// A part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Requests.
    pub count: i64,
    /// Tokens, both ways.
    pub tokens: i64,
    /// In dollars.
    pub cost: f64,
    /// Requests that ended with an error.
    pub errors: i64,
    /// Requests that were not answered in time.
    pub timeouts: i64,
}

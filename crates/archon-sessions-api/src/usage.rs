//! What was used in a period, and by whom; and how the last minutes went.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Time;
use crate::sessions::Period;

/// `GET /api/mcp/usage/summary`: what was used in a period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageSummary {
    /// Which.
    pub period: Period,
    /// All of it.
    pub summary: UsageTotals,
    /// By tool; requests that call none are not here. The key is the tool's name, and where several upstreams have a
    /// tool of that name it is the upstream, `/` and the name.
    pub by_tool: BTreeMap<String, ToolUsage>,
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
    /// Tokens that clients sent: a model wrote them.
    pub total_prompt_tokens: i64,
    /// Tokens that came back: a model reads them.
    pub total_completion_tokens: i64,
    /// Both.
    pub total_tokens: i64,
    /// Estimated, in dollars: what tools are called with at the model's output price, what they return at its input
    /// price.
    pub total_cost: f64,
    /// Sessions that made requests.
    pub unique_sessions: i64,
}

/// What was used of a tool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToolUsage {
    /// The tool.
    pub tool: String,
    /// The upstream that has it; `null` where that is not known.
    pub upstream: Option<String>,
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

/// `GET /api/mcp/usage/minutes`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageMinutes {
    /// Each minute, with or without requests, the present one last.
    pub minutes: Vec<UsageMinute>,
}

/// The requests that arrived in a minute, at whichever gateway of the database; calls that are not over yet are not in
/// it, nor is what was imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageMinute {
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub minute: Time,
    /// How many.
    pub requests: i64,
    /// How many of them ended with an error.
    pub errors: i64,
    /// How many were not answered in time.
    pub timeouts: i64,
}

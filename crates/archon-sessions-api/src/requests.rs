//! Tracked requests.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Time;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Answered with a result.
    Success,
    /// Answered with an error.
    Error,
    /// Not answered in time.
    Timeout,
}

/// A tracked request: a row of `archon_mcp_requests`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Request {
    /// Its number; `null` in a live event, before it is stored.
    pub id: Option<i64>,
    /// Whose request.
    pub session_id: Uuid,
    /// The JSON-RPC method.
    pub method: String,
    /// The tool, where one was called.
    pub tool_name: Option<String>,
    /// The upstream it went to.
    pub upstream: String,
    /// When it arrived.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Time,
    /// How long its answer took.
    pub duration_ms: i64,
    /// The same, finer.
    pub duration_us: i64,
    /// How it ended.
    pub status: Outcome,
    /// What went wrong.
    pub error_message: Option<String>,
    /// Estimated tokens that the client sent.
    pub prompt_tokens: i64,
    /// Estimated tokens that came back.
    pub completion_tokens: i64,
    /// In dollars: what the client sent at the model's output price, for a model wrote it; what came back at its input
    /// price, for a model reads it. Where the service said what it used itself, that counts.
    pub estimated_cost: f64,
    /// Size of its body.
    pub request_bytes: i64,
    /// Size of what was sent in answer.
    pub response_bytes: i64,
    /// The model whose price was used.
    pub model: Option<String>,
}

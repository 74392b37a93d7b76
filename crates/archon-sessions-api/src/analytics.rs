//! `GET /api/mcp/analytics`: trends, ratios and response times of a period.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::sessions::Period;

/// A period, and how it compares with the one before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Analytics {
    /// Which.
    pub period: Period,
    /// How it went.
    pub trends: Trends,
    /// How requests ended.
    pub ratios: Ratios,
    /// How long answers took.
    pub response_times: ResponseTimes,
    /// Against the period before, of the same length; `null` if that was not asked for.
    pub comparison: Option<Comparison>,
}

/// Requests by time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trends {
    /// Each day in UTC that had requests.
    pub daily: Vec<Daily>,
    /// Each hour of the day in UTC, all days together.
    pub hourly: Vec<Hourly>,
}

/// A day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Daily {
    /// Which.
    #[schema(format = Date)]
    pub date: String,
    /// Requests.
    pub requests: i64,
    /// Tokens, both ways.
    pub tokens: i64,
    /// In dollars.
    pub cost: f64,
    /// Percentage answered with a result, two decimals.
    pub success_rate: f64,
}

/// An hour of the day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Hourly {
    /// 0 to 23, in UTC.
    pub hour: u8,
    /// Requests.
    pub requests: i64,
    /// Milliseconds.
    pub avg_duration: f64,
}

/// How requests ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Ratios {
    /// Answered with a result.
    pub success: i64,
    /// Answered with an error.
    pub error: i64,
    /// Not answered in time.
    pub timeout: i64,
    /// Percentage answered with a result, two decimals.
    pub success_rate: f64,
}

/// How long requests took, in milliseconds. Percentiles are of those that were answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResponseTimes {
    /// By tool.
    pub by_tool: Vec<ToolTimes>,
    /// On average.
    pub overall_avg: f64,
    /// Half of the answers took at most this long.
    pub p50: f64,
    /// 95 of 100 answers took at most this long.
    pub p95: f64,
    /// 99 of 100 answers took at most this long.
    pub p99: f64,
}

/// How long a tool's requests took, in milliseconds. Percentiles are of those that were answered, 0 where none was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToolTimes {
    /// Which.
    pub tool: String,
    /// The upstream that has it; `null` where that is not known.
    pub upstream: Option<String>,
    /// On average.
    pub avg_ms: f64,
    /// The shortest.
    pub min_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// How many.
    pub count: i64,
    /// How many of them ended with an error.
    pub errors: i64,
    /// How many were not answered in time.
    pub timeouts: i64,
    /// Percentage of both, two decimals.
    pub error_rate_percent: f64,
    /// Half of the answers took at most this long.
    pub p50: f64,
    /// 95 of 100 answers took at most this long.
    pub p95: f64,
    /// 99 of 100 answers took at most this long.
    pub p99: f64,
}

/// A period against the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    /// How many.
    pub requests: Change,
    /// Percentage answered with a result.
    pub success_rate: Change,
    /// Both ways.
    pub tokens: Change,
    /// In dollars.
    pub cost: Change,
}

/// A figure against the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// In this period.
    pub current: f64,
    /// In the one before.
    pub previous: f64,
    /// By how much it changed, two decimals; `null` where there was nothing before.
    pub change_percent: Option<f64>,
}

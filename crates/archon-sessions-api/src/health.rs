//! How the service and its sessions are.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Time;
use crate::sessions::Status;

/// `GET /health`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `healthy` or `unhealthy`.
    pub status: String,
    /// Always `mcp`.
    pub service: String,
    /// Why it is not healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The upstreams that did not answer last; calls to others go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstreams_down: Vec<String>,
    /// Rows that wait to be written; said once something went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_rows: Option<u64>,
    /// Rows that could not wait any longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_rows: Option<u64>,
    /// Rows in a database file that was removed while it was open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_rows: Option<u64>,
    /// Rows written with SQL that cannot be read; they are in no list and no sum until somebody corrects them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable_rows: Option<u64>,
}

/// `GET /api/mcp/sessions/health`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionsHealth {
    /// Sessions of all times by status.
    pub status_breakdown: StatusBreakdown,
    /// Active sessions by the time since their last activity.
    pub age_distribution: AgeDistribution,
    /// Sessions that began in the last 24 hours.
    pub connection_health: ConnectionHealth,
    /// The latest ten.
    pub recent_activity: Vec<RecentActivity>,
    /// When this was so.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Time,
}

/// Sessions by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusBreakdown {
    /// Present.
    pub active: i64,
    /// Ended.
    pub disconnected: i64,
    /// All.
    pub total: i64,
}

/// Active sessions by the time since their last activity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgeDistribution {
    /// Under five minutes.
    pub healthy: i64,
    /// Five to ten minutes.
    pub aging: i64,
    /// Over ten minutes.
    pub stale: i64,
}

/// Sessions that began in the last 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionHealth {
    /// How long they lasted on average; an active one counts up to now.
    pub avg_duration_seconds: i64,
    /// Sessions an hour, two decimals.
    pub sessions_per_hour: f64,
    /// Percentage that has ended, one decimal.
    pub disconnect_rate_percent: f64,
    /// How many.
    pub total_sessions_24h: i64,
}

/// One of the latest sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecentActivity {
    /// Which.
    pub session_id: Uuid,
    /// The client's known product name, or its own.
    pub client_type: String,
    /// Whether it is present.
    pub status: Status,
    /// Minutes since its last activity.
    pub age_minutes: i64,
    /// Minutes from its start to its end, or to now.
    pub uptime_minutes: i64,
}

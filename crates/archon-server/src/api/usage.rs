//! `GET /api/mcp/usage/…`: what was used, and by whom; and how the last minutes went.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use archon_sessions::session::Timestamp;
use archon_sessions::store::reports::{Minute, NamedUsage, ToolUsage as UsageOfTool};
use archon_sessions_api::usage::{
    ToolUsage, Usage, UsageMinute, UsageMinutes, UsageSummary, UsageTotals,
};
use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::params::{Date, Query, Whole, days_asked};
use super::problem::ApiError;
use super::{Api, wire};
use crate::overview::Overview;

/// What is used by nobody who is known.
const NOBODY: &str = "anonymous";

/// Returns the routes.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(summary)).routes(routes!(minutes))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// The first day, in UTC.
    #[param(value_type = Option<String>, format = Date)]
    start_date: Option<Date>,
    /// The last day, in UTC; today if left out.
    #[param(value_type = Option<String>, format = Date)]
    end_date: Option<Date>,
    /// How many days, where no first day is named; 30 if left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 3660)]
    days: Option<Whole<1, 3660>>,
}

/// Says what was used on some days.
#[utoipa::path(
    get, path = "/api/mcp/usage/summary", operation_id = "get_usage_summary", tag = "reports", params(Asked),
    responses((status = 200, body = UsageSummary, description = "What was used"))
)]
async fn summary(
    State(overview): State<Arc<Overview>>,
    Query(asked): Query<Asked>,
) -> Result<Answer<UsageSummary>, ApiError> {
    let days = days_asked(asked.start_date, asked.end_date, asked.days)?;
    let report = overview.reports.usage(days).await.map_err(super::store_failed)?;
    let total = report.total;
    // What calls no tool is no tool's.
    let tools = report.by_tool.into_iter().filter(|of| !of.name.tool.is_empty());
    Ok(Answer(UsageSummary {
        period: wire::period(report.days),
        summary: UsageTotals {
            total_requests: total.requests,
            total_prompt_tokens: total.prompt_tokens,
            total_completion_tokens: total.completion_tokens,
            total_tokens: total.prompt_tokens + total.completion_tokens,
            total_cost: wire::dollars(total.cost_micros),
            unique_sessions: report.sessions,
        },
        by_tool: by_tool(tools.collect()),
        by_client: by_name(report.by_client.into_iter()),
        by_user: by_name(report.by_user.into_iter()),
    }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Lately {
    /// How many, the present one included; 60 if left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1440)]
    minutes: Option<Whole<1, 1440>>,
}

/// Says how many requests arrived in each of the last minutes.
#[utoipa::path(
    get, path = "/api/mcp/usage/minutes", operation_id = "get_usage_minutes", tag = "reports", params(Lately),
    responses((status = 200, body = UsageMinutes, description = "The last minutes"))
)]
async fn minutes(
    State(overview): State<Arc<Overview>>,
    Query(asked): Query<Lately>,
) -> Result<Answer<UsageMinutes>, ApiError> {
    let count = asked.minutes.map_or(60, Whole::small);
    let found = overview.reports.minutes(Timestamp::now(), count).await;
    let minutes = found.map_err(super::store_failed)?.into_iter().map(minute);
    Ok(Answer(UsageMinutes { minutes: minutes.collect() }))
}

fn minute(Minute { start, counts }: Minute) -> UsageMinute {
    UsageMinute {
        minute: start.to_string(),
        requests: counts.requests,
        errors: counts.errors,
        timeouts: counts.timeouts,
    }
}

/// Names tools of one name at several upstreams by both.
fn by_tool(parts: Vec<UsageOfTool>) -> BTreeMap<String, ToolUsage> {
    let mut upstreams: HashMap<String, usize> = HashMap::new();
    for part in &parts {
        *upstreams.entry(part.name.tool.clone()).or_default() += 1;
    }
    let part = |UsageOfTool { name, usage }| {
        let upstream = (!name.upstream.is_empty()).then_some(name.upstream);
        let key = match &upstream {
            Some(upstream) if upstreams[&name.tool] > 1 => format!("{upstream}/{}", name.tool),
            _ => name.tool.clone(),
        };
        let usage = ToolUsage {
            tool: name.tool,
            upstream,
            count: usage.requests,
            tokens: usage.prompt_tokens + usage.completion_tokens,
            cost: wire::dollars(usage.cost_micros),
            errors: usage.errors,
            timeouts: usage.timeouts,
        };
        (key, usage)
    };
    parts.into_iter().map(part).collect()
}

fn by_name(parts: impl Iterator<Item = NamedUsage>) -> BTreeMap<String, Usage> {
    let part = |NamedUsage { name, usage }| {
        let name = if name.is_empty() { NOBODY.to_owned() } else { name };
        let usage = Usage {
            count: usage.requests,
            tokens: usage.prompt_tokens + usage.completion_tokens,
            cost: wire::dollars(usage.cost_micros),
            errors: usage.errors,
            timeouts: usage.timeouts,
        };
        (name, usage)
    };
    parts.map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use archon_sessions::store::reports::{ToolName, Usage as Sums};

    #[test]
    fn tools_of_one_name_at_two_upstreams_are_two() {
        let of = |upstream: &str, tool: &str, requests| UsageOfTool {
            name: ToolName { upstream: upstream.to_owned(), tool: tool.to_owned() },
            usage: Sums { requests, ..Sums::default() },
        };
        let found = by_tool(vec![of("a", "search", 3), of("b", "search", 2), of("a", "echo", 1)]);
        let counts: Vec<_> = found.iter().map(|(key, of)| (&**key, of.count)).collect();
        assert_eq!(counts, [("a/search", 3), ("b/search", 2), ("echo", 1)]);
        assert_eq!(found["echo"].upstream.as_deref(), Some("a"));
    }
}

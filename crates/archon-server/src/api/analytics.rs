//! `GET /api/mcp/analytics`: trends, ratios and response times of some days.

use std::sync::Arc;

use archon_sessions::store::reports::{self, Percentiles, Usage};
use archon_sessions_api::analytics::{
    Analytics, Change, Comparison, Daily, Hourly, Ratios, ResponseTimes, ToolTimes, Trends,
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

/// Returns the route.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show))
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
    /// Whether to compare them with as many days before; so it is if left out.
    compare: Option<bool>,
}

/// Says how some days went.
#[utoipa::path(
    get, path = "/api/mcp/analytics", operation_id = "get_analytics", tag = "reports", params(Asked),
    responses((status = 200, body = Analytics, description = "How some days went"))
)]
async fn show(
    State(overview): State<Arc<Overview>>,
    Query(asked): Query<Asked>,
) -> Result<Answer<Analytics>, ApiError> {
    let days = days_asked(asked.start_date, asked.end_date, asked.days)?;
    let found = overview.reports.analytics(days).await.map_err(super::store_failed)?;
    let compared = || compare(&found.total, &found.previous);
    let comparison = asked.compare.unwrap_or(true).then(compared);
    Ok(Answer(Analytics {
        period: wire::period(found.days),
        trends: trends(&found),
        ratios: Ratios {
            success: found.total.successes(),
            error: found.total.errors,
            timeout: found.total.timeouts,
            success_rate: success_rate(&found.total),
        },
        response_times: response_times(&found),
        comparison,
    }))
}

fn trends(found: &reports::Analytics) -> Trends {
    let daily = found.daily.iter().map(|of| Daily {
        date: of.day.to_string()[..10].to_owned(),
        requests: of.usage.requests,
        tokens: tokens(&of.usage),
        cost: wire::dollars(of.usage.cost_micros),
        success_rate: success_rate(&of.usage),
    });
    let hourly = (0_u8..).zip(&found.hourly).map(|(hour, usage)| Hourly {
        hour,
        requests: usage.requests,
        avg_duration: mean_ms(usage),
    });
    Trends { daily: daily.collect(), hourly: hourly.collect() }
}

fn response_times(found: &reports::Analytics) -> ResponseTimes {
    // What calls no tool counts in the whole only.
    let tools = found.by_tool.iter().filter(|of| !of.name.tool.is_empty());
    let by_tool = tools.map(|of| {
        let Percentiles { p50_us, p95_us, p99_us } = of.percentiles;
        ToolTimes {
            tool: of.name.tool.clone(),
            upstream: (!of.name.upstream.is_empty()).then(|| of.name.upstream.clone()),
            avg_ms: mean_ms(&of.usage),
            min_ms: wire::millis(of.usage.min_duration_us),
            max_ms: wire::millis(of.usage.max_duration_us),
            count: of.usage.requests,
            errors: of.usage.errors,
            timeouts: of.usage.timeouts,
            error_rate_percent: wire::percent(
                of.usage.errors + of.usage.timeouts,
                of.usage.requests,
            ),
            p50: wire::millis(p50_us),
            p95: wire::millis(p95_us),
            p99: wire::millis(p99_us),
        }
    });
    let Percentiles { p50_us, p95_us, p99_us } = found.percentiles;
    ResponseTimes {
        by_tool: by_tool.collect(),
        overall_avg: mean_ms(&found.total),
        p50: wire::millis(p50_us),
        p95: wire::millis(p95_us),
        p99: wire::millis(p99_us),
    }
}

fn compare(current: &Usage, previous: &Usage) -> Comparison {
    Comparison {
        requests: change(current.requests as f64, previous.requests as f64),
        success_rate: change(success_rate(current), success_rate(previous)),
        tokens: change(tokens(current) as f64, tokens(previous) as f64),
        cost: change(wire::dollars(current.cost_micros), wire::dollars(previous.cost_micros)),
    }
}

fn change(current: f64, previous: f64) -> Change {
    let by = (previous != 0.0).then(|| wire::rounded((current - previous) / previous * 100.0, 2));
    Change { current, previous, change_percent: by }
}

fn tokens(usage: &Usage) -> i64 {
    usage.prompt_tokens + usage.completion_tokens
}

fn success_rate(usage: &Usage) -> f64 {
    wire::percent(usage.successes(), usage.requests)
}

fn mean_ms(usage: &Usage) -> f64 {
    wire::rounded(wire::mean(usage.duration_us, usage.requests) / 1000.0, 3)
}

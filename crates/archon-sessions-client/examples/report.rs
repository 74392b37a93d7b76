//! What an operator wants to know of a gateway, in one page: `cargo run -p archon-sessions-client --example report`.
//!
//! `ARCHON_API_URL` names another gateway than this machine's, and `ARCHON_API_TOKEN` a token, if it wants one.

use std::env;
use std::error::Error;

use archon_sessions_client::{
    AnalyticsQuery, Api, ClientsQuery, DisconnectedQuery, ErrorsQuery, LogsQuery, PageQuery,
    SessionsQuery, UsageQuery,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("ARCHON_API_URL").unwrap_or_else(|_| "http://127.0.0.1:8181".to_owned());
    let mut api = Api::new(url)?;
    if let Ok(token) = env::var("ARCHON_API_TOKEN") {
        api = api.token(token)?;
    }
    let (health, status, config) = (api.health().await?, api.status().await?, api.config().await?);
    println!(
        "{} {}, {} s up, {} at {}",
        health.status, status.version, status.uptime, config.transport, config.path
    );
    println!("role: {:?}, database: {}", api.me().await?.role, config.database);
    let sessions = api.sessions_health().await?;
    println!("sessions: {:?}, {:?}", sessions.status_breakdown, sessions.age_distribution);

    for client in api.clients(&ClientsQuery::default()).await?.clients {
        println!(
            "here: {} ({:?}, {} s idle)",
            client.client_type, client.status, client.idle_seconds
        );
    }
    let ended = api.disconnected(&DisconnectedQuery { days: Some(7), limit: Some(5) }).await?;
    println!("ended: {:?}", ended.statistics.disconnect_reasons);

    let usage = api.usage(&UsageQuery { days: Some(30), ..UsageQuery::default() }).await?;
    println!(
        "used: {} requests, {} tokens",
        usage.summary.total_requests, usage.summary.total_tokens
    );
    for (tool, used) in usage.by_tool {
        println!("  {tool}: {} times", used.count);
    }
    let trend = AnalyticsQuery { days: Some(7), compare: Some(true), ..AnalyticsQuery::default() };
    let analytics = api.analytics(&trend).await?;
    println!(
        "answers: {} % good, p95 {} ms",
        analytics.ratios.success_rate, analytics.response_times.p95
    );

    for error in api.errors(&ErrorsQuery { limit: Some(3), ..ErrorsQuery::default() }).await?.errors
    {
        println!("failed: {}", error.message);
    }
    let lines = api.logs(&LogsQuery { limit: Some(3), ..LogsQuery::default() }).await?;
    println!("{} lines in the log, {} prices", lines.pagination.total, api.pricing().await?.total);

    let latest =
        api.sessions(&SessionsQuery { limit: Some(1), ..SessionsQuery::default() }).await?;
    if let Some(session) = latest.sessions.first() {
        let page = api
            .session(session.session.session_id, &PageQuery { limit: Some(1), cursor: None })
            .await?;
        println!("latest: {}, {} requests", page.session.client_type, page.summary.total_requests);
    }
    Ok(())
}

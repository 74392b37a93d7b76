//! `archon doctor`: checks a running deployment from end to end, as a client and as an operator.

mod api_checks;
mod client_checks;
mod mcp;
mod report;

use anyhow::bail;
use clap::Args;

use super::api::{ApiArgs, ApiClient, Secret, http_client};
use super::deployment::Deployment;
use super::{print, runtime};
use mcp::McpClient;
use report::Report;

/// One line a check; exit code 1 if one fails. It makes two sessions of the client `archon-doctor`, and ends them.
#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    deployment: Deployment,
    /// Bearer token for the MCP endpoint, if it requires one
    #[arg(long, env = "ARCHON_MCP_TOKEN", hide_env_values = true)]
    mcp_token: Option<Secret>,
    #[command(flatten)]
    api: ApiArgs,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

/// What the checks work with.
struct Patient {
    mcp: McpClient,
    api: ApiClient,
}

impl Doctor {
    /// Runs the checks.
    ///
    /// # Errors
    /// If one of them failed.
    pub fn run(self) -> anyhow::Result<()> {
        let api = self.api.client(self.deployment.configured())?;
        let url = self.deployment.url()?;
        let http = http_client(&url)?;
        let bearer = self.mcp_token.as_ref().and_then(Secret::bearer);
        let patient = Patient { mcp: McpClient::new(http, url, bearer), api };
        let mut report = Report::new(!self.json);
        runtime::block_on(async {
            patient.examine(&mut report).await;
            Ok(())
        })?;
        if self.json {
            print::lines(&serde_json::to_string_pretty(report.checks())?)?;
        }
        match report.failures() {
            0 => Ok(()),
            1 => bail!("1 check failed"),
            failures => bail!("{failures} checks failed"),
        }
    }
}

impl Patient {
    /// Goes from the outside in: what cannot be reached is not asked further.
    async fn examine(&self, report: &mut Report) {
        let has_mcp = self.mcp_is_well(report).await;
        let has_api = self.api_is_well(report).await;
        if !has_mcp {
            report.skip("sessions", "the MCP endpoint is not there");
            return;
        }
        self.upstreams_answer(report).await;
        let legacy = self.legacy_session(report).await;
        let modern = self.modern_session(report).await;
        if !has_api {
            report.skip("records", "the API is not there");
        }
        if let Some(connection) = &legacy {
            self.is_reused(report, connection).await;
            self.id_is_accepted(report, connection).await;
            if has_api {
                self.is_recorded(report, connection).await;
                self.is_tracked(report, connection).await;
                self.has_heartbeat(report, connection).await;
            }
            self.comes_back(report, connection).await;
        }
        if has_api {
            self.cleans_up(report).await;
            self.has_recovered(report).await;
            self.tells_live(report).await;
            self.has_no_orphans(report).await;
        }
        if let Some(connection) = &legacy {
            self.says_goodbye(report, connection, has_api).await;
        }
        if let Some(id) = modern.filter(|_| has_api) {
            self.ends_by_hand(report, &id).await;
        }
    }
}

//! `archon sessions`: who is and was connected, one of them, and its end.

mod table;

use std::io::{self, IsTerminal, Write};

use anyhow::{bail, ensure};
use archon_sessions_api::sessions::{Ended, SessionPage, Sessions as List};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::api::{ApiClient, GatewayArgs};
use super::{print, runtime};

/// See the subcommands.
#[derive(Debug, Args)]
pub struct Sessions {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List sessions, most recently active first
    List(Listed),
    /// Show a session, what it used, and its latest requests
    Show(Shown),
    /// End a session and revoke its handles
    End(End),
}

#[derive(Debug, Args)]
struct Listed {
    /// Only these
    #[arg(long, value_enum, default_value_t = Status::All)]
    status: Status,
    /// Only this client type, such as "Claude Code"
    #[arg(long, value_name = "TYPE")]
    client: Option<String>,
    /// Only sessions of this user
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Only sessions whose client or user contains this text, or whose id starts with it
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Rows per page
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Cursor of the next page
    #[arg(long)]
    cursor: Option<String>,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: GatewayArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Status {
    Active,
    Disconnected,
    Expired,
    All,
}

#[derive(Debug, Args)]
struct Shown {
    /// Session id (X-Archon-Session-Id)
    id: Uuid,
    /// Number of requests to show
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: GatewayArgs,
}

#[derive(Debug, Args)]
struct End {
    /// Session id (X-Archon-Session-Id)
    id: Uuid,
    /// Reason to record
    #[arg(long, value_enum, default_value_t = Reason::Operator)]
    reason: Reason,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    api: GatewayArgs,
}

#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
enum Reason {
    Operator,
    ClientDisconnect,
    Error,
    ServerShutdown,
}

impl Sessions {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// With what the gateway says, or why it cannot be asked.
    pub fn run(self) -> anyhow::Result<()> {
        runtime::block_on(async {
            match self.command {
                Command::List(list) => list.run().await,
                Command::Show(show) => show.run().await,
                Command::End(end) => end.run().await,
            }
        })
    }
}

impl Listed {
    async fn run(self) -> anyhow::Result<()> {
        let client = self.api.client()?;
        let status = match self.status {
            Status::Active => "active",
            Status::Disconnected => "disconnected",
            Status::Expired => "expired",
            Status::All => "all",
        };
        let mut asked = vec![("status", status.to_owned()), ("limit", self.limit.to_string())];
        let filters = [("client_type", self.client), ("user_id", self.user), ("q", self.search)];
        asked.extend(filters.into_iter().filter_map(|(name, value)| Some((name, value?))));
        asked.extend(self.cursor.map(|cursor| ("cursor", cursor)));
        let list: List = client.get("sessions", &asked).await?;
        if self.json {
            return print::lines(&serde_json::to_string_pretty(&list)?);
        }
        if list.sessions.is_empty() {
            return print::lines("no sessions");
        }
        print::lines(&table::sessions(&list.sessions))?;
        let about = if list.total_is_exact { "" } else { "more than " };
        let counted = format!("{} of {about}{} sessions", list.sessions.len(), list.total);
        match list.next_cursor {
            Some(cursor) => print::lines(&format!("{counted}; more with --cursor {cursor}")),
            None => print::lines(&counted),
        }
    }
}

impl Shown {
    async fn run(self) -> anyhow::Result<()> {
        let client = self.api.client()?;
        let page = show(&client, self.id, self.limit).await?;
        if self.json {
            return print::lines(&serde_json::to_string_pretty(&page)?);
        }
        print::lines(&table::session(&page))
    }
}

async fn show(client: &ApiClient, id: Uuid, limit: u16) -> anyhow::Result<SessionPage> {
    client.get(&format!("sessions/{id}"), &[("limit", limit.to_string())]).await
}

impl End {
    async fn run(self) -> anyhow::Result<()> {
        let client = self.api.client()?;
        if !self.yes {
            let page = show(&client, self.id, 1).await?;
            let who = print::plain(&page.session.client_type);
            ensure!(
                io::stdin().is_terminal(),
                "cannot ask whether to end the session of {who} without a terminal; use --yes"
            );
            eprint!(
                "End the session of {who}, {} requests so far? [y/N] ",
                page.summary.total_requests
            );
            io::stderr().flush()?;
            let mut answer = String::new();
            io::stdin().read_line(&mut answer)?;
            if !matches!(answer.trim(), "y" | "Y" | "yes") {
                bail!("not ended");
            }
        }
        let path = format!("sessions/{}/disconnect", self.id);
        let ended: Ended = client.post(&path, &json!({ "reason": self.reason })).await?;
        print::lines(&format!("{}: {}", ended.message, ended.disconnect_reason))
    }
}

//! `archon watch`: what happens to the sessions of a running gateway, as it happens.

mod lines;
mod screen;
mod view;

use std::io::IsTerminal;

use archon_sessions_client::{Events, EventsQuery, Notice};
use clap::Args;

use super::api::{ApiClient, GatewayArgs};
use super::runtime;

/// On a terminal a screen of its own; elsewhere, and with --plain, a line an event.
#[derive(Debug, Args)]
pub struct Watch {
    /// Only this session
    #[arg(long, value_name = "ID")]
    session: Option<uuid::Uuid>,
    /// Print lines, even on a terminal
    #[arg(long)]
    plain: bool,
    /// Print events as JSON, one object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: GatewayArgs,
}

impl Watch {
    /// Watches until told to stop.
    ///
    /// # Errors
    /// If the gateway cannot be reached in the first place. Later it is waited for.
    pub fn run(self) -> anyhow::Result<()> {
        let is_screen = !self.plain
            && !self.json
            && std::io::stdout().is_terminal()
            && std::io::stdin().is_terminal();
        runtime::block_on(async {
            let feed = Feed::open(&self.api.client()?, self.session).await?;
            if is_screen { screen::run(feed).await } else { lines::run(feed, self.json).await }
        })
    }
}

/// What happens, and where from.
struct Feed {
    address: String,
    events: Events,
}

impl Feed {
    async fn open(client: &ApiClient, session_id: Option<uuid::Uuid>) -> anyhow::Result<Self> {
        let events = client.events(EventsQuery { session_id, ..EventsQuery::default() }).await?;
        Ok(Self { address: client.base().to_string(), events })
    }

    /// Returns what comes next, and itself: to be waited for beside other things, over many looks at those.
    async fn into_next(mut self) -> (Self, Notice) {
        let notice = self.events.next().await;
        (self, notice)
    }
}

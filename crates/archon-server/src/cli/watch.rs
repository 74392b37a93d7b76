//! `archon watch`: what happens to the sessions of a running gateway, as it happens.

mod lines;
mod screen;
mod view;

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use super::api::{ApiArgs, ApiClient};
use super::live::Live;
use super::runtime;
use archon_sessions_api::frames::Frame;

/// Waits between tries to connect again: at once, then longer, and never longer than people are patient.
const WAITS: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// On a terminal a screen of its own; elsewhere, and with --plain, a line an event.
#[derive(Debug, Args)]
pub struct Watch {
    /// Only this session
    #[arg(long, value_name = "ID")]
    session: Option<uuid::Uuid>,
    /// Lines, even on a terminal
    #[arg(long)]
    plain: bool,
    /// The frames as they come, one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: ApiArgs,
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
            let feed = Feed::open(self.api.client()?, self.session).await?;
            if is_screen { screen::run(feed).await } else { lines::run(feed, self.json).await }
        })
    }
}

/// What there is to tell.
enum News {
    /// A frame, and its text.
    Frame(Box<Frame>, String),
    /// The connection was lost; it is tried again.
    Lost(String),
    /// It is back.
    Back,
}

/// Frames over all connections: where one is lost, the next goes on after the last frame.
struct Feed {
    client: ApiClient,
    session: Option<uuid::Uuid>,
    live: Option<Live>,
    /// The latest event that was heard of.
    seq: Option<u64>,
    /// Tries since the connection was lost.
    tries: usize,
}

impl Feed {
    async fn open(client: ApiClient, session: Option<uuid::Uuid>) -> anyhow::Result<Self> {
        let mut feed = Self { client, session, live: None, seq: None, tries: 0 };
        feed.live = Some(feed.connect().await?);
        Ok(feed)
    }

    fn address(&self) -> &str {
        self.client.base().as_str()
    }

    async fn connect(&self) -> anyhow::Result<Live> {
        let mut asked = Vec::new();
        asked.extend(self.session.map(|id| ("session_id", id.to_string())));
        asked.extend(self.seq.map(|seq| ("since", seq.to_string())));
        Live::connect(&self.client, &asked).await
    }

    /// Returns what comes next, and itself: to be waited for beside other things, over many looks at those.
    async fn into_next(mut self) -> (Self, News) {
        let news = self.next().await;
        (self, news)
    }

    /// Returns what comes next. Not to be cancelled again and again: a wait and a try would begin anew each time.
    async fn next(&mut self) -> News {
        loop {
            if let Some(live) = &mut self.live {
                match live.next().await {
                    Ok((frame, text)) => {
                        self.seq = Some(frame.seq);
                        return News::Frame(Box::new(frame), text);
                    }
                    Err(error) => {
                        self.live = None;
                        self.tries = 0;
                        return News::Lost(format!("{error:#}"));
                    }
                }
            }
            sleep(WAITS[self.tries.min(WAITS.len() - 1)]).await;
            self.tries += 1;
            if let Ok(live) = self.connect().await {
                self.live = Some(live);
                return News::Back;
            }
        }
    }
}

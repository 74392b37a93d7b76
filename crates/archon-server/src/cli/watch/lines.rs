//! A line an event, for pipes and logs.

use std::io::{self, ErrorKind, Write};

use archon_sessions_client::Notice;

use super::{Feed, view};
use crate::cli::{api, print};

/// Prints until nobody reads any more.
///
/// # Errors
/// If standard output cannot be written.
pub async fn run(mut feed: Feed, is_json: bool) -> anyhow::Result<()> {
    eprintln!("watching {}; Ctrl-C ends it", feed.address);
    loop {
        let line = match feed.events.next().await {
            Notice::Frame { text, .. } if is_json => Some(text),
            Notice::Frame { frame, .. } => view::line(&frame),
            Notice::Lost(error) => {
                let why = format!("{:#}", api::told(error));
                eprintln!("the connection is lost, trying again: {}", print::plain(&why));
                None
            }
            Notice::Back => {
                eprintln!("connected again");
                None
            }
        };
        let Some(line) = line else { continue };
        // Each at once: who reads a pipe waits for it.
        match writeln!(io::stdout(), "{line}").and_then(|()| io::stdout().flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
}

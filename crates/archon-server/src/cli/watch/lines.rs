//! A line an event, for pipes and logs.

use std::io::{self, ErrorKind, Write};

use super::{Feed, News, view};
use crate::cli::print;

/// Prints until nobody reads any more.
///
/// # Errors
/// If standard output cannot be written.
pub async fn run(mut feed: Feed, is_json: bool) -> anyhow::Result<()> {
    eprintln!("watching {}; Ctrl-C ends it", feed.address());
    loop {
        let line = match feed.next().await {
            News::Frame(_, text) if is_json => Some(text),
            News::Frame(frame, _) => view::line(&frame),
            News::Lost(why) => {
                eprintln!("the connection is lost, trying again: {}", print::plain(&why));
                None
            }
            News::Back => {
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

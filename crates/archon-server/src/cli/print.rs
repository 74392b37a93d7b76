//! Writes results to standard output. A reader that has seen enough (`| head`) is no error.

use std::io::{self, Write};

/// Prints text and ends its line.
///
/// # Errors
/// If standard output cannot be written for another reason than that its reader has left.
pub fn lines(text: &str) -> anyhow::Result<()> {
    written(writeln!(io::stdout(), "{text}"))
}

/// Tells a reader that has left from a failure.
///
/// # Errors
/// See [`lines`].
pub fn written(result: io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Returns text that others chose without what a terminal would obey.
pub fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

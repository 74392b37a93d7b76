//! Writes results to standard output. A reader that has seen enough (`| head`) is no error.

use std::io::{self, Write};

use archon_sessions::session::printable;

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

/// Characters of a text that others chose: some lines of a terminal.
const TEXT_CHARS_MAX: usize = 500;
/// Characters of a cell: a table with the longest names is still a table.
const CELL_CHARS_MAX: usize = 40;

/// Returns text that others chose without what a terminal would obey, on one line.
pub fn plain(text: &str) -> String {
    printable(text, TEXT_CHARS_MAX)
}

/// Returns the same for a cell of a table, or a part of a line.
pub fn cell(text: &str) -> String {
    printable(text, CELL_CHARS_MAX)
}

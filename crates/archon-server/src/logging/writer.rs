//! Where log lines go: each is one line, whatever the names in it hold.

use std::io::{self, Write};

use archon_sessions::session::is_printable;

/// Standard error for log lines. The terminal's own colours are left in; what a name brings along was escaped before, but
/// for what turns the direction of a text or ends a line.
pub struct Lines;

impl Write for Lines {
    /// Takes a line at a time, as log lines are written.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut to = io::stderr().lock();
        match harmless(line) {
            Some(changed) => to.write_all(changed.as_bytes())?,
            None => to.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Returns the line without what would change how others are shown; `None` if there is nothing of that in it.
fn harmless(line: &[u8]) -> Option<String> {
    let (text, end) = match line.strip_suffix(b"\n") {
        Some(text) => (text, "\n"),
        None => (line, ""),
    };
    // What is written of our own is plain ASCII mostly.
    if text.iter().all(|byte| byte.is_ascii() && !matches!(byte, b'\n' | b'\r')) {
        return None;
    }
    let text = String::from_utf8_lossy(text);
    let shown = |letter: char| match letter {
        '\n' | '\r' => ' ',
        '\u{1b}' | '\t' => letter,
        letter if is_printable(letter) => letter,
        _ => '\u{fffd}',
    };
    Some(text.chars().map(shown).chain(end.chars()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_line_wrecks_neither_it_nor_the_next() {
        let line = |text: &str| harmless(text.as_bytes());
        assert_eq!(line("\u{1b}[32m INFO\u{1b}[0m fine\n"), None);
        assert_eq!(line("client a\u{202e}b\n").as_deref(), Some("client a\u{fffd}b\n"));
        assert_eq!(line("one\ntwo\r\u{2028}\n").as_deref(), Some("one two \u{fffd}\n"));
        assert_eq!(line("Ren\u{e9}").as_deref(), Some("Ren\u{e9}"));
        assert_eq!(harmless(b"\xff\n").as_deref(), Some("\u{fffd}\n"));
    }
}

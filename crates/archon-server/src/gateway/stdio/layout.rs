//! How a child lays out its messages: finds the JSON texts in its lines. Pure.
//!
//! MCP wants one message a line, and nothing else (MCP 2025-11-25, Transports, stdio). What is said otherwise:
//!
//! | a child writes | what becomes of it |
//! |---|---|
//! | several messages on a line | each is one |
//! | a message over several lines: pretty-printed, or with a newline in a string | one message |
//! | log lines, before and between messages | skipped |
//! | UTF-16 | UTF-8 |
//! | a log line without a newline, then an answer | the answer, if it is one to a call in flight |
//! | the beginning of a message, then something else or nothing | cut off: its call ends |

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::gateway::wire::mended::utf16;

/// A message that goes on in the next line is written at once; a child that says nothing for so long has cut it off.
const GOES_ON_WITHIN: Duration = Duration::from_secs(1);

/// A part of what a child said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A JSON text, by its brackets: a message or a batch.
    Text(Bytes),
    /// One at the end of a line that began with something else.
    Tail(Bytes),
    /// The beginning of one whose end never came.
    Cut(Bytes),
    /// Something else.
    Stray(Bytes),
}

/// See the module.
#[derive(Debug)]
pub struct Layout {
    /// The beginning of a text that is not over.
    held: BytesMut,
    brackets: Brackets,
    since: Option<Instant>,
    bytes_max: usize,
}

impl Layout {
    /// Returns one for texts of at most so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { held: BytesMut::new(), brackets: Brackets::default(), since: None, bytes_max }
    }

    /// Returns one that holds the beginning of a text already.
    pub fn resume(bytes_max: usize, held: &[u8], now: Instant) -> Self {
        let mut layout = Self::new(bytes_max);
        if !held.is_empty() {
            // Its end was not in it.
            let _ = layout.brackets.end_in(held);
            layout.hold(held, now);
        }
        layout
    }

    /// Returns what it holds.
    pub fn into_held(self) -> BytesMut {
        self.held
    }

    /// Takes a line, with what ended it. `is_message` says whether a text is a message as it is.
    pub fn feed(
        &mut self,
        line: &Bytes,
        now: Instant,
        is_message: impl Fn(&Bytes) -> bool,
    ) -> Vec<Piece> {
        let line = utf8(line);
        let (mut pieces, mut rest) = (Vec::new(), line.clone());
        if self.is_holding() {
            if line.trim_ascii_start().starts_with(b"{") && is_message(&trimmed(&line)) {
                pieces.extend(self.give_up());
                pieces.push(Piece::Text(trimmed(&line)));
                return pieces;
            }
            let Some(end) = self.brackets.end_in(&line) else {
                self.hold(&line, now);
                if self.held.len() > self.bytes_max {
                    pieces.extend(self.give_up());
                }
                return pieces;
            };
            self.held.extend_from_slice(&line[..end]);
            pieces.push(Piece::Text(self.take()));
            rest = line.slice(end..);
        }
        self.split(&rest, now, &mut pieces);
        pieces
    }

    /// Takes a line, or the rest of one, where nothing is held.
    fn split(&mut self, line: &Bytes, now: Instant, pieces: &mut Vec<Piece>) {
        let mut rest = trimmed(line);
        while !rest.is_empty() {
            if !begins_text(&rest) {
                match tail_of(&rest) {
                    Some(tail) => {
                        pieces.push(Piece::Stray(rest.slice(..tail)));
                        pieces.push(Piece::Tail(rest.slice(tail..)));
                    }
                    None => pieces.push(Piece::Stray(rest)),
                }
                return;
            }
            // What ends the line may be part of a string.
            let whole = line.slice(offset(line, &rest)..);
            let Some(end) = self.brackets.end_in(&whole) else {
                return self.hold(&whole, now);
            };
            self.brackets = Brackets::default();
            pieces.push(Piece::Text(rest.slice(..end)));
            rest = trimmed(&rest.slice(end..));
            while rest.starts_with(b",") {
                rest = trimmed(&rest.slice(1..));
            }
        }
    }

    fn hold(&mut self, bytes: &[u8], now: Instant) {
        self.held.extend_from_slice(bytes);
        self.since = Some(now);
    }

    fn is_holding(&self) -> bool {
        self.since.is_some()
    }

    fn take(&mut self) -> Bytes {
        (self.brackets, self.since) = (Brackets::default(), None);
        trimmed(&self.held.split().freeze())
    }

    /// Returns when what is held is to be given up.
    pub fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + GOES_ON_WITHIN)
    }

    /// Gives up what is held: its end will not come.
    pub fn give_up(&mut self) -> Option<Piece> {
        self.is_holding().then(|| Piece::Cut(self.take()))
    }
}

/// Returns where `part`, which was cut from `whole`, begins in it.
fn offset(whole: &Bytes, part: &Bytes) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

/// Returns whether a JSON text of a message begins here. Log lines begin with brackets as well: `[INFO]`, `{level=…`.
fn begins_text(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let Some((first, after)) = bytes.split_first() else { return false };
    let next = after.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        b'{' => matches!(next, None | Some(b'"' | b'}')),
        b'[' => matches!(next, None | Some(b'{')),
        _ => false,
    }
}

/// Returns where a message begins that ends with this line, which begins with something else.
fn tail_of(line: &Bytes) -> Option<usize> {
    let at = memchr::memmem::find(line, b"{\"jsonrpc\"")?;
    (Brackets::default().end_in(&line[at..])? == line.len() - at).then_some(at)
}

/// Returns a line as UTF-8 if it is UTF-16, the encoding of PowerShell's pipes.
fn utf8(line: &Bytes) -> Bytes {
    match memchr::memchr(0, line) {
        Some(_) => utf16(line).map_or_else(|| line.clone(), Bytes::from),
        None => line.clone(),
    }
}

fn trimmed(bytes: &Bytes) -> Bytes {
    bytes.slice_ref(bytes.trim_ascii())
}

/// Counts the brackets of a JSON text, strings left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Brackets {
    depth: u32,
    is_in_string: bool,
    is_escaped: bool,
}

impl Brackets {
    /// Looks at the next bytes of a text; returns where in them it ends, if it does.
    pub fn end_in(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.is_in_string {
                if std::mem::take(&mut self.is_escaped) {
                    at += 1;
                    continue;
                }
                at += memchr::memchr2(b'"', b'\\', &bytes[at..])?;
                self.is_escaped = bytes[at] == b'\\';
                self.is_in_string = self.is_escaped;
            } else {
                match byte {
                    b'"' => self.is_in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' if self.depth <= 1 => return Some(at + 1),
                    b'}' | b']' => self.depth -= 1,
                    _ => {}
                }
            }
            at += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(lines: &[&str]) -> Vec<String> {
        let (mut layout, now) = (Layout::new(1000), Instant::now());
        let is_message = |text: &Bytes| text.starts_with(b"{\"jsonrpc\"") && text.ends_with(b"}");
        let mut pieces = Vec::new();
        for line in lines {
            let line = Bytes::copy_from_slice(line.as_bytes());
            pieces.extend(layout.feed(&line, now, is_message));
        }
        pieces.extend(layout.give_up());
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let show = |piece: &Piece| match piece {
            Piece::Text(bytes) => text(bytes),
            Piece::Tail(bytes) => format!("tail {}", text(bytes)),
            Piece::Cut(bytes) => format!("cut {}", text(bytes)),
            Piece::Stray(bytes) => format!("stray {}", text(bytes)),
        };
        pieces.iter().map(show).collect()
    }

    #[test]
    fn a_line_may_hold_several_texts() {
        assert_eq!(
            fed(&["{\"a\":\"}\"}{\"b\":[1]} , {}\n"]),
            ["{\"a\":\"}\"}", "{\"b\":[1]}", "{}"]
        );
        assert_eq!(fed(&["[{\"a\":1}]\r"]), ["[{\"a\":1}]"]);
        assert_eq!(fed(&["{\"a\":\"\\\"}\"} done\n"]), ["{\"a\":\"\\\"}\"}", "stray done"]);
    }

    #[test]
    fn a_text_may_take_several_lines() {
        assert_eq!(
            fed(&["{\n", "  \"a\": [\n", "    {}\n", "  ]\n", "}\n", "{}\n"]),
            ["{\n  \"a\": [\n    {}\n  ]\n}", "{}"]
        );
        assert_eq!(
            fed(&["{\"a\":\"one\r", "two\n", "three\"} {}\n"]),
            ["{\"a\":\"one\rtwo\nthree\"}", "{}"]
        );
        assert_eq!(fed(&["{\"x\":1} {\"a\":\n", "1}\n"]), ["{\"x\":1}", "{\"a\":\n1}"]);
    }

    #[test]
    fn what_is_cut_off_takes_nothing_with_it() {
        let message = r#"{"jsonrpc":"2.0","id":2,"result":{}}"#;
        let line = format!("{message}\n");
        assert_eq!(
            fed(&["{\"id\":1,\"result\":{\"a\":\"b\n", &line]),
            ["cut {\"id\":1,\"result\":{\"a\":\"b", message]
        );
        assert_eq!(fed(&["{\"id\":1,\n"]), ["cut {\"id\":1,"]);
        let long = "\"x\",".repeat(300);
        let cut = fed(&["{\"a\":[\n", &long, &line]);
        assert!(cut[0].starts_with("cut {\"a\":[") && cut[1] == message, "{cut:?}");
    }

    #[test]
    fn log_lines_are_told_from_texts() {
        for line in ["hello", "[INFO] {\"a\":1}", "{level=info}", "[2026] \"", "Content-Length: 20"]
        {
            assert_eq!(fed(&[line]), [format!("stray {line}")]);
        }
        let message = r#"{"jsonrpc":"2.0","id":2,"result":{"a":"}"}}"#;
        assert_eq!(
            fed(&[&format!("starting...{message}\n")]),
            ["stray starting...", &format!("tail {message}")]
        );
        assert_eq!(
            fed(&[&format!("sent {message} in 3 ms")]),
            [format!("stray sent {message} in 3 ms")]
        );
    }

    #[test]
    fn another_one_goes_on_in_the_middle_of_a_text() {
        let now = Instant::now();
        let mut layout = Layout::new(100);
        layout.feed(&Bytes::from_static(b"{\"a\": [\"}\",\n"), now, |_| false);
        let mut layout = Layout::resume(100, &layout.into_held(), now);
        assert!(layout.due().is_some());
        let pieces = layout.feed(&Bytes::from_static(b"1]}\n"), now, |_| false);
        assert_eq!(pieces, [Piece::Text(Bytes::from_static(b"{\"a\": [\"}\",\n1]}"))]);
        assert!(Layout::resume(100, b"", now).due().is_none());
    }

    #[test]
    fn what_is_held_is_given_up_in_time() {
        let (mut layout, now) = (Layout::new(100), Instant::now());
        assert_eq!(layout.due(), None);
        layout.feed(&Bytes::from_static(b"{\n"), now, |_| false);
        assert_eq!(layout.due(), Some(now + GOES_ON_WITHIN));
        layout.feed(&Bytes::from_static(b"}\n"), now, |_| false);
        assert_eq!(layout.due(), None);
    }
}

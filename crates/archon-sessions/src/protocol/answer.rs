//! Finds answers in what an MCP server sends, byte by byte, without keeping or rebuilding it.
//!
//! A tool's answer may be megabytes long, and whether it is an error may stand in its last bytes
//! (`"isError":true`). The scanner looks at each byte once and keeps nothing but a few flags and the
//! answer's id, so a stream costs the same memory whatever its length.

use super::envelope::ID_BYTES_MAX;

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A `result` that is no tool error.
    Success,
    /// A JSON-RPC `error`, or a tool result with `isError`.
    Error,
}

/// Watches one JSON text: a message, or a batch of them.
#[derive(Debug, Default)]
pub struct Scanner {
    depth: u32,
    /// The depth of a message's own braces: 1, or 2 inside a batch.
    base: u32,
    in_string: bool,
    escaped: bool,
    /// A string that starts now is a key.
    at_key: bool,
    key: Key,
    /// The last key read directly in the message, and directly in its `result`.
    outer: Field,
    inner: Field,
    in_result: bool,
    seen_result: bool,
    seen_error: bool,
    is_error: bool,
    id: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Field {
    #[default]
    Other,
    Id,
    Result,
    Error,
    IsError,
}

/// The key being read; longer ones are none that we look for.
#[derive(Debug, Default)]
struct Key {
    reading: bool,
    bytes: [u8; 8],
    len: usize,
}

impl Scanner {
    /// Looks at the next bytes and reports each answer in them: its id as JSON text, and its verdict.
    pub fn feed(&mut self, bytes: &[u8], on_answer: &mut impl FnMut(&[u8], Verdict)) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if self.in_string {
                rest = self.feed_string(rest);
                continue;
            }
            rest = after;
            self.feed_structure(byte, on_answer);
        }
    }

    /// Takes what belongs to the current string, its closing quote included; returns the rest.
    fn feed_string<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.escaped {
            self.escaped = false;
            self.keep(&bytes[..1]);
            return &bytes[1..];
        }
        match memchr::memchr2(b'"', b'\\', bytes) {
            None => {
                self.keep(bytes);
                &[]
            }
            Some(at) => {
                self.keep(&bytes[..=at]);
                if bytes[at] == b'"' {
                    self.end_string();
                } else {
                    self.escaped = true;
                }
                &bytes[at + 1..]
            }
        }
    }

    fn feed_structure(&mut self, byte: u8, on_answer: &mut impl FnMut(&[u8], Verdict)) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'"' => {
                self.in_string = true;
                if std::mem::take(&mut self.at_key) {
                    self.key = Key { reading: true, ..Key::default() };
                } else {
                    self.keep(b"\"");
                }
            }
            b'{' | b'[' => self.open(byte),
            b'}' | b']' => self.close(on_answer),
            b',' => {
                self.at_key = self.depth == self.base || self.is_in_result();
                if self.depth == self.base {
                    self.outer = Field::Other;
                }
                self.inner = Field::Other;
            }
            b':' => {}
            _ => {
                if byte == b't' && self.is_in_result() && self.inner == Field::IsError {
                    self.is_error = true;
                }
                self.keep(&[byte]);
            }
        }
    }

    fn open(&mut self, byte: u8) {
        self.depth = self.depth.saturating_add(1);
        if self.depth == 1 {
            self.base = if byte == b'[' { 2 } else { 1 };
        }
        if byte != b'{' {
            return;
        }
        if self.depth == self.base {
            let (depth, base) = (self.depth, self.base);
            let id = std::mem::take(&mut self.id);
            *self = Self { depth, base, id, at_key: true, ..Self::default() };
            self.id.clear();
        } else if self.depth == self.base + 1 && self.outer == Field::Result {
            self.in_result = true;
            self.at_key = true;
            self.inner = Field::Other;
        }
    }

    fn close(&mut self, on_answer: &mut impl FnMut(&[u8], Verdict)) {
        self.at_key = false;
        if self.depth == self.base && self.base > 0 {
            if self.seen_error || self.seen_result {
                let failed = self.seen_error || self.is_error;
                on_answer(&self.id, if failed { Verdict::Error } else { Verdict::Success });
            }
            self.seen_error = false;
            self.seen_result = false;
        } else if self.depth == self.base + 1 {
            self.in_result = false;
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// Keeps bytes where they are part of a key we may look for, or of the id.
    fn keep(&mut self, bytes: &[u8]) {
        if self.key.reading {
            for &byte in bytes {
                if let Some(slot) = self.key.bytes.get_mut(self.key.len) {
                    *slot = byte;
                }
                self.key.len += 1;
            }
        } else if self.outer == Field::Id && self.depth == self.base {
            let room = ID_BYTES_MAX.saturating_sub(self.id.len());
            self.id.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    fn end_string(&mut self) {
        self.in_string = false;
        if !std::mem::take(&mut self.key.reading) {
            return;
        }
        let key = self.key.bytes.get(..self.key.len).unwrap_or_default();
        let field = match key {
            b"id\"" => Field::Id,
            b"result\"" => Field::Result,
            b"error\"" => Field::Error,
            b"isError\"" => Field::IsError,
            _ => Field::Other,
        };
        if self.is_in_result() {
            self.inner = field;
        } else {
            self.outer = field;
            self.seen_result |= field == Field::Result;
            self.seen_error |= field == Field::Error;
        }
    }

    fn is_in_result(&self) -> bool {
        self.in_result && self.depth == self.base + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans whole and in every split of two, and byte by byte: all must agree.
    fn scan(json: &str) -> Vec<(String, Verdict)> {
        let run = |parts: &[&[u8]]| {
            let (mut scanner, mut found) = (Scanner::default(), Vec::new());
            for part in parts {
                scanner.feed(part, &mut |id, verdict| {
                    found.push((String::from_utf8_lossy(id).into_owned(), verdict));
                });
            }
            found
        };
        let bytes = json.as_bytes();
        let whole = run(&[bytes]);
        for at in 0..bytes.len() {
            assert_eq!(run(&[&bytes[..at], &bytes[at..]]), whole, "split at {at}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(run(&single), whole);
        whole
    }

    #[test]
    fn answers_are_told_from_other_messages() {
        use Verdict::{Error, Success};
        let table: &[(&str, &[(&str, Verdict)])] = &[
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, &[("1", Success)]),
            (r#"{"result":{"content":[]}, "id" : "a\"}" }"#, &[(r#""a\"}""#, Success)]),
            (r#"{"id":1,"error":{"code":1,"message":"isError"}}"#, &[("1", Error)]),
            (
                r#"{"id":1,"result":{"content":[{"isError":true}],"isError":false}}"#,
                &[("1", Success)],
            ),
            (
                r#"{"id":1,"result":{"content":[{"text":"a,\"isError\":true"}],"isError": true}}"#,
                &[("1", Error)],
            ),
            (r#"{"id":1,"result":{"isError":true,"x":[1,{"y":2}]}}"#, &[("1", Error)]),
            (r#"{"id":1,"result":[{"isError":true}]}"#, &[("1", Success)]),
            (r#"{"id":1,"result":{"id":9,"result":{"isError":true}}}"#, &[("1", Success)]),
            (r#"{"id":1,"method":"sampling/createMessage","params":{"result":1}}"#, &[]),
            (r#"{"method":"notifications/progress","params":{"error":1}}"#, &[]),
            (
                r#"[{"id":1,"result":{}},{"method":"x"},{"id":2,"result":{"isError":true}}]"#,
                &[("1", Success), ("2", Error)],
            ),
        ];
        for (json, expected) in table {
            let expected: Vec<_> = expected.iter().map(|(id, v)| ((*id).to_owned(), *v)).collect();
            assert_eq!(scan(json), expected, "{json}");
        }
    }

    #[test]
    fn nonsense_finds_nothing_and_does_not_panic() {
        for json in
            ["", "]]]}}}", "{{{{", "\"", "\\", "nul", "{\"id", "[[[[{}]]]]", "{}{}{\"error\":"]
        {
            scan(json);
        }
    }
}

//! Finds how long a server wants to be left alone before its stream is asked for again.
//!
//! HTML Living Standard, 9.2.6: `retry` with a value of digits alone sets the reconnection time, in
//! milliseconds. MCP 2025-11-25, Transports: a client must wait for that long before it reconnects.

use std::time::Duration;

/// No stream is waited for longer than this; it also keeps sums of times in bounds.
const RETRY_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const FIELD: &[u8] = b"retry:";

/// Follows a stream of events, however it is cut.
#[derive(Debug, Default)]
pub struct Retry {
    state: State,
    latest: Option<Duration>,
}

/// Where in a line we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes of `retry:` matched since the start of the line.
    Field(usize),
    /// Just after `retry:`, where one space is not part of the value.
    Space,
    /// In the value; what its digits say so far, in milliseconds.
    Value(Option<u64>),
    /// In any other line.
    Skip,
}

impl Default for State {
    fn default() -> Self {
        Self::Field(0)
    }
}

impl Retry {
    /// Looks at the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            let is_newline = matches!(byte, b'\n' | b'\r');
            self.state = match self.state {
                State::Value(Some(millis)) if is_newline => {
                    self.latest = Some(Duration::from_millis(millis).min(RETRY_MAX));
                    State::default()
                }
                _ if is_newline => State::default(),
                State::Field(matched) if byte == FIELD[matched] => {
                    let is_whole = matched + 1 == FIELD.len();
                    if is_whole { State::Space } else { State::Field(matched + 1) }
                }
                State::Space if byte == b' ' => State::Value(None),
                State::Space => with_digit(None, byte),
                State::Value(millis) => with_digit(millis, byte),
                State::Field(_) | State::Skip => {
                    let end = memchr::memchr2(b'\n', b'\r', rest);
                    rest = &rest[end.unwrap_or(rest.len())..];
                    State::Skip
                }
            };
        }
    }

    /// Returns the time that was set last.
    pub fn latest(&self) -> Option<Duration> {
        self.latest
    }
}

fn with_digit(millis: Option<u64>, byte: u8) -> State {
    if !byte.is_ascii_digit() {
        return State::Skip;
    }
    let millis = millis.unwrap_or(0).saturating_mul(10).saturating_add(u64::from(byte - b'0'));
    State::Value(Some(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_valid_time_counts_however_the_stream_is_cut() {
        for (stream, expected) in [
            ("", None),
            ("data: 1\n\n", None),
            ("retry: 500\ndata: \n\n", Some(500)),
            ("id: 1\r\nretry:20\r\ndata: retry: 7\r\n\r\n", Some(20)),
            ("retry: 5\r\rretry: 6\r", Some(6)),
            ("retry: 5\n\nretry: soon\n\nretry:\n\nretry: 1.5\n\nretry: -1\n\n", Some(5)),
            ("retry: 5\n\nretrying: 6\nre\n: retry: 7\n\nretry: 8", Some(5)),
            ("retry: 99999999999999999999999\n", Some(24 * 60 * 60 * 1000)),
        ] {
            for chunk in 1..=stream.len().max(1) {
                let mut retry = Retry::default();
                stream.as_bytes().chunks(chunk).for_each(|bytes| retry.feed(bytes));
                let expected = expected.map(Duration::from_millis);
                assert_eq!(retry.latest(), expected, "{stream:?} by {chunk}");
            }
        }
    }
}

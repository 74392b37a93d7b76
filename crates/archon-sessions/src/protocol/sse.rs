//! Follows a server-sent event stream and hands out the data of its events, without buffering lines.
//!
//! HTML Living Standard, 9.2.6: lines end with CR, LF or CRLF; an empty line ends the event.

mod renumber;
mod repeat;
mod retry;

pub use renumber::{Ended, Naming, Renumber};
pub use repeat::{first_event, first_message};
pub use retry::Retry;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// Returns true if an answer with these headers is an event stream.
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// What the stream said next.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// More of the current event's data.
    Data(&'a [u8]),
    /// The current event is over.
    End,
}

/// Where in a line we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes of `data:` matched since the start of the line.
    Field(usize),
    /// Just after `data:`, where one space is not part of the data.
    Space,
    /// In the data.
    Data,
    /// In another field or a comment.
    Skip,
}

const FIELD: &[u8] = b"data:";

/// Splits a stream into the data of its events.
#[derive(Debug)]
pub struct Events {
    state: State,
    after_cr: bool,
    has_data: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self { state: State::Field(0), after_cr: false, has_data: false }
    }
}

impl Events {
    /// Looks at the next bytes and reports what they hold of events' data, in order.
    pub fn feed(&mut self, bytes: &[u8], on_part: &mut impl FnMut(Part<'_>)) {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            if std::mem::take(&mut self.after_cr) && byte == b'\n' {
                rest = &rest[1..];
                continue;
            }
            match self.state {
                State::Field(matched) => rest = self.feed_field(matched, rest, on_part),
                State::Space => {
                    self.state = State::Data;
                    if byte == b' ' {
                        rest = &rest[1..];
                    }
                }
                State::Data | State::Skip => {
                    let end = memchr::memchr2(b'\n', b'\r', rest);
                    let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
                    if self.state == State::Data && !line.is_empty() {
                        on_part(Part::Data(line));
                    }
                    rest = after;
                    if let Some((&newline, after)) = after.split_first() {
                        self.after_cr = newline == b'\r';
                        self.state = State::Field(0);
                        rest = after;
                    }
                }
            }
        }
    }

    fn feed_field<'a>(
        &mut self,
        matched: usize,
        rest: &'a [u8],
        on_part: &mut impl FnMut(Part<'_>),
    ) -> &'a [u8] {
        let byte = rest[0];
        if byte == b'\n' || byte == b'\r' {
            self.after_cr = byte == b'\r';
            self.state = State::Field(0);
            // An empty line ends the event; a line of a part of the field's name means nothing.
            if matched == 0 && std::mem::take(&mut self.has_data) {
                on_part(Part::End);
            }
        } else if byte == FIELD[matched] {
            self.state = if matched + 1 < FIELD.len() {
                State::Field(matched + 1)
            } else {
                if self.has_data {
                    on_part(Part::Data(b"\n"));
                }
                self.has_data = true;
                State::Space
            };
        } else {
            self.state = State::Skip;
        }
        &rest[1..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(stream: &str, chunk: usize) -> Vec<String> {
        let (mut events, mut open, mut found) = (Events::default(), String::new(), Vec::new());
        for bytes in stream.as_bytes().chunks(chunk) {
            events.feed(bytes, &mut |part| match part {
                Part::Data(data) => open.push_str(&String::from_utf8_lossy(data)),
                Part::End => found.push(std::mem::take(&mut open)),
            });
        }
        found
    }

    #[test]
    fn the_data_of_each_event_comes_out_however_it_is_cut() {
        let stream = ": hello\n\nid: 1\ndata: \n\nevent: message\r\ndata: {\"a\":1}\r\n\r\n\
                      data:x\rdata: y\r\rdat: no\ndata:  two\n\nda\n\ndata: unfinished";
        for chunk in 1..40 {
            assert_eq!(events(stream, chunk), ["", "{\"a\":1}", "x\ny", " two"], "{chunk}");
        }
    }
}

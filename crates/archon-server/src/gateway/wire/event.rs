//! One event of a server-sent event stream, whole: its fields, and its bytes as they were sent.
//!
//! HTML Living Standard, 9.2.6: lines end with CR, LF or CRLF, a blank line ends the event, and a byte order mark at
//! the beginning of the stream is skipped.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// An event, or comments and fields between two events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its bytes, with the blank line that ends it.
    pub raw: Bytes,
    /// Its `data` lines, joined by newlines; `None` if it has none, so that it dispatches nothing.
    pub data: Option<Bytes>,
    /// Its `id`.
    pub id: Option<Bytes>,
    /// Its `retry`: how long to wait before the stream is opened again.
    pub retry: Option<Duration>,
}

impl Event {
    /// Reads the fields of an event whose bytes are complete.
    fn read(raw: Bytes) -> Self {
        let mut event = Self { raw: raw.clone(), ..Self::default() };
        let mut data: Option<BytesMut> = None;
        for line in lines(raw.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&raw)) {
            let (name, value) = field(line);
            match name {
                b"data" => match &mut data {
                    Some(data) => {
                        data.extend_from_slice(b"\n");
                        data.extend_from_slice(value);
                    }
                    None => data = Some(BytesMut::from(value)),
                },
                b"id" if !value.contains(&0) => event.id = Some(Bytes::copy_from_slice(value)),
                b"retry" => {
                    let text = std::str::from_utf8(value).ok();
                    let retry = text.and_then(|text| text.parse().ok());
                    event.retry = retry.map(Duration::from_millis).or(event.retry);
                }
                _ => {}
            }
        }
        event.data = data.map(BytesMut::freeze);
        event
    }

    /// Returns the bytes of this event with other data; its other fields stay as they were sent.
    pub fn with_data(&self, data: &[u8]) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.raw.len() + data.len());
        let mut is_written = false;
        for line in lines(self.raw.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.raw)) {
            if field(line).0 != b"data" {
                bytes.extend_from_slice(line);
                bytes.extend_from_slice(b"\n");
            } else if !std::mem::replace(&mut is_written, true) {
                for line in lines(data) {
                    bytes.extend_from_slice(b"data: ");
                    bytes.extend_from_slice(line);
                    bytes.extend_from_slice(b"\n");
                }
            }
        }
        bytes.extend_from_slice(b"\n");
        bytes.freeze()
    }
}

/// Splits the lines that have any text.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty())
}

fn field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = memchr::memchr(b':', line) else { return (line, b"") };
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}

/// Cuts a stream into events.
#[derive(Debug, Default)]
pub struct Events {
    /// The bytes of the event that is not complete yet.
    open: BytesMut,
    /// How far the current line goes on into what was fed last.
    has_text_in_line: bool,
    is_after_cr: bool,
}

impl Events {
    /// Takes the next bytes of the stream and hands out the events that they complete, in order.
    pub fn feed(&mut self, bytes: &[u8], on_event: &mut impl FnMut(Event)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.is_after_cr) && rest[0] == b'\n' {
                self.open.extend_from_slice(b"\n");
                rest = &rest[1..];
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', rest) else {
                self.open.extend_from_slice(rest);
                self.has_text_in_line = true;
                return;
            };
            let (line, after) = rest.split_at(end + 1);
            self.is_after_cr = line[end] == b'\r';
            self.open.extend_from_slice(line);
            let is_blank = end == 0 && !std::mem::take(&mut self.has_text_in_line);
            self.has_text_in_line = false;
            if is_blank {
                on_event(Event::read(self.open.split().freeze()));
            }
            rest = after;
        }
    }

    /// Returns how many bytes wait for the end of their event.
    pub fn waiting(&self) -> usize {
        self.open.len()
    }

    /// Returns the bytes that belong to no complete event.
    pub fn take_rest(&mut self) -> Bytes {
        self.open.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(stream: &[u8], chunk: usize) -> (Vec<Event>, Bytes) {
        let (mut events, mut found) = (Events::default(), Vec::new());
        for bytes in stream.chunks(chunk) {
            events.feed(bytes, &mut |event| found.push(event));
        }
        (found, events.take_rest())
    }

    #[test]
    fn events_come_out_whole_however_the_stream_is_cut() {
        let stream = b"\xEF\xBB\xBFid: 0\nretry: 500\ndata: \n\n: comment\n\nevent: message\r\ndata: {\"a\":\r\ndata:1}\r\n\r\nid:7\rdata\r\rdata: cut";
        for chunk in 1..stream.len() {
            let (found, rest) = events(stream, chunk);
            let raw: Vec<u8> = found.iter().flat_map(|event| event.raw.to_vec()).collect();
            assert_eq!([&raw[..], &rest[..]].concat(), stream, "{chunk}");
            let data: Vec<_> = found.iter().filter_map(|event| event.data.as_deref()).collect();
            assert_eq!(data, [&b""[..], b"{\"a\":\n1}", b""], "{chunk}");
            assert_eq!(found[0].id.as_deref(), Some(&b"0"[..]), "{chunk}");
            assert_eq!(found[0].retry, Some(Duration::from_millis(500)), "{chunk}");
            assert_eq!(found[1].data, None);
        }
    }

    #[test]
    fn other_fields_stay_when_the_data_changes() {
        let (found, _) = events(b"id: 4\r\ndata: {\r\ndata: }\r\nevent: message\r\n\r\n", 100);
        assert_eq!(found[0].with_data(b"{\n7}"), "id: 4\ndata: {\ndata: 7}\nevent: message\n\n");
    }
}

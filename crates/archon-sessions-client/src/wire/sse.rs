//! Takes events out of a stream: pure. Ours, because what it keeps must have a bound.

/// The longest line, and the most data of one event: results can be large, but not this large.
pub(crate) const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An event of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its id, to come back with.
    pub id: Option<String>,
    /// Its data lines, joined.
    pub data: String,
    /// How many milliseconds the server asks to wait before one comes back.
    pub retry_ms: Option<u64>,
}

/// An event was larger than is bearable.
#[derive(Debug, thiserror::Error)]
#[error("an event of the answer is larger than {} MiB", EVENT_BYTES_MAX / (1024 * 1024))]
pub(crate) struct TooLarge;

/// Gathers lines into events (WHATWG HTML, 9.2.6).
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    has_other: bool,
    after_cr: bool,
    has_begun: bool,
}

/// A byte order mark, which may stand before the first line.
const BOM: &[u8] = "\u{feff}".as_bytes();

impl Decoder {
    /// Takes a piece of the stream, and returns the events that it completes.
    ///
    /// # Errors
    /// If one is too large. The rest of the stream means nothing then.
    pub fn take(&mut self, piece: &[u8]) -> Result<Vec<Event>, TooLarge> {
        let mut events = Vec::new();
        let mut rest = piece;
        if self.after_cr && rest.first() == Some(&b'\n') {
            rest = &rest[1..];
        }
        self.after_cr &= rest.is_empty();
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.line.extend_from_slice(&rest[..end]);
            let is_crlf = rest[end] == b'\r' && rest.get(end + 1) == Some(&b'\n');
            self.after_cr = rest[end] == b'\r' && end + 1 == rest.len();
            rest = &rest[end + 1 + usize::from(is_crlf)..];
            events.extend(self.end_line()?);
        }
        self.line.extend_from_slice(rest);
        if self.line.len() > EVENT_BYTES_MAX { Err(TooLarge) } else { Ok(events) }
    }

    /// Returns the event at the end of a stream that lacks the empty line after it. It may have been cut off.
    pub fn finish(mut self) -> Option<Event> {
        let unfinished = if self.line.is_empty() { None } else { self.end_line().ok()? };
        unfinished.or_else(|| self.end_line().ok()?).filter(|event| !event.data.is_empty())
    }

    fn end_line(&mut self) -> Result<Option<Event>, TooLarge> {
        let mut line = std::mem::take(&mut self.line);
        if !std::mem::replace(&mut self.has_begun, true) && line.starts_with(BOM) {
            line.drain(..BOM.len());
        }
        if line.is_empty() {
            let is_event = std::mem::take(&mut self.has_data) | std::mem::take(&mut self.has_other);
            let event = std::mem::take(&mut self.event);
            return Ok(is_event.then_some(event));
        }
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            "retry" => self.event.retry_ms = value.parse().ok(),
            _ => return Ok(None),
        }
        self.has_other |= field != "data";
        if self.event.data.len() > EVENT_BYTES_MAX { Err(TooLarge) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\n\nid: 1\nretry: 250\ndata:\n\nevent: message\r\nid:2\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n\
                          data: x\r\rdata: never ended";

    fn expected() -> Vec<Event> {
        let event = |id: Option<&str>, data: &str, retry_ms| Event {
            id: id.map(str::to_owned),
            data: data.to_owned(),
            retry_ms,
        };
        vec![
            event(Some("1"), "", Some(250)),
            event(Some("2"), "{\"a\":\n1}", None),
            event(None, "x", None),
        ]
    }

    #[test]
    fn events_are_found_however_the_stream_is_cut() {
        for size in 1..STREAM.len() {
            let mut decoder = Decoder::default();
            let mut events = Vec::new();
            for piece in STREAM.as_bytes().chunks(size) {
                events.extend(decoder.take(piece).unwrap());
            }
            assert_eq!(events, expected(), "in pieces of {size}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_field_and_the_last_event_needs_no_empty_line() {
        let mut decoder = Decoder::default();
        let events = decoder.take("\u{feff}data: a\n\ndata: \u{feff}b\n\n".as_bytes()).unwrap();
        let data: Vec<&str> = events.iter().map(|event| &*event.data).collect();
        assert_eq!(data, ["a", "\u{feff}b"]);
        for (stream, last) in [
            ("data: a\n", Some("a")),
            ("data: a", Some("a")),
            ("data: a\ndata: b", Some("a\nb")),
            ("id: 1\ndata:", None),
            ("data: a\n\n", None),
            ("", None),
        ] {
            let mut decoder = Decoder::default();
            decoder.take(stream.as_bytes()).unwrap();
            assert_eq!(decoder.finish().map(|event| event.data).as_deref(), last, "{stream:?}");
        }
    }

    #[test]
    fn an_endless_event_is_not_gathered() {
        let mut decoder = Decoder::default();
        let piece = vec![b'x'; 1024 * 1024];
        assert!(decoder.take(b"data: ").is_ok());
        let is_refused = (0..=64).any(|_| decoder.take(&piece).is_err());
        assert!(is_refused);
    }
}

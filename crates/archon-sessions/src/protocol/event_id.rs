//! Ids of the events on legacy streams: what a client sends back as `Last-Event-ID`.
//!
//! An id names its stream, its place on it, and the request that the stream is to answer. So even where
//! every record of a stream is lost, a client that comes back for an answer can be told about its own
//! request, instead of asking again and again.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::envelope::ID_BYTES_MAX;

/// A stream's name, unique over all streams of all times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub i64);

/// An event's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventId {
    /// On which stream.
    pub stream: StreamId,
    /// The how-manieth event, from 0.
    pub seq: u64,
    /// The id (JSON text) of the one request that the stream is to answer; `None` for a stream on which
    /// the server speaks by itself, or that answers several.
    pub request: Option<Box<str>>,
}

/// Longest text that can be an id of ours.
const TEXT_BYTES_MAX: usize = 16 + 1 + 20 + 1 + ID_BYTES_MAX * 4 / 3 + 4;

impl EventId {
    /// Parses an id that we issued; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let mut parts = text.splitn(3, '-');
        let stream = StreamId(i64::from_str_radix(parts.next()?, 16).ok()?);
        let seq = parts.next()?.parse().ok()?;
        let request = match parts.next() {
            None => None,
            Some(encoded) => {
                let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
                Some(String::from_utf8(bytes).ok()?.into())
            }
        };
        Some(Self { stream, seq, request })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = around_seq(self.stream, self.request.as_deref());
        write!(f, "{before}{}{after}", self.seq)
    }
}

/// Returns what stands before and after the number in the ids of one stream.
pub fn around_seq(stream: StreamId, request: Option<&str>) -> (String, String) {
    let after = request.map(|id| format!("-{}", URL_SAFE_NO_PAD.encode(id)));
    (format!("{:x}-", stream.0), after.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text() {
        for request in [None, Some("7"), Some(r#""a-b-c""#), Some("\"\u{fc}\"")] {
            let request = request.map(Box::from);
            let id = EventId { stream: StreamId(i64::MAX), seq: 12, request };
            assert_eq!(EventId::parse(&id.to_string()), Some(id));
        }
    }

    #[test]
    fn foreign_ids_are_none_of_ours() {
        for text in ["", "7", "0/0", "x-1", "1-x", "1-1-*", "-1", &"1".repeat(900)] {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }
}

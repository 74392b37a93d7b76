//! Ids of the events on legacy streams: what a client sends back as `Last-Event-ID`.
//!
//! An id names its stream, its place on it, and what it takes to go on from there: the request that the
//! stream is to answer, or the upstream's own id of the event. So even where every record of a stream is
//! lost, a client that comes back for an answer is told about its own request, instead of asking again and
//! again, and one that listens hears nothing twice. The id of an event that brought the answer says so: a
//! client that shows it has read the answer, whatever is still known of the stream.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

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
    /// What it takes to go on from there.
    pub origin: EventOrigin,
}

/// Where an event comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventOrigin {
    /// A stream that is to answer the request of this id (JSON text).
    Request(Box<str>),
    /// A stream on which the server speaks by itself; what the upstream called the event.
    Upstream(UpstreamEventId),
    /// The event that brought the last answer of its stream, or a later one: nothing is left to go on with.
    Answered,
    /// A stream that answers several requests, or an event that the upstream gave no id.
    Nothing,
}

/// What an upstream called an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamEventId {
    /// The link that the id means something on: see [`link_mark`].
    pub link_mark: u32,
    /// The id.
    pub id: Box<str>,
}

/// How an id says that its event brought the answer.
const ANSWERED: &str = "a";

/// Longer than any id of ours; a client cannot make us decode more.
const TEXT_BYTES_MAX: usize = 2048;

impl EventId {
    /// Parses an id that we issued; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let mut parts = text.splitn(3, '-');
        let stream = StreamId(i64::from_str_radix(parts.next()?, 16).ok()?);
        let seq = parts.next()?.parse().ok()?;
        let Some(origin) = parts.next() else {
            return Some(Self { stream, seq, origin: EventOrigin::Nothing });
        };
        let decode = |text: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            Some(Box::from(String::from_utf8(bytes).ok()?))
        };
        let origin = if origin == ANSWERED {
            EventOrigin::Answered
        } else if let Some(request) = origin.strip_prefix('r') {
            EventOrigin::Request(decode(request)?)
        } else {
            let (mark, id) = origin.strip_prefix('u')?.split_at_checked(8)?;
            let link_mark = u32::from_str_radix(mark, 16).ok()?;
            EventOrigin::Upstream(UpstreamEventId { link_mark, id: decode(id)? })
        };
        Some(Self { stream, seq, origin })
    }

    /// Finds the id in an event's lines.
    pub fn of_event(event: &[u8]) -> Option<Self> {
        let mut lines = event.split(|byte| matches!(byte, b'\n' | b'\r'));
        let id = lines.find_map(|line| line.strip_prefix(b"id: "))?;
        Self::parse(std::str::from_utf8(id).ok()?)
    }

    /// Returns the request (the JSON text of its id) that the stream is to answer.
    pub fn request(&self) -> Option<&str> {
        match &self.origin {
            EventOrigin::Request(id) => Some(id),
            EventOrigin::Upstream(_) | EventOrigin::Answered | EventOrigin::Nothing => None,
        }
    }

    /// Returns true if whoever shows this id has read all that its stream was to answer.
    pub fn is_answered(&self) -> bool {
        self.origin == EventOrigin::Answered
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}{}", self.stream.0, self.seq, self.origin)
    }
}

impl fmt::Display for EventOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Answered => write!(f, "-{ANSWERED}"),
            Self::Request(id) => write!(f, "-r{}", URL_SAFE_NO_PAD.encode(&**id)),
            Self::Upstream(UpstreamEventId { link_mark, id }) => {
                write!(f, "-u{link_mark:08x}{}", URL_SAFE_NO_PAD.encode(&**id))
            }
        }
    }
}

/// Returns a mark by which a link is known again: an upstream's event ids mean nothing on another. It guards
/// against mistakes, not against anybody: FNV-1a, since it must be the same in every version of ours.
pub fn link_mark(link: &[u8]) -> u32 {
    link.iter().fold(0x811c_9dc5, |mark, byte| (mark ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text() {
        let upstream = UpstreamEventId { link_mark: link_mark(b"a"), id: "0/1-2".into() };
        for origin in [
            EventOrigin::Nothing,
            EventOrigin::Answered,
            EventOrigin::Request("7".into()),
            EventOrigin::Request("\"a-b-\u{fc}\"".into()),
            EventOrigin::Upstream(upstream),
        ] {
            let id = EventId { stream: StreamId(i64::MAX), seq: 12, origin };
            assert_eq!(EventId::parse(&id.to_string()), Some(id.clone()));
            let event = format!("event: message\ndata: id: 7\nid: {id}\n\n");
            assert_eq!(EventId::of_event(event.as_bytes()), Some(id));
        }
    }

    #[test]
    fn foreign_ids_are_none_of_ours() {
        for text in
            ["", "7", "0/0", "x-1", "1-x", "1-1-r*", "1-1-u1", "1-1-7", "1-1-a1", &"1".repeat(9000)]
        {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }
}

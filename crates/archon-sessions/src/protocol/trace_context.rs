//! Where a request stands in a trace of its client's (W3C Trace Context), as far as the request says so.
//!
//! A message carries it in `params._meta`, unprefixed (SEP-414), and the HTTP request around it in its headers.
//! What is not readable counts as absent: a trace is never a reason to refuse a call.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A longer `tracestate` is left out; 512 bytes must be passed on (Trace Context, 3.3.1.5).
const STATE_BYTES_MAX: usize = 512;
/// `version-traceid-spanid-flags` in hexadecimal.
const PARENT_BYTES: usize = 55;

/// The span of a client's that a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; never all zeros.
    pub trace_id: [u8; 16],
    /// The span in it; never all zeros.
    pub span_id: [u8; 8],
    /// The trace flags; the lowest bit says that the client records it.
    pub flags: u8,
}

/// The same, with what vendors add to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The client's span.
    pub parent: TraceParent,
    /// `tracestate` as it was sent.
    pub state: Option<Box<str>>,
}

impl TraceParent {
    /// Reads a `traceparent` (Trace Context, 3.2); of a later version than ours, what this one knows of it.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.trim().as_bytes();
        let (known, rest) = bytes.split_at_checked(PARENT_BYTES)?;
        let [version] = hex(&known[..2])?;
        let is_of_length =
            if version == 0 { rest.is_empty() } else { matches!(rest, [] | [b'-', ..]) };
        let has_hyphens = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        if version == 0xff || !is_of_length || !has_hyphens {
            return None;
        }
        let (trace_id, span_id) = (hex(&known[3..35])?, hex(&known[36..52])?);
        let [flags] = hex(&known[53..])?;
        let is_valid = trace_id != [0; 16] && span_id != [0; 8];
        is_valid.then_some(Self { trace_id, span_id, flags })
    }
}

impl TraceContext {
    /// Reads `params._meta`, JSON text.
    pub fn from_meta(json: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Meta<'a> {
            #[serde(borrow)]
            traceparent: Option<&'a RawValue>,
            #[serde(borrow)]
            tracestate: Option<&'a RawValue>,
        }
        let meta: Meta = serde_json::from_str(json).ok()?;
        let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get()).ok();
        let parent = TraceParent::parse(&meta.traceparent.and_then(text)?)?;
        let state = meta.tracestate.and_then(text);
        let state = state.filter(|state| state.len() <= STATE_BYTES_MAX).map(Into::into);
        Some(Self { parent, state })
    }
}

/// Reads lower-case hexadecimal digits, twice as many as there are bytes.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_parent_is_read() {
        let parent = TraceParent::parse(PARENT).unwrap();
        assert_eq!((parent.trace_id[0], parent.trace_id[15]), (0x4b, 0x36));
        assert_eq!((parent.span_id[1], parent.span_id[7], parent.flags), (0xf0, 0xb7, 1));
        let later = format!("cc{}-what-comes-next", &PARENT[2..]);
        assert_eq!(TraceParent::parse(&later), Some(parent), "of a later version");
    }

    #[test]
    fn what_is_no_parent_is_absent() {
        for bad in [
            "",
            "00",
            &PARENT[..54],
            &format!("{PARENT}-more"),
            &format!("{PARENT}0"),
            &PARENT.replace("00-4b", "ff-4b"),
            &PARENT.replace('4', "G"),
            &PARENT.to_uppercase(),
            &PARENT.replace('-', "_"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_message_carries_it_among_other_things() {
        let meta = |state: &str| {
            format!(r#"{{"progressToken":7,"traceparent":"{PARENT}","tracestate":{state}}}"#)
        };
        let read = TraceContext::from_meta(&meta(r#""a=b,c=d""#)).unwrap();
        assert_eq!(read.parent, TraceParent::parse(PARENT).unwrap());
        assert_eq!(read.state.as_deref(), Some("a=b,c=d"));
        for state in ["7", &format!("{:?}", "x".repeat(513))] {
            let read = TraceContext::from_meta(&meta(state)).unwrap();
            assert_eq!(read.state, None, "the parent stands without it");
        }
        assert_eq!(TraceContext::from_meta(r#"{"traceparent":7}"#), None);
        assert_eq!(TraceContext::from_meta("{}"), None);
    }
}

//! A message as an event of a stream, byte by byte.

use bytes::{Bytes, BytesMut};

/// Writes one message of any length as the data of an event.
#[derive(Debug, Default)]
pub struct AsEvent {
    has_begun: bool,
}

impl AsEvent {
    /// What comes after the message.
    pub const END: Bytes = Bytes::from_static(b"\n\n");
    const BEGIN: &[u8] = b"event: message\ndata: ";

    /// Returns the next bytes of the message as they stand in the event. In JSON a line end is only ever space
    /// between two tokens; in an event it would end the field.
    pub fn pass(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.is_empty() {
            return Bytes::new();
        }
        let begin = if self.has_begun { &[] } else { Self::BEGIN };
        self.has_begun = true;
        let mut event = BytesMut::with_capacity(begin.len() + bytes.len());
        event.extend_from_slice(begin);
        event.extend(bytes.iter().map(|byte| match byte {
            b'\n' | b'\r' => b' ',
            other => *other,
        }));
        event.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_many_lines_is_one_line_of_an_event() {
        let (mut event, mut text) = (AsEvent::default(), Vec::new());
        for part in ["", "{\r\n \"id\"", ": 1,\n\"result\": \"a\\nb\"", "\n}\n"] {
            text.extend_from_slice(&event.pass(part.as_bytes()));
        }
        text.extend_from_slice(&AsEvent::END);
        let expected = "event: message\ndata: {   \"id\": 1, \"result\": \"a\\nb\" } \n\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}

//! WebSocket frames (RFC 6455, section 5): ours as bytes, and a client's as far as they matter. Pure.
//!
//! Only their heads are a library's, because our frames are the same bytes for all listeners: a server's frames are not
//! masked. A library that frames each message for each listener would do it five million times a second.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
pub use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// A client has nothing to say here; what it says all the same is skipped up to this size.
const SKIPPED_BYTES_MAX: u64 = 64 * 1024;
/// RFC 6455, section 5.5.
const CONTROL_BYTES_MAX: u64 = 125;

/// A whole message of text.
pub const TEXT: OpCode = OpCode::Data(Data::Text);
/// Are you there?
pub const PING: OpCode = OpCode::Control(Control::Ping);
/// Yes.
pub const PONG: OpCode = OpCode::Control(Control::Pong);

/// Appends a whole, unmasked frame.
pub fn append(to: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    append_with(to, &FrameHeader { opcode, ..FrameHeader::default() }, payload);
}

/// The same for a payload that is compressed (RFC 7692, section 6).
pub fn append_compressed(to: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    append_with(to, &FrameHeader { opcode, rsv1: true, ..FrameHeader::default() }, payload);
}

fn append_with(to: &mut Vec<u8>, head: &FrameHeader, payload: &[u8]) {
    // Memory takes all that is written.
    let _ = head.format(payload.len() as u64, to);
    to.extend_from_slice(payload);
}

/// Returns the payload of the first of our own frames; nothing of bytes that are none.
pub fn payload(frame: &[u8]) -> &[u8] {
    let mut cursor = Cursor::new(frame);
    let Ok(Some((_, length))) = FrameHeader::parse(&mut cursor) else { return &[] };
    let (start, length) = (cursor.position() as usize, length as usize);
    frame[start..].get(..length).unwrap_or_default()
}

/// Returns a frame that ends the connection.
pub fn close(code: CloseCode) -> Vec<u8> {
    let mut frame = Vec::new();
    append(&mut frame, OpCode::Control(Control::Close), &u16::from(code).to_be_bytes());
    frame
}

/// What a client says that matters.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// To be answered with the same bytes.
    Ping(Vec<u8>),
    /// It ends the connection.
    Close,
}

/// Reads a client's frames from bytes that come in pieces.
#[derive(Debug, Default)]
pub struct ClientFrames {
    /// The head of a frame and, for a control frame, its payload, as far as they have come.
    begun: Vec<u8>,
    /// What is left to skip of a data frame.
    skip: u64,
    /// Whether its messages may be compressed.
    may_be_compressed: bool,
}

impl ClientFrames {
    /// Returns a reader for a client whose messages may be compressed, or not.
    pub fn new(may_be_compressed: bool) -> Self {
        Self { may_be_compressed, ..Self::default() }
    }

    /// Reads the next piece; returns the latest ping in it, or the end of the connection.
    ///
    /// # Errors
    /// With how to close the connection of a client that breaks the rules.
    pub fn read(&mut self, mut bytes: &[u8]) -> Result<Option<Said>, CloseCode> {
        let mut said = None;
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = bytes.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
                self.skip -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            // Byte by byte, for a client says little.
            self.begun.push(bytes[0]);
            bytes = &bytes[1..];
            let Some((head, start, length)) = self.head()? else { continue };
            let OpCode::Control(control) = head.opcode else {
                self.skip = length;
                self.begun.clear();
                continue;
            };
            let Some(payload) = self.begun[start..].get(..length as usize) else { continue };
            match control {
                Control::Close => return Ok(Some(Said::Close)),
                // Only the latest ping need be answered (RFC 6455, section 5.5.3).
                Control::Ping => {
                    let mask = head.mask.unwrap_or_default();
                    let plain = payload.iter().zip(mask.iter().cycle());
                    said = Some(Said::Ping(plain.map(|(byte, mask)| byte ^ mask).collect()));
                }
                // It says that its client is there.
                Control::Pong | Control::Reserved(_) => {}
            }
            self.begun.clear();
        }
        Ok(said)
    }

    /// Reads the head of the frame that has begun; returns its own length and the payload's with it, and `None` if there is
    /// more of it to come.
    fn head(&self) -> Result<Option<(FrameHeader, usize, u64)>, CloseCode> {
        let mut cursor = Cursor::new(&self.begun);
        let head = FrameHeader::parse(&mut cursor).map_err(|_| CloseCode::Protocol)?;
        let Some((head, length)) = head else { return Ok(None) };
        let is_control = matches!(head.opcode, OpCode::Control(_));
        // A client masks, and no extension was agreed on that would use another reserved bit.
        let is_compressed = head.rsv1 && self.may_be_compressed && !is_control;
        let is_reserved = (head.rsv1 && !is_compressed) || head.rsv2 || head.rsv3;
        let is_no_control = is_control && (length > CONTROL_BYTES_MAX || !head.is_final);
        if head.mask.is_none() || is_reserved || is_no_control {
            return Err(CloseCode::Protocol);
        }
        if length > SKIPPED_BYTES_MAX {
            return Err(CloseCode::Size);
        }
        Ok(Some((head, cursor.position() as usize, length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        append(&mut plain, TEXT, payload);
        let head = plain.len() - payload.len();
        plain[0] = first;
        plain[1] |= 0x80;
        let mask = [1, 2, 3, 4];
        let body = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        plain[..head].iter().copied().chain(mask).chain(body).collect()
    }

    #[test]
    fn our_frames_say_how_long_they_are() {
        for (length, head) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 255, 255]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut frame = Vec::new();
            append(&mut frame, TEXT, &vec![b'x'; length]);
            assert_eq!(frame[..head.len()], head);
            assert_eq!(frame.len(), head.len() + length);
            frame.extend(b"and another");
            assert_eq!(payload(&frame).len(), length);
        }
        assert_eq!(close(CloseCode::Away), [0x88, 2, 0x03, 0xe9]);
    }

    #[test]
    fn a_clients_frames_are_read_however_they_are_cut() {
        let mut bytes = masked(0x81, &[7; 70]);
        bytes.extend(masked(0x02, &[7; 3000]));
        bytes.extend(masked(0x8a, b"pong"));
        bytes.extend(masked(0x89, b"first"));
        bytes.extend(masked(0x89, b"hello"));
        for size in [1, 2, 3, 5, 7, bytes.len()] {
            let mut frames = ClientFrames::default();
            let pieces = bytes.chunks(size).filter_map(|piece| frames.read(piece).unwrap());
            assert_eq!(pieces.last(), Some(Said::Ping(b"hello".to_vec())), "pieces of {size}");
        }
        let mut frames = ClientFrames::default();
        bytes.extend(masked(0x88, &[3, 232]));
        assert_eq!(frames.read(&bytes), Ok(Some(Said::Close)));
    }

    #[test]
    fn what_breaks_the_rules_closes_the_connection() {
        let mut unmasked = Vec::new();
        append(&mut unmasked, TEXT, b"x");
        for (bytes, code) in [
            (unmasked, CloseCode::Protocol),
            (masked(0xc1, b"a reserved bit"), CloseCode::Protocol),
            (masked(0x83, b"a reserved opcode"), CloseCode::Protocol),
            (masked(0x89, &[0; 126]), CloseCode::Protocol),
            (masked(0x09, b"a ping in pieces"), CloseCode::Protocol),
            (masked(0x82, &[0; 65_537]), CloseCode::Size),
            (vec![0x82, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0], CloseCode::Size),
        ] {
            assert_eq!(ClientFrames::default().read(&bytes), Err(code), "{:x?}", &bytes[..2]);
        }
        assert_eq!(ClientFrames::new(true).read(&masked(0xc1, b"compressed")), Ok(None));
    }
}

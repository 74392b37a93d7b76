//! WebSocket frames (RFC 6455, section 5): ours as bytes, and a client's as far as they matter. Pure.
//!
//! By hand, because ours are the same bytes for all listeners: a server's frames are not masked. A library that
//! frames each message for each listener would do it five million times a second.

/// A client has nothing to say here; what it says all the same is skipped up to this size.
const SKIPPED_BYTES_MAX: u64 = 64 * 1024;
/// RFC 6455, section 5.5.
const CONTROL_BYTES_MAX: u64 = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A whole message of text.
    Text = 1,
    /// The end.
    Close = 8,
    /// Are you there?
    Ping = 9,
    /// Yes.
    Pong = 10,
}

/// Why a connection is closed (RFC 6455, section 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// The client wished so.
    Normal = 1000,
    /// The server goes away; come back.
    GoingAway = 1001,
    /// The client broke the protocol.
    ProtocolError = 1002,
    /// The client sent too much.
    TooBig = 1009,
}

/// The frame is the whole of its message.
const WHOLE: u8 = 0x80;
/// The message is compressed (RFC 7692, section 6).
const COMPRESSED: u8 = 0x40;

/// Appends a whole, unmasked frame.
pub fn append(to: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    append_with(to, WHOLE | opcode as u8, payload);
}

/// The same for a payload that is compressed.
pub fn append_compressed(to: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    append_with(to, WHOLE | COMPRESSED | opcode as u8, payload);
}

/// Returns the payload of the first of our own frames; nothing of bytes that are none.
pub fn payload(frame: &[u8]) -> &[u8] {
    let long = |from: usize, to: usize| {
        let length = frame.get(from..to)?.iter();
        let length = length.fold(0, |value, byte| value << 8 | usize::from(*byte));
        frame.get(to..to + length)
    };
    let payload = match frame.get(1) {
        Some(126) => long(2, 4),
        Some(127) => long(2, 10),
        Some(length) => frame.get(2..2 + usize::from(*length)),
        None => None,
    };
    payload.unwrap_or_default()
}

fn append_with(to: &mut Vec<u8>, first: u8, payload: &[u8]) {
    to.push(first);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=125), _) => to.push(length),
        (_, Ok(length)) => {
            to.push(126);
            to.extend(length.to_be_bytes());
        }
        (_, Err(_)) => {
            to.push(127);
            to.extend((payload.len() as u64).to_be_bytes());
        }
    }
    to.extend_from_slice(payload);
}

/// Returns a frame that ends the connection.
pub fn close(code: CloseCode) -> Vec<u8> {
    let mut frame = Vec::new();
    append(&mut frame, Opcode::Close, &(code as u16).to_be_bytes());
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
            let Some(head) = Head::read(&self.begun, self.may_be_compressed)? else { continue };
            if !head.is_control() {
                self.skip = head.payload;
                self.begun.clear();
                continue;
            }
            let whole = head.length + usize::try_from(head.payload).unwrap_or(usize::MAX);
            if self.begun.len() < whole {
                continue;
            }
            match head.control_of(&self.begun) {
                Some(Said::Close) => return Ok(Some(Said::Close)),
                // Only the latest ping need be answered (RFC 6455, section 5.5.3).
                Some(ping) => said = Some(ping),
                None => {}
            }
            self.begun.clear();
        }
        Ok(said)
    }
}

/// The head of a frame.
struct Head {
    opcode: u8,
    /// Its own length.
    length: usize,
    payload: u64,
    mask: [u8; 4],
}

impl Head {
    /// Reads a head; `None` if there is more of it to come.
    fn read(bytes: &[u8], may_be_compressed: bool) -> Result<Option<Self>, CloseCode> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let opcode = first & 0x0f;
        // A client masks, and no extension was agreed on that would use another reserved bit.
        let is_known = matches!(opcode, 0..=2 | 8..=10);
        let reserved = if may_be_compressed && opcode < 8 { 0x30 } else { 0x70 };
        if second & 0x80 == 0 || first & reserved != 0 || !is_known {
            return Err(CloseCode::ProtocolError);
        }
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((extension, rest)) = rest.split_at_checked(extended) else { return Ok(None) };
        let Some(mask) = rest.first_chunk::<4>() else { return Ok(None) };
        let payload = match extended {
            0 => u64::from(second & 0x7f),
            _ => extension.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)),
        };
        let head = Self { opcode, length: 2 + extended + 4, payload, mask: *mask };
        let is_whole = first & 0x80 != 0;
        if head.is_control() && (payload > CONTROL_BYTES_MAX || !is_whole) {
            return Err(CloseCode::ProtocolError);
        }
        if payload > SKIPPED_BYTES_MAX {
            return Err(CloseCode::TooBig);
        }
        Ok(Some(head))
    }

    fn is_control(&self) -> bool {
        self.opcode >= 8
    }

    /// Returns what a whole control frame says; `None` for a pong, which says that its client is there.
    fn control_of(&self, frame: &[u8]) -> Option<Said> {
        let masked = frame[self.length..].iter().zip(self.mask.iter().cycle());
        match self.opcode {
            8 => Some(Said::Close),
            9 => Some(Said::Ping(masked.map(|(byte, mask)| byte ^ mask).collect())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        append(&mut plain, Opcode::Text, payload);
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
            append(&mut frame, Opcode::Text, &vec![b'x'; length]);
            assert_eq!(frame[..head.len()], head);
            assert_eq!(frame.len(), head.len() + length);
            frame.extend(b"and another");
            assert_eq!(payload(&frame).len(), length);
        }
        assert_eq!(close(CloseCode::GoingAway), [0x88, 2, 0x03, 0xe9]);
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
        append(&mut unmasked, Opcode::Text, b"x");
        for (bytes, code) in [
            (unmasked, CloseCode::ProtocolError),
            (masked(0xc1, b"a reserved bit"), CloseCode::ProtocolError),
            (masked(0x83, b"a reserved opcode"), CloseCode::ProtocolError),
            (masked(0x89, &[0; 126]), CloseCode::ProtocolError),
            (masked(0x09, b"a ping in pieces"), CloseCode::ProtocolError),
            (masked(0x82, &[0; 65_537]), CloseCode::TooBig),
            (
                vec![0x82, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0],
                CloseCode::TooBig,
            ),
        ] {
            assert_eq!(ClientFrames::default().read(&bytes), Err(code), "{:x?}", &bytes[..2]);
        }
        assert_eq!(ClientFrames::new(true).read(&masked(0xc1, b"compressed")), Ok(None));
    }
}

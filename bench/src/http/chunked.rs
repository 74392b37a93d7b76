//! Decoding a chunked body that arrives in pieces of any size.

use anyhow::{Result, bail};

/// The decoder: feed it what arrived, it appends the payload.
#[derive(Debug, Default)]
pub struct Chunked {
    state: State,
    /// Payload bytes still to come in this chunk, or the size read so far.
    size: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    Payload,
    PayloadEnd,
    /// At the start of a line after the last chunk.
    TrailerStart,
    Trailer,
    Complete,
}

impl Chunked {
    /// Decodes as much as possible and returns how many bytes it took.
    pub fn decode(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<usize> {
        let mut at = 0;
        while at < input.len() && self.state != State::Complete {
            if self.state == State::Payload {
                let taken = self.size.min(input.len() - at);
                body.extend_from_slice(&input[at..at + taken]);
                at += taken;
                self.size -= taken;
                if self.size == 0 {
                    self.state = State::PayloadEnd;
                }
                continue;
            }
            self.framing(input[at])?;
            at += 1;
        }
        Ok(at)
    }

    /// Returns whether the last chunk and its trailers have been seen.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    fn framing(&mut self, byte: u8) -> Result<()> {
        match (self.state, byte) {
            (State::Size | State::Extension, b'\n') => {
                self.state = if self.size == 0 { State::TrailerStart } else { State::Payload };
            }
            (State::Size, b'\r') | (State::Extension | State::Trailer, _) if byte != b'\n' => {}
            (State::Size, b';' | b' ') => self.state = State::Extension,
            (State::Size, _) => {
                let Some(digit) = char::from(byte).to_digit(16) else {
                    bail!("a chunk's size has the byte {byte:#x}");
                };
                if self.size > usize::MAX >> 8 {
                    bail!("a chunk's size is out of range");
                }
                self.size = self.size << 4 | digit as usize;
            }
            (State::PayloadEnd | State::TrailerStart, b'\r') => {}
            (State::PayloadEnd, b'\n') => self.state = State::Size,
            (State::PayloadEnd, _) => bail!("a chunk is longer than its size"),
            (State::TrailerStart, b'\n') => self.state = State::Complete,
            (State::TrailerStart, _) => self.state = State::Trailer,
            (State::Trailer, _) => self.state = State::TrailerStart,
            (State::Extension | State::Payload | State::Complete, _) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIRE: &[u8] = b"5\r\nhello\r\n1;x=y\r\n \r\nA\r\nbig  world\r\n0\r\nT: v\r\n\r\n";

    #[test]
    fn every_split_gives_the_same_body() {
        for split in 0..=WIRE.len() {
            let (mut decoder, mut body) = (Chunked::default(), Vec::new());
            let first = decoder.decode(&WIRE[..split], &mut body).unwrap();
            let second = decoder.decode(&WIRE[split..], &mut body).unwrap();
            assert_eq!((first, first + second), (split, WIRE.len()));
            assert!(decoder.is_complete());
            assert_eq!(body, b"hello big  world");
        }
    }

    #[test]
    fn it_stops_at_its_end() {
        let mut decoder = Chunked::default();
        assert_eq!(decoder.decode(b"0\r\n\r\nHTTP/1.1", &mut Vec::new()).unwrap(), 5);
    }

    #[test]
    fn a_wrong_size_is_refused() {
        assert!(Chunked::default().decode(b"2\r\nhello\r\n", &mut Vec::new()).is_err());
        assert!(Chunked::default().decode(b"zz\r\n", &mut Vec::new()).is_err());
    }
}

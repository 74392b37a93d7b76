//! Compressed frames (RFC 7692, permessage-deflate), the same for all listeners.
//!
//! A compressor remembers what it said before, and so does each listener's decompressor; that is why a library
//! compresses for each connection by itself. Ours forgets at the beginning of each chunk. Every listener gets
//! whole chunks, so what is referred to is known to all of them, and a chunk is compressed once. Events resemble
//! each other: a fifth of the bytes is left.

use flate2::{Compress, Compression, FlushCompress};

use super::frame;

/// The window that a decompressor is sure to have; a client that wants less gets plain frames.
const WINDOW_BITS: &str = "15";
/// What ends each compressed message, and is left out (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Room that is made at a time.
const ROOM: usize = 4096;

/// What we answer to an offer that we take.
pub const ACCEPTED: &str = "permessage-deflate";

/// Returns true if one of the offers is such that all listeners can have the same bytes.
pub fn is_offered(extensions: &str) -> bool {
    extensions.split(',').any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        parts.next() == Some("permessage-deflate") && parts.all(can_have)
    })
}

/// Returns true for a parameter that changes nothing about what we send.
fn can_have(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    match name.trim() {
        // These are about what the client sends, which we skip.
        "client_max_window_bits" | "client_no_context_takeover" => true,
        "server_max_window_bits" => value.trim().trim_matches('"') == WINDOW_BITS,
        _ => false,
    }
}

/// Compresses the frames of a chunk; `None` if that did not work, which is no reason to send nothing.
pub fn compressed<'a>(frames: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut compress = Compress::new(Compression::default(), false);
    let (mut out, mut message) = (Vec::new(), Vec::new());
    for plain in frames {
        message.clear();
        deflate(&mut compress, frame::payload(plain), &mut message)?;
        let message = message.strip_suffix(&TAIL)?;
        frame::append_compressed(&mut out, frame::TEXT, message);
    }
    Some(out)
}

fn deflate(compress: &mut Compress, payload: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let before = compress.total_in();
    loop {
        out.reserve(ROOM);
        let read = usize::try_from(compress.total_in() - before).ok()?;
        compress.compress_vec(payload.get(read..)?, out, FlushCompress::Sync).ok()?;
        // As long as it fills the room it may have more to say.
        if out.len() < out.capacity() && compress.total_in() - before == payload.len() as u64 {
            return Some(());
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Decompress, FlushDecompress};

    use super::*;

    #[test]
    fn offers_that_others_could_not_share_are_not_taken() {
        for (offer, is_good) in [
            ("permessage-deflate", true),
            ("permessage-deflate; client_max_window_bits", true),
            (
                "x-other, permessage-deflate; client_max_window_bits=9; client_no_context_takeover",
                true,
            ),
            ("permessage-deflate; server_max_window_bits=15", true),
            ("permessage-deflate; server_max_window_bits=10", false),
            ("permessage-deflate; server_no_context_takeover", false),
            ("permessage-deflate; server_no_context_takeover, permessage-deflate", true),
            ("permessage-deflate; nonsense", false),
            ("permessage-bzip2", false),
            ("", false),
        ] {
            assert_eq!(is_offered(offer), is_good, "{offer}");
        }
    }

    #[test]
    fn whoever_gets_whole_chunks_can_read_them() {
        let text =
            |n: u32| format!(r#"{{"type":"request","seq":{n},"data":{}}}"#, "x".repeat(n as usize));
        let chunk = |numbers: std::ops::Range<u32>| {
            let frames: Vec<_> = numbers
                .map(|n| {
                    let mut frame = Vec::new();
                    frame::append(&mut frame, frame::TEXT, text(n).as_bytes());
                    frame
                })
                .collect();
            let plain: usize = frames.iter().map(Vec::len).sum();
            let packed = compressed(frames.iter().map(Vec::as_slice)).unwrap();
            assert!(packed.len() * 3 < plain, "{} of {plain}", packed.len());
            packed
        };
        let (first, second) = (chunk(0..100), chunk(20_000..20_020));
        // One is there from the beginning, one comes later: both have one decompressor for all that they get.
        for (chunks, numbers) in [
            (vec![&first, &second], (0..100).chain(20_000..20_020)),
            (vec![&second], (0..0).chain(20_000..20_020)),
        ] {
            let mut decompress = Decompress::new(false);
            let mut expected = numbers;
            for chunk in chunks {
                let mut rest = &chunk[..];
                while !rest.is_empty() {
                    assert_eq!(rest[0], 0xc1, "a whole text that is compressed");
                    let message = frame::payload(rest);
                    let length = message.as_ptr() as usize - rest.as_ptr() as usize + message.len();
                    let packed = [message, &TAIL].concat();
                    let mut said = Vec::with_capacity(65_536);
                    decompress.decompress_vec(&packed, &mut said, FlushDecompress::Sync).unwrap();
                    assert_eq!(String::from_utf8(said).unwrap(), text(expected.next().unwrap()));
                    rest = &rest[length..];
                }
            }
            assert_eq!(expected.next(), None);
        }
    }
}

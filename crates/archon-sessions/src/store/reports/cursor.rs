//! Where the next page of a list begins, as a text that means nothing to whoever keeps it.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// The cursor is not one of this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list; leave it out to begin with the first page")]
pub struct BadCursor;

/// The last row of a page: what the list is ordered by, and the row's key where several are equal in that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which list, so that a cursor of another is told.
    pub(crate) list: u8,
    /// Microseconds; 0 in a list that is ordered by key alone.
    pub(crate) at: i64,
    pub(crate) key: u128,
}

impl Place {
    /// Reads the cursor of a list.
    pub(crate) fn parse(text: &str, list: u8) -> Result<Self, BadCursor> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
        let bytes: [u8; 25] = bytes.try_into().map_err(|_| BadCursor)?;
        let ([found, rest @ ..], mut at, mut key) = (bytes, [0; 8], [0; 16]);
        at.copy_from_slice(&rest[..8]);
        key.copy_from_slice(&rest[8..]);
        let place = Self { list, at: i64::from_be_bytes(at), key: u128::from_be_bytes(key) };
        if found == list { Ok(place) } else { Err(BadCursor) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 25];
        bytes[0] = self.list;
        bytes[1..9].copy_from_slice(&self.at.to_be_bytes());
        bytes[9..].copy_from_slice(&self.key.to_be_bytes());
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_in_its_own_list_only() {
        let place = Place { list: 2, at: -7, key: u128::MAX - 1 };
        let text = place.to_string();
        assert_eq!(Place::parse(&text, 2), Ok(place));
        assert_eq!(Place::parse(&text, 3), Err(BadCursor));
        for bad in ["", "x", "ü", &text[1..], &format!("{text}A")] {
            assert_eq!(Place::parse(bad, 2), Err(BadCursor), "{bad}");
        }
    }
}

//! Lines of an export: a head that says what it is, prices, sessions, requests, and an end that counts them.

use archon_sessions::store::transfer::{PriceRecord, RequestRecord, SessionRecord};
use serde::{Deserialize, Serialize};

/// The form that we write, and the latest that we read.
pub const FORMAT: u32 = 1;

/// A line: an object with one key, which says what it is. Unknown fields inside are left out.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The first.
    ArchonExport(Head),
    Price(PriceRecord),
    Session(Box<SessionRecord>),
    Request(Box<RequestRecord>),
    /// The last: without it the file is torn.
    End(Counts),
}

/// What a file is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Head {
    pub format: u32,
    /// Which archon wrote it, for people.
    #[serde(default)]
    pub version: String,
    /// When, for people.
    #[serde(default)]
    pub exported_at: String,
}

/// How many lines of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub prices: u64,
    pub sessions: u64,
    pub requests: u64,
}

impl Line {
    /// Adds the line to a text.
    ///
    /// # Errors
    /// Never with what is in a line; the writer's type allows for it.
    pub fn write_to(&self, text: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        serde_json::to_writer(&mut *text, self)?;
        text.push(b'\n');
        Ok(())
    }
}

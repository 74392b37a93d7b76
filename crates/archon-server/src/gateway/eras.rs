//! Which versions an upstream speaks: asked once, kept for a while, asked again after a failure.

use std::time::{Duration, Instant};

use archon_sessions::protocol::codes::{HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION};
use archon_sessions::protocol::legacy;
use archon_sessions::session::Era;
use parking_lot::Mutex;
use serde::Deserialize;

/// An upstream may be replaced by a newer one; after so long we look again.
const KNOWN_FOR: Duration = Duration::from_secs(60);
/// Where looking means that a client waits in vain, we look less often.
const SILENT_FOR: Duration = Duration::from_secs(3600);

/// The question.
pub const DISCOVER: &str = r#"{"jsonrpc":"2.0","id":"archon-probe","method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"archon","version":"0"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;

/// What an upstream said to `server/discover`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// The modern era, in these versions; maybe the legacy one as well.
    Modern(Vec<String>),
    /// The legacy era only, in these versions.
    LegacyOnly(Vec<String>),
}

impl Speaks {
    /// Returns the versions, for people to read.
    pub fn versions(&self) -> String {
        match self {
            Self::Modern(versions) | Self::LegacyOnly(versions) => versions.join(", "),
        }
    }
}

/// What is known of an upstream.
#[derive(Debug)]
pub struct Knowledge {
    known_for: Duration,
    /// Held for single operations, never across an await.
    known: Mutex<Option<Known>>,
    /// One question at a time.
    pub asking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Known {
    speaks: Speaks,
    since: Instant,
    known_for: Duration,
    /// Whether it was seen to refuse a handshake.
    refuses_handshakes: bool,
    /// Whether it comes from silence: then asking again has a client wait again.
    is_from_silence: bool,
}

impl Known {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < self.known_for
    }
}

impl Default for Knowledge {
    fn default() -> Self {
        Self::lasting(KNOWN_FOR)
    }
}

impl Knowledge {
    /// Returns one that knows nothing yet, and what it learns for so long.
    pub fn lasting(known_for: Duration) -> Self {
        Self { known_for, known: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// Returns what is known, unless it is too old.
    pub fn get(&self) -> Option<Speaks> {
        let known = self.known.lock();
        known.as_ref().filter(|known| known.is_fresh()).map(|known| known.speaks.clone())
    }

    /// Returns true if it is known to speak the modern era: the question on every call's path.
    pub fn is_modern(&self) -> bool {
        let known = self.known.lock();
        matches!(&*known, Some(known @ Known { speaks: Speaks::Modern(_), .. }) if known.is_fresh())
    }

    /// Returns true if it is known to speak the modern era only: it refused a handshake.
    pub fn refuses_handshakes(&self) -> bool {
        let known = self.known.lock();
        known.as_ref().is_some_and(|known| known.is_fresh() && known.refuses_handshakes)
    }

    /// Notes that it refused a handshake, for as long as the rest is known.
    pub fn refused_handshake(&self) {
        let mut known = self.known.lock();
        if let Some(known) = &mut *known {
            known.refuses_handshakes = true;
        }
    }

    /// Keeps what was learnt.
    pub fn set(&self, speaks: Speaks) {
        self.keep(speaks, self.known_for);
    }

    /// Keeps a guess, for no longer than is usual.
    pub fn guess(&self, speaks: Speaks) {
        self.keep(speaks, KNOWN_FOR);
    }

    /// Keeps what is to be believed of one that did not answer within the time for it.
    pub fn guess_from_silence(&self, speaks: Speaks) {
        self.keep(speaks, SILENT_FOR);
        let mut known = self.known.lock();
        if let Some(known) = &mut *known {
            known.is_from_silence = true;
        }
    }

    fn keep(&self, speaks: Speaks, known_for: Duration) {
        let (refuses_handshakes, is_from_silence) = (false, false);
        let since = Instant::now();
        let known = Known { speaks, since, known_for, refuses_handshakes, is_from_silence };
        *self.known.lock() = Some(known);
    }

    /// Forgets it: the upstream may be another one when it is back.
    pub fn forget(&self) {
        *self.known.lock() = None;
    }

    /// Forgets it where asking again costs little: a connection broke, and the upstream may have been restarted.
    pub fn doubt(&self) {
        let mut known = self.known.lock();
        known.take_if(|known| !known.is_from_silence);
    }
}

/// Reads the answer to `server/discover`, a JSON text, as MCP 2026-07-28 (Versioning) has clients do: a
/// result or an error that only the modern era has means modern; anything else means legacy.
pub fn read_discovery(answer: &[u8]) -> Speaks {
    discovered(answer).unwrap_or_else(|| Speaks::LegacyOnly(legacy_versions()))
}

/// Returns the versions that an answer to `server/discover` names; `None` if it does not know that question.
pub fn discovered(answer: &[u8]) -> Option<Speaks> {
    #[derive(Deserialize)]
    struct Answer {
        result: Option<Discovered>,
        error: Option<Refused>,
    }
    #[derive(Deserialize)]
    struct Discovered {
        #[serde(rename = "supportedVersions", default)]
        supported: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Refused {
        code: i64,
        data: Option<Data>,
    }
    #[derive(Deserialize)]
    struct Data {
        #[serde(default)]
        supported: Vec<String>,
    }
    let is_modern = |version: &String| Era::of_version(version) == Era::Modern;
    let answer = serde_json::from_slice::<Answer>(answer).ok()?;
    Some(match (answer.result, answer.error) {
        (Some(Discovered { supported }), _) if supported.iter().any(is_modern) => {
            Speaks::Modern(supported.into_iter().filter(is_modern).collect())
        }
        (None, Some(Refused { code: UNSUPPORTED_VERSION, data: Some(Data { supported }) })) => {
            if supported.iter().any(is_modern) {
                Speaks::Modern(supported.into_iter().filter(is_modern).collect())
            } else {
                Speaks::LegacyOnly(supported)
            }
        }
        (None, Some(Refused { code: HEADER_MISMATCH | MISSING_CAPABILITY, .. })) => {
            Speaks::Modern(vec![Era::MODERN_SINCE.to_owned()])
        }
        _ => return None,
    })
}

/// Returns the handshake versions, for an upstream that did not say which of them it speaks.
pub fn legacy_versions() -> Vec<String> {
    legacy::VERSIONS.map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_remembered_when_a_connection_breaks() {
        let (eras, legacy) = (Knowledge::default(), Speaks::LegacyOnly(legacy_versions()));
        eras.set(legacy.clone());
        eras.doubt();
        assert_eq!(eras.get(), None);
        eras.guess_from_silence(legacy.clone());
        eras.doubt();
        assert_eq!(eras.get(), Some(legacy));
        eras.forget();
        assert_eq!(eras.get(), None);
    }

    #[test]
    fn eras_are_told_by_the_answer() {
        let modern = Speaks::Modern(vec!["2026-07-28".into()]);
        for (answer, expected) in [
            (r#"{"result":{"supportedVersions":["2026-07-28","2025-11-25"]}}"#, modern.clone()),
            (r#"{"error":{"code":-32022,"data":{"supported":["2026-07-28"]}}}"#, modern.clone()),
            (r#"{"error":{"code":-32021,"message":"x"}}"#, modern),
            (
                r#"{"error":{"code":-32022,"data":{"supported":["2025-06-18"]}}}"#,
                Speaks::LegacyOnly(vec!["2025-06-18".into()]),
            ),
        ] {
            assert_eq!(read_discovery(answer.as_bytes()), expected, "{answer}");
        }
        for answer in [r#"{"error":{"code":-32601}}"#, r#"{"error":{"code":-32000}}"#, "", "<html>"]
        {
            assert!(matches!(read_discovery(answer.as_bytes()), Speaks::LegacyOnly(_)), "{answer}");
        }
    }
}

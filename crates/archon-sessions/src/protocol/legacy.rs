//! What is particular to the legacy era, 2024-11-05 to 2025-11-25.

use serde::Deserialize;

/// The handshake versions, newest first.
pub const VERSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// The only version with JSON-RPC batches (MCP 2025-03-26, Base Protocol, Batching).
pub const BATCH_VERSION: &str = "2025-03-26";

/// Returns the `protocolVersion` in the answer to `initialize`; `None` if it is no success.
pub fn negotiated_version(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        result: InitializeResult,
    }
    #[derive(Deserialize)]
    struct InitializeResult {
        #[serde(rename = "protocolVersion")]
        protocol_version: String,
    }
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    // A version is a date of ten characters; what is stored stays short.
    Some(answer.result.protocol_version).filter(|version| version.len() <= 32)
}

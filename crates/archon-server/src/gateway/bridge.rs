//! Where the two eras meet. Crossing them is not built yet: a client of an era that the upstream does
//! not speak gets an error in its own era's form, which names the versions that the upstream speaks.

use archon_sessions::layer::{CallFailed, Exchange, InnerRequest};
use archon_sessions::protocol::{Envelope, Message, legacy};
use archon_sessions::session::Era;
use serde::Deserialize;

/// Returns the error for a modern request to an upstream of the legacy era.
///
/// It is the protocol's own (-32022), so that a client which speaks both eras falls back to the other.
pub fn refuse_modern(upstream: &str, envelope: &Envelope, speaks: &[String]) -> CallFailed {
    let requested = envelope.meta.protocol_version.as_deref().unwrap_or_default();
    CallFailed::unsupported_version(upstream, requested, speaks)
}

/// Returns the error for an `initialize` to an upstream of the modern era.
pub fn refuse_legacy(upstream: &str, envelope: &Envelope, speaks: &[String]) -> CallFailed {
    #[derive(Deserialize)]
    struct Initialize {
        #[serde(rename = "protocolVersion")]
        protocol_version: String,
    }
    let params = envelope.params.as_deref().unwrap_or_default();
    let requested = serde_json::from_str::<Initialize>(params).ok();
    let requested = requested.as_ref().map_or("", |params| params.protocol_version.as_str());
    CallFailed::unsupported_version(upstream, requested, speaks)
}

/// Returns the message of a modern request, or of a legacy handshake: where an era must be spoken.
pub fn opening(request: &InnerRequest) -> Option<(Era, &Envelope)> {
    let exchange = request.extensions().get::<Exchange>()?;
    let Message::Single(envelope) = exchange.message.as_deref()? else { return None };
    match exchange.era {
        Era::Modern => Some((Era::Modern, envelope)),
        Era::Legacy if &*envelope.method == "initialize" => Some((Era::Legacy, envelope)),
        Era::Legacy => None,
    }
}

/// Returns the handshake versions, for an upstream that did not say which of them it speaks.
pub fn legacy_versions() -> Vec<String> {
    legacy::VERSIONS.map(str::to_owned).to_vec()
}

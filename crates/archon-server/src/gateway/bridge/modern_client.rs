//! Modern clients of a legacy upstream. Crossing is not built in this direction yet: they get an error that names the
//! versions that the upstream speaks, so that a client of both eras falls back to the other.

use archon_sessions::layer::{CallFailed, InnerRequest};

use crate::gateway::Answer;
use crate::gateway::bridge::envelope;
use crate::gateway::plain::Plain;

/// See the module. Clones are one.
#[derive(Clone)]
pub struct ModernClients {
    plain: Plain,
}

impl ModernClients {
    /// Returns the clients of an upstream.
    pub fn new(plain: Plain) -> Self {
        Self { plain }
    }

    /// Ends what it runs by itself.
    pub async fn stop(&self) {}

    /// Answers a request to a server that speaks only these versions.
    pub async fn call(
        self,
        request: InnerRequest,
        versions: &[String],
    ) -> Result<Answer, CallFailed> {
        let envelope = envelope(&request).await;
        let requested = envelope.as_ref().and_then(|one| one.meta.protocol_version.as_deref());
        let requested = requested.unwrap_or_default();
        Err(CallFailed::unsupported_version(self.plain.name(), requested, versions))
    }
}

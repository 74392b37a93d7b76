//! Why a call got no answer from the service behind the layer.

use std::convert::Infallible;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::protocol::codes::{self, error_message, modern_status};
use crate::session::printable;
use crate::store::Outcome;

/// An error of any kind, as tower has it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Of an upstream's text that is no message, its beginning is told.
const TEXT_CHARS_MAX: usize = 200;

/// A call that the service behind the layer did not answer; the layer answers in its place.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CallFailed {
    /// JSON-RPC code.
    pub code: i64,
    /// What happened and what the client can do next.
    pub message: String,
    /// JSON-RPC `data`.
    pub data: Option<Box<RawValue>>,
    /// The HTTP status, where the protocol's own table names one; else 200, as for any other answer.
    pub status: http::StatusCode,
    /// How it counts.
    pub outcome: Outcome,
    /// Whether calling again is safe even though it may have run: the upstream says that the tool only
    /// reads or is idempotent, and whoever runs this server trusts it to.
    pub is_repeatable: bool,
}

impl CallFailed {
    /// Returns the JSON-RPC error that answers the request of this id (JSON text). Its `data` says whether the call
    /// ran: who sends calls again must not rely on a code that others may use for something else.
    pub fn message_for(&self, id: Option<&str>) -> String {
        let ran = self.ran().filter(|_| self.data.is_none());
        let ran = ran.and_then(|ran| {
            serde_json::value::to_raw_value(&serde_json::json!({ "ran": ran })).ok()
        });
        let data = self.data.as_deref().or(ran.as_deref());
        error_message(id, self.code, &self.message, data)
    }

    fn ran(&self) -> Option<&'static str> {
        match self.code {
            codes::UPSTREAM_UNREACHABLE | codes::TOO_MANY | codes::SESSION_UNAVAILABLE => {
                Some("no")
            }
            codes::OUTCOME_UNKNOWN | codes::TIMED_OUT => Some("unknown"),
            codes::ANSWER_GONE => Some("yes"),
            _ => None,
        }
    }

    fn new(code: i64, message: String, outcome: Outcome) -> Self {
        let status = http::StatusCode::OK;
        Self { code, message, data: None, status, outcome, is_repeatable: false }
    }

    /// Nothing was sent: calling again is safe.
    pub fn unreachable(upstream: &str) -> Self {
        let message =
            format!("upstream {upstream:?} could not be reached; the call did not run, try again");
        Self::new(codes::UPSTREAM_UNREACHABLE, message, Outcome::Error)
    }

    /// It was sent and then the upstream was lost.
    pub fn lost(upstream: &str) -> Self {
        let message = format!(
            "upstream {upstream:?} was lost before it answered; the call may have run, \
             check before you call again"
        );
        Self::new(codes::OUTCOME_UNKNOWN, message, Outcome::Error)
    }

    /// It was answered, and not with a message.
    pub fn no_message(upstream: &str, status: http::StatusCode, text: &[u8]) -> Self {
        let beginning = printable(&String::from_utf8_lossy(text), TEXT_CHARS_MAX);
        let message = format!(
            "upstream {upstream:?} answered {status} without a message: {beginning:?}; the call may have run, \
             check before you call again"
        );
        Self::new(codes::OUTCOME_UNKNOWN, message, Outcome::Error)
    }

    /// Its answer is longer than is read of such answers.
    pub fn too_large(upstream: &str, bytes_max: usize) -> Self {
        let message = format!(
            "upstream {upstream:?} answered with more than {bytes_max} bytes, the most that is read of an \
             answer to a handshake"
        );
        Self::new(codes::REFUSED, message, Outcome::Error)
    }

    /// It was in flight when the gateway itself crashed.
    pub fn interrupted() -> Self {
        let message = "the gateway was restarted before this call was answered; it may have run, \
                       check before you call again";
        Self::new(codes::OUTCOME_UNKNOWN, message.to_owned(), Outcome::Error)
    }

    /// Its stream is not known, nor whether it was answered: that was long ago, or too much came after it.
    pub fn forgotten() -> Self {
        let message =
            "nothing is kept of this call any more; it may have run, check before you call again";
        Self::new(codes::OUTCOME_UNKNOWN, message.to_owned(), Outcome::Error)
    }

    /// It was answered while its client was away, and the answer could not be kept for so long.
    pub fn answer_gone() -> Self {
        let message = "the call was answered, but the answer is no longer kept: it was too large, or \
                       too many came after it; the call has run, check before you call again";
        Self::new(codes::ANSWER_GONE, message.to_owned(), Outcome::Error)
    }

    /// No sign of an answer for as long as a call may go without.
    pub fn timed_out(limit: Duration) -> Self {
        let message = format!(
            "no answer within {} s; the call may still run, check before you call again",
            limit.as_secs_f32()
        );
        Self::new(codes::TIMED_OUT, message, Outcome::Timeout)
    }

    /// The upstream does not speak the client's version (MCP 2026-07-28, Versioning).
    pub fn unsupported_version(upstream: &str, requested: &str, supported: &[String]) -> Self {
        let message = format!(
            "upstream {upstream:?} does not speak {requested:?}; it speaks {}",
            supported.join(", ")
        );
        let data = serde_json::json!({ "supported": supported, "requested": requested });
        let data = serde_json::value::to_raw_value(&data).ok();
        let code = codes::UNSUPPORTED_VERSION;
        let status = modern_status(Some(code));
        Self { data, status, ..Self::new(code, message, Outcome::Error) }
    }
}

impl From<Infallible> for CallFailed {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Returns an event that answers the request of this id (JSON text) with an error.
pub(super) fn error_event(id: &str, failed: &CallFailed) -> String {
    format!("event: message\ndata: {}\n\n", failed.message_for(Some(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_whether_the_call_ran() {
        let said = |failed: CallFailed| {
            let message: serde_json::Value =
                serde_json::from_str(&failed.message_for(Some("1"))).unwrap();
            message["error"]["data"].clone()
        };
        assert_eq!(said(CallFailed::unreachable("a"))["ran"], "no");
        assert_eq!(said(CallFailed::lost("a"))["ran"], "unknown");
        assert_eq!(said(CallFailed::timed_out(Duration::from_secs(1)))["ran"], "unknown");
        assert_eq!(said(CallFailed::forgotten())["ran"], "unknown");
        assert_eq!(said(CallFailed::answer_gone())["ran"], "yes");
        let unsupported = CallFailed::unsupported_version("a", "x", &["y".to_owned()]);
        assert_eq!(said(unsupported)["supported"][0], "y");
    }
}

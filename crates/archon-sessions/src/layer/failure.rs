//! Why a call got no answer from the service behind the layer.

use std::convert::Infallible;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::session::printable;
use crate::store::Outcome;

/// An error of any kind, as tower has it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Of an upstream's text that is no message, its beginning is told.
const TEXT_CHARS_MAX: usize = 200;

/// Our own JSON-RPC error codes. They keep clear of -32768 to -32000, which JSON-RPC and MCP reserve.
pub mod codes {
    /// The upstream could not be reached: the call did not run.
    pub const UPSTREAM_UNREACHABLE: i64 = -31001;
    /// The upstream was lost after the call was sent: it may have run.
    pub const OUTCOME_UNKNOWN: i64 = -31002;
    /// No answer in time: the call may still run.
    pub const TIMED_OUT: i64 = -31003;
    /// Too many calls or streams at once, or too many handshakes.
    pub const TOO_MANY: i64 = -31004;
    /// A session could not be looked up or made.
    pub const SESSION_UNAVAILABLE: i64 = -31005;
    /// The legacy handle is missing, unknown or ended.
    pub const NO_SESSION: i64 = -31006;
    /// `Host`, `Origin`, or the size of a body or of the answer to a handshake was refused.
    pub const REFUSED: i64 = -31007;
    /// The call ran and was answered, and the answer is no longer kept.
    pub const ANSWER_GONE: i64 = -31008;
    /// The request does not show who sends it, or what it shows is not good.
    pub const UNAUTHENTICATED: i64 = -31009;
}

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

    /// The upstream does not speak the client's version (MCP 2026-07-28, Versioning: -32022).
    pub fn unsupported_version(upstream: &str, requested: &str, supported: &[String]) -> Self {
        let message = format!(
            "upstream {upstream:?} does not speak {requested:?}; it speaks {}",
            supported.join(", ")
        );
        let data = serde_json::json!({ "supported": supported, "requested": requested });
        let data = serde_json::value::to_raw_value(&data).ok();
        let status = http::StatusCode::BAD_REQUEST;
        Self { data, status, ..Self::new(-32022, message, Outcome::Error) }
    }
}

impl From<Infallible> for CallFailed {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[derive(Serialize)]
struct ErrorMessage<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RawValue>,
    error: ErrorObject<'a>,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    code: i64,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

/// Returns a JSON-RPC error as text; `id` is JSON text, and becomes `null` if it is not.
pub fn error_message(
    id: Option<&str>,
    code: i64,
    message: &str,
    data: Option<&RawValue>,
) -> String {
    let id: Option<&RawValue> = id.and_then(|id| serde_json::from_str(id).ok());
    let error = ErrorObject { code, message, data };
    serde_json::to_string(&ErrorMessage { jsonrpc: "2.0", id, error }).unwrap_or_default()
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

//! JSON-RPC error codes, the errors that carry them, and the HTTP status of each.

use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

/// JSON-RPC 2.0: the body is not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// JSON-RPC 2.0: the body is not a message, or not one that may be sent here.
pub const INVALID_REQUEST: i64 = -32600;
/// JSON-RPC 2.0: the method does not exist.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// JSON-RPC 2.0: the method's parameters are invalid.
pub const INVALID_PARAMS: i64 = -32602;
/// JSON-RPC 2.0: an internal error. Also read of an error without a code.
pub const INTERNAL_ERROR: i64 = -32603;
/// MCP until 2025-11-25, Resources: the resource does not exist. Later versions have [`INVALID_PARAMS`] for it.
pub const RESOURCE_NOT_FOUND: i64 = -32002;
/// MCP 2026-07-28, Transports: a header is missing or unlike the body.
pub const HEADER_MISMATCH: i64 = -32020;
/// MCP 2026-07-28: the client did not declare a capability that the request requires.
pub const MISSING_CAPABILITY: i64 = -32021;
/// MCP 2026-07-28, Versioning: the server does not speak the client's version.
pub const UNSUPPORTED_VERSION: i64 = -32022;

/// Our own codes. They keep clear of -32768 to -32000, which JSON-RPC and MCP reserve.
pub const OWN: std::ops::RangeInclusive<i64> = -31999..=-31000;
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

/// Returns the HTTP status of a modern answer whose error has this code: the few that have a status of their own
/// (MCP 2026-07-28, Transports), and 200 for all others. Legacy answers have 200 for all.
pub fn modern_status(code: Option<i64>) -> StatusCode {
    match code {
        Some(HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION) => StatusCode::BAD_REQUEST,
        Some(METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
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

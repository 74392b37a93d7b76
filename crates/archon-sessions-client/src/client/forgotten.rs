//! How servers say that they have forgotten a session: pure.
//!
//! By the protocol that is 404 (MCP 2025-11-25, Transports, Session Management). Others say it with other statuses, and
//! in words. The Python client has the same rules in its `verdict.py`.

use std::sync::LazyLock;

use http::StatusCode;
use regex_lite::Regex;
use rmcp::model::ErrorData;

/// Codes with which servers refuse a message before they look at its method.
const REFUSING_CODES: [i32; 4] = [-32600, -32000, -32001, -32002];
/// The gateway's own.
const NO_SESSION: i32 = -31006;
const METHOD_NOT_FOUND: i32 = -32601;

/// Begins what a server says that forgot its handshake, such as "Server not initialized" of the TypeScript SDK. A tool
/// whose database is not initialized says another thing first.
static UNINITIALIZED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)^(?:(?:bad request: *)?(?:(?:the )?(?:server|session|client)(?: is| was| has)? |(?:is )?)not (?:yet |been )*initiali[sz]ed\b|.*\bbefore initiali[sz]ation\b)",
    )
    .ok()
});

/// A server that forgot a session, wherever the text says so.
static FORGOTTEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\bsession\b[^.;]{0,60}\b(?:not found|not exist|unknown|expired|invalid|terminated|closed|gone|lost|no longer)\b|\b(?:unknown|invalid|expired|stale|no such|no valid)\b[^.;]{0,20}\bsession\b",
    )
    .ok()
});

/// The same, and the text says nothing else. An error of a tool that is about a session of its own says more than that.
static ONLY_FORGOTTEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)^(?:(?:bad request|not found|unauthorized|gone)[:,] *)?(?:(?:mcp )?session(?: id)? (?:was |is |has |been )*(?:not found|unknown|expired|invalid|terminated|closed)|(?:unknown|invalid|expired|no such|no valid) (?:mcp )?session(?: id)?(?: provided)?)[.:!]?(?: *[\w-]{1,80})?\.?$",
    )
    .ok()
});

fn is(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// Returns whether an error that came as the answer to a request means that the session is forgotten.
pub(super) fn says_error(error: &ErrorData) -> bool {
    let text = error.message.trim();
    is(&UNINITIALIZED, text) || REFUSING_CODES.contains(&error.code.0) && is(&ONLY_FORGOTTEN, text)
}

/// Returns whether a status other than 2xx means that. `error` is what its body holds, and whether that names the
/// request.
pub(super) fn says_status(
    status: StatusCode,
    error: Option<(&ErrorData, bool)>,
    body: &[u8],
    has_handle: bool,
) -> bool {
    let body = String::from_utf8_lossy(body);
    let text = error.map_or(&*body, |(error, _)| &*error.message);
    let status = status.as_u16();
    if matches!(status, 400 | 404 | 409 | 410 | 503) && is(&UNINITIALIZED, text) {
        return true;
    }
    let is_answer = error.is_some_and(|(error, is_own)| is_own || error.code.0 == METHOD_NOT_FOUND);
    let is_our_gateways = error.is_some_and(|(error, _)| error.code.0 == NO_SESSION);
    has_handle
        && match status {
            404 => !is_answer || is_our_gateways || is(&FORGOTTEN, text),
            410 => true,
            400 => text.to_ascii_lowercase().contains("session"),
            401 | 403 | 409 | 503 => is(&FORGOTTEN, text),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use rmcp::model::ErrorCode;

    use super::*;

    #[test]
    fn an_answer_is_about_the_session_only_if_it_says_nothing_else() {
        for (code, message, expected) in [
            (-32000, "Bad Request: Server not initialized", true),
            (-32002, "Server not initialized: call initialize first", true),
            (-32602, "Received request before initialization was complete", true),
            (-32001, "Session not found", true),
            (-32000, "Session not found: 0b9c-11", true),
            (-32600, "invalid session", true),
            (-32000, "Bad Request: No valid session ID provided", true),
            (-32602, "Session not found", false),
            (-32000, "browser session not found", false),
            (-32000, "Session expired for user ada; log in at the bank", false),
            (-32000, "Database connection not initialized", false),
            (-32603, "boom", false),
        ] {
            let error = ErrorData::new(ErrorCode(code), message, None);
            assert_eq!(says_error(&error), expected, "{code} {message}");
        }
    }
}

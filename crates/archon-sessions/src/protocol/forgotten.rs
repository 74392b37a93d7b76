//! Whether an upstream's answer means that it has forgotten the link (its own session) that it was asked on.
//!
//! MCP 2025-11-25, Transports, Session Management: a server answers 404 to a request whose session has ended.
//! Servers on many SDKs say it in other words, and answer 404 for other reasons. So most refusals only raise
//! a doubt, which a `ping` on the same link settles without side effects.

use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::codes::METHOD_NOT_FOUND;
use super::sse::{Events, Part};

/// A refusal longer than this says more than that a session is unknown.
pub const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// An error in an answer of status 200 that is longer than this is taken for what it says.
pub const ERROR_BYTES_MAX: usize = 4 * 1024;

/// What was asked on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// A POST of messages; the ids (JSON text) of the requests among them.
    Messages(&'a [&'a str]),
    /// A GET of the stream on which the server speaks by itself, or of one that is resumed.
    Stream,
}

/// What an answer means for the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The answer means what it says.
    Known,
    /// The answer may mean that the link is forgotten: ask on it before anything is redone.
    Doubtful,
    /// The link is forgotten, and the messages were not looked at.
    Forgotten,
}

impl LinkState {
    /// Returns what an answer of this status means, from the beginning of its body. For status 200, the body is
    /// that of JSON, or an event stream's beginning.
    pub fn after(asked: Asked<'_>, status: StatusCode, body: &[u8]) -> Self {
        // Nearly always: this is on every call's way.
        if status == StatusCode::OK && !may_be_error(body) {
            return Self::Known;
        }
        let said = Said::read(body);
        let doubtful = |is_doubtful| if is_doubtful { Self::Doubtful } else { Self::Known };
        match (status, asked) {
            (StatusCode::OK, Asked::Messages(ids)) => {
                doubtful(said.error_names_session(|id| id.is_none_or(|id| is_among(id, ids))))
            }
            (StatusCode::NOT_FOUND | StatusCode::GONE, Asked::Stream) => Self::Doubtful,
            (StatusCode::NOT_FOUND, Asked::Messages(ids)) if !said.is_for(ids) => Self::Forgotten,
            // What is not there is most often the method, and then it says so.
            (StatusCode::NOT_FOUND, Asked::Messages(_)) => doubtful(said.may_be_of_session()),
            (StatusCode::GONE, Asked::Messages(ids)) if !said.is_for(ids) => Self::Doubtful,
            _ if is_refusal(status) => doubtful(said.names_session()),
            _ => Self::Known,
        }
    }

    /// Returns whether the link is known, by the answer to a `ping` of this id (JSON text) on it.
    pub fn is_known(ping: &str, status: StatusCode, body: &[u8]) -> bool {
        let asked = Asked::Messages(&[ping]);
        Said::read(body).is_for(&[ping]) && Self::after(asked, status, body) == Self::Known
    }
}

/// Returns true if an answer of this status may say that the link is forgotten, so that its body has to be looked
/// at.
pub fn is_refusal(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::GONE
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::SERVICE_UNAVAILABLE
    )
}

fn may_be_error(body: &[u8]) -> bool {
    body.len() <= ERROR_BYTES_MAX && memchr::memmem::find(body, b"\"error\"").is_some()
}

/// What a body says.
enum Said {
    /// A JSON-RPC answer: the id that it names (JSON text), if that is not null, and its error's code and message.
    Answer { id: Option<Box<str>>, error: Option<(i64, Box<str>)> },
    /// Anything else.
    Text(Box<str>),
}

impl Said {
    fn read(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Message<'a> {
            #[serde(borrow)]
            id: Option<&'a RawValue>,
            #[serde(borrow)]
            result: Option<&'a RawValue>,
            error: Option<Failure>,
        }
        #[derive(Deserialize)]
        struct Failure {
            #[serde(default)]
            code: i64,
            #[serde(default)]
            message: Box<str>,
        }
        let event = first_data(body);
        match serde_json::from_slice(event.as_deref().unwrap_or(body)) {
            Ok(Message { id, result, error }) if result.is_some() || error.is_some() => {
                let id = id.map(RawValue::get).filter(|id| *id != "null").map(Box::from);
                Self::Answer { id, error: error.map(|error| (error.code, error.message)) }
            }
            Ok(_) | Err(_) => Self::Text(String::from_utf8_lossy(body).into()),
        }
    }

    /// Returns true if it answers one of the requests of these ids.
    fn is_for(&self, ids: &[&str]) -> bool {
        match self {
            Self::Answer { id: Some(id), .. } => is_among(id, ids),
            Self::Answer { id: None, .. } | Self::Text(_) => false,
        }
    }

    /// Returns true if it is an error that does not say that the method is what is not there.
    fn may_be_of_session(&self) -> bool {
        matches!(self, Self::Answer { error: Some((code, _)), .. } if *code != METHOD_NOT_FOUND)
    }

    fn names_session(&self) -> bool {
        match self {
            Self::Answer { error, .. } => error.as_ref().is_some_and(names_session),
            Self::Text(text) => speaks_of_session(text),
        }
    }

    /// Returns true if it is an error for such a request that says that the session is not there.
    fn error_names_session(&self, is_own: impl FnOnce(Option<&str>) -> bool) -> bool {
        match self {
            Self::Answer { id, error: Some(error) } => {
                is_own(id.as_deref()) && names_session(error) && says_it_is_gone(&error.1)
            }
            Self::Answer { error: None, .. } | Self::Text(_) => false,
        }
    }
}

/// A method that does not exist is no word on the session, whatever its name speaks of.
fn names_session((code, message): &(i64, Box<str>)) -> bool {
    *code != METHOD_NOT_FOUND && speaks_of_session(message)
}

fn speaks_of_session(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("session") || text.contains("not initialized")
}

/// What servers say of a session that they do not know. With status 200 it is also what tools say of sessions of
/// their own.
fn says_it_is_gone(text: &str) -> bool {
    const GONE: [&str; 13] = [
        "not found",
        "not initialized",
        "unknown",
        "expired",
        "invalid",
        "no valid",
        "missing",
        "no longer",
        "not exist",
        "terminated",
        "no such",
        "no active",
        "closed",
    ];
    let text = text.to_ascii_lowercase();
    GONE.iter().any(|word| text.contains(word))
}

/// Clients and servers write an id that is a number as a string, and the reverse.
fn is_among(id: &str, ids: &[&str]) -> bool {
    ids.iter().any(|one| one.trim_matches('"') == id.trim_matches('"'))
}

/// Returns the data of the first event, if the body is an event stream that begins with a whole one.
fn first_data(body: &[u8]) -> Option<Vec<u8>> {
    // JSON begins with a brace; no field of an event does.
    if body.trim_ascii_start().first().is_none_or(|&byte| byte == b'{') {
        return None;
    }
    let (mut data, mut is_whole) = (Vec::new(), false);
    Events::default().feed(body, &mut |part| match part {
        Part::Data(bytes) if !is_whole => data.extend_from_slice(bytes),
        Part::Data(_) => {}
        // An event without data only gives the stream an id.
        Part::End => is_whole |= !data.is_empty(),
    });
    is_whole.then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPESCRIPT: &str = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":null}"#;
    const PYTHON: &str = r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Session not found"}}"#;
    const OWN: &str =
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no such prompt"}}"#;
    const OWN_GONE: &str =
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32001,"message":"Session not found"}}"#;
    const OWN_TASK: &str =
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"the session is busy"}}"#;
    const NO_METHOD: &str =
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"session/list not found"}}"#;
    const RESULT: &str =
        r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"text":"Session not found"}]}}"#;
    const EVENT: &str = "id: 1\ndata:\n\nevent: message\ndata: {\"id\":\"7\",\"error\":{\"code\":-32600,\"message\":\"Session expired\"}}\n\n";

    #[test]
    fn what_an_answer_to_messages_means() {
        use LinkState::{Doubtful, Forgotten, Known};
        let table: &[(u16, &str, LinkState)] = &[
            // As the specification has it.
            (404, "", Forgotten),
            (404, "Not Found", Forgotten),
            (404, TYPESCRIPT, Forgotten),
            (404, PYTHON, Forgotten),
            // An answer to the request itself is that answer, unless it does not say what is not there.
            (404, OWN, Doubtful),
            (404, NO_METHOD, Known),
            (404, RESULT, Known),
            (400, OWN, Known),
            (410, OWN, Known),
            // Other words for it.
            (400, "Bad Request: No valid session ID provided", Doubtful),
            (400, TYPESCRIPT, Doubtful),
            (400, OWN_GONE, Doubtful),
            (404, OWN_GONE, Doubtful),
            (401, "Unauthorized: Session not found", Doubtful),
            (410, "", Doubtful),
            (410, "the session is over", Doubtful),
            (422, "Unexpected message, expect initialize request; no session", Doubtful),
            (503, "no backend for session 4711", Doubtful),
            // Refusals that mean what they say.
            (400, "no", Known),
            (400, NO_METHOD, Known),
            (401, r#"{"error":"invalid_token"}"#, Known),
            (403, "Forbidden", Known),
            (429, "too many sessions", Known),
            (409, "Conflict: Only one SSE stream is allowed per session", Known),
            (500, "Session not found", Known),
            (503, "Service Unavailable", Known),
            // An error in an answer like any other.
            (200, OWN_GONE, Doubtful),
            (200, TYPESCRIPT, Doubtful),
            (200, EVENT, Doubtful),
            (200, PYTHON, Known),
            (200, OWN, Known),
            (200, OWN_TASK, Known),
            (200, NO_METHOD, Known),
            (200, RESULT, Known),
            (200, "session not found", Known),
            (202, "session not found", Known),
        ];
        for &(status, body, expected) in table {
            let status = StatusCode::from_u16(status).unwrap();
            let found = LinkState::after(Asked::Messages(&["6", "7"]), status, body.as_bytes());
            assert_eq!(found, expected, "{status} {body}");
        }
    }

    #[test]
    fn a_stream_that_is_not_there_is_no_lost_session() {
        use LinkState::{Doubtful, Known};
        for (status, body, expected) in [
            (404, "Cannot GET /mcp", Doubtful),
            (404, "Session not found", Doubtful),
            (410, "", Doubtful),
            (400, "Invalid or missing session ID", Doubtful),
            (400, "Bad Request", Known),
            (405, "Method Not Allowed", Known),
            (409, "Only one SSE stream is allowed per session", Known),
            (200, "session not found", Known),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let found = LinkState::after(Asked::Stream, status, body.as_bytes());
            assert_eq!(found, expected, "{status} {body}");
        }
    }

    #[test]
    fn a_ping_settles_a_doubt() {
        let known = |status: u16, body: &str| {
            LinkState::is_known("\"p\"", StatusCode::from_u16(status).unwrap(), body.as_bytes())
        };
        assert!(known(200, r#"{"id":"p","result":{}}"#));
        assert!(known(200, "event: message\ndata: {\"id\":\"p\",\"result\":{}}\n\n"));
        assert!(known(200, r#"{"id":"p","error":{"code":-32601,"message":"no ping"}}"#));
        assert!(known(404, r#"{"id":"p","error":{"code":-32601,"message":"no ping"}}"#));
        assert!(!known(200, r#"{"id":"p","error":{"code":-32000,"message":"Session expired"}}"#));
        assert!(!known(400, TYPESCRIPT));
        assert!(!known(404, "Not Found"));
        assert!(!known(503, "session unknown"));
        assert!(!known(202, ""));
    }
}

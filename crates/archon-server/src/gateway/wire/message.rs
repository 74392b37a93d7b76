//! A message on its way to or from a child: the parts that routing needs, and where in its bytes they stand.
//!
//! Bytes are only ever replaced at those places; everything else in a message stays as it was sent.

use std::borrow::Cow;
use std::ops::Range;

use archon_sessions::protocol::codes::INTERNAL_ERROR;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::shape::is_error_sound;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It wants an answer.
    Request,
    /// It does not.
    Notification,
    /// It is one; a JSON-RPC error has a code.
    Answer {
        /// The error's code.
        code: Option<i64>,
    },
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Message {
    /// The whole message.
    pub bytes: Bytes,
    /// What it is.
    pub kind: Kind,
    /// Its method; empty for an answer.
    pub method: String,
    /// The id of a request or answer.
    pub id: Option<Range<usize>>,
    /// A request's `_meta.progressToken`, or the `progressToken` that a progress notification is about.
    pub token: Option<Range<usize>>,
    /// The request that `notifications/cancelled` is about.
    pub cancelled: Option<Range<usize>>,
    /// The subscription that a notification or the end of one belongs to.
    pub subscription: Option<Range<usize>>,
    /// Whether it has all that JSON-RPC requires; see [`super::shape`].
    pub is_sound: bool,
}

/// Members that are `null` are there.
#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

impl Outer<'_> {
    /// Returns the code of the error that it is; one without a code is an internal one.
    fn code(&self) -> Option<i64> {
        #[derive(Deserialize)]
        struct Error {
            code: i64,
        }
        let error = self.error.filter(|error| error.get() != "null")?;
        let error: Option<Error> = serde_json::from_str(error.get()).ok();
        Some(error.map_or(INTERNAL_ERROR, |error| error.code))
    }

    fn is_sound(&self) -> bool {
        let is_id = |id: &RawValue| {
            id.get().starts_with(['"', '-']) || id.get().starts_with(|c: char| c.is_ascii_digit())
        };
        let is_of_version = self.jsonrpc.is_some_and(|version| version.get() == "\"2.0\"");
        is_of_version
            && match (&self.method, self.result, self.error) {
                (Some(_), _, _) => self.id.is_none_or(is_id),
                (None, Some(result), None) => {
                    self.id.is_some_and(is_id) && result.get().starts_with('{')
                }
                (None, None, Some(error)) => self.id.is_some() && is_error_sound(error.get()),
                (None, _, _) => false,
            }
    }
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(value: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

#[derive(Default, Deserialize)]
struct Params<'a> {
    #[serde(borrow, rename = "_meta")]
    meta: Option<&'a RawValue>,
    #[serde(borrow, rename = "progressToken")]
    progress_token: Option<&'a RawValue>,
    #[serde(borrow, rename = "requestId")]
    request_id: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "progressToken")]
    progress_token: Option<&'a RawValue>,
    /// Ties a notification to its `subscriptions/listen` (MCP 2026-07-28, Subscriptions).
    #[serde(borrow, rename = "io.modelcontextprotocol/subscriptionId")]
    subscription_id: Option<&'a RawValue>,
}

impl Message {
    /// Reads a message; `None` if it is none.
    pub fn read(bytes: Bytes) -> Option<Self> {
        let mut message = Self {
            bytes: bytes.clone(),
            kind: Kind::Notification,
            method: String::new(),
            id: None,
            token: None,
            cancelled: None,
            subscription: None,
            is_sound: false,
        };
        let place = |raw: &RawValue| place_of(raw.get(), &bytes);
        let outer: Outer<'_> = serde_json::from_slice(&bytes).ok()?;
        message.kind = match (&outer.method, outer.id) {
            (Some(_), Some(_)) => Kind::Request,
            (Some(_), None) => Kind::Notification,
            (None, _) if outer.error.is_none() && outer.result.is_none() => return None,
            (None, _) => Kind::Answer { code: outer.code() },
        };
        message.is_sound = outer.is_sound();
        message.id = outer.id.map(place);
        message.method = outer.method.map(Cow::into_owned).unwrap_or_default();
        let inside = outer.params.or(outer.result).filter(|raw| raw.get().starts_with('{'));
        let Some(inside) = inside else { return Some(message) };
        // What is ambiguous inside is nothing that we act on; the message itself goes on.
        let params: Params<'_> = serde_json::from_str(inside.get()).unwrap_or_default();
        let meta = params.meta.filter(|raw| raw.get().starts_with('{'));
        let meta = meta.and_then(|meta| serde_json::from_str(meta.get()).ok());
        let meta: Meta<'_> = meta.unwrap_or_default();
        match (message.kind, message.method.as_str()) {
            (Kind::Request, _) => message.token = meta.progress_token.map(place),
            (_, "notifications/progress") => message.token = params.progress_token.map(place),
            (_, "notifications/cancelled") => message.cancelled = params.request_id.map(place),
            _ => {}
        }
        if message.kind != Kind::Request {
            message.subscription = meta.subscription_id.map(place);
        }
        Some(message)
    }

    /// Returns the JSON text at a place of this message.
    pub fn text(&self, place: &Range<usize>) -> &str {
        std::str::from_utf8(&self.bytes[place.clone()]).unwrap_or_default()
    }

    /// Returns the JSON text at a place in the form in which it can be compared.
    pub fn canonical(&self, place: &Range<usize>) -> String {
        canonical(self.text(place))
    }

    /// Returns the bytes with other text at these places.
    pub fn with(&self, changes: &[(Option<Range<usize>>, &str)]) -> Bytes {
        let mut changes: Vec<(Range<usize>, &str)> =
            changes.iter().filter_map(|(place, text)| Some((place.clone()?, *text))).collect();
        if changes.iter().all(|(place, text)| self.text(place) == *text) {
            return self.bytes.clone();
        }
        changes.sort_by_key(|(place, _)| place.start);
        let more: usize = changes.iter().map(|(_, text)| text.len()).sum();
        let (mut bytes, mut from) = (Vec::with_capacity(self.bytes.len() + more), 0);
        for (place, text) in changes {
            bytes.extend_from_slice(&self.bytes[from..place.start]);
            bytes.extend_from_slice(text.as_bytes());
            from = place.end;
        }
        bytes.extend_from_slice(&self.bytes[from..]);
        bytes.into()
    }
}

/// Returns where in `bytes` a text stands that was borrowed from them.
fn place_of(text: &str, bytes: &Bytes) -> Range<usize> {
    let start = text.as_ptr() as usize - bytes.as_ptr() as usize;
    start..start + text.len()
}

/// Returns an id or token in the one form in which it can be compared: as a server may write it back with
/// other escapes.
pub fn canonical(json: &str) -> String {
    if !json.contains('\\') {
        return json.to_owned();
    }
    let text: Result<String, _> = serde_json::from_str(json);
    text.map_or_else(|_| json.to_owned(), |text| serde_json::Value::from(text).to_string())
}

/// Returns which of these ids or progress tokens (JSON texts) is meant by another: the same one, or the only one that is
/// the same number. SDK clients compare them as numbers, and some servers write `"7"` or `7.0` for 7.
pub fn meant<'a, T>(known: impl Iterator<Item = (T, &'a str)>, id: &str) -> Option<T> {
    let (same, number) = (canonical(id), number(id));
    let mut alike = Vec::new();
    for (one, text) in known {
        if canonical(text) == same {
            return Some(one);
        }
        if number.is_some() && number == self::number(text) {
            alike.push(one);
        }
    }
    if alike.len() == 1 { alike.pop() } else { None }
}

fn number(json: &str) -> Option<f64> {
    let text = json.trim_matches('"').trim();
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Returns a message as the one line that stdio wants, its newline included. Newlines between tokens become
/// spaces; those in strings are always escaped in JSON.
pub fn line(message: &[u8]) -> Bytes {
    let message = message.trim_ascii();
    let mut line = Vec::with_capacity(message.len() + 1);
    line.extend(
        message.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }),
    );
    line.push(b'\n');
    line.into()
}

/// Returns the `result` of an answer, as JSON text.
pub fn result(answer: &[u8]) -> Option<String> {
    let answer: Outer<'_> = serde_json::from_slice(answer).ok()?;
    answer.result.map(|result| result.get().to_owned())
}

/// Returns the text of `notifications/cancelled` for a request of ours.
pub fn cancel(id: &str) -> Bytes {
    let text = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":"the client closed its stream"}}}}"#
    );
    line(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &'static str) -> Message {
        Message::read(Bytes::from_static(json.as_bytes())).unwrap()
    }

    fn at(message: &Message, place: &Option<Range<usize>>) -> Option<String> {
        place.as_ref().map(|place| message.text(place).to_owned())
    }

    #[test]
    fn only_the_id_and_the_token_are_replaced() {
        let json = r#"{ "params":{"x":1.0,"_meta":{"a" : [1],"progressToken": "t\u0041" }},"id" :7,
            "method":"tools/call","jsonrpc":"2.0", "extra":{"id":7}}"#;
        let call = read(json);
        assert_eq!(call.kind, Kind::Request);
        assert_eq!(at(&call, &call.token).as_deref(), Some(r#""t\u0041""#));
        let wire = call.with(&[(call.id.clone(), "900"), (call.token.clone(), "900")]);
        let expected = json.replace("\"t\\u0041\"", "900").replace("\"id\" :7,", "\"id\" :900,");
        assert_eq!(wire, expected.as_bytes());
        let back = Message::read(wire).unwrap();
        let back = back.with(&[(back.id.clone(), "7"), (back.token.clone(), r#""t\u0041""#)]);
        assert_eq!(back, json.as_bytes());
    }

    #[test]
    fn places_are_found_in_every_kind_of_message() {
        let progress = read(
            r#"{"method":"notifications/progress","params":{"progress":1,"progressToken":"p"}}"#,
        );
        assert_eq!(at(&progress, &progress.token).as_deref(), Some("\"p\""));
        let cancelled =
            read(r#"{"method":"notifications/cancelled","params":{"requestId":"r","reason":"x"}}"#);
        assert_eq!(at(&cancelled, &cancelled.cancelled).as_deref(), Some("\"r\""));
        let changed = read(
            r#"{"method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":3}}}"#,
        );
        assert_eq!(at(&changed, &changed.subscription).as_deref(), Some("3"));
        let end = read(
            r#"{"id":3,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":"3"},"resultType":"complete"}}"#,
        );
        assert_eq!(end.kind, Kind::Answer { code: None });
        assert_eq!(at(&end, &end.subscription).as_deref(), Some("\"3\""));
        let error = read(r#"{"id":3,"error":{"code":-32601,"message":"no"}}"#);
        assert_eq!(error.kind, Kind::Answer { code: Some(-32601) });
    }

    #[test]
    fn what_is_no_message_is_none() {
        for line in ["", "hello", "7", "{}", r#"{"id":1}"#, r#"{"method":7}"#, "[1]", "{\"a\":"] {
            assert!(Message::read(Bytes::from_static(line.as_bytes())).is_none(), "{line}");
        }
    }

    #[test]
    fn odd_messages_are_known_as_such() {
        for (json, kind, is_sound) in [
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, Kind::Answer { code: None }, true),
            (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, Kind::Answer { code: None }, false),
            (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, Kind::Answer { code: None }, false),
            (r#"{"id":1,"result":{}}"#, Kind::Answer { code: None }, false),
            (
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"m"}}"#,
                Kind::Answer { code: Some(-1) },
                true,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":"no"}"#,
                Kind::Answer { code: Some(INTERNAL_ERROR) },
                false,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{},"error":null}"#,
                Kind::Answer { code: None },
                false,
            ),
            (r#"{"jsonrpc":"2.0","method":"x","params":null}"#, Kind::Notification, true),
        ] {
            let message = read(json);
            assert_eq!((message.kind, message.is_sound), (kind, is_sound), "{json}");
        }
    }

    #[test]
    fn ids_are_compared_as_clients_compare_them() {
        let meant = |known: &[&str], id| {
            super::meant(known.iter().enumerate().map(|(at, id)| (at, *id)), id)
        };
        for (known, id, expected) in [
            (&["6", "7"][..], "7", Some(1)),
            (&["7"], "\"7\"", Some(0)),
            (&["\"7\""], "7.0", Some(0)),
            (&["7", "\"7\""], "\"7\"", Some(1)),
            (&["7", "\"7\""], "7.0", None),
            (&["\"a\\/b\""], "\"a/b\"", Some(0)),
            (&["\"a\"", "\"\""], "\"b\"", None),
            (&["0"], "\"\"", None),
            (&["1"], "null", None),
        ] {
            assert_eq!(meant(known, id), expected, "{known:?} {id}");
        }
    }

    #[test]
    fn a_message_becomes_one_line() {
        assert_eq!(line(b"\n{\"a\":\r\n \"b\\n\"}\n"), "{\"a\":   \"b\\n\"}\n");
        assert_eq!(canonical(r#""a\/b""#), r#""a/b""#);
        assert_eq!(canonical("7"), "7");
        assert!(std::str::from_utf8(&cancel("\"x\"")).unwrap().contains(r#""requestId":"x""#));
    }
}

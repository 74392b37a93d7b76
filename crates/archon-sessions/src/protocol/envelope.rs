//! The envelope of a JSON-RPC message: just enough of it to route, admit and track.
//!
//! Parsed once at the edge; the bytes themselves go on unchanged.

use std::borrow::Cow;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::depth::is_too_deep;
use super::names::meta;
use super::{Text, lenient, object};

/// An id longer than this (in bytes of JSON) is refused; real ones are a number or a UUID.
pub const ID_BYTES_MAX: usize = 256;
/// A method or name longer than this is refused.
pub const NAME_BYTES_MAX: usize = 1024;
/// A batch of more messages than this is refused.
pub const BATCH_MAX: usize = 100;

/// A request body: one message, or a batch (2025-03-26 only).
#[derive(Clone, Debug)]
// Nearly every body is a single message: a box would be paid for by each.
#[allow(clippy::large_enum_variant)]
pub enum Message {
    /// One message.
    Single(Envelope),
    /// A JSON array of messages.
    Batch(Vec<Envelope>),
}

/// What a message is, by JSON-RPC 2.0.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Has a method and an id, and wants an answer.
    Request {
        /// The id as JSON text, quotes included.
        id: Text,
    },
    /// Has a method and no id.
    Notification,
    /// Answers a request of the server's.
    Response,
}

/// What we need to know of a message.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// What it is.
    pub kind: Kind,
    /// The message itself, as it was sent.
    pub source: Text,
    /// The method; empty for a response.
    pub method: Text,
    /// `params` as JSON text.
    pub params: Option<Text>,
    /// `params.name`, `params.uri` or `params.taskId`, whichever the method's target is.
    pub target: Option<Text>,
    /// What `params._meta` says of the client.
    pub meta: Meta,
    /// Whether the client wrote it in a way that servers may refuse; see [`Message::read`].
    is_loose: bool,
}

/// `params._meta`, and the parts of it that the modern era requires or that describe the client.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    /// `_meta` itself, as JSON text.
    pub source: Option<Text>,
    /// `…/protocolVersion`.
    pub protocol_version: Option<Text>,
    /// `…/clientCapabilities` as JSON text.
    pub client_capabilities: Option<Text>,
    /// `…/clientInfo` as JSON text.
    pub client_info: Option<Text>,
}

/// Why a body is not a message.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON, not UTF-8, nested too deep, or ambiguous: JSON-RPC -32700.
    #[error("the body is not acceptable JSON: {0}")]
    Parse(String),
    /// JSON, but no JSON-RPC 2.0 message: -32600.
    #[error("{0}")]
    Invalid(&'static str),
}

/// A body that is refused.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub error: EnvelopeError,
    /// The id of the request in it as JSON text, if that can be read.
    pub id: Option<String>,
}

impl Message {
    /// Reads a request body as its client means it. Returns it as JSON-RPC 2.0 writes it, in the client's own bytes
    /// wherever they are that already, and the message in it.
    ///
    /// # Errors
    /// As [`Message::parse`], with the id that an answer has to carry.
    pub fn read(body: Bytes) -> Result<(Bytes, Self), Refused> {
        let body = lenient::without_mark(body);
        let parsed = Self::parse(&body).and_then(|message| {
            let is_loose = message.envelopes().iter().any(|envelope| envelope.is_loose);
            match is_loose.then(|| lenient::strict(&body)).flatten() {
                Some(strict) => Self::parse(&strict).map(|message| (strict, message)),
                None => Ok((body.clone(), message)),
            }
        });
        parsed.map_err(|error| Refused { error, id: lenient::id_of(&body) })
    }

    /// Parses a request body.
    ///
    /// # Errors
    /// If it is not one JSON-RPC 2.0 message or a batch of them, within the bounds of this module.
    pub fn parse(body: &Bytes) -> Result<Self, EnvelopeError> {
        let json = std::str::from_utf8(body)
            .map_err(|_| EnvelopeError::Parse("it is not UTF-8".into()))?;
        if is_too_deep(body) {
            return Err(EnvelopeError::Parse("it is nested too deep".into()));
        }
        if !json.trim_start().starts_with('[') {
            return Envelope::parse(body, json).map(Self::Single);
        }
        let items: Vec<&RawValue> = serde_json::from_str(json).map_err(parse_error)?;
        match items.len() {
            0 => Err(EnvelopeError::Invalid("a batch must not be empty")),
            n if n > BATCH_MAX => Err(EnvelopeError::Invalid("the batch has too many messages")),
            _ => {
                let parsed = items.iter().map(|item| Envelope::parse(body, item.get()));
                parsed.collect::<Result<_, _>>().map(Self::Batch)
            }
        }
    }

    /// Returns the messages.
    pub fn envelopes(&self) -> &[Envelope] {
        match self {
            Self::Single(envelope) => std::slice::from_ref(envelope),
            Self::Batch(envelopes) => envelopes,
        }
    }
}

impl Envelope {
    fn parse(body: &Bytes, json: &str) -> Result<Self, EnvelopeError> {
        if !json.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(json).is_ok() {
            return Err(EnvelopeError::Invalid("a message is a JSON object"));
        }
        let [jsonrpc, id, method, params, result, error] =
            object::read(json, &["jsonrpc", "id", "method", "params", "result", "error"])
                .map_err(parse_error)?;
        if jsonrpc.map(RawValue::get) != Some(r#""2.0""#) {
            return Err(EnvelopeError::Invalid("`jsonrpc` must be \"2.0\""));
        }
        let sent = [method, params, error];
        let mut is_loose = sent.into_iter().flatten().any(lenient::says_nothing);
        let [method, error] =
            [method, error].map(|raw| raw.filter(|raw| !lenient::says_nothing(raw)));
        let result = result.filter(|raw| {
            // An answer may be null; a request has none, and an error stands in its place.
            let is_absent = lenient::says_nothing(raw) && (method.is_some() || error.is_some());
            is_loose |= is_absent;
            !is_absent
        });
        let is_answer = result.is_some() || error.is_some();
        let is_note = |method: &RawValue| method.get().starts_with("\"notifications/");
        let kind = match (method, id, is_answer) {
            // Some serializers know no absent members; a notification's name says what it is.
            (Some(method), Some(id), false) if lenient::says_nothing(id) && is_note(method) => {
                is_loose = true;
                Kind::Notification
            }
            (Some(_), Some(id), false) => {
                is_loose |= lenient::integer(id.get()).is_some_and(|integer| integer != id.get());
                Kind::Request { id: valid_id(body, id)? }
            }
            (Some(_), None, false) => Kind::Notification,
            (None, _, true) => Kind::Response,
            _ => {
                return Err(EnvelopeError::Invalid(
                    "a message has either a `method`, or an `id` with `result` or `error`",
                ));
            }
        };
        let method = match method {
            Some(raw) => string(body, raw, "`method` must be a string")?,
            None => Text::default(),
        };
        let source = Text::within(body, Cow::Borrowed(json));
        let meta = Meta::default();
        let mut envelope =
            Self { kind, source, method, params: None, target: None, meta, is_loose };
        match params {
            Some(none) if lenient::are_none(none) => envelope.is_loose = true,
            Some(params) => envelope.read_params(body, params.get())?,
            None => {}
        }
        Ok(envelope)
    }

    fn read_params(&mut self, body: &Bytes, params: &str) -> Result<(), EnvelopeError> {
        if !params.starts_with('{') {
            return Err(EnvelopeError::Invalid("`params` must be an object"));
        }
        self.params = Some(Text::within(body, Cow::Borrowed(params)));
        let [name, uri, task, arguments, meta] =
            object::read(params, &["name", "uri", "taskId", "arguments", "_meta"])
                .map_err(parse_error)?;
        let target = match &*self.method {
            "tools/call" | "prompts/get" => name,
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => uri,
            "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => task,
            _ => None,
        };
        self.target = target
            .map(|raw| string(body, raw, "the target of a call must be a string"))
            .transpose()?;
        if let Some(arguments) = arguments {
            object::check_keys(arguments.get()).map_err(parse_error)?;
        }
        if let Some(meta) = meta.filter(|raw| raw.get() != "null") {
            self.meta = Meta::parse(body, meta.get())?;
        }
        Ok(())
    }

    /// Returns the id as JSON text, if this is a request.
    pub fn request_id(&self) -> Option<&Text> {
        match &self.kind {
            Kind::Request { id } => Some(id),
            Kind::Notification | Kind::Response => None,
        }
    }

    /// Returns the id, as JSON text, of the request that this takes back (MCP 2025-11-25, Cancellation).
    pub fn cancelled_id(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Cancelled<'a> {
            #[serde(borrow)]
            request_id: &'a RawValue,
        }
        let params =
            self.params.as_deref().filter(|_| &*self.method == "notifications/cancelled")?;
        let id = serde_json::from_str::<Cancelled>(params).ok()?.request_id.get();
        Some(lenient::integer(id).unwrap_or_else(|| id.to_owned()))
    }

    /// Returns the tool that is called, if one is.
    pub fn tool(&self) -> Option<&Text> {
        self.target.as_ref().filter(|_| &*self.method == "tools/call")
    }
}

impl Meta {
    fn parse(body: &Bytes, json: &str) -> Result<Self, EnvelopeError> {
        if !json.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(json).is_ok() {
            return Err(EnvelopeError::Invalid("a message is a JSON object"));
        }
        if !json.starts_with('{') {
            return Err(EnvelopeError::Invalid("`_meta` must be an object"));
        }
        let known = [meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES, meta::CLIENT_INFO];
        let [version, capabilities, info] = object::read(json, &known).map_err(parse_error)?;
        let part = |raw: &RawValue| Text::within(body, Cow::Borrowed(raw.get()));
        Ok(Self {
            source: Some(Text::within(body, Cow::Borrowed(json))),
            protocol_version: version
                .map(|raw| string(body, raw, "`protocolVersion` must be a string"))
                .transpose()?,
            client_capabilities: capabilities.map(part),
            client_info: info.map(part),
        })
    }
}

/// Accepts a string or an integer (MCP: "Requests MUST include a string or integer ID").
fn valid_id(body: &Bytes, raw: &RawValue) -> Result<Text, EnvelopeError> {
    let id = raw.get();
    if id.len() > ID_BYTES_MAX {
        return Err(EnvelopeError::Invalid("`id` is too long"));
    }
    let is_integer = id.strip_prefix('-').unwrap_or(id).bytes().all(|b| b.is_ascii_digit());
    if !is_integer && !id.starts_with('"') && lenient::integer(id).is_none() {
        return Err(EnvelopeError::Invalid("`id` must be a string or an integer"));
    }
    Ok(Text::within(body, Cow::Borrowed(id)))
}

fn string(body: &Bytes, raw: &RawValue, what: &'static str) -> Result<Text, EnvelopeError> {
    let json = raw.get();
    if json.len() > NAME_BYTES_MAX {
        return Err(EnvelopeError::Invalid("a method or name is too long"));
    }
    // Without escapes the text is what stands between the quotes.
    if let Some(plain) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
        && !plain.contains('\\')
    {
        return Ok(Text::within(body, Cow::Borrowed(plain)));
    }
    let text: String = serde_json::from_str(json).map_err(|_| EnvelopeError::Invalid(what))?;
    Ok(Text::within(body, Cow::Owned(text)))
}

fn parse_error(error: serde_json::Error) -> EnvelopeError {
    EnvelopeError::Parse(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Message, EnvelopeError> {
        Message::parse(&Bytes::copy_from_slice(json.as_bytes()))
    }

    fn single(json: &str) -> Envelope {
        match parse(json) {
            Ok(Message::Single(envelope)) => envelope,
            other => panic!("{json}: {other:?}"),
        }
    }

    #[test]
    fn a_tool_call_is_read() {
        let call = single(
            r#"{"jsonrpc":"2.0","id":"a\"b","method":"tools/call","params":
               {"name":"echo","arguments":{"x":1},"_meta":{"progressToken":7,
               "io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
        );
        assert_eq!(call.request_id().map(|id| &**id), Some(r#""a\"b""#));
        assert_eq!(call.tool().map(|t| &**t), Some("echo"));
        assert_eq!(call.meta.protocol_version.as_deref(), Some("2026-07-28"));
    }

    #[test]
    fn the_three_kinds_are_told_apart() {
        let kind = |json| single(json).kind;
        assert_eq!(kind(r#"{"jsonrpc":"2.0","method":"x"}"#), Kind::Notification);
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), Kind::Response);
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"error":{}}"#), Kind::Response);
        assert!(matches!(kind(r#"{"jsonrpc":"2.0","id":-1,"method":"x"}"#), Kind::Request { .. }));
    }

    #[test]
    fn what_a_client_means_is_read_and_what_it_wrote_stays_where_it_can() {
        let read = |json: &str| {
            let (body, message) = Message::read(Bytes::copy_from_slice(json.as_bytes())).unwrap();
            let Message::Single(envelope) = message else { panic!("{json}") };
            (String::from_utf8(body.to_vec()).unwrap(), envelope)
        };
        let plain =
            r#"{ "jsonrpc":"2.0","id": 1,"method":"tools/call","params":{"name":"a","n":1.0}}"#;
        assert_eq!(read(plain).0, plain);
        let (body, envelope) = read(&format!("\u{feff}{plain}"));
        assert_eq!((&*body, envelope.tool().map(|tool| &**tool)), (plain, Some("a")));
        for (loose, id) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":null}"#, Some("1")),
            (r#"{"jsonrpc":"2.0","id":1.0,"method":"tools/list","params":[]}"#, Some("1")),
            (
                r#"{"jsonrpc":"2.0","id":"1.0","method":"x","result":null,"error":null}"#,
                Some("\"1.0\""),
            ),
            (r#"{"jsonrpc":"2.0","id":null,"method":"notifications/initialized"}"#, None),
        ] {
            let (body, envelope) = read(loose);
            assert_ne!(body, loose);
            assert_eq!(envelope.request_id().map(|id| &**id), id, "{loose}");
            assert_eq!(&*envelope.source, body, "what goes on is what was understood");
            assert!(envelope.params.is_none() && envelope.kind != Kind::Response);
        }
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":null}"#;
        assert_eq!((&*read(answer).0, read(answer).1.kind), (answer, Kind::Response));
    }

    #[test]
    fn a_refusal_knows_whose_it_is() {
        let bad = br#"{"jsonrpc":"2.0","id":"a","method":"tools/list","params":[1]}"#;
        let refused = Message::read(Bytes::from_static(bad)).unwrap_err();
        assert_eq!(refused.id.as_deref(), Some("\"a\""));
    }

    #[test]
    fn batches_are_bounded() {
        let note = r#"{"jsonrpc":"2.0","method":"x"}"#;
        assert_eq!(parse(&format!("[{note},{note}]")).unwrap().envelopes().len(), 2);
        assert!(parse("[]").is_err());
        let many = vec![note; BATCH_MAX + 1].join(",");
        assert!(parse(&format!("[{many}]")).is_err());
    }

    #[test]
    fn bad_bodies_are_refused_with_a_reason() {
        let request = |rest: &str| format!(r#"{{"jsonrpc":"2.0","id":1,{rest}}}"#);
        let long = "9".repeat(1000);
        let no_json = [
            String::new(),
            "nonsense".into(),
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/li"#.into(),
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#.into(),
            "\0".repeat(1000),
            request("\"method\":\"ping\0\""),
            request(&format!(r#""method":{}"#, "[".repeat(500))),
            request(r#""id":2,"method":"x""#),
            request(r#""Method":"y","method":"x""#),
            request(r#""method":"a","\u006dethod":"b""#),
            request(r#""method":"tools/call","params":{"name":"a","name":"b"}"#),
            request(r#""method":"tools/call","params":{"name":"a","Name":"b"}"#),
            request(r#""method":"tools/call","params":{"name":"a","arguments":{"k":1,"k":2}}"#),
            request(r#""method":"tools/list","params":{"_meta":{"k":"1","k":"2","k":"1"}}"#),
        ];
        let no_message = [
            "7".into(),
            "null".into(),
            r#""ping""#.into(),
            "{}".into(),
            "[1,2]".into(),
            r#"{"id":1,"method":"x"}"#.into(),
            r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#.into(),
            r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#.into(),
            r#"{"jsonrpc":"2.0","id":1,"method":null}"#.into(),
            r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#.into(),
            r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#.into(),
            format!(r#"{{"jsonrpc":"2.0","id":{long},"method":"x"}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":"{long}","method":"x"}}"#),
            request(r#""method":7"#),
            request(&format!(r#""method":"{}""#, long.repeat(2))),
            request(r#""x":1"#),
            request(r#""method":"x","result":{}"#),
            request(r#""method":"x","params":[1]"#),
            request(r#""method":"x","params":"y""#),
            request(r#""method":"x","params":{"_meta":[]}"#),
            request(r#""method":"tools/call","params":{"name":1}"#),
            request(r#""method":"tools/call","params":{"name":"\ud800"}"#),
        ];
        for bad in &no_json {
            assert!(matches!(parse(bad), Err(EnvelopeError::Parse(_))), "{bad}");
        }
        for bad in &no_message {
            assert!(matches!(parse(bad), Err(EnvelopeError::Invalid(_))), "{bad}");
        }
        let not_text = Bytes::from_static(b"{\"jsonrpc\":\"\xff\"}");
        assert!(matches!(Message::parse(&not_text), Err(EnvelopeError::Parse(_))));
    }
}

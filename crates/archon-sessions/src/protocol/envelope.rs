//! The envelope of a JSON-RPC message: just enough of it to route, admit and track.
//!
//! Parsed once at the edge; the bytes themselves go on unchanged.

use std::borrow::Cow;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::depth::is_too_deep;
use super::names::meta;
use super::{Text, object};

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

impl Message {
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
        let is_answer = result.is_some() || error.is_some();
        let kind = match (method.is_some(), id, is_answer) {
            (true, Some(id), false) => Kind::Request { id: valid_id(body, id)? },
            (true, None, false) => Kind::Notification,
            (false, _, true) => Kind::Response,
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
        let mut envelope =
            Self { kind, source, method, params: None, target: None, meta: Meta::default() };
        if let Some(params) = params {
            envelope.read_params(body, params.get())?;
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
    if !is_integer && !id.starts_with('"') {
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
    fn batches_are_bounded() {
        let note = r#"{"jsonrpc":"2.0","method":"x"}"#;
        assert_eq!(parse(&format!("[{note},{note}]")).unwrap().envelopes().len(), 2);
        assert!(parse("[]").is_err());
        let many = vec![note; BATCH_MAX + 1].join(",");
        assert!(parse(&format!("[{many}]")).is_err());
    }

    #[test]
    fn bad_bodies_are_refused_with_a_reason() {
        let long = format!(r#"{{"jsonrpc":"2.0","id":{},"method":"x"}}"#, "9".repeat(1000));
        let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":{}}}"#, "[".repeat(500));
        for bad in [
            "",
            "nonsense",
            "7",
            "null",
            r#"{"id":1,"method":"x"}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1,"Method":"y","method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":1}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"k":1,"k":2}}}"#,
            &long,
            &deep,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(Message::parse(&Bytes::from_static(b"{\"jsonrpc\":\"\xff\"}")).is_err());
    }
}

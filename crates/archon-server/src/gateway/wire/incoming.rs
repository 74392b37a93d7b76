//! The messages of an upstream's answer, one by one, whether it came as JSON or as an event stream. The only reader of
//! event streams in the gateway: what looks for one message in an answer, and what passes the others on, asks here.

use std::collections::VecDeque;
use std::time::Duration;

use archon_sessions::layer::{BoxError, CallFailed};
use archon_sessions::protocol::sse::is_event_stream;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::StatusCode;
use http::response::Parts;
use http_body_util::BodyExt;

use super::answer::not_running;
use super::event::{Event, Events};
use super::lenient::{self, Unreadable};
use super::message::Message;
use super::{Answer, GatewayBody};

/// One message; it is held in memory while it is read. As much as a child may say in one line.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A message has more bytes than are read at a time.
#[derive(Debug, thiserror::Error)]
#[error("the upstream's message is too large")]
pub struct TooLarge;

/// See the module.
pub struct Incoming {
    status: StatusCode,
    body: GatewayBody,
    form: Form,
    /// Complete, and not taken yet. A JSON body is one event whose bytes are its data.
    complete: VecDeque<Event>,
    /// The id of the latest event that has one, and of the stream that this one goes on from.
    last_id: Option<Bytes>,
    /// How long the server wants us to wait before we come back.
    retry: Option<Duration>,
    /// Messages of the last event that was taken: an old server may answer with a batch.
    messages: VecDeque<Message>,
    /// What was to be the answer.
    unreadable: Option<Unreadable>,
}

enum Form {
    /// The body is one message.
    Json(BytesMut),
    Events(Events),
    Over,
}

/// What an upstream said to a request over HTTP.
pub enum Said {
    /// Messages: the answer, maybe after others.
    Messages(Incoming),
    /// Nothing of the protocol's: who calls is not let in, or has to wait, or the server is broken. It means to the
    /// client what it means to us.
    Refusal(Answer),
}

impl Said {
    /// Looks at an answer's head.
    pub fn of(answer: Answer) -> Self {
        let status = answer.status();
        let is_for_the_client = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            || status == StatusCode::TOO_MANY_REQUESTS
            || status.is_server_error()
            || status.is_redirection();
        if is_for_the_client {
            return Self::Refusal(answer);
        }
        let (parts, body) = answer.into_parts();
        Self::Messages(Incoming::new(&parts, body))
    }
}

impl Incoming {
    /// Reads the body of an answer with this head.
    pub fn new(parts: &Parts, body: GatewayBody) -> Self {
        let form = if is_event_stream(&parts.headers) {
            Form::Events(Events::default())
        } else {
            Form::Json(BytesMut::new())
        };
        Self {
            status: parts.status,
            body,
            form,
            complete: VecDeque::new(),
            last_id: None,
            retry: None,
            messages: VecDeque::new(),
            unreadable: None,
        }
    }

    /// Returns the next message, as [`lenient`] reads it; `None` at the end. What is not a message is left out. Nothing
    /// is lost when this is dropped before it is done.
    ///
    /// # Errors
    /// If the upstream breaks off, a message is too large, or an answer cannot be read: there will be no other.
    pub async fn next(&mut self) -> Result<Option<Message>, BoxError> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Ok(Some(message));
            }
            let is_whole_body = matches!(self.form, Form::Json(_));
            let Some(event) = self.next_event(MESSAGE_BYTES_MAX).await? else { return Ok(None) };
            if let Some(id) = event.id {
                self.last_id = Some(id).filter(|id| !id.is_empty());
            }
            self.retry = event.retry.or(self.retry);
            let Some(data) = event.data.filter(|data| !data.trim_ascii().is_empty()) else {
                continue;
            };
            for said in lenient::read_all(&data) {
                match said {
                    Ok(message) => self.messages.push_back(message),
                    Err(unreadable) if is_whole_body || unreadable != Unreadable::Other => {
                        self.unreadable = Some(unreadable);
                    }
                    Err(_) => {}
                }
            }
            if self.messages.is_empty() && self.unreadable.is_some() {
                return Err("the upstream's answer cannot be read".into());
            }
        }
    }

    /// Returns the next event as it was sent, comments and empty ones included; a JSON body is one. `None` at the end.
    /// Nothing is lost when this is dropped before it is done, nor when it fails for the event's size: then
    /// [`Incoming::rest`] has all of it.
    ///
    /// # Errors
    /// If the upstream breaks off, or the event has more than `bytes_max` bytes ([`TooLarge`]).
    pub async fn next_event(&mut self, bytes_max: usize) -> Result<Option<Event>, BoxError> {
        loop {
            if let Some(event) = self.complete.pop_front() {
                return Ok(Some(event));
            }
            if matches!(self.form, Form::Over) {
                return Ok(None);
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.take(&data);
                    }
                }
                None => {
                    if let Form::Json(read) = std::mem::replace(&mut self.form, Form::Over) {
                        let raw = read.freeze();
                        let data = Some(raw.clone());
                        self.complete.push_back(Event { raw, data, ..Event::default() });
                    }
                }
            }
            if self.complete.is_empty() && self.waiting() > bytes_max {
                return Err(TooLarge.into());
            }
        }
    }

    fn take(&mut self, data: &[u8]) {
        let complete = &mut self.complete;
        match &mut self.form {
            Form::Json(read) => read.extend_from_slice(data),
            Form::Events(events) => events.feed(data, &mut |event| complete.push_back(event)),
            Form::Over => {}
        }
    }

    fn waiting(&self) -> usize {
        match &self.form {
            Form::Json(read) => read.len(),
            Form::Events(events) => events.waiting(),
            Form::Over => 0,
        }
    }

    /// Returns the answer to the only request that was sent; leaves out what comes before it.
    ///
    /// # Errors
    /// If there is none.
    pub async fn answer(&mut self, upstream: &str) -> Result<Message, CallFailed> {
        loop {
            match self.next().await {
                Ok(Some(message)) if message.method.is_empty() => return Ok(message),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Err(self.broken(upstream)),
            }
        }
    }

    /// Returns what became of a request whose answer ended without a message.
    pub fn broken(&self, upstream: &str) -> CallFailed {
        if self.status.is_success() {
            let unreadable = self.unreadable.as_ref().map(|unreadable| unreadable.failed(upstream));
            return unreadable.unwrap_or_else(|| CallFailed::lost(upstream));
        }
        let status = self.status;
        not_running(format!("upstream {upstream:?} answered HTTP {status}; the call did not run"))
    }

    /// Returns this stream as the rest of one that ended after the event `last`, and said when to come back.
    pub fn after(self, last: Bytes, retry: Option<Duration>) -> Self {
        Self { last_id: Some(last), retry, ..self }
    }

    /// Returns the id of the latest event that was taken as a message or before one.
    pub fn last_id(&self) -> Option<&Bytes> {
        self.last_id.as_ref()
    }

    /// Returns how long to wait before the stream is asked for again, where the server said so.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Takes what has arrived beyond the answer, so that a connection whose body is over can be used again.
    pub fn finish(&mut self) {
        let _ = self.next().now_or_never();
    }

    /// Returns the body from where it was read to: what was not taken yet, as it was sent, and what is still to come.
    pub fn rest(self) -> GatewayBody {
        let mut bytes = BytesMut::new();
        for event in self.complete {
            bytes.extend_from_slice(&event.raw);
        }
        match self.form {
            Form::Json(read) => bytes.extend_from_slice(&read),
            Form::Events(mut events) => bytes.extend_from_slice(&events.take_rest()),
            Form::Over => {}
        }
        if bytes.is_empty() { self.body } else { self.body.with_ahead(bytes.freeze()) }
    }
}

#[cfg(test)]
mod tests {
    use http::Response;
    use http::header::{CONTENT_TYPE, HeaderValue};

    use bytes::Bytes;

    use super::*;

    fn incoming(kind: &'static str, body: &'static str) -> Incoming {
        let mut answer = Response::new(GatewayBody::ours(Bytes::from_static(body.as_bytes())));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let Said::Messages(incoming) = Said::of(answer) else { panic!("refused") };
        incoming
    }

    async fn all(kind: &'static str, body: &'static str) -> Vec<String> {
        let mut incoming = incoming(kind, body);
        let mut all = Vec::new();
        while let Some(message) = incoming.next().await.unwrap() {
            all.push(String::from_utf8(message.bytes.to_vec()).unwrap());
        }
        all
    }

    #[tokio::test]
    async fn messages_come_out_of_both_forms() {
        let news = r#"{"jsonrpc":"2.0","method":"n"}"#;
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert_eq!(all("application/json", answer).await, [answer]);
        let stream = "id: 0\ndata: \n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n\n: here\n\n\
                      data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n";
        assert_eq!(all("text/event-stream", stream).await, [news, answer]);
        let lines = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\rdata: \"result\":{}}\r\r";
        let answer = "{\"jsonrpc\":\"2.0\",\"id\":1,\n\"result\":{}}";
        assert_eq!(all("text/event-stream", lines).await, [answer]);
        assert!(incoming("text/html", "<p>no</p>").next().await.is_err());
        assert_eq!(all("text/event-stream", "data: {\"method\":\"cut").await, [""; 0]);
    }

    #[tokio::test]
    async fn a_stream_says_where_and_when_to_come_back() {
        let stream = "id: 7\nretry: 30\ndata: \n\ndata: {\"method\":\"n\"}\n\nid: 8\n\n";
        let mut incoming = incoming("text/event-stream", stream);
        assert_eq!((incoming.last_id(), incoming.retry()), (None, None));
        incoming.next().await.unwrap().unwrap();
        assert_eq!(incoming.last_id().map(|id| &id[..]), Some(&b"7"[..]));
        assert_eq!(incoming.retry(), Some(Duration::from_millis(30)));
        assert!(incoming.next().await.unwrap().is_none());
        assert_eq!(incoming.last_id().map(|id| &id[..]), Some(&b"8"[..]));
    }

    #[tokio::test]
    async fn an_answer_ends_its_call_however_it_was_written() {
        let batch = r#"[{"id":1,"result":null}]"#;
        assert_eq!(
            all("application/json", batch).await,
            [r#"{"id":1,"result":{},"jsonrpc":"2.0"}"#]
        );
        for (kind, body, ran) in [
            ("application/json", r#"{"jsonrpc":"2.0","id":1,"result":{'a'}}"#, "yes"),
            ("application/json", "it works!", "unknown"),
            ("text/event-stream", "data: x\n\ndata: {\"id\":1,\"result\":{'a'}}\n\n", "yes"),
            ("text/event-stream", "data: {\"id\":1,\"error\":{\n\n", "unknown"),
        ] {
            let failed = incoming(kind, body).answer("a").await.unwrap_err();
            let said: serde_json::Value =
                serde_json::from_str(&failed.message_for(Some("1"))).unwrap();
            assert_eq!(said["error"]["data"]["ran"], ran, "{body}");
            assert!(
                failed.message.contains("cannot be read") || failed.message.contains("not in JSON")
            );
        }
    }

    #[tokio::test]
    async fn what_was_not_taken_is_passed_on_as_it_was_sent() {
        let stream = ": a\n\nid: 1\ndata: x\n\ndata: y\r\n\r\ndata: cut";
        let mut incoming = incoming("text/event-stream", stream);
        assert_eq!(incoming.next_event(9).await.unwrap().unwrap().raw, ": a\n\n");
        let rest = incoming.rest().collect().await.unwrap().to_bytes();
        assert_eq!(rest, stream[": a\n\n".len()..]);
    }

    #[test]
    fn what_concerns_the_client_goes_to_it() {
        for (status, is_theirs) in
            [(401, true), (403, true), (503, true), (200, false), (404, false)]
        {
            let mut answer = Response::new(GatewayBody::ours(Bytes::new()));
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            assert_eq!(matches!(Said::of(answer), Said::Refusal(_)), is_theirs, "{status}");
        }
    }
}

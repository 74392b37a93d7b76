//! The messages of an upstream's answer, one by one, whether it came as JSON or as an event stream.

use std::collections::VecDeque;

use archon_sessions::layer::{BoxError, CallFailed};
use archon_sessions::protocol::sse::{Events, Part, is_event_stream};
use bytes::Bytes;
use futures_util::FutureExt;
use http::StatusCode;
use http::response::Parts;
use http_body_util::BodyExt;

use crate::gateway::stdio::answer::not_running;
use crate::gateway::stdio::message::Message;
use crate::gateway::{Answer, GatewayBody};

/// One message; it is held in memory while it is translated. As much as a child may say in one line.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// See the module.
pub struct Incoming {
    status: StatusCode,
    body: GatewayBody,
    form: Form,
    /// Read, and not taken yet.
    whole: VecDeque<Bytes>,
}

enum Form {
    /// The body is one message.
    Json(Vec<u8>),
    /// Each event is one; the beginning of the next.
    Events(Events, Vec<u8>),
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
    fn new(parts: &Parts, body: GatewayBody) -> Self {
        let form = if is_event_stream(&parts.headers) {
            Form::Events(Events::default(), Vec::new())
        } else {
            Form::Json(Vec::new())
        };
        Self { status: parts.status, body, form, whole: VecDeque::new() }
    }

    /// Returns the next message; `None` at the end. What is no message is left out. Nothing is lost when this is
    /// dropped before it is done.
    ///
    /// # Errors
    /// If the upstream breaks off, or a message is too large.
    pub async fn next(&mut self) -> Result<Option<Message>, BoxError> {
        loop {
            if let Some(message) = self.whole.pop_front() {
                match Message::read(message) {
                    Some(message) => return Ok(Some(message)),
                    None => continue,
                }
            }
            if matches!(self.form, Form::Over) {
                return Ok(None);
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.take(&data)?;
                    }
                }
                None => {
                    if let Form::Json(read) = std::mem::replace(&mut self.form, Form::Over) {
                        self.whole.push_back(read.into());
                    }
                }
            }
        }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), BoxError> {
        let whole = &mut self.whole;
        let open = match &mut self.form {
            Form::Json(read) => {
                read.extend_from_slice(data);
                read.len()
            }
            Form::Events(events, open) => {
                events.feed(data, &mut |part| match part {
                    Part::Data(data) => open.extend_from_slice(data),
                    Part::End => whole.push_back(std::mem::take(open).into()),
                });
                open.len()
            }
            Form::Over => 0,
        };
        if open > MESSAGE_BYTES_MAX {
            Err("the upstream's message is too large".into())
        } else {
            Ok(())
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
            return CallFailed::lost(upstream);
        }
        let status = self.status;
        not_running(format!("upstream {upstream:?} answered HTTP {status}; the call did not run"))
    }

    /// Takes what has arrived beyond the answer, so that a connection whose body is over can be used again.
    pub fn finish(&mut self) {
        let _ = self.next().now_or_never();
    }
}

#[cfg(test)]
mod tests {
    use http::Response;
    use http::header::{CONTENT_TYPE, HeaderValue};

    use super::*;

    async fn all(kind: &'static str, body: &'static str) -> Vec<String> {
        let mut answer = Response::new(GatewayBody::ours(Bytes::from_static(body.as_bytes())));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let Said::Messages(mut incoming) = Said::of(answer) else { panic!("refused") };
        let mut all = Vec::new();
        while let Some(message) = incoming.next().await.unwrap() {
            all.push(String::from_utf8(message.bytes.to_vec()).unwrap());
        }
        all
    }

    #[tokio::test]
    async fn messages_come_out_of_both_forms() {
        let (news, answer) = (r#"{"method":"n"}"#, r#"{"id":1,"result":{}}"#);
        assert_eq!(all("application/json", r#"{"id":1,"result":{}}"#).await, [answer]);
        let stream = "id: 0\ndata: \n\ndata: {\"method\":\"n\"}\n\n: here\n\ndata: {\"id\":1,\"result\":{}}\n\n";
        assert_eq!(all("text/event-stream", stream).await, [news, answer]);
        assert_eq!(all("text/html", "<p>no</p>").await, [""; 0]);
        assert_eq!(all("text/event-stream", "data: {\"method\":\"cut").await, [""; 0]);
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

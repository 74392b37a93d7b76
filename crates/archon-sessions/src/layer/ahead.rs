//! An answer that is read before it is passed on: to a handshake, and to what we ask ourselves.
//!
//! Its server may ask something before it answers, and wait for that. There is nobody to ask yet: a `ping` is answered,
//! anything else refused, at once. Such questions are left out of what is passed on, as they have their answers.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::HeaderValue;
use http_body::Body;
use http_body_util::BodyExt;

use super::body::{AnswerFinder, Seen};
use super::failure::{BoxError, CallFailed};
use super::flow::{Flow, InnerRequest, InnerService};
use super::request::ours;
use crate::protocol::Message;
use crate::protocol::answer::Verdict;
use crate::protocol::codes::{METHOD_NOT_FOUND, error_message};
use crate::protocol::names::MCP_SESSION_ID;
use crate::protocol::sse::{Events, Part, is_event_stream};

/// What an answer may be long, and what comes before it: instructions can be long, and icons be written into it, but
/// not this long.
const READ_AHEAD_MAX: usize = 1024 * 1024;
/// A server takes an answer of ours within this time; it is not waited for any longer.
const REPLY_LIMIT: Duration = Duration::from_secs(5);
/// Questions that are answered. Whoever asks more gets no answer to them.
const QUESTIONS_MAX: usize = 64;

/// An answer of which the first message has been read.
pub(super) struct Opened<B> {
    pub(super) parts: http::response::Parts,
    pub(super) body: B,
    /// What was read, to be sent on first.
    pub(super) read_ahead: VecDeque<Bytes>,
    /// The answer, as JSON, if one came.
    pub(super) answer: Option<(Verdict, Vec<u8>)>,
    pub(super) bytes: u64,
}

impl<B> Opened<B> {
    /// Returns the answer, as JSON, if it is a success.
    pub(super) fn result(&self) -> Option<&[u8]> {
        let answer = self.answer.as_ref().filter(|(verdict, _)| *verdict == Verdict::Success);
        answer.map(|(_, json)| &**json)
    }
}

impl<S: InnerService> Flow<S> {
    /// Reads until the answer to a request like this one has come, or the body's end.
    ///
    /// # Errors
    /// If the body breaks off, or the answer is longer than is read ahead.
    pub(super) async fn read_answer(
        &mut self,
        response: Response<S::Answer>,
        like: &InnerRequest,
    ) -> Result<Opened<S::Answer>, CallFailed> {
        // A handshake's answer names its link; whatever else is read here was sent on one.
        let link = response.headers().get(MCP_SESSION_ID).or(like.headers().get(MCP_SESSION_ID));
        let link = link.cloned();
        let upstream = self.shared.upstream.clone();
        let mut reading = Reading::new(response);
        let mut asked = 0;
        while reading.goes_on(&upstream).await? {
            for question in std::mem::take(&mut reading.questions) {
                asked += 1;
                if asked <= QUESTIONS_MAX {
                    self.reply(question, like, link.clone()).await;
                }
            }
        }
        Ok(reading.opened())
    }

    async fn reply(&mut self, reply: String, like: &InnerRequest, link: Option<HeaderValue>) {
        let reply = ours(like, reply, link, None);
        // Whether it is taken shows in the answer, which is waited for in any case.
        let _ = tokio::time::timeout(REPLY_LIMIT, self.call_inner(reply)).await;
    }
}

struct Reading<B> {
    parts: http::response::Parts,
    body: B,
    finder: AnswerFinder,
    /// `None` for a body that is one message.
    asked: Option<Asked>,
    /// What is answered to questions that were found, until it is sent.
    questions: Vec<String>,
    read_ahead: VecDeque<Bytes>,
    answer: Option<(Verdict, Vec<u8>)>,
    bytes: u64,
}

impl<B> Reading<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    fn new(response: Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            finder: AnswerFinder::keeping(READ_AHEAD_MAX, &parts.headers),
            asked: is_event_stream(&parts.headers).then(Asked::default),
            parts,
            body,
            questions: Vec::new(),
            read_ahead: VecDeque::new(),
            answer: None,
            bytes: 0,
        }
    }

    /// Reads on; returns false at the answer, or the end.
    async fn goes_on(&mut self, upstream: &str) -> Result<bool, CallFailed> {
        let Some(frame) = self.body.frame().await else { return Ok(false) };
        let frame = frame.map_err(|_| CallFailed::lost(upstream))?;
        let Ok(data) = frame.into_data() else { return Ok(true) };
        self.bytes += data.len() as u64;
        let answer = &mut self.answer;
        self.finder.saw(&data, &mut |Seen { verdict, sample, .. }| {
            answer.get_or_insert((verdict, sample));
        });
        match &mut self.asked {
            Some(asked) => asked.feed(&data, &mut self.read_ahead, &mut self.questions),
            None => self.read_ahead.push_back(data),
        }
        if self.bytes > READ_AHEAD_MAX as u64 {
            let is_answer = self.parts.status.is_success();
            let too_large = CallFailed::too_large(upstream, READ_AHEAD_MAX);
            return if is_answer { Err(too_large) } else { Ok(false) };
        }
        Ok(self.answer.is_none())
    }

    fn opened(mut self) -> Opened<B> {
        if let Some(asked) = self.asked {
            self.read_ahead.push_back(asked.event.into());
        }
        let Self { parts, body, read_ahead, answer, bytes, .. } = self;
        Opened { parts, body, read_ahead, answer, bytes }
    }
}

/// Finds what is asked on a stream.
#[derive(Default)]
struct Asked {
    events: Events,
    /// Of the event that is not over: all of it, and its data.
    event: Vec<u8>,
    data: Vec<u8>,
}

impl Asked {
    /// Takes bytes of the stream; puts events into `passed`, and what to answer to the others into `replies`.
    fn feed(&mut self, bytes: &[u8], passed: &mut VecDeque<Bytes>, replies: &mut Vec<String>) {
        // An event ends with the end of a line.
        for line in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (data, mut is_over) = (&mut self.data, false);
            self.event.extend_from_slice(line);
            self.events.feed(line, &mut |part| match part {
                Part::Data(more) => data.extend_from_slice(more),
                Part::End => is_over = true,
            });
            if !is_over {
                continue;
            }
            let event = std::mem::take(&mut self.event);
            match reply(&std::mem::take(&mut self.data).into()) {
                Some(reply) => replies.push(reply),
                None => passed.push_back(event.into()),
            }
        }
    }
}

/// Returns what is answered to a question; `None` for what is none.
fn reply(message: &Bytes) -> Option<String> {
    let Ok(Message::Single(message)) = Message::parse(message) else { return None };
    let id = message.request_id()?;
    if &*message.method == "ping" {
        return Some(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, &**id));
    }
    let why = "no client can be asked before its request is answered";
    Some(error_message(Some(id), METHOD_NOT_FOUND, why, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_answered_and_all_else_is_passed_on() {
        let stream = ": hello\n\nid: 1\ndata: {\"jsonrpc\":\"2.0\",\ndata: \"id\":\"a\",\"method\":\"ping\"}\n\n\
                      data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\r\n\r\n\
                      data: {\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"roots/list\"}\r\r\
                      data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\ndata: {\"jsonrpc\"";
        for chunk in 1..60 {
            let (mut asked, mut passed, mut replies) =
                (Asked::default(), VecDeque::new(), Vec::new());
            for bytes in stream.as_bytes().chunks(chunk) {
                asked.feed(bytes, &mut passed, &mut replies);
            }
            let [ping, question] = &*replies else { panic!("{replies:?}") };
            assert_eq!(ping, r#"{"jsonrpc":"2.0","id":"a","result":{}}"#);
            assert!(question.starts_with(r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601"#));
            let passed: Vec<u8> = passed.into_iter().flatten().collect();
            let passed = String::from_utf8(passed).unwrap();
            assert!(passed.contains("notifications/message") && passed.contains("\"result\""));
            assert!(!passed.contains("ping") && !passed.contains("roots"), "{passed}");
            assert_eq!(asked.event, b"data: {\"jsonrpc\"");
        }
    }
}

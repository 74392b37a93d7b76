//! An answer for a client that takes JSON and nothing else: a stream that begins with the answer is that answer.

use std::collections::VecDeque;

use bytes::Bytes;
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http_body::Body;
use http_body_util::BodyExt;

use super::answer::opens_stream;
use super::body::SessionBody;
use super::failure::BoxError;
use crate::protocol::answer::Scanner;
use crate::protocol::names::X_ACCEL_BUFFERING;
use crate::protocol::sse::{Events, Part};

/// An answer longer than this stays an event of a stream: it is held whole to be sent as JSON.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Returns the answer as JSON if it is all there is. Where something comes before it, progress or a question, the
/// stream goes to the client as it is: nothing of it may be lost.
pub(super) async fn as_json<B>(response: Response<SessionBody<B>>) -> Response<SessionBody<B>>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    if !opens_stream(response.status(), response.headers()) {
        return response;
    }
    let (mut parts, mut body) = response.into_parts();
    let (mut first, mut read) = (FirstMessage::default(), VecDeque::new());
    let mut bytes = 0;
    while !first.is_whole && bytes <= ANSWER_BYTES_MAX {
        let Some(Ok(frame)) = body.frame().await else { break };
        let Ok(data) = frame.into_data() else { continue };
        bytes += data.len();
        first.feed(&data);
        read.push_back(data);
    }
    let Some(answer) = first.answer() else {
        return Response::from_parts(parts, body.after(read));
    };
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for of_streams in [CACHE_CONTROL, CONTENT_LENGTH, X_ACCEL_BUFFERING] {
        parts.headers.remove(of_streams);
    }
    Response::from_parts(parts, SessionBody::ours(answer))
}

/// The first message of a stream. Events without data are none.
#[derive(Default)]
struct FirstMessage {
    events: Events,
    json: Vec<u8>,
    is_whole: bool,
}

impl FirstMessage {
    fn feed(&mut self, bytes: &[u8]) {
        let Self { events, json, is_whole } = self;
        events.feed(bytes, &mut |part| match part {
            _ if *is_whole => {}
            Part::Data(data) => json.extend_from_slice(data),
            Part::End => *is_whole = !json.trim_ascii().is_empty(),
        });
    }

    fn answer(self) -> Option<Bytes> {
        let mut is_answer = false;
        Scanner::default().feed(&self.json, &mut |_, _| is_answer = true);
        (self.is_whole && is_answer).then(|| self.json.into())
    }
}

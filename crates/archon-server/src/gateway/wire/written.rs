//! An event stream that is written while it is read: by a future that lives in the answer's own body, so that it
//! ends with it and needs no task.

use std::pin::Pin;
use std::task::{Context, Poll};

use archon_sessions::layer::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

use super::answer::{KEEP_ALIVE, event_stream};
use super::{Answer, GatewayBody};

/// Events written and not read yet; the writer waits for its reader.
const AHEAD_MAX: usize = 4;

/// Where events are written to.
#[derive(Clone)]
pub struct Out {
    events: mpsc::Sender<Bytes>,
}

impl Out {
    /// Writes a message as an event, once there is room.
    pub async fn send(&self, message: &[u8]) {
        self.pass(event(message)).await;
    }

    /// Writes bytes of a stream as they are, once there is room.
    pub async fn pass(&self, bytes: Bytes) {
        // Without a reader there is no writer either: its future is dropped with the body.
        let _ = self.events.send(bytes).await;
    }
}

/// Returns an event stream of what `write` writes; an error of its breaks the stream off.
pub fn stream<F>(write: impl FnOnce(Out) -> F) -> Answer
where
    F: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    event_stream(body(write))
}

/// Returns the body of an event stream of what `write` writes; an error of its breaks the stream off.
pub fn body<F>(write: impl FnOnce(Out) -> F) -> GatewayBody
where
    F: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    let (sender, events) = mpsc::channel(AHEAD_MAX);
    let writer: Writer = Box::pin(write(Out { events: sender }));
    let body = Written { writer: Some(writer), events, failed: None, quiet: None };
    GatewayBody::stream(body.boxed_unsync())
}

/// Returns a message as an event of one line: newlines between its tokens become spaces.
fn event(message: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(message.len() + 32);
    bytes.extend_from_slice(b"event: message\ndata: ");
    let spaced = |byte: &u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
    bytes.extend(message.iter().map(spaced));
    bytes.extend_from_slice(b"\n\n");
    bytes.into()
}

type Writer = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

struct Written {
    writer: Option<Writer>,
    events: mpsc::Receiver<Bytes>,
    failed: Option<BoxError>,
    /// Runs while there is nothing to say.
    quiet: Option<Pin<Box<Sleep>>>,
}

impl Body for Written {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            // Only the writer below sends, so that nothing else has to wake us.
            if let Ok(event) = self.events.try_recv() {
                if let Some(quiet) = &mut self.quiet {
                    quiet.as_mut().reset(Instant::now() + KEEP_ALIVE);
                }
                return Poll::Ready(Some(Ok(Frame::data(event))));
            }
            let Some(writer) = &mut self.writer else {
                return Poll::Ready(self.failed.take().map(Err));
            };
            match writer.as_mut().poll(context) {
                Poll::Ready(ended) => {
                    self.writer = None;
                    self.failed = ended.err();
                }
                Poll::Pending if !self.events.is_empty() => {}
                Poll::Pending => break,
            }
        }
        let quiet = self.quiet.get_or_insert_with(|| Box::pin(tokio::time::sleep(KEEP_ALIVE)));
        if quiet.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        quiet.as_mut().reset(Instant::now() + KEEP_ALIVE);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b": still here\n\n")))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next(answer: &mut Answer) -> Option<Result<String, String>> {
        let frame = answer.body_mut().frame().await?;
        let text = |frame: Frame<Bytes>| String::from_utf8(frame.into_data().unwrap().to_vec());
        Some(frame.map(|frame| text(frame).unwrap()).map_err(|error| error.to_string()))
    }

    #[tokio::test(start_paused = true)]
    async fn events_come_as_they_are_written() {
        let mut answer = stream(async |out| {
            for n in 0..10 {
                out.send(format!("{n}\n").as_bytes()).await;
            }
            tokio::time::sleep(KEEP_ALIVE * 3 / 2).await;
            out.send(b"last").await;
            Err("broken".into())
        });
        for n in 0..10 {
            let event = format!("event: message\ndata: {n} \n\n");
            assert_eq!(next(&mut answer).await, Some(Ok(event)));
        }
        assert_eq!(next(&mut answer).await, Some(Ok(": still here\n\n".into())));
        assert_eq!(next(&mut answer).await, Some(Ok("event: message\ndata: last\n\n".into())));
        assert_eq!(next(&mut answer).await, Some(Err("broken".into())));
        assert_eq!(next(&mut answer).await, None);
    }
}

//! The event stream of a stdio upstream: written as the child speaks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use archon_sessions::layer::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep};

use super::mailbox::{Event, Mailbox, Next};
use crate::gateway::wire::answer::{KEEP_ALIVE, event_stream};
use crate::gateway::wire::{Answer, GatewayBody};

/// Returns an event stream of what a mailbox holds and will hold. `guard` is dropped with the stream.
pub fn events(mailbox: Arc<Mailbox>, guard: impl Send + 'static) -> Answer {
    let body = Events { mailbox, quiet: None, has_ended: false, _guard: guard };
    event_stream(GatewayBody::stream(body.boxed_unsync()))
}

struct Events<G> {
    mailbox: Arc<Mailbox>,
    /// Runs while there is nothing to say.
    quiet: Option<Pin<Box<Sleep>>>,
    has_ended: bool,
    _guard: G,
}

// Nothing in it is pinned in place.
impl<G> Unpin for Events<G> {}

impl<G: Send> Body for Events<G> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        match self.mailbox.poll_next(context) {
            Poll::Ready(Next::Event(event)) => {
                if let Some(quiet) = &mut self.quiet {
                    quiet.as_mut().reset(Instant::now() + KEEP_ALIVE);
                }
                Poll::Ready(Some(Ok(Frame::data(framed(&event)))))
            }
            Poll::Ready(Next::End) => {
                self.has_ended = true;
                Poll::Ready(None)
            }
            Poll::Ready(Next::Lost) => {
                self.has_ended = true;
                Poll::Ready(Some(Err("the child ended before it answered".into())))
            }
            Poll::Pending => {
                let quiet =
                    self.quiet.get_or_insert_with(|| Box::pin(tokio::time::sleep(KEEP_ALIVE)));
                if quiet.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                quiet.as_mut().reset(Instant::now() + KEEP_ALIVE);
                let comment = Bytes::from_static(b": still here\n\n");
                Poll::Ready(Some(Ok(Frame::data(comment))))
            }
        }
    }
}

/// Returns a message as an event. It is one line already, but may hold a bare CR, which ends a line of an
/// event stream and is only space to JSON.
fn framed(event: &Event) -> Bytes {
    let mut bytes = Vec::with_capacity(event.json.len() + 32);
    bytes.extend_from_slice(b"event: message\ndata: ");
    bytes.extend(event.json.iter().map(|byte| if *byte == b'\r' { b' ' } else { *byte }));
    bytes.extend_from_slice(b"\n\n");
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::super::mailbox::Role;
    use super::*;

    async fn next(answer: &mut Answer) -> String {
        let frame = answer.body_mut().frame().await.unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_says_that_it_is_there() {
        let mailbox = Arc::<Mailbox>::default();
        let mut answer = events(mailbox.clone(), ());
        assert_eq!(next(&mut answer).await, ": still here\n\n");
        let event = Event { json: Bytes::from_static(b"{\r}"), role: Role::Answer(None) };
        mailbox.push(event);
        assert_eq!(next(&mut answer).await, "event: message\ndata: { }\n\n");
        assert!(answer.body_mut().frame().await.is_none());
    }

    #[tokio::test]
    async fn a_loss_breaks_the_stream() {
        let mailbox = Arc::<Mailbox>::default();
        let mut answer = events(mailbox.clone(), ());
        mailbox.end(Next::Lost);
        assert!(answer.body_mut().frame().await.unwrap().is_err());
        assert!(answer.body_mut().frame().await.is_none());
    }
}

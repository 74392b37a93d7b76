//! Comments on a silent stream, so that nothing between us and the client takes it for dead: proxies give a stream
//! up after 30 to 125 s, clients after 300 s.
//!
//! HTML Living Standard, 9.2.6: a line that begins with a colon means nothing.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep};

/// How long a stream may be silent.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Between two events.
const COMMENT: Bytes = Bytes::from_static(b": still here\n\n");
/// Between two lines of an event: an empty line would end it.
const COMMENT_INSIDE: Bytes = Bytes::from_static(b": still here\n");

/// Watches one stream.
pub struct Silence {
    /// Made at the first wait; most streams end before it.
    sleep: Option<Pin<Box<Sleep>>>,
    is_running: bool,
    /// The last bytes that were sent.
    tail: [u8; 3],
}

impl Silence {
    /// Returns the watch of a stream that begins now.
    pub fn new() -> Self {
        Self { sleep: None, is_running: false, tail: *b"\n\n\n" }
    }

    /// Notes what is sent.
    pub fn sent(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(self.tail.len());
        self.tail.rotate_left(kept);
        let from = self.tail.len() - kept;
        self.tail[from..].copy_from_slice(&bytes[bytes.len() - kept..]);
        self.is_running = false;
    }

    /// Returns a comment once the stream was silent for long enough and stands where one can go.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(SILENCE_MAX)));
        if !std::mem::replace(&mut self.is_running, true) {
            sleep.as_mut().reset(Instant::now() + SILENCE_MAX);
        }
        ready!(sleep.as_mut().poll(context));
        let comment = match &self.tail {
            [_, b'\n', b'\n'] | [b'\n', b'\r', b'\n'] => COMMENT,
            [.., b'\n'] => COMMENT_INSIDE,
            // In a line, or between the two bytes that may end one: the rest of it is what comes next.
            _ => return Poll::Pending,
        };
        sleep.as_mut().reset(Instant::now() + SILENCE_MAX);
        Poll::Ready(comment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what is said, and when, within a minute.
    async fn comments(silence: &mut Silence) -> Vec<(u64, Bytes)> {
        let (began, mut said) = (Instant::now(), Vec::new());
        let minute = tokio::time::sleep(Duration::from_secs(61));
        tokio::pin!(minute);
        loop {
            tokio::select! {
                () = &mut minute => return said,
                comment = std::future::poll_fn(|context| silence.poll(context)) => {
                    said.push((began.elapsed().as_secs(), comment));
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_comment_comes_every_fifteen_seconds_where_one_can_go() {
        for (sent, comment) in [
            (&[][..], Some(COMMENT)),
            (&["data: 1\n\n"], Some(COMMENT)),
            (&["data: 1\r\n\r\n"], Some(COMMENT)),
            (&["data: 1\n", "\n"], Some(COMMENT)),
            (&["data: 1\n"], Some(COMMENT_INSIDE)),
            (&["data: 1\r\n"], Some(COMMENT_INSIDE)),
            (&["data: 1\n\ndata"], None),
            (&["data: 1\r\n\r"], None),
        ] {
            let mut silence = Silence::new();
            sent.iter().for_each(|bytes| silence.sent(bytes.as_bytes()));
            let expected = comment.map_or_else(Vec::new, |comment| {
                [15, 30, 45, 60].map(|second| (second, comment.clone())).to_vec()
            });
            assert_eq!(comments(&mut silence).await, expected, "{sent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_breaks_the_silence() {
        let mut silence = Silence::new();
        for _ in 0..10 {
            let wait = std::future::poll_fn(|context| silence.poll(context));
            let waited = tokio::time::timeout(Duration::from_secs(14), wait).await;
            assert!(waited.is_err(), "no comment yet");
            silence.sent(b"data: 1\n\n");
        }
    }
}

//! Splits what a child says into lines of a bounded length.

use std::time::Duration;

use archon_sessions::protocol::answer::Scanner;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::layout::Brackets;

/// Read at a time; a pipe holds this much.
const CHUNK: usize = 64 * 1024;
/// A child that has written a whole message and no newline, and says nothing for so long, has said all of it.
const QUIET: Duration = Duration::from_millis(100);

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line, with the CR or LF that ended it.
    Whole(Bytes),
    /// A line that was too long to keep; the ids that it answers, as JSON text.
    TooLong(Vec<String>),
}

/// Reads lines, which end with LF, CR or both.
pub struct Lines<R> {
    source: R,
    buffer: BytesMut,
    /// How much of the buffer holds no end of a line.
    searched: usize,
    bytes_max: usize,
    /// A line that is too long is being read.
    skipped: Option<Skipped>,
    /// How much of the buffer is known not to be a message as it is.
    looked_at: usize,
    is_over: bool,
}

/// What is learned of a line that is not kept.
#[derive(Default)]
struct Skipped {
    scanner: Scanner,
    answered: Vec<String>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Returns a reader of lines of at most so many bytes.
    pub fn new(source: R, bytes_max: usize) -> Self {
        let buffer = BytesMut::new();
        let (searched, looked_at, is_over) = (0, 0, false);
        Self { source, buffer, searched, bytes_max, skipped: None, looked_at, is_over }
    }

    /// Returns a reader that goes on from what another one has read of a line, or skips the rest of one.
    pub fn resume(source: R, bytes_max: usize, unread: &[u8], is_skipping: bool) -> Self {
        let mut lines = Self::new(source, bytes_max);
        lines.buffer.extend_from_slice(unread);
        lines.skipped = is_skipping.then(Skipped::default);
        lines
    }

    /// Returns what it reads from, what it has read and not returned, and whether it skips a line.
    pub fn into_parts(self) -> (R, BytesMut, bool) {
        (self.source, self.buffer, self.skipped.is_some())
    }

    /// Returns the next line that is not empty; `None` at the end. Nothing is lost when this is dropped before it is
    /// done.
    pub async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.cut() {
                return Some(line);
            }
            if self.is_over {
                return self.last();
            }
            self.buffer.reserve(CHUNK);
            let read = self.source.read_buf(&mut self.buffer);
            let read = if self.looked_at < self.searched && self.skipped.is_none() {
                match tokio::time::timeout(QUIET, read).await {
                    Ok(read) => read,
                    Err(_) => {
                        self.looked_at = self.searched;
                        match self.message_without_end() {
                            Some(line) => return Some(line),
                            None => continue,
                        }
                    }
                }
            } else {
                read.await
            };
            self.is_over = !matches!(read, Ok(1..));
        }
    }

    fn cut(&mut self) -> Option<Line> {
        loop {
            let end = memchr::memchr2(b'\n', b'\r', &self.buffer[self.searched..]);
            let line = match end {
                Some(end) => self.buffer.split_to(self.searched + end + 1),
                None if self.skipped.is_some() || self.buffer.len() > self.bytes_max => {
                    self.skip();
                    return None;
                }
                None => {
                    self.searched = self.buffer.len();
                    return None;
                }
            };
            (self.searched, self.looked_at) = (0, 0);
            if let Some(mut skipped) = self.skipped.take() {
                skipped.feed(&line);
                return Some(Line::TooLong(skipped.answered));
            }
            if !line.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) {
                return Some(Line::Whole(line.freeze()));
            }
        }
    }

    /// Takes what there is of a line that is too long, keeping nothing but whom it answers.
    fn skip(&mut self) {
        let part = self.buffer.split();
        self.skipped.get_or_insert_default().feed(&part);
        (self.searched, self.looked_at) = (0, 0);
    }

    /// Takes a message whose line has not ended.
    fn message_without_end(&mut self) -> Option<Line> {
        let text = self.buffer.trim_ascii();
        let is_whole =
            text.starts_with(b"{") && Brackets::default().end_in(text) == Some(text.len());
        is_whole.then(|| {
            (self.searched, self.looked_at) = (0, 0);
            Line::Whole(self.buffer.split().freeze())
        })
    }

    /// Takes what was said without a newline before the end.
    fn last(&mut self) -> Option<Line> {
        if let Some(skipped) = self.skipped.take() {
            return Some(Line::TooLong(skipped.answered));
        }
        self.searched = 0;
        let rest = self.buffer.split().freeze();
        (!rest.trim_ascii().is_empty()).then_some(Line::Whole(rest))
    }
}

impl Skipped {
    fn feed(&mut self, part: &[u8]) {
        let answered = &mut self.answered;
        self.scanner.feed(part, &mut |id, _| {
            answered.push(String::from_utf8_lossy(id).into_owned());
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn all(said: &[u8], bytes_max: usize) -> Vec<Line> {
        let mut lines = Lines::new(said, bytes_max);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await {
            all.push(line);
        }
        all
    }

    fn whole(text: &'static str) -> Line {
        Line::Whole(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn lines_end_as_they_may() {
        let lines = all(b"{\"a\":1}\r\n\n  \nsecond\rthird\n\0\r\0unfinished", 100).await;
        assert_eq!(
            lines,
            [whole("{\"a\":1}\r"), whole("second\r"), whole("third\n"), whole("\0unfinished")]
        );
    }

    #[tokio::test]
    async fn another_reader_goes_on_in_the_middle_of_a_line() {
        let (mut writer, reader) = tokio::io::duplex(1000);
        let mut lines = Lines::new(reader, 100);
        writer.write_all(b"first\nsec").await.unwrap();
        assert_eq!(lines.next().await, Some(whole("first\n")));
        let (reader, unread, is_skipping) = lines.into_parts();
        assert!(!is_skipping);
        let mut lines = Lines::resume(reader, 100, &unread, is_skipping);
        writer.write_all(b"ond\n").await.unwrap();
        assert_eq!(lines.next().await, Some(whole("second\n")));

        let mut lines = Lines::resume(&b"rest\nafter\n"[..], 100, b"", true);
        assert_eq!(lines.next().await, Some(Line::TooLong(Vec::new())));
        assert_eq!(lines.next().await, Some(whole("after\n")));
    }

    #[tokio::test]
    async fn of_a_line_that_is_too_long_we_learn_whom_it_answers() {
        let long = format!(r#"{{"result":{{"x":"{}"}},"id":"q"}}"#, "x".repeat(200_000));
        let lines = all(format!("{long}\nafter\n{long}").as_bytes(), 70_000).await;
        let too_long = || Line::TooLong(vec!["\"q\"".into()]);
        assert_eq!(lines, [too_long(), whole("after\n"), too_long()]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_without_a_newline_is_not_waited_for() {
        let (mut writer, reader) = tokio::io::duplex(1000);
        let mut lines = Lines::new(reader, 1000);
        writer.write_all(b"{\"a\":\"}\"").await.unwrap();
        let cut = tokio::time::timeout(QUIET * 10, lines.next()).await;
        assert!(cut.is_err(), "it is not whole");
        writer.write_all(b"}").await.unwrap();
        assert_eq!(lines.next().await, Some(whole("{\"a\":\"}\"}")));
        writer.write_all(b"\n{\"b\":1}\n").await.unwrap();
        assert_eq!(lines.next().await, Some(whole("{\"b\":1}\n")));
    }
}

//! Splits what a child says into lines of a bounded length.

use archon_sessions::protocol::answer::Scanner;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Read at a time; a pipe holds this much.
const CHUNK: usize = 64 * 1024;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line without its newline.
    Whole(Bytes),
    /// A line that was too long to keep; the ids that it answers, as JSON text.
    TooLong(Vec<String>),
}

/// Reads lines.
pub struct Lines<R> {
    source: R,
    buffer: BytesMut,
    /// How much of the buffer holds no newline.
    searched: usize,
    bytes_max: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Returns a reader of lines of at most so many bytes.
    pub fn new(source: R, bytes_max: usize) -> Self {
        Self { source, buffer: BytesMut::new(), searched: 0, bytes_max }
    }

    /// Returns the next line that is not empty; `None` at the end.
    pub async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.cut() {
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Some(Line::Whole(line));
            }
            if self.buffer.len() > self.bytes_max {
                return Some(self.skip().await);
            }
            self.buffer.reserve(CHUNK);
            if !matches!(self.source.read_buf(&mut self.buffer).await, Ok(1..)) {
                return None;
            }
        }
    }

    fn cut(&mut self) -> Option<Bytes> {
        let found = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
        let Some(found) = found else {
            self.searched = self.buffer.len();
            return None;
        };
        let mut line = self.buffer.split_to(self.searched + found + 1);
        self.searched = 0;
        while matches!(line.last(), Some(b'\n' | b'\r')) {
            line.truncate(line.len() - 1);
        }
        Some(line.freeze())
    }

    /// Reads on to the end of the line, keeping nothing but whom it answers.
    async fn skip(&mut self) -> Line {
        let (mut scanner, mut answered) = (Scanner::default(), Vec::new());
        let mut part = std::mem::take(&mut self.buffer);
        self.searched = 0;
        loop {
            let end = part.iter().position(|byte| *byte == b'\n');
            scanner.feed(&part[..end.unwrap_or(part.len())], &mut |id, _| {
                answered.push(String::from_utf8_lossy(id).into_owned());
            });
            if let Some(end) = end {
                self.buffer.extend_from_slice(&part[end + 1..]);
                return Line::TooLong(answered);
            }
            part.clear();
            part.reserve(CHUNK);
            if !matches!(self.source.read_buf(&mut part).await, Ok(1..)) {
                return Line::TooLong(answered);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(said: &[u8], bytes_max: usize) -> Vec<Line> {
        let mut lines = Lines::new(said, bytes_max);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await {
            all.push(line);
        }
        all
    }

    #[tokio::test]
    async fn lines_end_as_they_may() {
        let whole = |text: &'static str| Line::Whole(Bytes::from_static(text.as_bytes()));
        let lines = all(b"{\"a\":1}\r\n\n  \nsecond\nunfinished", 100).await;
        assert_eq!(lines, [whole("{\"a\":1}"), whole("second")]);
    }

    #[tokio::test]
    async fn of_a_line_that_is_too_long_we_learn_whom_it_answers() {
        let long = format!(r#"{{"result":{{"x":"{}"}},"id":"q"}}"#, "x".repeat(200_000));
        let lines = all(format!("{long}\nafter\n").as_bytes(), 70_000).await;
        let after = Line::Whole(Bytes::from_static(b"after"));
        assert_eq!(lines, [Line::TooLong(vec!["\"q\"".into()]), after]);
    }
}

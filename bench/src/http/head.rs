//! The head of an answer, as far as the generator needs it.

use anyhow::{Context, Result, bail};
use memchr::memchr;

/// How the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    Bytes(usize),
    Chunked,
}

/// Status and the few headers that matter.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    pub length: Length,
    /// Whether the body is a stream of events rather than one JSON document.
    pub is_event_stream: bool,
    /// The legacy session that the answer assigns.
    pub session: Option<Box<str>>,
    /// Name and value of the cookie that the answer sets.
    pub cookie: Option<Box<str>>,
}

impl Head {
    /// Reads the status line and the headers, each with its line end.
    pub fn parse(head: &[u8]) -> Result<Self> {
        let mut lines = Lines(head);
        let status_line = lines.next().context("the answer has no status line")?;
        let status = status_of(status_line).context("the answer has no status")?;
        let mut parsed = Self {
            status,
            length: Length::Bytes(0),
            is_event_stream: false,
            session: None,
            cookie: None,
        };
        let mut is_delimited = matches!(status, 100..200 | 204 | 304);
        for line in lines {
            let Some(colon) = memchr(b':', line) else { continue };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"content-length") {
                let bytes = std::str::from_utf8(value)?.parse().context("bad content-length")?;
                parsed.length = Length::Bytes(bytes);
                is_delimited = true;
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                parsed.length = Length::Chunked;
                is_delimited = true;
            } else if name.eq_ignore_ascii_case(b"content-type") {
                parsed.is_event_stream = value.starts_with(b"text/event-stream");
            } else if name.eq_ignore_ascii_case(b"mcp-session-id") {
                parsed.session = Some(std::str::from_utf8(value)?.into());
            } else if name.eq_ignore_ascii_case(b"set-cookie") {
                let pair = value.split(|byte| *byte == b';').next().unwrap_or(value);
                parsed.cookie = Some(std::str::from_utf8(pair)?.into());
            } else if name.eq_ignore_ascii_case(b"connection")
                && value.eq_ignore_ascii_case(b"close")
            {
                bail!("status {status} closes the connection, which the load keeps open");
            }
        }
        if !is_delimited {
            bail!("status {status} has neither a length nor chunks");
        }
        Ok(parsed)
    }
}

fn status_of(line: &[u8]) -> Option<u16> {
    std::str::from_utf8(line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?).ok()?.parse().ok()
}

struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr(b'\n', self.0)?;
        let line = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stream_with_a_session_is_read() {
        let head = Head::parse(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nMCP-Session-Id: a1\r\n\
              set-cookie: a=b; Path=/\r\ntransfer-encoding: chunked\r\n",
        )
        .unwrap();
        assert_eq!((head.status, head.length), (200, Length::Chunked));
        assert!(head.is_event_stream);
        assert_eq!(head.session.as_deref(), Some("a1"));
        assert_eq!(head.cookie.as_deref(), Some("a=b"));
    }

    #[test]
    fn a_status_without_a_body_needs_no_length() {
        assert_eq!(Head::parse(b"HTTP/1.1 204 No Content\r\n").unwrap().length, Length::Bytes(0));
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\n").is_err());
    }

    #[test]
    fn a_closing_answer_is_a_fault() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n";
        assert!(Head::parse(head).is_err());
    }
}

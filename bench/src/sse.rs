//! Reading Server-Sent Events out of a body.

use std::borrow::Cow;

use memchr::memchr;

/// The complete events of a body; an event cut short at its end is left alone.
pub struct Events<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Events<'a> {
    /// Starts reading at `from`, which is zero or an earlier [`Events::position`].
    pub fn new(body: &'a [u8], from: usize) -> Self {
        Self { body, at: from }
    }

    /// Returns where the first event not yet returned begins.
    pub fn position(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Events<'a> {
    /// The event's data; several `data` lines are joined by a line feed.
    type Item = Cow<'a, [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut data: Option<Cow<'a, [u8]>> = None;
        let mut cursor = self.at;
        while let Some(end) = memchr(b'\n', self.body.get(cursor..)?) {
            let line = &self.body[cursor..cursor + end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            cursor += end + 1;
            if line.is_empty() {
                self.at = cursor;
                match data.take() {
                    Some(data) if !data.is_empty() => return Some(data),
                    // A comment, or the event that only primes the stream.
                    _ => continue,
                }
            }
            if let Some(value) = line.strip_prefix(b"data:") {
                let value = value.strip_prefix(b" ").unwrap_or(value);
                data = Some(match data {
                    None => Cow::Borrowed(value),
                    Some(before) => {
                        let mut joined = before.into_owned();
                        joined.push(b'\n');
                        joined.extend_from_slice(value);
                        Cow::Owned(joined)
                    }
                });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(body: &str) -> Vec<String> {
        Events::new(body.as_bytes(), 0)
            .map(|data| String::from_utf8(data.into_owned()).unwrap())
            .collect()
    }

    #[test]
    fn comments_and_priming_events_are_skipped() {
        let body = ": alive\n\nid: 0/0\nretry: 3000\ndata:\n\nid: 1\ndata: {\"id\":1}\n\n";
        assert_eq!(texts(body), ["{\"id\":1}"]);
    }

    #[test]
    fn data_lines_are_joined_and_carriage_returns_dropped() {
        assert_eq!(texts("data: {\r\ndata: }\r\n\r\n"), ["{\n}"]);
    }

    #[test]
    fn an_event_cut_short_waits_for_the_rest() {
        let body = b"data: 1\n\ndata: 2\n";
        let mut events = Events::new(body, 0);
        assert_eq!(events.next().unwrap().as_ref(), b"1");
        assert!(events.next().is_none());
        assert_eq!(events.position(), 9);
        let mut longer = body.to_vec();
        longer.push(b'\n');
        assert_eq!(Events::new(&longer, 9).next().unwrap().as_ref(), b"2");
    }
}

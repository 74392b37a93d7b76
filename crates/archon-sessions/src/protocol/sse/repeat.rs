//! Finds the first event in the beginning of a stream: a server that is asked to go on after an event may
//! send that event once more. And the first that has something to say.

/// Returns where the first event ends and the id it came with; `None` if it is not there whole.
pub fn first_event(stream: &[u8]) -> Option<(usize, &[u8])> {
    let (mut at, mut has_fields, mut id) = (0, false, &b""[..]);
    loop {
        let length = memchr::memchr2(b'\n', b'\r', &stream[at..])?;
        let line = &stream[at..at + length];
        // A carriage return at the very end may be half of a line end.
        let newline = match &stream[at + length..] {
            [b'\r', b'\n', ..] => 2,
            [b'\r'] => return None,
            _ => 1,
        };
        at += length + newline;
        match line {
            [] if has_fields => return Some((at, id)),
            [] | [b':', ..] => {}
            _ => {
                has_fields = true;
                if let Some(value) = line.strip_prefix(b"id:") {
                    id = value.strip_prefix(b" ").unwrap_or(value);
                }
            }
        }
    }
}

/// Returns where the first event begins that has data; before it are events that only give the stream an id.
pub fn first_message(stream: &[u8]) -> usize {
    let (mut at, mut begin) = (0, 0);
    loop {
        let Some(length) = memchr::memchr2(b'\n', b'\r', &stream[at..]) else { return begin };
        let line = &stream[at..at + length];
        let newline = if stream[at + length..].starts_with(b"\r\n") { 2 } else { 1 };
        at += length + newline;
        if line.is_empty() {
            begin = at;
        } else if let Some(data) = line.strip_prefix(b"data:")
            && !data.strip_prefix(b" ").unwrap_or(data).is_empty()
        {
            return begin;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_is_found_once_it_is_whole() {
        let stream = b": hi\n\ndata: 1\r\nid: 0/4\r\n\r\ndata: 2\n\n";
        let end = stream.len() - b"data: 2\n\n".len();
        for at in 0..end {
            assert_eq!(first_event(&stream[..at]), None, "{at}");
        }
        assert_eq!(first_event(stream), Some((end, &b"0/4"[..])));
        assert_eq!(first_event(b"data: 1\n\n"), Some((9, &b""[..])));
    }

    #[test]
    fn the_first_message_is_found_behind_what_only_begins_the_stream() {
        for (before, message) in [
            ("", "data: 1\n\n"),
            (": hi\n\nid: 0\nretry: 3\ndata: \n\n", "event: message\ndata:1\n\n"),
            ("id: 0\r\ndata:\r\n\r\n", "id: 1\r\ndata: 1\r\n\r\n"),
            ("id: 0\n\n", "data: cut off"),
        ] {
            let stream = format!("{before}{message}");
            assert_eq!(first_message(stream.as_bytes()), before.len(), "{stream:?}");
        }
    }
}

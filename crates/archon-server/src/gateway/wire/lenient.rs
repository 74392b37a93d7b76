//! Reads what a server said, however it said it: the one place that decides what becomes of an answer that is not what
//! the specification wants. Whatever a client could be told is told; of what cannot be read we find out which call it
//! was to answer, since that call will get no other answer.

use archon_sessions::layer::{CallFailed, codes};
use archon_sessions::protocol::answer::{Scanner, Verdict};
use bytes::Bytes;
use memchr::memmem;
use serde_json::value::RawValue;

use super::answer::failure;
use super::mended::{decoded, mended};
use super::message::Message;
use super::shape::shaped;

/// What could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It was to answer a request.
    Answer {
        /// The request's id as JSON text, where it could be found.
        id: Option<String>,
        /// Whether it has a result: then the call has run.
        has_result: bool,
    },
    /// It is not an answer, and maybe no message at all.
    Other,
}

impl Unreadable {
    /// Looks through what cannot be read, which may be cut off anywhere.
    pub fn of(text: &[u8]) -> Self {
        let text = decoded(text);
        let text = text.as_bytes();
        // What is cut off is closed: the scanner tells once a message is over.
        let found = [&b""[..], b"\"", b"\"\""].into_iter().find_map(|quote| answered(text, quote));
        if let Some((id, verdict)) = found {
            let id = Some(id).filter(|id| !id.is_empty() && id != "null");
            let has_result = verdict == Verdict::Success || has(text, b"\"result\"");
            return Self::Answer { id, has_result };
        }
        let is_object = text.trim_ascii_start().starts_with(b"{") && has(text, b"jsonrpc");
        let (has_result, has_error) = (has(text, b"\"result\""), has(text, b"\"error\""));
        if is_object && (has_result || has_error) && !has(text, b"\"method\"") {
            return Self::Answer { id: None, has_result };
        }
        Self::Other
    }

    /// Returns what the call is told that it was to answer.
    pub fn failed(&self, upstream: &str) -> CallFailed {
        let has_result = matches!(self, Self::Answer { has_result: true, .. });
        if has_result {
            let message = format!(
                "upstream {upstream:?} answered, but not in JSON that can be read; the call has run, check \
                 before you call again"
            );
            return failure(codes::ANSWER_GONE, message);
        }
        let message = format!(
            "upstream {upstream:?} answered, but not in JSON that can be read; the call may have run, check \
             before you call again"
        );
        failure(codes::OUTCOME_UNKNOWN, message)
    }
}

/// Messages are cut off this deep at most; further in nothing is found.
const CLOSED_MAX: usize = 128;

/// Returns the id and verdict of the first answer in a text that is closed by a quote, if it is cut off in a string, and
/// by brackets.
fn answered(text: &[u8], quote: &[u8]) -> Option<(String, Verdict)> {
    let (mut scanner, mut found) = (Scanner::default(), None);
    for part in [text, quote, &[b'}'; CLOSED_MAX]] {
        scanner.feed(part, &mut |id, verdict| {
            found.get_or_insert((String::from_utf8_lossy(id).into_owned(), verdict));
        });
    }
    found
}

fn has(text: &[u8], needle: &[u8]) -> bool {
    memmem::find(text, needle).is_some()
}

/// Reads a text that holds one message.
///
/// # Errors
/// If it holds none.
pub fn read(text: &Bytes) -> Result<Message, Unreadable> {
    if let Some(message) = Message::read(text.clone()).filter(|message| message.is_sound) {
        return Ok(message);
    }
    let json = match serde_json::from_slice::<&RawValue>(text) {
        Ok(_) => text.clone(),
        Err(_) => mended(text).ok_or_else(|| Unreadable::of(text))?,
    };
    let json = std::str::from_utf8(&json).unwrap_or_default();
    let message = shaped(json).and_then(|json| Message::read(json.into()));
    message.ok_or_else(|| Unreadable::of(text))
}

/// Reads a text that holds one message or a batch of them.
pub fn read_all(text: &Bytes) -> Vec<Result<Message, Unreadable>> {
    let is_batch = |text: &[u8]| text.trim_ascii_start().starts_with(b"[");
    let mended = match serde_json::from_slice::<Vec<&RawValue>>(text) {
        Ok(items) => {
            return items.iter().map(|item| read(&text.slice_ref(item.get().as_bytes()))).collect();
        }
        Err(_) if is_batch(decoded(text).as_bytes()) => mended(text),
        Err(_) => None,
    };
    let Some(mended) = mended else { return vec![read(text)] };
    match serde_json::from_slice::<Vec<&RawValue>>(&mended) {
        Ok(items) => {
            items.iter().map(|item| read(&mended.slice_ref(item.get().as_bytes()))).collect()
        }
        Err(_) => vec![Err(Unreadable::of(text))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::wire::message::Kind;

    fn said(text: &[u8]) -> Result<Message, Unreadable> {
        read(&Bytes::copy_from_slice(text))
    }

    fn text(message: &Message) -> &str {
        std::str::from_utf8(&message.bytes).unwrap()
    }

    #[test]
    fn what_is_sound_stays_as_it_was_sent() {
        for text in [
            r#"{ "jsonrpc":"2.0" ,"id":1,"result":{"x":50.0},"extra":{"id":7}}"#,
            r#"{"jsonrpc":"2.0","id":"a","error":{"code":-1,"message":"m","data":null}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":null}"#,
        ] {
            assert_eq!(said(text.as_bytes()).unwrap().bytes, text.as_bytes());
        }
    }

    #[test]
    fn what_is_odd_is_mended() {
        let message = said(b"\xEF\xBB\xBF{\"id\":7.0,\"result\":{\"a\":NaN,},}").unwrap();
        assert_eq!(text(&message), r#"{"id":7.0,"result":{"a":null},"jsonrpc":"2.0"}"#);
        let message = said(br#"{"jsonrpc":"2.0","error":"no"}"#).unwrap();
        assert_eq!(message.kind, Kind::Answer { code: Some(-32603) });
        assert_eq!(message.id.as_ref().map(|id| message.text(id)), Some("null"));
    }

    #[test]
    fn of_what_cannot_be_read_we_learn_whom_it_answers() {
        let answer = |id: Option<&str>, has_result| {
            Err(Unreadable::Answer { id: id.map(str::to_owned), has_result })
        };
        for (text, expected) in [
            (
                r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"text":"cut o"#,
                answer(Some("7"), true),
            ),
            (r#"{"jsonrpc":"2.0","id":"q","result":{'a': None}}"#, answer(Some("\"q\""), true)),
            (r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"mess"#, answer(Some("7"), false)),
            (r#"{"jsonrpc":"2.0","result":{"content":[{"#, answer(None, true)),
            (r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"#, Err(Unreadable::Other)),
            (r#"{"method":"notifications/progress","params":{"result":1,"#, Err(Unreadable::Other)),
            ("hello", Err(Unreadable::Other)),
            ("", Err(Unreadable::Other)),
        ] {
            assert_eq!(said(text.as_bytes()).map(|_| ()), expected, "{text}");
        }
        assert_eq!(said(br#"{"level":"info"}"#).map(|_| ()), Err(Unreadable::Other));
    }

    #[test]
    fn batches_are_taken_apart() {
        let batch = Bytes::from_static(br#" [{"id":1,"result":null}, {"id":2,"result":{"x":NaN}}, 7, {"jsonrpc":"2.0","method":"x"}]"#);
        let read = read_all(&batch);
        assert_eq!(read.len(), 4);
        assert_eq!(read.iter().flatten().count(), 3);
        let log = read_all(&Bytes::from_static(b"[INFO] hello"));
        assert!(matches!(&log[..], [Err(Unreadable::Other)]));
    }
}

//! Checking an answer: its id, its text, its status.

use anyhow::{Result, bail};
use memchr::memmem::{self, Finder};
use serde_json::Value;

use crate::http::Head;
use crate::sse::Events;

/// How much of a wrong answer an error message shows.
const SHOWN_BYTES: usize = 300;

/// What the answer to a call must say.
pub struct Answer {
    /// `"id":` and the digits.
    id: Vec<u8>,
    text: Vec<u8>,
    /// Where the text repeats the id.
    id_in_text: Option<usize>,
    text_key: Finder<'static>,
}

impl Answer {
    /// Expects this text under this id; where the text holds the id, both change together.
    pub fn new(id: u32, text: Vec<u8>) -> Self {
        let id_in_text = memmem::find(&text, id.to_string().as_bytes());
        let text_key = Finder::new(r#""text":""#);
        Self { id: format!(r#""id":{id}"#).into_bytes(), text, id_in_text, text_key }
    }

    /// Expects another id of as many digits.
    pub fn set_id(&mut self, digits: &[u8]) {
        let at = self.id.len() - digits.len();
        self.id[at..].copy_from_slice(digits);
        if let Some(at) = self.id_in_text {
            self.text[at..at + digits.len()].copy_from_slice(digits);
        }
    }

    /// Compares an answer.
    ///
    /// The usual spelling is found without parsing; any other is parsed before it is called wrong.
    pub fn check(&self, head: &Head, body: &[u8]) -> Result<()> {
        if head.status != 200 {
            bail!("status {}: {}", head.status, shown(body));
        }
        if self.reads_as_usual(head, body) || self.reads_when_parsed(head, body) {
            return Ok(());
        }
        bail!("expected {}: {}", String::from_utf8_lossy(&self.id), shown(body))
    }

    fn reads_as_usual(&self, head: &Head, body: &[u8]) -> bool {
        let is_whole = !head.is_event_stream || body.ends_with(b"\n\n");
        is_whole && self.has_id(body) && self.has_text(body)
    }

    fn has_id(&self, body: &[u8]) -> bool {
        // Before the text or, with a serializer that sorts otherwise, after it: look at both ends
        // of a large body and at all of a small one.
        let near = &body[..body.len().min(4096)];
        memmem::find(near, &self.id)
            .is_some_and(|at| !near.get(at + self.id.len()).is_some_and(u8::is_ascii_digit))
    }

    fn has_text(&self, body: &[u8]) -> bool {
        self.text_key.find(body).is_some_and(|at| {
            let value = &body[at + self.text_key.needle().len()..];
            value.starts_with(&self.text) && value.get(self.text.len()) == Some(&b'"')
        })
    }

    fn reads_when_parsed(&self, head: &Head, body: &[u8]) -> bool {
        if head.is_event_stream {
            Events::new(body, 0).any(|data| self.is_said_by(&data))
        } else {
            self.is_said_by(body)
        }
    }

    fn is_said_by(&self, message: &[u8]) -> bool {
        let Ok(message) = serde_json::from_slice::<Value>(message) else { return false };
        let expected = &self.id[br#""id":"#.len()..];
        message["id"].as_u64().is_some_and(|id| id.to_string().as_bytes() == expected)
            && message["result"]["content"][0]["text"]
                .as_str()
                .is_some_and(|text| text.as_bytes() == self.text)
    }
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: u32 = 1_000_000_000;

    fn answer() -> Answer {
        Answer::new(ID, format!("hello {ID}").into_bytes())
    }

    fn head(is_event_stream: bool) -> Head {
        let kind = if is_event_stream { "text/event-stream" } else { "application/json" };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 0\r\n");
        Head::parse(head.as_bytes()).unwrap()
    }

    fn body(id: u32, text: &str) -> String {
        format!(r#"{{"id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#)
    }

    #[test]
    fn json_and_events_are_both_read() {
        let body = body(ID, "hello 1000000000");
        assert!(answer().check(&head(false), body.as_bytes()).is_ok());
        let events = format!("id: 0\ndata:\n\ndata: {body}\n\n");
        assert!(answer().check(&head(true), events.as_bytes()).is_ok());
        assert!(answer().check(&head(true), events.trim_end().as_bytes()).is_err());
    }

    #[test]
    fn another_spelling_is_parsed() {
        let body = r#"{ "result": {"content": [ {"text": "hello\u00201000000000"} ]}, "id": 1e9 }"#;
        assert!(answer().check(&head(false), body.replace("1e9", "1000000000").as_bytes()).is_ok());
    }

    #[test]
    fn a_wrong_id_or_text_is_a_fault() {
        for (id, text) in [(ID + 1, "hello 1000000000"), (ID, "hello 1000000001"), (ID, "hello")] {
            assert!(answer().check(&head(false), body(id, text).as_bytes()).is_err());
        }
    }

    #[test]
    fn the_text_follows_the_id() {
        let mut answer = answer();
        answer.set_id(b"1000000002");
        let body = body(ID + 2, "hello 1000000002");
        assert!(answer.check(&head(false), body.as_bytes()).is_ok());
    }
}

//! A request that goes on under an id of ours, because another with its own id is in flight on the connection.
//!
//! JSON-RPC clients must not do that, and some do. Servers find the stream of an answer by the request's id, so of two
//! such requests one would get the other's answer and the other none.

use bytes::{Bytes, BytesMut};
use uuid::Uuid;

use super::Text;

/// The ids of one request, and what of its answer may be the beginning of ours.
#[derive(Debug)]
pub struct Renamed {
    /// As JSON text. Random, so that it stands nowhere but where its request is meant.
    ours: Box<str>,
    own: Text,
    held: BytesMut,
}

impl Renamed {
    /// Returns the body with an id of ours in place of `id`, which must be a part of it.
    pub fn rename(body: &Bytes, id: &Text) -> Option<(Bytes, Self)> {
        let start = id.as_ptr().addr().checked_sub(body.as_ptr().addr())?;
        let end = start.checked_add(id.len())?;
        body.get(start..end).filter(|part| *part == id.as_bytes())?;
        let ours: Box<str> = format!("\"archon-{}\"", Uuid::new_v4()).into();
        let renamed = [&body[..start], ours.as_bytes(), &body[end..]].concat();
        Some((renamed.into(), Self { ours, own: id.clone(), held: BytesMut::new() }))
    }

    /// Takes what was answered; returns it with the request's own id, but for an end that may be the beginning of ours.
    pub fn restore(&mut self, bytes: &Bytes) -> Bytes {
        self.held.extend_from_slice(bytes);
        let ours = self.ours.as_bytes();
        let (mut out, mut from) = (BytesMut::with_capacity(self.held.len()), 0);
        for at in memchr::memmem::find_iter(&self.held, ours) {
            out.extend_from_slice(&self.held[from..at]);
            out.extend_from_slice(self.own.as_bytes());
            from = at + ours.len();
        }
        let rest = &self.held[from..];
        let longest = rest.len().min(ours.len() - 1);
        let cut = (1..=longest).rev().find(|&length| rest.ends_with(&ours[..length])).unwrap_or(0);
        out.extend_from_slice(&rest[..rest.len() - cut]);
        let keep = self.held.len() - cut;
        self.held = self.held.split_off(keep);
        out.freeze()
    }

    /// The answer begins again: what was held back of the one before is of no use.
    pub fn begin_again(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Message;

    #[test]
    fn an_id_is_replaced_on_the_way_there_and_back_however_the_answer_is_cut() {
        let body =
            Bytes::from(r#"{"jsonrpc":"2.0","id": "x\"1","method":"a","params":{"id":"x"}}"#);
        let message = Message::parse(&body).unwrap();
        let id = message.envelopes()[0].request_id().unwrap();
        let (sent, renamed) = Renamed::rename(&body, id).unwrap();
        let ours = renamed.ours.clone();
        let sent = String::from_utf8(sent.to_vec()).unwrap();
        assert_eq!(sent.replace(&*ours, r#""x\"1""#).as_bytes(), body);
        let answer = format!("data: {{\"id\":{ours},\"x\":\"archon-\",\"y\":{ours}}}\n\n\"arch");
        let expected = "data: {\"id\":\"x\\\"1\",\"x\":\"archon-\",\"y\":\"x\\\"1\"}\n\n";
        for chunk in 1..answer.len() {
            let (_, mut renamed) = Renamed::rename(&body, id).unwrap();
            renamed.ours = ours.clone();
            let mut out = Vec::new();
            for bytes in answer.as_bytes().chunks(chunk) {
                out.extend_from_slice(&renamed.restore(&Bytes::copy_from_slice(bytes)));
            }
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{chunk}");
        }
    }

    #[test]
    fn only_a_part_of_the_body_can_be_replaced() {
        assert!(Renamed::rename(&Bytes::from_static(b"{\"id\":1}"), &Text::from("1")).is_none());
    }
}

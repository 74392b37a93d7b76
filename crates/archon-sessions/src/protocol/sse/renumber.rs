//! Gives the events of a stream ids of ours in place of those they came with; everything else passes as
//! it is.
//!
//! The event that brings the answer has an id that says so. If it is the first event of its stream it has
//! none: its client has nothing to come back with before it, and no reason to after it. Clients on the
//! TypeScript SDK come back for ever to any POST stream that gave them an id (1.23), or to one that gave
//! them an id and a JSON-RPC error (1.24 and later).
//!
//! HTML Living Standard, 9.2.6: lines end with CR, LF or CRLF; an empty line ends the event.

use std::fmt::{Display, Write};
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use crate::protocol::event_id::{EventId, EventOrigin, StreamId, UpstreamEventId};

/// An upstream's own id that is longer than this is not remembered, so its stream cannot be resumed there.
const UPSTREAM_ID_MAX: usize = 1024;
/// Room for ids in the output, beside the input.
const ID_ROOM: usize = 128;

/// Where in a line we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes of `id` matched since the start of the line; they are held back.
    Start(usize),
    /// In the value of an `id` line, which is left out.
    Id,
    /// In any other line.
    Pass,
}

/// What becomes of a line feed that comes next: after a carriage return it is part of the same line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineFeed {
    /// It is a line end of its own.
    Own,
    /// It goes on with its line.
    Kept,
    /// It is left out with its line.
    Dropped,
}

impl LineFeed {
    fn after(newline: u8, kept: bool) -> Self {
        match (newline, kept) {
            (b'\r', true) => Self::Kept,
            (b'\r', false) => Self::Dropped,
            _ => Self::Own,
        }
    }
}

/// An event that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its number.
    pub seq: u64,
    /// Where in the output it ends.
    pub at: usize,
}

/// Whose ids a stream's events get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// The same origin for all, in its written form.
    Same(Box<str>),
    /// Each names what the upstream called it, on the link of this mark.
    Upstream(u32),
}

impl Naming {
    /// Returns the naming of events that all have this origin.
    pub fn same(origin: &EventOrigin) -> Self {
        Self::Same(origin.to_string().into())
    }
}

/// See the module.
#[derive(Debug)]
pub struct Renumber {
    stream: StreamId,
    naming: Naming,
    /// The number of the event that is being read, or will be next.
    seq: u64,
    state: State,
    line_feed: LineFeed,
    /// The current event has a field already.
    in_event: bool,
    /// All answers have gone by.
    is_answered: bool,
    upstream_id: Vec<u8>,
}

impl Renumber {
    /// Returns the beginning of a stream.
    pub fn new(stream: StreamId, naming: Naming) -> Self {
        Self {
            stream,
            naming,
            seq: 0,
            state: State::Start(0),
            line_feed: LineFeed::Own,
            in_event: false,
            is_answered: false,
            upstream_id: Vec::new(),
        }
    }

    /// Returns the id that the latest event came with.
    pub fn upstream_id(&self) -> &[u8] {
        &self.upstream_id
    }

    /// The stream goes on, on the link of this mark.
    pub fn go_on(&mut self, link_mark: u32) {
        if let Naming::Upstream(mark) = &mut self.naming {
            *mark = link_mark;
        }
    }

    /// Returns true if nothing has been sent yet.
    pub fn is_at_beginning(&self) -> bool {
        self.seq == 0 && !self.in_event
    }

    /// Returns the bytes to send for `input`, and notes the events that end in them.
    pub fn feed(&mut self, input: Bytes, ended: &mut Vec<Ended>) -> Bytes {
        self.replace_ids(input, ended).0
    }

    /// As [`Renumber::feed`], where the last event that ends in `input` brings the last answer.
    pub fn feed_answer(&mut self, input: Bytes, ended: &mut Vec<Ended>) -> Bytes {
        let (out, last_id) = self.replace_ids(input, ended);
        self.is_answered = true;
        let (Some(line), Some(last)) = (last_id, ended.last_mut()) else { return out };
        let mut marked = BytesMut::with_capacity(out.len() + ID_ROOM);
        marked.put_slice(&out[..line.start]);
        if last.seq > 0 {
            put_id(self.stream, last.seq, &EventOrigin::Answered, &mut marked);
        }
        marked.put_slice(&out[line.end..]);
        last.at = last.at + marked.len() - out.len();
        marked.freeze()
    }

    /// Returns the output, and where in it the line is that holds the last event's id.
    fn replace_ids(
        &mut self,
        input: Bytes,
        ended: &mut Vec<Ended>,
    ) -> (Bytes, Option<Range<usize>>) {
        // The middle of a long line, as megabytes of an answer are, goes on uncopied.
        if self.state == State::Pass && memchr::memchr2(b'\n', b'\r', &input).is_none() {
            return (input, None);
        }
        let mut last_id = None;
        let mut out = BytesMut::with_capacity(input.len() + ID_ROOM);
        let mut rest = &input[..];
        while let Some(&byte) = rest.first() {
            let line_feed = std::mem::replace(&mut self.line_feed, LineFeed::Own);
            if byte == b'\n' && line_feed != LineFeed::Own {
                if line_feed == LineFeed::Kept {
                    out.put_u8(byte);
                }
                rest = &rest[1..];
                continue;
            }
            match self.state {
                State::Start(matched) => {
                    let (after, ends) = self.feed_start(matched, rest, &mut out);
                    rest = after;
                    if let Some(id) = ends {
                        ended.push(Ended { seq: self.seq, at: out.len() });
                        self.seq += 1;
                        last_id = Some(id);
                    }
                }
                State::Id | State::Pass => rest = self.feed_line(rest, &mut out),
            }
        }
        (out.freeze(), last_id)
    }

    /// Takes the beginning of a line; returns the rest, and where in the output the event's id is if the event
    /// ends here.
    fn feed_start<'a>(
        &mut self,
        matched: usize,
        rest: &'a [u8],
        out: &mut BytesMut,
    ) -> (&'a [u8], Option<Range<usize>>) {
        let after = match (matched, rest[0]) {
            (0, newline @ (b'\n' | b'\r')) => {
                self.line_feed = LineFeed::after(newline, true);
                let start = out.len();
                let ends = std::mem::take(&mut self.in_event);
                if ends {
                    self.name_event(out);
                }
                let id = start..out.len();
                out.put_u8(newline);
                return (&rest[1..], ends.then_some(id));
            }
            (0, b':') => {
                self.state = State::Pass;
                rest
            }
            (0, b'i') => {
                self.state = State::Start(1);
                &rest[1..]
            }
            (1, b'd') => {
                self.state = State::Start(2);
                &rest[1..]
            }
            (2, b':' | b'\n' | b'\r') => {
                self.in_event = true;
                self.upstream_id.clear();
                self.state = State::Id;
                if rest[0] == b':' { &rest[1..] } else { rest }
            }
            _ => {
                self.in_event = true;
                out.put_slice(&b"id"[..matched]);
                self.state = State::Pass;
                rest
            }
        };
        (after, None)
    }

    /// Takes what belongs to the current line, its end included; returns the rest.
    fn feed_line<'a>(&mut self, rest: &'a [u8], out: &mut BytesMut) -> &'a [u8] {
        let end = memchr::memchr2(b'\n', b'\r', rest);
        let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
        let is_id = self.state == State::Id;
        if !is_id {
            out.put_slice(line);
        } else if self.upstream_id.len() + line.len() <= UPSTREAM_ID_MAX {
            // One space after the colon is not part of the value.
            let has_begun = !self.upstream_id.is_empty();
            let value = line.strip_prefix(b" ").filter(|_| !has_begun).unwrap_or(line);
            self.upstream_id.extend_from_slice(value);
        } else {
            self.upstream_id.clear();
        }
        let Some((&newline, after)) = after.split_first() else { return after };
        self.state = State::Start(0);
        self.line_feed = LineFeed::after(newline, !is_id);
        if !is_id {
            out.put_u8(newline);
        }
        after
    }

    /// The id comes last in its event: only then is it known what the upstream called it.
    fn name_event(&self, out: &mut BytesMut) {
        let mut put = |origin: &dyn Display| put_id(self.stream, self.seq, origin, out);
        match &self.naming {
            _ if self.is_answered => put(&EventOrigin::Answered),
            Naming::Same(origin) => put(origin),
            Naming::Upstream(_) if self.upstream_id.is_empty() => put(&EventOrigin::Nothing),
            Naming::Upstream(link_mark) => {
                let called = String::from_utf8_lossy(&self.upstream_id).into();
                let called = UpstreamEventId { link_mark: *link_mark, id: called };
                put(&EventOrigin::Upstream(called));
            }
        }
    }
}

fn put_id(stream: StreamId, seq: u64, origin: &dyn Display, out: &mut BytesMut) {
    let id = EventId { stream, seq, origin: EventOrigin::Nothing };
    // Writing to a buffer that grows does not fail.
    let _ = writeln!(out, "id: {id}{origin}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renumbered(stream: &str, chunk: usize) -> (String, Vec<(u64, usize)>, Vec<u8>) {
        let naming = Naming::same(&EventOrigin::Request("1".into()));
        let mut renumber = Renumber::new(StreamId(10), naming);
        let (mut out, mut events) = (Vec::new(), Vec::new());
        for bytes in stream.as_bytes().chunks(chunk) {
            let (mut ended, before) = (Vec::new(), out.len());
            out.extend_from_slice(&renumber.feed(Bytes::copy_from_slice(bytes), &mut ended));
            events.extend(ended.iter().map(|ended| (ended.seq, before + ended.at)));
        }
        (String::from_utf8(out).unwrap(), events, renumber.upstream_id().to_vec())
    }

    #[test]
    fn ids_are_replaced_however_the_stream_is_cut() {
        let stream = ": hello\n\nid: 1\ndata: \nretry: 3\n\nevent: message\ndata: {\"id\":1}\nid:x/2\n\n\
                      idle: no\ni: 1\nid\n\n: bye\n\ndata: cut";
        let expected = ": hello\n\ndata: \nretry: 3\nid: a-0-rMQ\n\nevent: message\ndata: {\"id\":1}\n\
                        id: a-1-rMQ\n\nidle: no\ni: 1\nid: a-2-rMQ\n\n: bye\n\ndata: cut";
        let ends: Vec<usize> = ["a-0-rMQ\n\n", "a-1-rMQ\n\n", "a-2-rMQ\n\n"]
            .iter()
            .map(|end| expected.find(end).unwrap() + end.len())
            .collect();
        for chunk in 1..60 {
            let (out, events, foreign) = renumbered(stream, chunk);
            assert_eq!(out, expected, "{chunk}");
            let numbered: Vec<_> = (0..).zip(ends.iter().copied()).collect();
            assert_eq!(events, numbered, "{chunk}");
            assert_eq!(foreign, b"", "an empty id was the last");
        }
        assert_eq!(renumbered("data: 1\nid: x/2\n\n", 3).2, b"x/2");
    }

    #[test]
    fn the_answer_says_that_it_is_one_or_has_no_id_if_it_comes_first() {
        let stream = |text: &'static str, is_first: bool| {
            let naming = Naming::same(&EventOrigin::Request("1".into()));
            let (mut renumber, mut ended) = (Renumber::new(StreamId(10), naming), Vec::new());
            let mut out = Vec::new();
            if !is_first {
                out.extend_from_slice(&renumber.feed("data: \n\n".into(), &mut ended));
            }
            let start = out.len();
            ended.clear();
            out.extend_from_slice(&renumber.feed_answer(text.into(), &mut ended));
            let ends: Vec<_> = ended.iter().map(|one| (one.seq, one.at + start)).collect();
            out.extend_from_slice(&renumber.feed("data: 9\n\n".into(), &mut ended));
            (String::from_utf8(out).unwrap(), ends)
        };
        let (out, ends) = stream("id: x\ndata: 1\r\n\r\n: so far", true);
        assert_eq!(out, "data: 1\r\n\r\n: so fardata: 9\n\n", "what is cut off stays so");
        assert_eq!(ends, [(0, 10)]);
        let (out, ends) = stream("data: 1\n\n", true);
        assert_eq!((out.as_str(), ends), ("data: 1\n\ndata: 9\nid: a-1-a\n\n", vec![(0, 9)]));
        let (out, ends) = stream("data: 0\n\ndata: 1\n\n", true);
        let expected = "data: 0\nid: a-0-rMQ\n\ndata: 1\nid: a-1-a\n\ndata: 9\nid: a-2-a\n\n";
        assert_eq!((out.as_str(), ends), (expected, vec![(0, 21), (1, 40)]));
        let (out, ends) = stream("data: 1\n\n", false);
        let expected = "data: \nid: a-0-rMQ\n\ndata: 1\nid: a-1-a\n\ndata: 9\nid: a-2-a\n\n";
        assert_eq!((out.as_str(), ends), (expected, vec![(1, 39)]));
    }

    #[test]
    fn an_event_of_a_standing_stream_names_what_the_upstream_called_it() {
        let mut renumber = Renumber::new(StreamId(10), Naming::Upstream(7));
        let mut ended = Vec::new();
        let mut feed = |text: &'static str| {
            let out = renumber.feed(Bytes::from_static(text.as_bytes()), &mut ended);
            renumber.go_on(8);
            EventId::of_event(&out).unwrap().origin
        };
        let called = |link_mark, id: &str| {
            EventOrigin::Upstream(UpstreamEventId { link_mark, id: id.into() })
        };
        assert_eq!(feed("data: 1\nid: 0/1\n\n"), called(7, "0/1"));
        assert_eq!(feed("id: 0/2\ndata: 1\n\n"), called(8, "0/2"));
        assert_eq!(feed("id\ndata: 1\n\n"), EventOrigin::Nothing);
    }

    #[test]
    fn other_line_ends_stay_as_they_are() {
        let stream = "id: 1\r\ndata: a\r\n\r\nid: 2\rdata: b\r\r";
        for chunk in 1..40 {
            let (out, events, _) = renumbered(stream, chunk);
            assert_eq!(out, "data: a\r\nid: a-0-rMQ\n\r\ndata: b\rid: a-1-rMQ\n\r", "{chunk}");
            assert_eq!(events.len(), 2);
        }
    }
}

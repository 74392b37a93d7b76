//! Finds the answers in the bytes of a body, whichever way they hold messages.

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};

use crate::protocol::answer::{Scanner, Verdict};
use crate::protocol::sse::{Events, Part, is_event_stream};

/// Of an answer, so much is kept to estimate its tokens and find its error's text.
pub const SAMPLE_MAX: usize = 16 * 1024;

/// An answer that was seen.
#[derive(Debug)]
pub struct Seen {
    /// The id of its request, as JSON text.
    pub id: Vec<u8>,
    pub verdict: Verdict,
    /// Bytes sent so far, it included.
    pub bytes: u64,
    /// Its beginning.
    pub sample: Vec<u8>,
}

/// How the bytes hold messages.
pub struct AnswerFinder {
    framing: Framing,
    scanner: Scanner,
    bytes: u64,
    sample: Vec<u8>,
    sample_max: usize,
    /// Answers in an event that is not over: it may never be.
    pending: Vec<Seen>,
}

enum Framing {
    /// The body is one message (or a batch).
    Json,
    /// Each event is one.
    Sse(Events),
    /// The body is no message.
    Opaque,
}

impl AnswerFinder {
    /// Returns a finder for an answer with these headers.
    pub fn new(headers: &HeaderMap) -> Self {
        Self::keeping(SAMPLE_MAX, headers)
    }

    /// As [`AnswerFinder::new`], with samples of up to so many bytes.
    pub fn keeping(sample_max: usize, headers: &HeaderMap) -> Self {
        let is_json = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/json");
        let framing = if is_event_stream(headers) {
            Framing::Sse(Events::default())
        } else if headers.get(CONTENT_TYPE).is_some_and(is_json) {
            Framing::Json
        } else {
            Framing::Opaque
        };
        Self {
            framing,
            scanner: Scanner::default(),
            bytes: 0,
            sample: Vec::new(),
            sample_max,
            pending: Vec::new(),
        }
    }

    /// Returns a finder for a stream of events.
    pub fn of_stream() -> Self {
        let stream = HeaderValue::from_static("text/event-stream");
        Self::new(&HeaderMap::from_iter([(CONTENT_TYPE, stream)]))
    }

    /// Looks at bytes and reports each answer in them. Returns whether they hold anything of a message: a
    /// comment that keeps a stream open is no sign of one.
    pub fn saw(&mut self, bytes: &[u8], on_answer: &mut impl FnMut(Seen)) -> bool {
        let mut is_sign = false;
        self.bytes += bytes.len() as u64;
        let Self { framing, scanner, bytes: count, sample, sample_max, pending } = self;
        let mut data = |data: &[u8],
                        on_answer: &mut dyn FnMut(Seen),
                        sample: &mut Vec<u8>,
                        scanner: &mut Scanner| {
            is_sign = true;
            let room = sample_max.saturating_sub(sample.len());
            sample.extend_from_slice(&data[..data.len().min(room)]);
            scanner.feed(data, &mut |id, verdict| {
                let sample = std::mem::take(sample);
                on_answer(Seen { id: id.to_vec(), verdict, bytes: *count, sample });
            });
        };
        match framing {
            Framing::Opaque => {}
            Framing::Json => data(bytes, on_answer, sample, scanner),
            Framing::Sse(events) => events.feed(bytes, &mut |part| match part {
                Part::Data(bytes) => {
                    data(bytes, &mut |seen| pending.push(seen), sample, scanner);
                }
                Part::End => {
                    pending.drain(..).for_each(&mut *on_answer);
                    sample.clear();
                    *scanner = Scanner::default();
                }
            }),
        }
        is_sign
    }

    /// The body ended in an orderly way: an event that it ends in counts as whole.
    pub fn ended(&mut self, on_answer: &mut impl FnMut(Seen)) {
        self.pending.drain(..).for_each(on_answer);
    }

    /// Another stream goes on in place of this one.
    pub fn begin_again(&mut self, headers: &HeaderMap) {
        *self = Self { bytes: self.bytes, ..Self::keeping(self.sample_max, headers) };
    }

    /// Returns the bytes seen so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns true if messages can still be added to the stream.
    pub fn is_sse(&self) -> bool {
        matches!(self.framing, Framing::Sse(_))
    }
}

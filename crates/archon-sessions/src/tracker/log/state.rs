//! One stream's events, as a value: no lock, no clock.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use super::{Missing, Sent};
use crate::session::Timestamp;
use crate::store::StoredEvent;
use crate::tracker::StreamPlace;

/// Events longer than this are sent and not kept; an answer of a megabyte is rare, and a client that
/// lost one is told that it was there.
const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// What an event costs beside its bytes.
const EVENT_OVERHEAD: usize = 96;
/// A reader gets at most about this much at once, and this much may wait for a slow one.
const READ_BYTES_MAX: usize = 256 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Logged {
    pub seq: u64,
    pub bytes: Bytes,
    pub is_answered: bool,
    pub at: Timestamp,
}

impl Logged {
    fn cost(&self) -> usize {
        self.bytes.len() + EVENT_OVERHEAD
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub events: VecDeque<Logged>,
    /// What the events cost together.
    pub bytes: usize,
    pub readers: u32,
    /// How often it was taken over by a new reader.
    pub generation: u64,
    /// The place of the one reader of a standing stream, which its client may leave without a sign.
    pub place: Option<StreamPlace>,
    /// The event that is being sent.
    open: BytesMut,
    open_is_too_long: bool,
    /// The first event that the store does not have.
    unstored: u64,
    is_queued: bool,
    has_rows: bool,
    is_read: bool,
    /// The event with the last answer that the stream was to bring.
    answer: Option<u64>,
    /// No reader gets the answer yet: its call has not ended.
    is_withheld: bool,
    pub is_over: bool,
    /// So long ago that its client need not even be told that there was an answer.
    is_expired: bool,
    /// How far its readers have come.
    pub read_through: Option<u64>,
    wakers: Vec<Waker>,
}

impl State {
    /// Returns by how much it has grown.
    pub fn append(&mut self, sent: &Sent<'_>, now: Timestamp) -> usize {
        let Sent { bytes, ended, is_answered } = *sent;
        if self.is_read {
            return 0;
        }
        let (before, mut from) = (self.bytes, 0);
        for (index, end) in ended.iter().enumerate() {
            let is_last = index + 1 == ended.len();
            let whole = self.complete(bytes.slice(from..end.at));
            from = end.at;
            if is_answered && is_last {
                self.is_withheld = self.answer.is_none();
                self.answer = self.answer.or(Some(end.seq));
            }
            if let Some(bytes) = whole {
                let is_answered = self.answer.is_some();
                let event = Logged { seq: end.seq, bytes, is_answered, at: now };
                self.bytes += event.cost();
                self.events.push_back(event);
            }
        }
        self.add_to_open(&bytes[from..]);
        if !ended.is_empty() {
            self.wake();
        }
        self.bytes - before
    }

    /// Returns a whole event whose last bytes these are, if it is not too long.
    fn complete(&mut self, rest: Bytes) -> Option<Bytes> {
        if self.open.is_empty() && !self.open_is_too_long {
            return Some(rest).filter(|bytes| bytes.len() <= EVENT_BYTES_MAX);
        }
        self.add_to_open(&rest);
        let whole = std::mem::take(&mut self.open).freeze();
        let is_kept = !std::mem::take(&mut self.open_is_too_long);
        is_kept.then_some(whole)
    }

    fn add_to_open(&mut self, bytes: &[u8]) {
        if self.open_is_too_long || self.is_read {
            return;
        }
        if self.open.len() + bytes.len() > EVENT_BYTES_MAX {
            self.open_is_too_long = true;
            self.open = BytesMut::new();
        } else {
            self.open.extend_from_slice(bytes);
        }
    }

    /// Returns true if the writer has to be told that there is something to store.
    pub fn queue(&mut self) -> bool {
        let has_news = self.events.back().is_some_and(|event| event.seq >= self.unstored);
        has_news && !self.is_read && !std::mem::replace(&mut self.is_queued, true)
    }

    /// Lets readers have the answer.
    pub fn show_answer(&mut self) {
        if std::mem::take(&mut self.is_withheld) {
            self.wake();
        }
    }

    pub fn finish(&mut self) {
        self.is_withheld = false;
        self.is_over = true;
        self.open = BytesMut::new();
        self.wake();
    }

    pub fn is_of_use(&self) -> bool {
        !self.is_over || !self.events.is_empty() || (self.answer.is_some() && !self.is_expired)
    }

    pub fn poll_read(
        &mut self,
        after: &mut Option<u64>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Vec<Bytes>>> {
        let (mut found, mut size, mut last) = (Vec::new(), 0, *after);
        for event in self.after(*after) {
            if size >= READ_BYTES_MAX {
                break;
            }
            size += event.bytes.len();
            found.push(event.bytes.clone());
            last = Some(event.seq);
        }
        if !found.is_empty() {
            *after = last;
            self.read_through = self.read_through.max(last);
            self.wake();
            return Poll::Ready(Some(found));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        self.wait(context);
        Poll::Pending
    }

    /// Returns the events after that one, oldest first.
    pub fn after(&self, after: Option<u64>) -> impl Iterator<Item = &Logged> {
        let from = self.events.partition_point(|e| after.is_some_and(|seen| e.seq <= seen));
        let until = self.answer.filter(|_| self.is_withheld);
        self.events.range(from..).take_while(move |e| until.is_none_or(|answer| e.seq < answer))
    }

    pub fn sent_all(&mut self) {
        self.read_through = self.read_through.max(self.events.back().map(|event| event.seq));
    }

    pub fn missing(&self, after: Option<u64>) -> Missing {
        match self.answer {
            None => Missing::Outcome,
            Some(answer) if after.is_some_and(|seen| seen >= answer) => Missing::Nothing,
            Some(_) => Missing::Answer,
        }
    }

    pub fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let waiting: usize = self.after(self.read_through).map(Logged::cost).sum();
        if self.readers == 0 || waiting <= READ_BYTES_MAX {
            return Poll::Ready(());
        }
        self.wait(context);
        Poll::Pending
    }

    /// Returns what was freed, and whether the store has rows.
    pub fn mark_read(&mut self) -> (usize, bool) {
        self.is_read = true;
        self.events = VecDeque::new();
        self.open = BytesMut::new();
        (std::mem::take(&mut self.bytes), std::mem::take(&mut self.has_rows))
    }

    pub fn take_unstored(&mut self) -> Vec<Logged> {
        self.is_queued = false;
        let stored = self.events.back().map_or(self.unstored, |event| event.seq + 1);
        let unstored = std::mem::replace(&mut self.unstored, stored);
        let news = self.events.iter().filter(|event| event.seq >= unstored);
        let found: Vec<Logged> = news.cloned().collect();
        self.has_rows |= !found.is_empty();
        found
    }

    /// As [`State::trim`], for age: what is over and has nothing left is of no use any more.
    pub fn expire(&mut self, before: Timestamp) -> (usize, bool) {
        let (freed, is_left) = self.trim(|event, _| event.at < before);
        self.is_expired = self.is_over && !is_left;
        (freed, is_left || !self.is_over)
    }

    /// Drops events from the oldest on, for as long as `is_due` (of the event and what is freed so far)
    /// says so. Returns what was freed, and whether events are left.
    pub fn trim(&mut self, is_due: impl Fn(&Logged, usize) -> bool) -> (usize, bool) {
        let mut freed = 0;
        while let Some(event) = self.events.front().filter(|event| is_due(event, freed)) {
            freed += event.cost();
            self.events.pop_front();
        }
        self.bytes -= freed;
        (freed, !self.events.is_empty())
    }

    /// Returns what the events cost.
    pub fn restore(&mut self, events: Vec<StoredEvent>) -> usize {
        self.is_over = true;
        self.has_rows = true;
        for StoredEvent { seq, bytes, is_answered, at, .. } in events {
            if is_answered {
                self.answer = self.answer.or(Some(seq));
            }
            let event = Logged { seq, bytes, is_answered, at };
            self.bytes += event.cost();
            self.unstored = seq + 1;
            self.events.push_back(event);
        }
        self.bytes
    }

    /// Everybody who waits is woken at the next change; as many as there are readers, and the one who
    /// writes.
    fn wait(&mut self, context: &mut Context<'_>) {
        self.wakers.retain(|waker| !waker.will_wake(context.waker()));
        self.wakers.push(context.waker().clone());
    }

    pub fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::sse::Ended;

    fn sent<'a>(bytes: &'a Bytes, ended: &'a [Ended], is_answered: bool) -> Sent<'a> {
        Sent { bytes, ended, is_answered }
    }

    fn event(seq: u64) -> String {
        format!("id: a-{seq}\ndata: {seq}\n\n")
    }

    fn state(count: u64, answered_at: Option<u64>) -> State {
        let mut state = State::default();
        for seq in 0..count {
            let bytes = Bytes::from(event(seq));
            let ended = [Ended { seq, at: bytes.len() }];
            let now = Timestamp::from_micros(i64::try_from(seq).unwrap());
            state.append(&sent(&bytes, &ended, answered_at == Some(seq)), now);
        }
        state.show_answer();
        state
    }

    fn read(state: &mut State, mut after: Option<u64>) -> (Option<String>, Option<u64>) {
        let mut context = Context::from_waker(Waker::noop());
        match state.poll_read(&mut after, &mut context) {
            Poll::Ready(Some(found)) => (Some(String::from_utf8(found.concat()).unwrap()), after),
            Poll::Ready(None) => (None, after),
            Poll::Pending => (Some(String::new()), after),
        }
    }

    #[test]
    fn an_answer_is_read_once_its_call_has_ended() {
        let mut state = state(1, None);
        let bytes = Bytes::from(event(1));
        let ended = [Ended { seq: 1, at: bytes.len() }];
        state.append(&sent(&bytes, &ended, true), Timestamp::from_micros(1));
        assert_eq!(read(&mut state, None), (Some(event(0)), Some(0)));
        assert_eq!(read(&mut state, Some(0)), (Some(String::new()), Some(0)));
        assert_eq!(state.take_unstored().len(), 2, "the store has it first");
        state.show_answer();
        assert_eq!(read(&mut state, Some(0)), (Some(event(1)), Some(1)));
    }

    #[test]
    fn a_reader_gets_what_it_has_not_seen_and_then_the_end() {
        let mut state = state(3, Some(2));
        assert_eq!(read(&mut state, Some(0)), (Some(event(1) + &event(2)), Some(2)));
        assert_eq!(read(&mut state, Some(2)), (Some(String::new()), Some(2)), "it may go on");
        state.finish();
        assert_eq!(read(&mut state, Some(2)), (None, Some(2)));
        assert_eq!(state.missing(Some(2)), Missing::Nothing);
    }

    #[test]
    fn an_event_cut_in_two_is_kept_whole() {
        let (mut state, text) = (State::default(), event(0));
        let now = Timestamp::from_micros(1);
        let (first, second) = text.split_at(9);
        state.append(&sent(&Bytes::copy_from_slice(first.as_bytes()), &[], false), now);
        let second = Bytes::copy_from_slice(second.as_bytes());
        state.append(&sent(&second, &[Ended { seq: 0, at: second.len() }], false), now);
        assert_eq!(read(&mut state, None).0, Some(text));
    }

    #[test]
    fn an_answer_that_is_too_long_or_trimmed_is_missing() {
        let mut long = State::default();
        let bytes = Bytes::from(vec![b'x'; EVENT_BYTES_MAX / 2 + 1]);
        let now = Timestamp::from_micros(1);
        long.append(&sent(&bytes, &[], false), now);
        long.append(&sent(&bytes, &[Ended { seq: 0, at: bytes.len() }], true), now);
        assert_eq!((long.missing(None), long.bytes), (Missing::Answer, 0));

        let mut trimmed = state(3, Some(1));
        assert_eq!(
            trimmed.trim(|event, _| event.seq < 2),
            (2 * (event(0).len() + EVENT_OVERHEAD), true)
        );
        assert_eq!(trimmed.missing(Some(0)), Missing::Answer);
        assert_eq!(state(3, None).missing(Some(2)), Missing::Outcome);
    }

    #[test]
    fn each_event_is_stored_once() {
        let mut state = state(2, None);
        assert!(state.queue() && !state.queue());
        let seqs = |found: Vec<Logged>| found.iter().map(|event| event.seq).collect::<Vec<_>>();
        assert_eq!(seqs(state.take_unstored()), [0, 1]);
        assert!(!state.queue());
        let bytes = Bytes::from(event(2));
        let ended = [Ended { seq: 2, at: bytes.len() }];
        state.append(&sent(&bytes, &ended, true), Timestamp::from_micros(5));
        assert!(state.queue());
        let found = state.take_unstored();
        assert!(found[0].is_answered);
        assert_eq!(seqs(found), [2]);
        assert!(state.mark_read().1, "the store has rows");
        assert!(!state.queue());
    }
}

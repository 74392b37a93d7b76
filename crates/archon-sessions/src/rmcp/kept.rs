//! Which events are stored, so that there are only so many, and who waits for more: pure.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::watch;

use super::events::EventName;
use crate::protocol::event_id::StreamId;
use crate::session::Timestamp;

/// What an event counts for beside its bytes: its row, and what is remembered of it here.
const EVENT_OVERHEAD: usize = 256;

/// Streams that are remembered though their events are gone, because somebody waited for more, before those are
/// looked for of which that is over.
const IDLE_STREAMS: usize = 1000;

/// See the module. What was stored before a restart is not known here; it goes when it is old.
pub(super) struct Kept {
    /// In the order of their ages.
    events: VecDeque<(Timestamp, StreamId, usize)>,
    /// As many as there are events, and those that somebody waits for.
    streams: HashMap<StreamId, Stream>,
    bytes: usize,
    age_max: Duration,
    bytes_max: usize,
}

struct Stream {
    events: usize,
    /// Told when there are more events, and dropped when there will be none.
    news: Option<watch::Sender<u64>>,
}

impl Kept {
    pub(super) fn new(age_max: Duration, bytes_max: usize) -> Self {
        Self { events: VecDeque::new(), streams: HashMap::new(), bytes: 0, age_max, bytes_max }
    }

    /// Adds an event that was stored; returns the streams whose events are to be deleted because all of them are too
    /// many.
    pub(super) fn add(
        &mut self,
        name: EventName,
        bytes: usize,
        is_answered: bool,
        now: Timestamp,
    ) -> Vec<StreamId> {
        let bytes = bytes.saturating_add(EVENT_OVERHEAD);
        self.events.push_back((now, name.stream, bytes));
        self.bytes = self.bytes.saturating_add(bytes);
        let stream = self.streams.entry(name.stream).or_insert_with(Stream::new);
        stream.events += 1;
        if let Some(news) = &stream.news {
            news.send_replace(name.seq);
        }
        if is_answered {
            stream.news = None;
        }
        self.sweep(now)
    }

    fn sweep(&mut self, now: Timestamp) -> Vec<StreamId> {
        let mut surplus = Vec::new();
        while let Some((at, stream, bytes)) = self.events.front().copied() {
            let is_old = now.since(at) >= self.age_max;
            if !is_old && self.bytes <= self.bytes_max {
                break;
            }
            self.events.pop_front();
            self.bytes = self.bytes.saturating_sub(bytes);
            // What is old goes by its age, in the store as well.
            if !is_old && surplus.last() != Some(&stream) {
                surplus.push(stream);
            }
            if let Some(known) = self.streams.get_mut(&stream) {
                known.events = known.events.saturating_sub(1);
                if known.is_useless() {
                    self.streams.remove(&stream);
                }
            }
        }
        if self.streams.len() > self.events.len() + IDLE_STREAMS {
            self.streams.retain(|_, stream| !stream.is_useless());
        }
        surplus
    }

    /// Returns what tells of a stream's next events; `None` if this process stores none on it.
    pub(super) fn follow(&mut self, stream: StreamId) -> Option<watch::Receiver<u64>> {
        self.streams.get(&stream)?.news.as_ref().map(watch::Sender::subscribe)
    }

    /// Tells those who wait for more of a stream that there will be none.
    pub(super) fn forget(&mut self, stream: StreamId) {
        if let Some(known) = self.streams.get_mut(&stream) {
            known.news = None;
        }
    }
}

impl Stream {
    fn new() -> Self {
        Self { events: 0, news: Some(watch::Sender::new(0)) }
    }

    fn is_useless(&self) -> bool {
        self.events == 0 && self.news.as_ref().is_none_or(|news| news.receiver_count() == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE_MAX: Duration = Duration::from_secs(300);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn name(stream: i64, seq: u64) -> EventName {
        EventName { stream: StreamId(stream), seq }
    }

    #[test]
    fn the_oldest_streams_go_when_there_is_too_much() {
        let mut kept = Kept::new(AGE_MAX, 3 * (EVENT_OVERHEAD + 100));
        for seq in 1..=3 {
            assert_eq!(kept.add(name(-1, seq), 100, false, at(1)), []);
        }
        assert_eq!(kept.add(name(-2, 4), 200, false, at(2)), [StreamId(-1)]);
        assert_eq!(kept.add(name(-3, 5), 1_000_000, true, at(3)).last(), Some(&StreamId(-3)));
        assert_eq!((kept.bytes, kept.events.len(), kept.streams.len()), (0, 0, 0));
    }

    #[test]
    fn what_is_old_is_not_remembered() {
        let mut kept = Kept::new(AGE_MAX, usize::MAX);
        kept.add(name(-1, 1), 10, false, at(0));
        kept.add(name(-2, 2), 10, false, at(0));
        let waiting = kept.follow(StreamId(-2));
        assert_eq!(kept.add(name(-3, 3), 10, false, at(300)), []);
        let mut streams: Vec<_> = kept.streams.keys().map(|stream| stream.0).collect();
        streams.sort_unstable();
        assert_eq!(streams, [-3, -2], "somebody waits for one of them");
        drop(waiting);
        let follow = |kept: &mut Kept, stream| {
            kept.add(name(stream, 9), 10, false, at(300));
            kept.follow(StreamId(stream))
        };
        let waiting: Vec<_> =
            (0..IDLE_STREAMS as i64 + 9).map(|stream| follow(&mut kept, stream)).collect();
        kept.add(name(-3, 10), 10, false, at(600));
        assert!(kept.streams.len() > IDLE_STREAMS);
        drop(waiting);
        kept.add(name(-3, 11), 10, false, at(600));
        assert_eq!(kept.streams.len(), 1);
    }

    #[test]
    fn who_waits_is_told_of_more_and_of_the_end() {
        let mut kept = Kept::new(AGE_MAX, usize::MAX);
        assert!(kept.follow(StreamId(-1)).is_none());
        kept.add(name(-1, 1), 10, false, at(0));
        let mut news = kept.follow(StreamId(-1)).unwrap();
        kept.add(name(-1, 2), 10, true, at(0));
        assert_eq!(*news.borrow_and_update(), 2);
        assert!(news.has_changed().is_err(), "there will be no more");
        assert!(kept.follow(StreamId(-1)).is_none());
    }
}

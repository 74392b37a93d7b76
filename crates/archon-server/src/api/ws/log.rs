//! What listeners are sent: the same frames for all, in chunks that are written at once. Pure.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use uuid::Uuid;

use super::deflate;
use super::filter::{Filter, Kind};

/// A listener that cannot take a chunk at once holds it until it has; so it is not larger than this, and one
/// frame.
const CHUNK_BYTES: usize = 64 * 1024;
/// Filters whose choice of a chunk is kept for others with the same one; a dashboard has a handful.
const CHOICES_MAX: usize = 8;

/// A frame in a chunk.
#[derive(Clone, Copy, Debug)]
struct Mark {
    seq: u64,
    end: usize,
    kind: Kind,
    session: Option<Uuid>,
}

/// Some frames in a row.
#[derive(Debug)]
pub struct Chunk {
    frames: Bytes,
    marks: Box<[Mark]>,
    /// All frames compressed, once the first listener wants them so.
    deflated: OnceLock<Bytes>,
    /// What listeners with a filter get of it. Held for single operations, never across an await.
    choices: Mutex<Vec<(Filter, Bytes)>>,
}

impl Chunk {
    /// Returns the frames after the event `after` that pass the filter.
    fn choose(&self, filter: Filter, after: u64, is_deflated: bool) -> Bytes {
        if after > 0 && self.marks.first().is_some_and(|mark| mark.seq <= after) {
            return self.gather(|mark| mark.seq > after && filter.wants(mark.kind, mark.session));
        }
        if filter.is_all() {
            return if is_deflated { self.deflated() } else { self.frames.clone() };
        }
        let mut choices = self.choices.lock();
        if let Some((_, chosen)) = choices.iter().find(|(known, _)| *known == filter) {
            return chosen.clone();
        }
        let chosen = self.gather(|mark| filter.wants(mark.kind, mark.session));
        if choices.len() < CHOICES_MAX {
            choices.push((filter, chosen.clone()));
        }
        chosen
    }

    /// Returns all frames compressed. A choice of them is not: it would refer to what was left out.
    fn deflated(&self) -> Bytes {
        let deflate = || {
            let starts = std::iter::once(0).chain(self.marks.iter().map(|mark| mark.end));
            let frames = starts.zip(&self.marks).map(|(start, mark)| &self.frames[start..mark.end]);
            deflate::compressed(frames).map_or_else(|| self.frames.clone(), Bytes::from)
        };
        self.deflated.get_or_init(deflate).clone()
    }

    fn gather(&self, wants: impl Fn(&Mark) -> bool) -> Bytes {
        let (mut chosen, mut start) = (Vec::new(), 0);
        for mark in &self.marks {
            if wants(mark) {
                chosen.extend_from_slice(&self.frames[start..mark.end]);
            }
            start = mark.end;
        }
        chosen.into()
    }

    fn bytes(&self) -> usize {
        self.frames.len() + self.marks.len() * size_of::<Mark>()
    }
}

/// Chunks in the making.
#[derive(Debug, Default)]
pub struct Chunks {
    done: Vec<Chunk>,
    frames: Vec<u8>,
    marks: Vec<Mark>,
}

impl Chunks {
    /// Adds a frame: `write` appends it.
    pub fn add(
        &mut self,
        seq: u64,
        kind: Kind,
        session: Option<Uuid>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        write(&mut self.frames);
        self.marks.push(Mark { seq, end: self.frames.len(), kind, session });
        if self.frames.len() >= CHUNK_BYTES {
            self.finish();
        }
    }

    fn finish(&mut self) {
        let frames = std::mem::take(&mut self.frames).into();
        let marks = std::mem::take(&mut self.marks).into();
        let (deflated, choices) = (OnceLock::new(), Mutex::default());
        self.done.push(Chunk { frames, marks, deflated, choices });
    }

    fn into_done(mut self) -> Vec<Chunk> {
        if !self.marks.is_empty() {
            self.finish();
        }
        self.done
    }
}

/// The latest chunks, within a bound of bytes: what a listener may be behind by.
#[derive(Debug)]
pub struct Log {
    kept: VecDeque<Arc<Chunk>>,
    /// The place of the first chunk that is kept.
    first: u64,
    /// The latest event before it.
    before: u64,
    latest: u64,
    bytes: usize,
    bytes_max: usize,
}

/// Where a listener is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    chunk: u64,
    /// Of the chunk, only what is after this event.
    after: u64,
}

/// What a listener is sent next.
#[derive(Debug)]
pub enum Next {
    /// Some of these frames.
    Part(Part),
    /// Nothing yet.
    Wait,
    /// It was too slow: what comes next is gone.
    Lost,
}

/// A chunk, from an event on.
#[derive(Debug)]
pub struct Part {
    chunk: Arc<Chunk>,
    after: u64,
}

impl Part {
    /// Returns those frames that pass the filter; none, if it wants none of them.
    pub fn choose(&self, filter: Filter, is_deflated: bool) -> Bytes {
        self.chunk.choose(filter, self.after, is_deflated)
    }
}

impl Log {
    /// Returns an empty log that goes on from an event.
    pub fn after(latest: u64, bytes_max: usize) -> Self {
        Self { kept: VecDeque::new(), first: 0, before: latest, latest, bytes: 0, bytes_max }
    }

    /// Returns the number of the latest event.
    pub fn latest(&self) -> u64 {
        self.latest
    }

    /// Returns the place after all that there is.
    pub fn end(&self) -> Place {
        Place { chunk: self.first + self.kept.len() as u64, after: 0 }
    }

    /// Returns true if nothing after this place is gone.
    pub fn has(&self, place: Place) -> bool {
        place.chunk >= self.first
    }

    /// Returns the place after an event; `None` if something after it is gone, or it was never there.
    pub fn place_after(&self, seq: u64) -> Option<Place> {
        if seq < self.before || seq > self.latest {
            return None;
        }
        let is_before = |chunk: &Arc<Chunk>| chunk.marks.last().is_some_and(|last| last.seq <= seq);
        let chunks = self.kept.iter().take_while(|chunk| is_before(chunk)).count();
        Some(Place { chunk: self.first + chunks as u64, after: seq })
    }

    /// Adds chunks, which end with the event `latest`; drops the oldest beyond the bound.
    pub fn push(&mut self, chunks: Chunks, latest: u64) {
        self.latest = latest;
        for chunk in chunks.into_done() {
            self.bytes += chunk.bytes();
            self.kept.push_back(Arc::new(chunk));
        }
        // The newest stays, however large it is.
        while self.bytes > self.bytes_max && self.kept.len() > 1 {
            let Some(oldest) = self.kept.pop_front() else { return };
            self.bytes -= oldest.bytes();
            self.first += 1;
            self.before = oldest.marks.last().map_or(self.before, |mark| mark.seq);
        }
    }

    /// Begins anew after an event: between it and what was there something is missing.
    pub fn skip_to(&mut self, latest: u64) {
        let end = self.end().chunk;
        *self = Self { first: end + 1, ..Self::after(latest, self.bytes_max) };
    }

    /// Returns what comes next at a place, and moves the place on.
    pub fn next(&self, place: &mut Place) -> Next {
        let Some(index) = place.chunk.checked_sub(self.first) else { return Next::Lost };
        let chunk = usize::try_from(index).ok().and_then(|index| self.kept.get(index));
        let Some(chunk) = chunk else { return Next::Wait };
        let part = Part { chunk: chunk.clone(), after: place.after };
        *place = Place { chunk: place.chunk + 1, after: 0 };
        Next::Part(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chunks of one frame each event, which is its number as a digit.
    fn push(log: &mut Log, seqs: std::ops::RangeInclusive<u64>) {
        let (mut chunks, last) = (Chunks::default(), *seqs.end());
        for seq in seqs {
            let kind = if seq % 2 == 0 { Kind::Request } else { Kind::SessionCreated };
            chunks.add(seq, kind, None, |frames| frames.extend(seq.to_string().bytes()));
        }
        log.push(chunks, last);
    }

    fn all(log: &Log, place: &mut Place, filter: Filter) -> String {
        let mut text = String::new();
        while let Next::Part(part) = log.next(place) {
            text += std::str::from_utf8(&part.choose(filter, false)).unwrap();
        }
        text
    }

    fn requests() -> Filter {
        let query = [("types".to_owned(), "request".to_owned())];
        super::super::filter::Wish::read(&query).unwrap().filter
    }

    #[test]
    fn a_listener_gets_what_comes_after_its_place() {
        let mut log = Log::after(0, 10_000);
        let mut place = log.end();
        assert!(matches!(log.next(&mut place), Next::Wait));
        push(&mut log, 1..=4);
        push(&mut log, 5..=6);
        assert_eq!(all(&log, &mut place, Filter::ALL), "123456");
        assert_eq!(place.chunk, log.end().chunk);
        for (since, rest) in [(0, "123456"), (2, "3456"), (4, "56"), (5, "6"), (6, "")] {
            let mut place = log.place_after(since).unwrap();
            assert_eq!(all(&log, &mut place, Filter::ALL), rest, "since {since}");
        }
        assert_eq!(log.place_after(7), None, "it has not happened yet");
    }

    #[test]
    fn equal_filters_share_their_bytes() {
        let mut log = Log::after(0, 10_000);
        let (mut one, mut other) = (log.end(), log.end());
        push(&mut log, 1..=6);
        let Next::Part(first) = log.next(&mut one) else { panic!("frames") };
        let Next::Part(second) = log.next(&mut other) else { panic!("frames") };
        let (first, second) = (first.choose(requests(), true), second.choose(requests(), false));
        assert_eq!(first, "246");
        assert_eq!(first.as_ptr(), second.as_ptr());
        let mut middle = log.place_after(3).unwrap();
        assert_eq!(all(&log, &mut middle, requests()), "46");
    }

    #[test]
    fn who_is_too_slow_learns_it() {
        let mut log = Log::after(0, 200);
        let mut slow = log.end();
        for seq in 1..=9 {
            push(&mut log, seq..=seq);
        }
        assert!(log.bytes <= 200);
        assert!(matches!(log.next(&mut slow), Next::Lost));
        assert_eq!(log.place_after(1), None);
        let kept_from = log.before;
        assert!(log.place_after(kept_from).is_some());
        assert_eq!(log.place_after(kept_from - 1), None);
    }

    #[test]
    fn after_a_gap_every_listener_is_lost() {
        let mut log = Log::after(0, 10_000);
        push(&mut log, 1..=3);
        let mut current = log.end();
        log.skip_to(9);
        assert!(matches!(log.next(&mut current), Next::Lost));
        assert_eq!(log.place_after(3), None);
        let mut current = log.place_after(9).unwrap();
        push(&mut log, 10..=11);
        assert_eq!(all(&log, &mut current, Filter::ALL), "1011");
    }

    #[test]
    fn a_frame_that_is_no_event_comes_to_those_who_are_there() {
        let mut log = Log::after(4, 10_000);
        let mut here = log.end();
        let mut chunks = Chunks::default();
        chunks.add(4, Kind::HealthUpdate, None, |frames| frames.push(b'h'));
        log.push(chunks, 4);
        assert_eq!(all(&log, &mut here, Filter::ALL), "h");
        assert_eq!(all(&log, &mut log.place_after(4).unwrap(), Filter::ALL), "");
    }

    #[test]
    fn chunks_are_of_a_size_that_a_slow_listener_may_hold() {
        let mut log = Log::after(0, 10_000_000);
        let mut chunks = Chunks::default();
        for seq in 1..=100 {
            chunks.add(seq, Kind::Request, None, |frames| frames.extend([b'x'; 4096]));
        }
        log.push(chunks, 100);
        assert!(log.kept.iter().all(|chunk| chunk.frames.len() < CHUNK_BYTES + 4096));
        assert_eq!(all(&log, &mut log.place_after(0).unwrap(), Filter::ALL).len(), 409_600);
    }
}

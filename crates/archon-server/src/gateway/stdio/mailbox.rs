//! What waits for one HTTP answer: the messages that a child said for it, until they are sent.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::Notify;

/// A client that is so far behind is not reading; an answer itself may be larger.
const MESSAGES_MAX: usize = 256;
const BYTES_MAX: usize = 1024 * 1024;

/// A message for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The message, without its newline.
    pub json: Bytes,
    /// What it is to the call.
    pub role: Role,
}

impl Event {
    /// Returns the code of the JSON-RPC error that it is.
    pub fn code(&self) -> Option<i64> {
        match self.role {
            Role::Answer(code) => code,
            Role::News => None,
        }
    }
}

/// What a message is to the call on whose stream it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Something on the way to the answer.
    News,
    /// The answer; a JSON-RPC error has a code.
    Answer(Option<i64>),
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A message.
    Event(Event),
    /// Nothing more.
    End,
    /// The child ended, or can no longer be understood, before it answered.
    Lost,
}

/// See the module. One reader at a time.
#[derive(Debug, Default)]
pub struct Mailbox {
    /// Held for single operations, never across an await.
    state: Mutex<State>,
    /// Told when the reader has taken something.
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Event>,
    bytes: usize,
    end: Option<Next>,
    waker: Option<Waker>,
    has_reader_left: bool,
}

impl State {
    fn is_full(&self) -> bool {
        !self.has_reader_left && (self.queue.len() >= MESSAGES_MAX || self.bytes >= BYTES_MAX)
    }

    fn add(&mut self, event: Event) {
        if self.has_reader_left || self.end.is_some() {
            return;
        }
        self.bytes += event.json.len();
        if matches!(event.role, Role::Answer(_)) {
            self.end = Some(Next::End);
        }
        self.queue.push_back(event);
    }
}

impl Mailbox {
    /// Adds a message; the answer is the last one. Returns false if there was no room for it: an answer
    /// always has room, as there is one only.
    pub fn push(&self, event: Event) -> bool {
        let mut state = self.state();
        if state.is_full() && event.role == Role::News {
            return false;
        }
        state.add(event);
        wake(state);
        true
    }

    /// Adds a message in place of the oldest ones if there is no room; returns how many those were.
    pub fn push_over_oldest(&self, event: Event) -> u64 {
        let mut state = self.state();
        let mut dropped = 0;
        while state.is_full()
            && let Some(oldest) = state.queue.pop_front()
        {
            state.bytes -= oldest.json.len();
            dropped += 1;
        }
        state.add(event);
        wake(state);
        dropped
    }

    /// Waits until there is room, or nobody reads any more.
    pub async fn has_room(&self) {
        loop {
            let room = self.room.notified();
            if !self.state().is_full() {
                return;
            }
            room.await;
        }
    }

    /// Ends it after what is in it.
    pub fn end(&self, how: Next) {
        let mut state = self.state();
        state.end.get_or_insert(how);
        wake(state);
    }

    /// Ends it at once, and returns another one that has what was in it.
    pub fn hand_over(&self) -> Arc<Self> {
        let mut state = self.state();
        let (queue, bytes) = (std::mem::take(&mut state.queue), std::mem::take(&mut state.bytes));
        state.end.get_or_insert(Next::End);
        wake(state);
        self.room.notify_waiters();
        let state = Mutex::new(State { queue, bytes, ..State::default() });
        Arc::new(Self { state, room: Notify::new() })
    }

    /// Takes out what is in it.
    pub fn take_all(&self) -> Vec<Event> {
        let mut state = self.state();
        state.bytes = 0;
        state.queue.drain(..).collect()
    }

    /// Returns how much is in it.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.state().queue.len()
    }

    /// Returns whether its end is known.
    #[cfg(test)]
    pub fn has_ended(&self) -> bool {
        self.state().end.is_some()
    }

    /// Nobody reads it any more.
    pub fn leave(&self) {
        let mut state = self.state();
        state.has_reader_left = true;
        state.queue.clear();
        state.bytes = 0;
        drop(state);
        self.room.notify_waiters();
    }

    /// Takes what comes next.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Next> {
        let mut state = self.state();
        if let Some(event) = state.queue.pop_front() {
            state.bytes -= event.json.len();
            drop(state);
            self.room.notify_waiters();
            return Poll::Ready(Next::Event(event));
        }
        if let Some(end) = &state.end {
            return Poll::Ready(end.clone());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Waits for what comes next, and leaves it there.
    pub async fn peek(&self) -> Next {
        poll_fn(|context| {
            let mut state = self.state();
            if let Some(next) = state.queue.front().cloned().map(Next::Event).or(state.end.clone())
            {
                return Poll::Ready(next);
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Waits for the answer, and leaves it there with what came before it; `None` if it was lost.
    pub async fn answer(&self) -> Option<Event> {
        poll_fn(|context| {
            let mut state = self.state();
            if state.end.is_some() {
                let last = state.queue.back().cloned();
                return Poll::Ready(last.filter(|event| event.role != Role::News));
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(n: usize) -> Event {
        Event { json: Bytes::from(n.to_string()), role: Role::News }
    }

    async fn all(mailbox: &Mailbox) -> Vec<Next> {
        let mut all = Vec::new();
        loop {
            let next = poll_fn(|context| mailbox.poll_next(context)).await;
            all.push(next.clone());
            if !matches!(next, Next::Event(_)) {
                return all;
            }
        }
    }

    #[tokio::test]
    async fn the_answer_is_the_last_message() {
        let mailbox = Mailbox::default();
        let answer = Event { json: Bytes::from_static(b"{}"), role: Role::Answer(None) };
        assert!(mailbox.push(news(1)) && mailbox.push(answer.clone()) && mailbox.push(news(2)));
        assert_eq!(mailbox.peek().await, Next::Event(news(1)));
        assert_eq!(mailbox.answer().await, Some(answer.clone()));
        assert_eq!(all(&mailbox).await, [Next::Event(news(1)), Next::Event(answer), Next::End]);
    }

    #[tokio::test]
    async fn what_was_said_before_a_loss_still_arrives() {
        let mailbox = Mailbox::default();
        mailbox.push(news(1));
        mailbox.end(Next::Lost);
        assert_eq!(mailbox.answer().await, None);
        assert_eq!(all(&mailbox).await, [Next::Event(news(1)), Next::Lost]);
    }

    #[tokio::test]
    async fn it_is_bounded_and_its_oldest_go_first() {
        let mailbox = Mailbox::default();
        assert!((0..MESSAGES_MAX).all(|n| mailbox.push(news(n))));
        assert!(!mailbox.push(news(0)));
        assert_eq!(mailbox.push_over_oldest(news(MESSAGES_MAX)), 1);
        assert_eq!(mailbox.peek().await, Next::Event(news(1)));
        mailbox.leave();
        mailbox.has_room().await;
        assert!(mailbox.push(news(7)), "nobody waits for it");
    }
}

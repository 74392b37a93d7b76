//! What a child asks of clients: whom each question was sent to, and those for which nobody is there yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use archon_sessions::protocol::codes::{METHOD_NOT_FOUND, error_message};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::super::mailbox::{Event, Mailbox, Role};
use super::Owner;
use crate::gateway::wire::message::{self, Message};

/// Questions that wait for their answers: a client works on a few at a time. Of more, the oldest are given up.
const ASKED_MAX: usize = 256;
/// Questions that wait for a client to take them.
const WAITING_MAX: usize = 16;
/// A client opens its GET stream, or makes its first call, a moment after the handshake; one that has done neither
/// by then does not want to be asked.
const TAKEN_WITHIN: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug, Default)]
pub struct Questions {
    /// The oldest first.
    asked: VecDeque<Asked>,
    waiting: VecDeque<(Message, Instant)>,
}

/// What questions know.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionsState {
    /// Ids, and who was asked.
    asked: Vec<(String, String)>,
    /// Questions, and for how many milliseconds they still wait.
    waiting: Vec<(String, u64)>,
}

/// A question that a client was sent.
#[derive(Debug)]
pub struct Asked {
    /// Its id as the child wrote it, JSON text.
    pub id: String,
    /// Who was asked.
    pub owner: Owner,
    /// The call on whose stream it was sent.
    via: Option<u64>,
}

impl Questions {
    /// Notes that a question is sent; returns what to tell the child of one that is given up for it.
    pub fn ask(&mut self, question: &Message, owner: Owner, via: Option<u64>) -> Vec<Bytes> {
        let Some(id) = question.id.as_ref().map(|id| question.text(id).to_owned()) else {
            return Vec::new();
        };
        let given_up = if self.asked.len() < ASKED_MAX { None } else { self.asked.pop_front() };
        self.asked.push_back(Asked { id, owner, via });
        given_up.iter().map(|asked| no_client(&asked.id)).collect()
    }

    /// Takes back what was said of a question's answer.
    pub fn ask_again(&mut self, asked: Asked) {
        self.asked.push_front(asked);
    }

    /// Returns the question that an answer of this id (JSON text) is to, once.
    pub fn answered(&mut self, id: &str) -> Option<Asked> {
        let asked = self.asked.iter().enumerate().map(|(at, asked)| (at, &*asked.id));
        let at = message::meant(asked, id)?;
        self.asked.remove(at)
    }

    /// Keeps a question for whoever comes; false if too many wait already.
    pub fn wait(&mut self, question: &Message, now: Instant) -> bool {
        let has_room = self.waiting.len() < WAITING_MAX;
        if has_room {
            self.waiting.push_back((question.clone(), now + TAKEN_WITHIN));
        }
        has_room
    }

    /// Sends what waits to a client that has come.
    pub fn ask_waiting(&mut self, owner: Owner, via: Option<u64>, mailbox: &Arc<Mailbox>) {
        for (question, _) in std::mem::take(&mut self.waiting) {
            self.ask(&question, owner, via);
            mailbox.push_over_oldest(Event { json: question.bytes.clone(), role: Role::News });
        }
    }

    /// Nobody reads the stream of this call any more: what was asked on it gets no answer. Returns what to tell the
    /// child.
    pub fn leave(&mut self, via: u64) -> Vec<Bytes> {
        let (left, asked) = std::mem::take(&mut self.asked)
            .into_iter()
            .partition::<VecDeque<_>, _>(|asked| asked.via == Some(via));
        self.asked = asked;
        left.iter().map(|asked| no_client(&asked.id)).collect()
    }

    /// Returns what it knows, and forgets it; the calls that questions were asked on are over.
    pub fn give(&mut self, now: Instant) -> QuestionsState {
        let asked = std::mem::take(&mut self.asked).into_iter();
        let asked = asked.map(|asked| (asked.id, asked.owner.to_string())).collect();
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let waiting = waiting.map(|(question, until)| {
            let left = until.saturating_duration_since(now).as_millis();
            let text = String::from_utf8_lossy(&question.bytes).into_owned();
            (text, u64::try_from(left).unwrap_or_default())
        });
        QuestionsState { asked, waiting: waiting.collect() }
    }

    /// Goes on from what others knew.
    pub fn resume(&mut self, state: QuestionsState, now: Instant) {
        for (id, owner) in state.asked.into_iter().take(ASKED_MAX) {
            let Ok(owner) = owner.parse() else { continue };
            self.asked.push_back(Asked { id, owner, via: None });
        }
        for (question, left) in state.waiting.into_iter().take(WAITING_MAX) {
            let Some(question) = Message::read(question.into()) else { continue };
            self.waiting.push_back((question, now + Duration::from_millis(left).min(TAKEN_WITHIN)));
        }
    }

    /// Returns when [`Questions::expire`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|(_, until)| *until)
    }

    /// Returns what to tell the child of questions that nobody came to take.
    pub fn expire(&mut self, now: Instant) -> Vec<Bytes> {
        let mut replies = Vec::new();
        while let Some((question, _)) = self.waiting.pop_front_if(|(_, until)| *until <= now) {
            replies.extend(refusal(&question));
        }
        replies
    }
}

/// Answers a question in the place of clients, of whom none can be asked.
pub fn refusal(question: &Message) -> Option<Bytes> {
    let id = question.text(question.id.as_ref()?);
    Some(match &*question.method {
        "ping" => {
            message::line(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#).as_bytes())
        }
        _ => no_client(id),
    })
}

fn no_client(id: &str) -> Bytes {
    let why = "no client can be asked: none has a stream open or a call in flight";
    message::line(error_message(Some(id), METHOD_NOT_FOUND, why, None).as_bytes())
}

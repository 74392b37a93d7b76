//! A table on its way to another process of the gateway, without its calls: there are none then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use archon_sessions::session::Era;
use archon_sessions::tracker::Presence;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::questions::QuestionsState;
use super::{Link, Table};
use crate::gateway::stdio::mailbox::{Event, Mailbox, Next, Role};

/// What a table knows.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableState {
    next: u64,
    links: Vec<LinkState>,
    questions: QuestionsState,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LinkState {
    id: String,
    /// What belongs on the GET stream, JSON texts.
    queued: Vec<String>,
    /// The session whose it is.
    presence: Option<String>,
    used_ms: u64,
}

impl Table {
    /// Returns whether no call is in flight.
    pub fn has_no_call(&self) -> bool {
        self.calls.is_empty()
    }

    /// Returns what it knows, and forgets it: open GET streams end, and what was not read of them goes along.
    pub fn give(&mut self, now: Instant) -> TableState {
        let links = std::mem::take(&mut self.links).into_iter().map(|(id, link)| {
            let queued = link.standalone.take_all();
            link.standalone.end(Next::End);
            let text = |event: Event| String::from_utf8_lossy(&event.json).into_owned();
            let used = now.saturating_duration_since(link.used).as_millis();
            LinkState {
                id: id.to_string(),
                queued: queued.into_iter().map(text).collect(),
                presence: link.presence.map(|presence| presence.id().to_string()),
                used_ms: u64::try_from(used).unwrap_or(u64::MAX),
            }
        });
        TableState { next: self.next, links: links.collect(), questions: self.questions.give(now) }
    }

    /// Returns a table that goes on from what another one knew.
    pub fn resume(
        era: Era,
        is_shared: bool,
        state: TableState,
        presence: impl Fn(&str) -> Option<Arc<Presence>>,
        now: Instant,
    ) -> Self {
        let mut table = Self::new(era, is_shared);
        table.next = state.next.max(1);
        for link in state.links {
            let Ok(id) = link.id.parse() else { continue };
            let standalone = Arc::<Mailbox>::default();
            for json in link.queued {
                standalone.push_over_oldest(Event { json: Bytes::from(json), role: Role::News });
            }
            let presence = link.presence.as_deref().and_then(&presence);
            let used = now.checked_sub(Duration::from_millis(link.used_ms)).unwrap_or(now);
            table.links.insert(id, Link { standalone, is_listening: false, presence, used });
        }
        table.questions.resume(state.questions, now);
        table
    }
}

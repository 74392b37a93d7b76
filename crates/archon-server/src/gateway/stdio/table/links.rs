//! The legacy connections on a child, and their GET streams.

use std::sync::Arc;
use std::time::{Duration, Instant};

use archon_sessions::tracker::Presence;
use uuid::Uuid;

use super::super::mailbox::{Mailbox, Next};
use super::{Link, Owner, Table};

impl Table {
    /// Adds a legacy connection.
    pub fn add_link(&mut self, link: Uuid, now: Instant) {
        let added =
            Link { standalone: Arc::default(), is_listening: false, presence: None, used: now };
        self.links.insert(link, added);
    }

    /// Returns whether this connection is on this child.
    pub fn has_link(&self, link: Uuid) -> bool {
        self.links.contains_key(&link)
    }

    /// Notes that a connection is used, and whose it is.
    pub fn note_presence(&mut self, link: Uuid, presence: &Arc<Presence>, now: Instant) {
        if let Some(link) = self.links.get_mut(&link) {
            (link.presence, link.used) = (Some(presence.clone()), now);
        }
    }

    /// Returns whose the only connection is.
    pub fn only_presence(&self) -> Option<Arc<Presence>> {
        let mut links = self.links.values();
        links.next().filter(|_| links.next().is_none())?.presence.clone()
    }

    /// Removes a connection; returns whether none is left.
    pub fn remove_link(&mut self, link: Uuid) -> bool {
        if let Some(link) = self.links.remove(&link) {
            link.standalone.end(Next::End);
        }
        self.links.is_empty()
    }

    /// Removes connections whose sessions are gone, or have ended in silence and were not used for `kept_for`; returns
    /// whether it removed the last one.
    pub fn remove_ended_links(&mut self, now: Instant, kept_for: Duration) -> bool {
        let has_ended = |link: &Link| {
            let Some(presence) = &link.presence else { return false };
            let is_old = !link.is_listening && now.duration_since(link.used) >= kept_for;
            presence.is_gone() || (presence.has_ended() && is_old)
        };
        let ended: Vec<Uuid> =
            self.links.iter().filter(|(_, link)| has_ended(link)).map(|(id, _)| *id).collect();
        ended.iter().fold(false, |_, link| self.remove_link(*link))
    }

    /// Opens a connection's GET stream; `None` if there is no such connection. It takes over from an older one, whose
    /// client may be gone without a word.
    pub fn listen(&mut self, id: Uuid) -> Option<Arc<Mailbox>> {
        let link = self.links.get_mut(&id)?;
        if std::mem::replace(&mut link.is_listening, true) {
            link.standalone = link.standalone.hand_over();
        }
        let mailbox = link.standalone.clone();
        if !self.is_shared {
            self.questions.ask_waiting(Owner::Link(id), None, &mailbox);
        }
        Some(mailbox)
    }

    /// Notes that a GET stream was closed; what comes now waits for the next one.
    pub fn unlisten(&mut self, link: Uuid, stream: &Arc<Mailbox>) {
        if let Some(link) = self.links.get_mut(&link)
            && Arc::ptr_eq(&link.standalone, stream)
        {
            link.is_listening = false;
        }
    }
}

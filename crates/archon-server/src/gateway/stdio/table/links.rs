//! The legacy connections on a child, and their GET streams.

use std::sync::Arc;

use archon_sessions::tracker::Presence;
use uuid::Uuid;

use super::super::mailbox::{Mailbox, Next};
use super::{Link, Table};

impl Table {
    /// Adds a legacy connection.
    pub fn add_link(&mut self, link: Uuid) {
        self.links.insert(link, Link::default());
    }

    /// Returns whether this connection is on this child.
    pub fn has_link(&self, link: Uuid) -> bool {
        self.links.contains_key(&link)
    }

    /// Notes whose a connection is.
    pub fn note_presence(&mut self, link: Uuid, presence: &Arc<Presence>) {
        if let Some(link) = self.links.get_mut(&link) {
            link.presence = Some(presence.clone());
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

    /// Removes connections whose sessions have ended; returns whether it removed the last one.
    pub fn remove_ended_links(&mut self) -> bool {
        let has_ended = |link: &Link| link.presence.as_ref().is_some_and(|p| p.has_ended());
        let ended: Vec<Uuid> =
            self.links.iter().filter(|(_, link)| has_ended(link)).map(|(id, _)| *id).collect();
        ended.iter().fold(false, |_, link| self.remove_link(*link))
    }

    /// Opens a connection's GET stream; `None` if it is open already, or there is no such connection.
    pub fn listen(&mut self, link: Uuid) -> Option<Arc<Mailbox>> {
        let link = self.links.get_mut(&link).filter(|link| !link.is_listening)?;
        link.is_listening = true;
        Some(link.standalone.clone())
    }

    /// Notes that a GET stream was closed; what comes now waits for the next one.
    pub fn unlisten(&mut self, link: Uuid) {
        if let Some(link) = self.links.get_mut(&link) {
            link.is_listening = false;
        }
    }
}

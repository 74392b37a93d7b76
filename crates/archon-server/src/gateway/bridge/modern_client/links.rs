//! Which session has which link.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use archon_sessions::session::SessionId;
use archon_sessions::tracker::Presence;
use lru::LruCache;
use parking_lot::{Mutex, MutexGuard};

use super::Shared;
use super::handover::GivenLink;
use super::link::Link;
use crate::gateway::wire::Answer;

/// Links kept. The one that was used least recently gives way; its session has another when it needs one.
const LINKS_MAX: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// How long a link is kept that was not used while its session ended in silence: a client that comes back after lunch
/// finds its state.
const KEPT_FOR: Duration = Duration::from_secs(3600);

/// See the module.
pub struct Links {
    /// Held for single operations, never across an await.
    slots: Mutex<LruCache<SessionId, Arc<Slot>>>,
    /// What a predecessor had for sessions whose clients have not come yet: as many as there may be links. Held for
    /// single operations.
    taken_over: Mutex<HashMap<SessionId, GivenLink>>,
}

/// A session's place for its link.
pub struct Slot {
    /// Held while it is opened, so that it is opened once.
    pub link: tokio::sync::Mutex<Option<Arc<Link>>>,
    presence: Arc<Presence>,
    /// Held for single operations, never across an await.
    used: Mutex<Instant>,
}

impl Slot {
    fn used(&self) -> Instant {
        *self.used.lock()
    }

    /// Takes its link out, if it has one; `Err` while that is being opened.
    fn take(&self) -> Result<Option<Arc<Link>>, tokio::sync::TryLockError> {
        self.link.try_lock().map(|mut link| link.take())
    }
}

impl Default for Links {
    fn default() -> Self {
        // Sparse, since most upstreams have far fewer links than they may.
        Self { slots: Mutex::new(LruCache::sparse(LINKS_MAX)), taken_over: Mutex::default() }
    }
}

impl Links {
    /// Returns a session's place; and a link that had to give way for it.
    pub fn slot(&self, presence: &Arc<Presence>) -> (Arc<Slot>, Option<Arc<Link>>) {
        let mut slots = self.slots();
        let now = Instant::now();
        if let Some(slot) = slots.get(&presence.id()) {
            *slot.used.lock() = now;
            return (slot.clone(), None);
        }
        // What the session had that this one continues is its own.
        let before = presence.continues_from();
        let link = before.and_then(|before| slots.peek(&before)?.take().ok().flatten());
        if let (Some(before), Some(_)) = (before, &link) {
            // Else it has none, or one is being opened for a request of it that is not over.
            slots.pop(&before);
        }
        let (link, presence) = (tokio::sync::Mutex::new(link), presence.clone());
        let slot = Arc::new(Slot { link, presence, used: Mutex::new(now) });
        let displaced = slots.push(slot.presence.id(), slot.clone());
        (slot, displaced.and_then(|(_, slot)| slot.take().ok().flatten()))
    }

    /// Takes out the links of sessions that have ended for good, and of those that ended and did not come back in time.
    pub fn take_ended(&self, now: Instant) -> Vec<Arc<Link>> {
        let mut ended = Vec::new();
        self.slots().retain(|_, slot| {
            let is_old = || now.saturating_duration_since(slot.used()) >= KEPT_FOR;
            if !(slot.presence.is_gone() || slot.presence.has_ended() && is_old()) {
                return true;
            }
            let Ok(link) = slot.take() else { return true };
            ended.extend(link);
            false
        });
        ended
    }

    /// Keeps what another process had, for a session that has no link here.
    pub fn take_over(&self, session: SessionId, link: GivenLink) {
        let mut taken_over = self.taken_over.lock();
        if taken_over.len() < LINKS_MAX.get() {
            taken_over.insert(session, link);
        }
    }

    /// Takes out what another process had for the first of these sessions for which it had anything.
    pub fn taken_over(&self, sessions: &[SessionId]) -> Option<GivenLink> {
        let mut taken_over = self.taken_over.lock();
        sessions.iter().find_map(|session| taken_over.remove(session))
    }

    /// Returns the links of these sessions, or of all; those that are being opened are left out.
    pub fn of(&self, sessions: Option<&[SessionId]>) -> Vec<(SessionId, Arc<Link>)> {
        let slots = self.slots();
        let chosen = slots.iter().filter(|(id, _)| sessions.is_none_or(|all| all.contains(id)));
        chosen.filter_map(|(id, slot)| Some((*id, slot.link.try_lock().ok()?.clone()?))).collect()
    }

    /// Takes out all links.
    pub fn clear(&self) -> Vec<Arc<Link>> {
        let mut slots = self.slots();
        std::iter::from_fn(|| slots.pop_lru()).filter_map(|(_, slot)| slot.take().ok()?).collect()
    }

    fn slots(&self) -> MutexGuard<'_, LruCache<SessionId, Arc<Slot>>> {
        self.slots.lock()
    }
}

/// What comes of asking for a link.
pub enum Leased {
    /// One.
    Link(Lease),
    /// What the upstream said instead, for the client.
    Refused(Box<Answer>),
}

/// A link for one request.
pub struct Lease {
    link: Arc<Link>,
    /// Closed with it, where it is the request's own.
    closes: bool,
    shared: Arc<Shared>,
}

impl Lease {
    /// Returns a link that ends with its request.
    pub fn own(link: Arc<Link>, shared: Arc<Shared>) -> Self {
        Self { link, closes: true, shared }
    }

    /// Returns a session's link.
    pub fn shared(link: Arc<Link>, shared: Arc<Shared>) -> Self {
        Self { link, closes: false, shared }
    }

    /// Returns the link.
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }
}

impl Deref for Lease {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.closes {
            self.shared.close_later(self.link.clone());
        }
    }
}

//! Calls that wait for an answer of their client's: the upstream asked something in the middle of one, and its stream
//! is held until the client calls again with the answer (see decision 3).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use archon_sessions::session::{Principal, SessionId};
use archon_sessions::tracker::Stay;
use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use super::flight::Flight;

/// People take their time to answer; the upstream holds a call for as long.
const PARKED_FOR: Duration = Duration::from_secs(600);
/// Each holds a connection to the upstream.
const PARKED_MAX: usize = 1024;
/// What our states begin with.
const STATE_PREFIX: &str = "archon.";

/// See the module.
#[derive(Default)]
pub struct Parked {
    /// Held for single operations, never across an await.
    calls: Mutex<HashMap<Uuid, Place>>,
}

struct Place {
    call: Waiting,
    owner: Owner,
    until: Instant,
}

/// A call that waits.
pub struct Waiting {
    /// The call at the upstream.
    pub flight: Flight,
    /// The id of the upstream's own request, as JSON text.
    pub asked: String,
    /// What the client was asked: JSON text of `inputRequests`.
    pub requests: String,
    /// Its session does not end while its client thinks.
    pub _stay: Option<Stay>,
}

/// Who may go on with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Who authenticated.
    pub principal: Principal,
    /// The session, where it was proven.
    pub session: Option<SessionId>,
    /// The session that it continues.
    pub continues: Option<SessionId>,
    /// What the call is: see [`super::to_legacy::digest`].
    pub digest: [u8; 32],
}

/// Why a call does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The state is none of ours, or another call's.
    Invalid,
    /// The call waited for too long, or the process that held it is gone.
    Gone,
}

impl Parked {
    /// Parks a call; returns the state to go on with it. Gives it back if there are too many.
    pub fn park(&self, call: Waiting, owner: Owner, now: Instant) -> Result<String, Box<Waiting>> {
        let mut calls = self.calls();
        if calls.len() >= PARKED_MAX {
            return Err(Box::new(call));
        }
        let id = Uuid::new_v4();
        calls.insert(id, Place { call, owner, until: now + PARKED_FOR });
        Ok(format!("{STATE_PREFIX}{}", id.simple()))
    }

    /// Takes the call that a state leads to.
    ///
    /// # Errors
    /// If there is none for this client's call.
    pub fn take(&self, state: &str, owner: &Owner, now: Instant) -> Result<Waiting, Lost> {
        let id = state.strip_prefix(STATE_PREFIX).and_then(|id| Uuid::try_parse(id).ok());
        let id = id.ok_or(Lost::Invalid)?;
        let mut calls = self.calls();
        let place = calls.get(&id).filter(|place| now < place.until).ok_or(Lost::Gone)?;
        if !place.owner.is(owner) {
            return Err(Lost::Invalid);
        }
        calls.remove(&id).map(|place| place.call).ok_or(Lost::Gone)
    }

    /// Gives up those that waited for too long.
    pub fn expire(&self, now: Instant) {
        let expired: Vec<Place> = {
            let mut calls = self.calls();
            let ids: Vec<Uuid> =
                calls.iter().filter(|(_, p)| p.until <= now).map(|(id, _)| *id).collect();
            ids.iter().filter_map(|id| calls.remove(id)).collect()
        };
        drop(expired);
    }

    /// Gives all of them up.
    pub fn clear(&self) {
        let all = std::mem::take(&mut *self.calls());
        drop(all);
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<Uuid, Place>> {
        self.calls.lock()
    }
}

impl Owner {
    /// Returns whether a call that comes again is the one that was parked. A session that was only guessed may be
    /// guessed otherwise the next time, and one that has ended meanwhile is continued by another.
    fn is(&self, again: &Self) -> bool {
        self.principal == again.principal
            && self.digest == again.digest
            && (self.session.is_none()
                || self.session == again.session
                || self.session == again.continues)
    }
}

//! Proofs that clients keep and that are not ids: cookies, and keys of agents.
//!
//! `docs/decisions/0001-what-identifies-a-client.md` says what each of them opens.

use super::{Admission, Caller, Permit, Refusal};
use crate::protocol::{Handle, Presented};
use crate::session::{ClientInfo, Cookie, KeyDigest, Session, SessionId, Timestamp};
use crate::tracker::Tracker;
use crate::tracker::memory::{Kin, Presence, Proof};

/// Sessions of one key that are looked at for the one to go on with. Other agents with a copy of the key have some of them.
const SESSIONS_OF_KEY_MAX: u32 = 8;

impl Tracker {
    /// Returns the cookie for the client of an answer: the one of its session, or, where that was only guessed, the ticket
    /// to one of its own. `None` if it has the right one already.
    pub fn cookie_for(
        &self,
        presented: &Presented,
        caller: &Caller,
        admission: &Admission,
    ) -> Option<Cookie> {
        let shown = self.genuine_cookie(presented, caller);
        let session = match admission.proof {
            // Who names a session goes on naming it. A cookie would make a proof of that.
            Proof::Name => return None,
            Proof::Fingerprint => SessionId::random(),
            Proof::Header
            | Proof::Connection
            | Proof::Cookie
            | Proof::ClientKey
            | Proof::Principal
            | Proof::New => admission.presence.id(),
        };
        let has_it = shown.is_some_and(|cookie| !cookie.is_bare() && cookie.session == session);
        (!has_it).then(|| Cookie::seal(session, &caller.principal, &self.inner.fingerprint_key))
    }

    /// Returns the cookie that was sent, if we made it out to this caller. Those of earlier versions have no seal: they are
    /// good for sessions that had begun before there were seals, for as long as a handle is.
    pub(in crate::tracker) fn genuine_cookie(
        &self,
        presented: &Presented,
        caller: &Caller,
    ) -> Option<Cookie> {
        let Handle::Sent(cookie) = presented.cookie else { return None };
        let is_good = if cookie.is_bare() {
            self.is_from_before_seals(cookie.session)
        } else {
            cookie.is_genuine(&caller.principal, &self.inner.fingerprint_key)
        };
        is_good.then_some(cookie)
    }

    /// Says so of sessions in memory only: of any other anybody could say it.
    fn is_from_before_seals(&self, id: SessionId) -> bool {
        let since = self.inner.sealed_since;
        if Timestamp::now().since(since) >= self.inner.settings.resume_window {
            return false;
        }
        let known = self.inner.memory.session_or_ended(id);
        known.is_some_and(|presence| presence.connected_at() < since)
    }

    /// Returns the session that a legacy request without a connection shows a proof of.
    pub(in crate::tracker) fn proven(
        &self,
        presented: &Presented,
        caller: &Caller,
    ) -> Option<SessionId> {
        let cookie = || self.genuine_cookie(presented, caller).map(|cookie| cookie.session);
        presented.session.sent().filter(|id| self.is_proven(*id, caller)).or_else(cookie)
    }

    /// Returns the id that was sent, if it shows nothing: anybody may have seen it.
    pub(in crate::tracker) fn name(
        &self,
        presented: &Presented,
        caller: &Caller,
    ) -> Option<SessionId> {
        presented.session.sent().filter(|id| !self.is_proven(*id, caller))
    }

    /// Returns true if this caller's showing an id proves something: who authenticated can have its own sessions only.
    /// Ids were proofs before cookies had seals, and are for the sessions of that time that memory still has.
    pub(in crate::tracker) fn is_proven(&self, id: SessionId, caller: &Caller) -> bool {
        caller.principal.is_authenticated() || self.is_from_before_seals(id)
    }

    /// Returns true if both ids lead to one session.
    pub(in crate::tracker) fn is_same(
        &self,
        one: SessionId,
        other: SessionId,
        caller: &Caller,
    ) -> bool {
        let presence = |id| self.own_presence(id, caller).map(|presence| presence.id());
        one == other || presence(one).is_some_and(|id| presence(other) == Some(id))
    }

    /// Returns the session of the cookie that was sent.
    pub(in crate::tracker) fn cookie_handle(
        &self,
        presented: &Presented,
        caller: &Caller,
    ) -> Handle<SessionId> {
        match (self.genuine_cookie(presented, caller), presented.cookie) {
            (Some(cookie), _) => Handle::Sent(cookie.session),
            (None, Handle::Absent) => Handle::Absent,
            (None, Handle::Malformed) => Handle::Malformed,
            (None, Handle::Sent(cookie)) => {
                let id = cookie.session;
                tracing::warn!(session_id = %id, "session {id} invalid: its cookie is none of ours");
                Handle::Absent
            }
        }
    }

    /// Returns true if what an anonymous client shows proves that a session is its own: a sealed cookie of it, or its key.
    /// Its id does not.
    pub fn proves(&self, presented: &Presented, presence: &Presence) -> bool {
        let cookie = self.genuine_cookie(presented, &Caller::default());
        let is_of_cookie = cookie.filter(|cookie| !cookie.is_bare()).is_some_and(|cookie| {
            cookie.session == presence.id() || presence.continues(cookie.session)
        });
        let key = self.key_of(presented);
        let is_of_key = key.is_some() && presence.client_key() == key;
        !presence.principal().is_authenticated() && (is_of_cookie || is_of_key)
    }

    pub(in crate::tracker) fn key_of(&self, presented: &Presented) -> Option<KeyDigest> {
        match &presented.client_key {
            Handle::Absent => None,
            Handle::Sent(key) => Some(key.digest(&self.inner.fingerprint_key)),
            Handle::Malformed => {
                tracing::warn!("client key ignored: it has 20 to 200 visible ASCII characters");
                None
            }
        }
    }

    /// Finds the session of a client's key: in memory, or the latest that is stored, if it can be gone on with.
    ///
    /// # Errors
    /// If a session that continues an ended one would be one too many.
    pub(in crate::tracker) async fn admit_by_key(
        &self,
        key: KeyDigest,
        client: &ClientInfo,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Option<Admission>, Refusal> {
        let kin = Kin::ClientKey(key, caller.principal.clone(), client.name.clone());
        if let Some(presence) = self.inner.memory.session_of_kin(&kin) {
            self.found(&presence, Proof::ClientKey, now);
            return Ok(Some(Admission {
                presence,
                proof: Proof::ClientKey,
                connection: None,
                durable: None,
            }));
        }
        self.at_home(&kin.key(), caller)?;
        // The record never outranks the client: without the store it gets a new session.
        let turn = self.turn(caller).await;
        let stored = self.look_up(self.inner.store.sessions_of_key(key, SESSIONS_OF_KEY_MAX)).await;
        drop(turn);
        let is_own = |session: &Session| {
            session.principal == caller.principal && session.client.name == client.name
        };
        let Some(latest) = stored.unwrap_or_default().into_iter().find(is_own) else {
            return Ok(None);
        };
        let Some((presence, durable)) = self.resume_session(latest.id, caller, now).await? else {
            return Ok(None);
        };
        self.found(&presence, Proof::ClientKey, now);
        Ok(Some(Admission { presence, proof: Proof::ClientKey, connection: None, durable }))
    }

    /// Returns the id in a cookie that we made out before its session: its client was guessed to be another, and has
    /// shown that it keeps what it is given. Only its seal makes it a ticket: nobody can choose an id for a session.
    pub(in crate::tracker) async fn ticket(
        &self,
        presented: &Presented,
        caller: &Caller,
    ) -> Option<SessionId> {
        let cookie = self.genuine_cookie(presented, caller).filter(|cookie| !cookie.is_bare())?;
        let is_free = self.inner.memory.session_or_ended(cookie.session).is_none()
            && matches!(self.look_up(self.inner.store.session(cookie.session)).await, Ok(None));
        is_free.then_some(cookie.session)
    }

    /// Makes the session that a ticket is for, or joins another request that came with it first.
    ///
    /// # Errors
    /// If it would be one too many.
    pub(in crate::tracker) async fn redeem(
        &self,
        ticket: SessionId,
        session: Session,
        permit: Permit,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Admission, Refusal> {
        self.at_home(ticket.as_uuid().as_bytes(), caller)?;
        let _lane = self.session_lane(ticket).await;
        if let Some(presence) = self.own_presence(ticket, caller) {
            let durable = Some(self.inner.writer.barrier());
            self.found(&presence, Proof::Cookie, now);
            return Ok(Admission { presence, proof: Proof::Cookie, connection: None, durable });
        }
        let session = Session { id: ticket, ..session };
        let kin = Kin::of_session(&session);
        self.create(session, kin, permit)
    }
}

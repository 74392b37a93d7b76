//! Reconnecting: a client shows a token and has its session back. A token works once, and of several at a time
//! that show it the first wins: one compare-and-set in the store decides that, for all nodes.

mod limits;
mod rebind;

pub(in crate::tracker) use limits::ReconnectLimiter;
pub use limits::ReconnectRate;
pub use rebind::Holder;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::session::{
    IssuedToken, Principal, SessionId, TOKEN_LIFETIME, Timestamp, TokenFault, TokenHash, TokenKey,
};
use crate::store::{ReconnectAttempt, StoreError, StoredToken, TokenUse, TokenUsed};
use crate::tracker::{Caller, NotActive, Presence, Tracker};

/// How reconnecting behaves.
#[derive(Clone, Debug)]
pub struct ReconnectSettings {
    /// What tokens are signed with; `None` for a secret that is kept in the store.
    pub key: Option<TokenKey>,
    /// How long a token is good.
    pub token_lifetime: Duration,
    /// How often it may fail.
    pub rate: ReconnectRate,
}

impl Default for ReconnectSettings {
    fn default() -> Self {
        Self { key: None, token_lifetime: TOKEN_LIFETIME, rate: ReconnectRate::default() }
    }
}

/// A session whose client has it back.
#[derive(Debug)]
pub struct Reconnected {
    /// The session.
    pub presence: Arc<Presence>,
    /// How often that has happened, this time included.
    pub reconnect_count: i64,
    /// The token for the next time.
    pub next: IssuedToken,
}

/// Why a client does not have a session back. Of several reasons the first of these is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReconnectRefusal {
    /// Tries with this token, or from this address, have failed too often.
    #[error("rate_limited")]
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store cannot say; the token may still be good.
    #[error("session_store_unavailable")]
    StoreUnavailable,
    /// There is no such session, or it is another principal's.
    #[error("session_not_found")]
    SessionNotFound,
    /// The session has ended.
    #[error("session_already_disconnected")]
    SessionAlreadyDisconnected,
    /// The token is none of ours.
    #[error("invalid_token")]
    InvalidToken,
    /// It was good once.
    #[error("token_expired")]
    TokenExpired,
    /// It is for another session.
    #[error("session_id_mismatch")]
    SessionIdMismatch,
    /// It is not the session's latest one: it was used already, or another was issued since; or it is for another
    /// principal.
    #[error("token_mismatch")]
    TokenMismatch,
}

impl ReconnectRefusal {
    /// Returns the word for it, as it is told, logged and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::StoreUnavailable => "session_store_unavailable",
            Self::SessionNotFound => "session_not_found",
            Self::SessionAlreadyDisconnected => "session_already_disconnected",
            Self::InvalidToken => "invalid_token",
            Self::TokenExpired => "token_expired",
            Self::SessionIdMismatch => "session_id_mismatch",
            Self::TokenMismatch => "token_mismatch",
        }
    }
}

impl From<NotActive> for ReconnectRefusal {
    fn from(not_active: NotActive) -> Self {
        match not_active {
            NotActive::Unknown => Self::SessionNotFound,
            NotActive::Ended { .. } => Self::SessionAlreadyDisconnected,
            NotActive::StoreUnavailable => Self::StoreUnavailable,
        }
    }
}

impl From<TokenFault> for ReconnectRefusal {
    fn from(fault: TokenFault) -> Self {
        match fault {
            TokenFault::Invalid => Self::InvalidToken,
            TokenFault::Expired => Self::TokenExpired,
            TokenFault::OtherSession => Self::SessionIdMismatch,
            TokenFault::OtherPrincipal => Self::TokenMismatch,
        }
    }
}

impl Tracker {
    /// Makes a token for a session, in place of the one that it had, and waits until it is good. Whoever calls this
    /// has made sure that it goes to the session's own client, or to an operator.
    ///
    /// # Errors
    /// If it could not be stored.
    pub async fn issue_token(
        &self,
        presence: &Presence,
        now: Timestamp,
    ) -> Result<IssuedToken, StoreError> {
        let issued = self.make_token(presence.id(), presence.principal(), now)?;
        let stored = stored(presence.id(), &issued);
        if !self.inner.writer.durably(|batch| batch.tokens.push(stored)).wait().await {
            return Err(failed(io::ErrorKind::TimedOut, "the token is not stored yet"));
        }
        Ok(issued)
    }

    /// Gives a session back to a client that shows its token. Each attempt is logged and stored, however it ends.
    ///
    /// # Errors
    /// With the reason; see [`ReconnectRefusal`].
    pub async fn reconnect(
        &self,
        id: SessionId,
        token: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Reconnected, ReconnectRefusal> {
        let outcome = self.try_to_reconnect(id, token, caller, now).await;
        let result = match &outcome {
            Ok(reconnected) => {
                let count = reconnected.reconnect_count;
                tracing::info!(session_id = %id, count, "session {id} reconnected, {count} times by now");
                self.inner.events.reconnected(id, count, now);
                "reconnected"
            }
            Err(refusal) => {
                let (peer, result) = (caller.peer.map(tracing::field::display), refusal.as_str());
                tracing::warn!(session_id = %id, peer, result, "session {id} not reconnected: {result}");
                result
            }
        };
        let (peer, principal) = (caller.peer, caller.principal.clone());
        let attempt = ReconnectAttempt { at: now, session: id, peer, principal, result };
        self.inner.writer.note_attempt(attempt);
        outcome
    }

    async fn try_to_reconnect(
        &self,
        id: SessionId,
        token: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Reconnected, ReconnectRefusal> {
        let limited = |retry_after| ReconnectRefusal::RateLimited { retry_after };
        let (limits, presented) = (&self.inner.reconnects, TokenHash::of(token));
        // What is not ours costs no look-up to know. It is limited by token and by address, and never by session: that
        // would let strangers keep out the client whose session it is.
        if let Err(fault) = self.inner.token_key.verify(token, id, &caller.principal, now) {
            limits.fail(&presented, caller.peer).map_err(limited)?;
            self.own_session(id, caller).await?;
            self.find(id, now).await?;
            return Err(fault.into());
        }
        limits.try_token(&presented).map_err(limited)?;
        self.own_session(id, caller).await?;
        self.fetch(id).await.map_err(|_| ReconnectRefusal::StoreUnavailable)?;
        let presence = self.find(id, now).await?;
        let next = self.make_token(id, presence.principal(), now);
        let next = next.map_err(|_| ReconnectRefusal::StoreUnavailable)?;
        let using = TokenUse { presented, next: stored(id, &next), at: now };
        let used = self.look_up(self.inner.store.use_token(&using)).await;
        let used = used.map_err(|()| ReconnectRefusal::StoreUnavailable)?;
        let TokenUsed { reconnect_count, revision } =
            used.ok_or(ReconnectRefusal::TokenMismatch)?;
        presence.reconnected(reconnect_count, revision, now);
        // An end of ours that is not stored yet may have come first.
        if presence.has_ended() {
            return Err(ReconnectRefusal::SessionAlreadyDisconnected);
        }
        Ok(Reconnected { presence, reconnect_count, next })
    }

    /// Checks that there is such a session of the caller's, ended or not.
    async fn own_session(&self, id: SessionId, caller: &Caller) -> Result<(), ReconnectRefusal> {
        let remembered = self.inner.memory.session_or_ended(id).map(|presence| presence.session());
        let session = match remembered {
            Some(session) => session,
            None => self
                .look_up(self.inner.store.session(id))
                .await
                .map_err(|()| ReconnectRefusal::StoreUnavailable)?
                .ok_or(ReconnectRefusal::SessionNotFound)?,
        };
        let is_own = session.principal == caller.principal;
        if is_own { Ok(()) } else { Err(ReconnectRefusal::SessionNotFound) }
    }

    fn make_token(
        &self,
        id: SessionId,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<IssuedToken, StoreError> {
        let lifetime = self.inner.settings.reconnect.token_lifetime;
        let made = self.inner.token_key.issue(id, principal, lifetime, now);
        made.map_err(|_| failed(io::ErrorKind::Other, "the token could not be signed"))
    }
}

fn stored(session: SessionId, issued: &IssuedToken) -> StoredToken {
    StoredToken { session, hash: issued.token.hash(), expires_at: issued.expires_at }
}

fn failed(kind: io::ErrorKind, why: &'static str) -> StoreError {
    StoreError::Unavailable(io::Error::new(kind, why).into())
}

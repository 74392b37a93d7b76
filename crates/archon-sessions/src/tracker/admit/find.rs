//! Sessions named by somebody else than a request of their client's: the API, an operator, a reconnect. And which upstream a
//! handle is for.

use std::sync::Arc;

use crate::session::{DisconnectReason, End, McpSessionId, Session, SessionId, Timestamp};
use crate::tracker::{Presence, Refusal, Tracker};

/// Why a session cannot be acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotActive {
    /// There never was one of this id, or it is forgotten.
    #[error("session not found")]
    Unknown,
    /// It has ended, or it has been silent for so long that it is about to.
    #[error("the session has ended")]
    Ended(End),
    /// The store cannot say whether there is one.
    #[error("the session cannot be looked up right now; try again")]
    StoreUnavailable,
}

impl Tracker {
    /// Finds an active session by its id, in memory or, where another node or an earlier process had it, in the
    /// store. It does not ask whose it is, and finding it is no sign of life.
    ///
    /// # Errors
    /// If it is not active, or nobody can say.
    pub async fn find(&self, id: SessionId, now: Timestamp) -> Result<Arc<Presence>, NotActive> {
        if let Some(found) = self.remembered(id) {
            return found;
        }
        let _lane = self.session_lane(id).await;
        // Whoever held the lane before us may have found it.
        if let Some(found) = self.remembered(id) {
            return found;
        }
        let unavailable = |()| NotActive::StoreUnavailable;
        let stored = self.look_up(self.inner.store.session(id)).await.map_err(unavailable)?;
        let mut session = stored.ok_or(NotActive::Unknown)?;
        if let Some(end) = end_of(&session, now) {
            return Err(NotActive::Ended(end));
        }
        match self.own(&mut session, now).await {
            Ok(()) => {}
            // What is done to it is written down, and its own node told.
            Err(Refusal::Elsewhere(_)) => return Ok(Presence::new(session, None)),
            Err(_) => return Err(NotActive::StoreUnavailable),
        }
        let connections = self.look_up(self.inner.store.connections_of(id)).await;
        Ok(self.revive(session, connections.map_err(unavailable)?))
    }

    /// Notes a sign of life that is no request, and writes it down.
    pub fn heartbeat(&self, presence: &Presence, now: Timestamp) {
        self.touch(presence, now);
    }

    /// Returns the upstream that a handle was given out for, if memory knows. It does not ask whose the handle is, which the
    /// upstream's layer does.
    pub fn upstream_of(&self, handle: McpSessionId) -> Option<Arc<str>> {
        self.inner.memory.connection(handle).map(|connection| connection.upstream().clone())
    }

    /// Returns the same from the store; `None` also if it cannot say. A flood of made-up handles takes turns.
    pub async fn stored_upstream_of(&self, handle: McpSessionId) -> Option<Arc<str>> {
        // Its own node knows, and the request goes there by whichever layer it comes to.
        self.sent_on(handle.as_uuid()).ok()?;
        let _lane = self.connection_lane(handle).await;
        let stored = self.look_up(self.inner.store.connection(handle)).await.ok()??;
        Some(stored.upstream)
    }

    /// Returns what memory knows of a session.
    fn remembered(&self, id: SessionId) -> Option<Result<Arc<Presence>, NotActive>> {
        let presence = self.inner.memory.session_or_ended(id)?;
        Some(match presence.end_if_any() {
            None => Ok(presence),
            Some(end) => Err(NotActive::Ended(end)),
        })
    }
}

/// Returns how a stored session ended. One that was silent for too long is as good as ended: whoever comes by
/// first writes that down, and it must not be brought back to memory meanwhile.
fn end_of(session: &Session, now: Timestamp) -> Option<End> {
    let timed_out = || End {
        at: session.last_activity.plus(session.idle_timeout),
        reason: Some(DisconnectReason::TimeoutNoActivity),
        imported: false,
    };
    session.end.or_else(|| session.is_idle_out(now).then(timed_out))
}

//! Connections and events whose keeper is not the layer: a server that knows its sessions itself has them stored.

use std::time::Duration;

use crate::protocol::event_id::StreamId;
use crate::protocol::{Handle, Presented};
use crate::session::{ClientInfo, Era, McpSessionId, Principal, Session, Timestamp};
use crate::store::StoredEvent;
use crate::tracker::{Admission, Caller, Durable, Handshake, Refusal, Tracker};

impl Tracker {
    /// Stores a connection under the handle that its client has already, with a session of its own. Nobody tells
    /// us of its requests, so the session may be silent for this long.
    ///
    /// # Errors
    /// If the session would be one too many.
    pub fn adopt(
        &self,
        handle: McpSessionId,
        handshake: Handshake,
        idle_timeout: Duration,
        now: Timestamp,
    ) -> Result<Admission, Refusal> {
        // Without a fingerprint: of where its client calls from nothing is known, and all of one kind would be one.
        let session = Session::new(
            ClientInfo::from_initialize(&handshake.initialize),
            Principal::Anonymous,
            Era::Legacy,
            handshake.protocol_version.clone(),
            idle_timeout,
            now,
        );
        let admission = self.create(session, None, handshake.permit)?;
        Ok(self.connect(admission, handle, handshake, &Caller::default(), now))
    }

    /// Finds an adopted connection, in a session that is active: within the resume window one that had ended is
    /// continued. That is a sign of life. `None` if the handle is of none, or its connection has ended.
    ///
    /// # Errors
    /// If the store cannot say, or a new session would be one too many.
    pub async fn adopted(
        &self,
        handle: McpSessionId,
        upstream: &str,
        now: Timestamp,
    ) -> Result<Option<Admission>, Refusal> {
        let presented = Presented {
            session: Handle::Absent,
            connection: Handle::Sent(handle),
            cookie: Handle::Absent,
            client_key: Handle::Absent,
            idle_timeout: None,
        };
        match self.admit_legacy(&presented, upstream, &Caller::default(), now).await {
            Ok(admission) => {
                self.touch(&admission.presence, now);
                Ok(Some(admission))
            }
            Err(Refusal::UnknownHandle | Refusal::NoHandle) => Ok(None),
            Err(
                refusal @ (Refusal::StoreUnavailable
                | Refusal::Elsewhere(_)
                | Refusal::Unreachable
                | Refusal::TooManySessions
                | Refusal::TooManyNew),
            ) => Err(refusal),
        }
    }

    /// Returns the number of the next event: numbers go up, also over restarts.
    pub fn next_event(&self) -> u64 {
        u64::try_from(self.inner.names.next()).unwrap_or(0)
    }

    /// Stores an event until it is older than [`Settings::events_age_max`](super::Settings::events_age_max).
    /// Returns what to wait for until it is durable; `None` if too many wait, for then it is dropped.
    pub fn keep_event(&self, event: StoredEvent) -> Option<Durable> {
        self.inner.writer.event(event)
    }

    /// Returns the stored events of a stream, in order; `None` if the store cannot say.
    pub async fn kept_events(&self, stream: StreamId) -> Option<Vec<StoredEvent>> {
        self.look_up(self.inner.store.events_of(stream)).await.ok()
    }

    /// Lets go of the stored events of a stream.
    pub fn forget_events(&self, stream: StreamId) {
        self.inner.writer.forget_stream(stream);
    }
}

//! What we do after our own restart: active sessions come back to memory before the port accepts.

use std::collections::HashMap;

use super::Tracker;
use crate::session::{Connection, DisconnectReason, SessionId, Timestamp};
use crate::store::StoreError;

impl Tracker {
    pub(super) async fn recover(&self, now: Timestamp) -> Result<(), StoreError> {
        let (sessions, connections) = self.inner.store.active().await?;
        let mut by_session: HashMap<SessionId, Vec<Connection>> = HashMap::new();
        for connection in connections {
            by_session.entry(connection.session).or_default().push(connection);
        }
        let (mut recovered, mut too_late) = (0_usize, 0_usize);
        for session in sessions {
            let is_idle_out = session.is_idle_out(now);
            let connections = by_session.remove(&session.id).unwrap_or_default();
            let presence = self.revive(session, connections);
            if is_idle_out {
                self.end(&presence, DisconnectReason::TimeoutNoActivity, now);
                too_late += 1;
            } else {
                recovered += 1;
            }
        }
        tracing::info!(recovered, too_late, "Recovered {recovered} active sessions");
        Ok(())
    }
}

//! After a reconnect by one of our tools: the client that called it has the session from then on, and lets go of
//! the one that it had meanwhile.

use std::sync::Arc;

use crate::session::{DisconnectReason, Timestamp};
use crate::tracker::memory::{Kin, LiveConnection, Presence, Proof};
use crate::tracker::{Durable, Tracker};

/// What a client called with.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// The session that it had until now.
    pub presence: &'a Arc<Presence>,
    /// What showed that.
    pub proof: Proof,
    /// Its legacy connection.
    pub connection: Option<&'a Arc<LiveConnection>>,
}

impl Tracker {
    /// Binds what a client calls with to the session that it took back. A session that it had meanwhile ends, unless
    /// something else is bound to it. Returns what to wait for before the client is told.
    pub fn rebind(
        &self,
        taken: &Arc<Presence>,
        holder: Holder<'_>,
        now: Timestamp,
    ) -> Option<Durable> {
        let mut durable = None;
        let mut left = vec![holder.presence.clone()];
        if let Some(connection) = holder.connection {
            let before = connection.presence();
            if !Arc::ptr_eq(&before, taken) {
                before.remove_connection(connection.handle());
                let record = self.bind(connection, taken, now);
                durable = Some(self.inner.writer.durably(|batch| batch.connections.push(record)));
            }
            if !Arc::ptr_eq(&before, holder.presence) {
                left.push(before);
            }
        } else if matches!(taken.kin(), Some(Kin::Principal(..))) {
            self.inner.memory.set_current(taken);
        }
        for presence in left {
            if !Arc::ptr_eq(&presence, taken) && is_let_go(&presence, holder.proof) {
                let ended = self.end(&presence, DisconnectReason::ClientDisconnect, now);
                durable = ended.or(durable);
            }
        }
        durable
    }

    fn bind(
        &self,
        connection: &Arc<LiveConnection>,
        taken: &Arc<Presence>,
        now: Timestamp,
    ) -> crate::session::Connection {
        if let Some(record) = self.inner.memory.attach(connection.handle(), taken, now) {
            self.inner.writer.durably(|batch| batch.connections.push(record));
        }
        connection.bind_proven(taken.clone())
    }
}

/// A session that was only guessed to be the client's, or that all clients of one principal or one key share, may be
/// somebody else's as well. The call that is being answered is one of those in flight.
fn is_let_go(presence: &Presence, proof: Proof) -> bool {
    let is_own = match proof {
        Proof::Header | Proof::Connection | Proof::Cookie | Proof::New => true,
        Proof::ClientKey | Proof::Principal | Proof::Name | Proof::Fingerprint => false,
    };
    is_own && presence.has_nothing_but_one_call()
}

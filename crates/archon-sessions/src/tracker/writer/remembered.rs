//! What memory holds, for a store that has lost it.

use std::sync::{Arc, Weak};

use crate::store::Batch;
use crate::tracker::memory::{LiveConnection, Memory, Presence};

/// Sessions or connections that are written in one transaction, beside those of clients: more would make
/// what waits for a commit wait for them.
pub(in crate::tracker) const BATCH_ROWS: usize = 1000;

/// What memory holds of sessions and connections.
pub(in crate::tracker) struct Remembered(Weak<Memory>);

impl Remembered {
    pub(in crate::tracker) fn of(memory: &Arc<Memory>) -> Self {
        Self(Arc::downgrade(memory))
    }

    /// Returns the memory of nobody.
    #[cfg(test)]
    pub(in crate::tracker) fn nothing() -> Self {
        Self(Weak::new())
    }

    /// Returns all of it as it is now, sessions before the connections that refer to them.
    pub(in crate::tracker) fn batches(&self) -> impl Iterator<Item = Batch> {
        let (sessions, connections) = self.all();
        let sessions = in_batches(sessions).map(|some| sessions_in(&some));
        let connections = in_batches(connections).map(|some| Batch {
            connections: some.iter().map(|connection| connection.record()).collect(),
            ..Batch::default()
        });
        sessions.chain(connections)
    }

    fn all(&self) -> (Vec<Arc<Presence>>, Vec<Arc<LiveConnection>>) {
        self.0.upgrade().map(|memory| memory.all()).unwrap_or_default()
    }
}

/// One that has ended is created and ended, as it would have been.
fn sessions_in(presences: &[Arc<Presence>]) -> Batch {
    let created: Vec<_> = presences.iter().map(|presence| presence.session()).collect();
    let ended = created.iter().filter(|session| session.end.is_some()).cloned().collect();
    Batch { created, ended, ..Batch::default() }
}

fn in_batches<T>(all: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut rest = all.into_iter();
    std::iter::from_fn(move || {
        let some: Vec<T> = rest.by_ref().take(BATCH_ROWS).collect();
        (!some.is_empty()).then_some(some)
    })
}

//! The ledger: which calls are in flight, so that a restart knows which outcomes it lost.
//!
//! A call enters the ledger when the writer comes by while it is in flight, and leaves it in the
//! transaction that writes its end; one that ends before the writer comes by never enters. With strict
//! durability a call waits for the writer before it is sent.

use std::collections::HashSet;

use papaya::{Compute, Operation};
use sha2::{Digest as _, Sha256};

use crate::protocol::Envelope;
use crate::session::{McpSessionId, Session, SessionId, Timestamp};
use crate::store::{Batch, OpenCall, Outcome, RequestRow, StoreError};
use crate::tracker::upkeep::Others;
use crate::tracker::{Admission, Tracker};

/// Of a larger request, its beginning is compared: what a ledger row must tell apart is one call from
/// the next of the same client.
pub(in crate::tracker) fn digest(params: &[u8]) -> Box<str> {
    let hash = Sha256::digest(params);
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// Whose calls: a connection's, or, without one, a session's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owner {
    Connection(McpSessionId),
    Session(SessionId),
}

impl Owner {
    fn of(handle: Option<McpSessionId>, session: SessionId) -> Self {
        handle.map_or(Self::Session(session), Self::Connection)
    }
}

/// Calls that a crash interrupted, until their clients have been told or have forgotten them: as many as
/// were in flight. By their owners, ids and digests, for clients that use one id for several calls at once; how
/// many were the same in all of these.
#[derive(Debug, Default)]
pub(in crate::tracker) struct Interrupted(papaya::HashMap<(Owner, Box<str>, Box<str>), u32>);

impl Tracker {
    /// Returns true if this request was sent before and interrupted by a crash: it may have run, and its
    /// client is told so instead of running it again. Told once; whoever sends it a third time means it.
    pub fn was_interrupted(&self, admission: &Admission, envelope: &Envelope) -> bool {
        let interrupted = &self.inner.interrupted.0;
        // Nearly always: this is on every call's way.
        if interrupted.is_empty() {
            return false;
        }
        let Some(id) = envelope.request_id() else { return false };
        let handle = admission.connection.as_ref().map(|connection| connection.handle());
        let params = envelope.params.as_ref().map(super::kept).unwrap_or_default();
        let owner = Owner::of(handle, admission.presence.id());
        let key = (owner, Box::from(&**id), digest(&params));
        let calls = interrupted.pin();
        let told = calls.compute(key, |known| match known {
            None => Operation::Abort(()),
            Some((_, 0 | 1)) => Operation::Remove,
            Some((_, &count)) => Operation::Insert(count - 1),
        });
        !matches!(told, Compute::Aborted(()))
    }

    /// Gives the calls that a crash left in the ledger their end: their outcome is unknown. What another process
    /// has in flight, a predecessor above all while it hands over to us, it ends itself; returns the sessions of
    /// those calls.
    pub(in crate::tracker) async fn settle_interrupted(
        &self,
        others: Others,
    ) -> Result<HashSet<SessionId>, StoreError> {
        let calls = self.inner.store.open_calls().await?;
        let (at_work, calls): (Vec<_>, Vec<_>) =
            calls.into_iter().partition(|call| others.is_at_work(&call.node));
        let calling = at_work.iter().map(|call| call.session).collect();
        self.settle(self.ours(calls).await?).await?;
        Ok(calling)
    }

    /// Returns the calls that are this node's to settle. Where each session is at one node, whoever takes over a session
    /// that is at another settles its calls, and can tell its client.
    async fn ours(&self, calls: Vec<OpenCall>) -> Result<Vec<OpenCall>, StoreError> {
        if !self.has_owners() || calls.is_empty() {
            return Ok(calls);
        }
        let ids: HashSet<_> = calls.iter().map(|call| call.session).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let rows = self.inner.store.sessions_by_id(&ids).await?;
        let is_theirs = |row: &&Session| row.end.is_none() && self.is_of_another(row);
        let theirs: HashSet<_> = rows.iter().filter(is_theirs).map(|row| row.id).collect();
        Ok(calls.into_iter().filter(|call| !theirs.contains(&call.session)).collect())
    }

    /// Does the same for the calls of a session that this node has just taken over.
    pub(in crate::tracker) async fn settle_calls_of(
        &self,
        id: SessionId,
    ) -> Result<(), StoreError> {
        let others = self.others(Timestamp::now()).await?;
        let calls = self.inner.store.open_calls().await?.into_iter();
        let left = calls.filter(|call| call.session == id && !others.is_at_work(&call.node));
        self.settle(left.collect()).await
    }

    async fn settle(&self, calls: Vec<OpenCall>) -> Result<(), StoreError> {
        if calls.is_empty() {
            return Ok(());
        }
        let batch = Batch {
            requests: calls.iter().map(interrupted_row).collect(),
            closed: calls.iter().map(|call| call.id).collect(),
            ..Batch::default()
        };
        self.inner.store.apply(&batch).await?;
        let count = calls.len();
        if let Some(observer) = self.observer() {
            observer.interrupted(count);
        }
        tracing::warn!(count, "{count} calls were in flight at a crash; their outcome is unknown");
        let interrupted = self.inner.interrupted.0.pin();
        for call in calls {
            let owner = Owner::of(call.handle, call.session);
            let key = (owner, call.request, call.digest);
            interrupted.update_or_insert(key, |count| count + 1, 1);
        }
        Ok(())
    }
}

fn interrupted_row(call: &OpenCall) -> RequestRow {
    RequestRow {
        call: None,
        session: call.session,
        method: call.method.clone(),
        tool: call.tool.clone(),
        upstream: call.upstream.clone(),
        started: call.started,
        // Nobody saw how long it took.
        duration_us: 0,
        outcome: Outcome::Error,
        error: Some("outcome unknown: interrupted by a crash of the gateway".into()),
        request_bytes: call.request_bytes,
        response_bytes: 0,
        prompt_tokens: 0,
        completion_tokens: 0,
        cost_micros: 0,
        model: None,
    }
}

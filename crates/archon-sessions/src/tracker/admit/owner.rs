//! Which node has a session, where several share a store and each session is at one of them.
//!
//! What lives in a process (children, calls in flight, open streams, links of the bridge) is at its session's owner, so the
//! whole session is, and requests that come to another node are sent on. The owner stands in the session's row. It changes
//! in two ways: the owner gives a session away, or nothing is heard of it any more, and the next node that is asked claims
//! the session; the store lets one do so. An owner that was paused or cut off notices by its own clock that it may have
//! lost its sessions, and serves none until it has compared them with the store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use uuid::Uuid;

use super::{Caller, Refusal};
use crate::protocol::Presented;
use crate::session::{ClientInfo, McpSessionId, Session, SessionId, Timestamp};
use crate::tracker::memory::Kin;
use crate::tracker::peers::while_there;
use crate::tracker::{PeerBody, Peers, Presence, Question, Tracker, Unreached};

/// How long a request waits for a node that has lost its lease to have it again.
const LEASE_WAIT: Duration = Duration::from_secs(5);
/// How often is looked whether a node that cannot be reached is gone.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Tracker {
    /// Returns true if each session is at one node.
    pub(in crate::tracker) fn has_owners(&self) -> bool {
        self.inner.settings.peers.is_some()
    }

    /// Returns true if other nodes are there.
    pub(crate) fn has_peers(&self) -> bool {
        self.peers().is_some()
    }

    /// Returns how the others are reached, if there are any.
    pub(crate) fn peers(&self) -> Option<&Arc<dyn Peers>> {
        self.inner.settings.peers.as_ref().filter(|_| !self.inner.nodes.is_alone())
    }

    /// Waits until this node may serve its sessions, if others may have taken them meanwhile.
    pub(crate) async fn may_serve(&self) -> Result<(), Refusal> {
        let nodes = &self.inner.nodes;
        // One that was alone and was paused may not be alone any more. While the store is away, nobody has come.
        let is_certain = || nodes.is_expected() || (nodes.is_alone() && nodes.is_store_away());
        if !self.has_owners() || is_certain() {
            return Ok(());
        }
        let again = tokio::time::timeout(LEASE_WAIT, nodes.until_expected()).await;
        if again.is_ok() || is_certain() { Ok(()) } else { Err(Refusal::StoreUnavailable) }
    }

    /// Returns a new session as this node's.
    pub(in crate::tracker) fn owned(&self, session: Session) -> Session {
        let owner = self.inner.settings.peers.is_some().then(|| self.inner.owner.clone());
        Session { owner, ..session }
    }

    pub(in crate::tracker) fn is_of_another(&self, session: &Session) -> bool {
        let own = self.inner.settings.key();
        self.has_owners() && session.owner.as_deref().is_some_and(|owner| owner != own)
    }

    /// Returns the node at which an id was found before, unless that is this one.
    pub(in crate::tracker) fn sent_on(&self, id: Uuid) -> Result<(), Refusal> {
        match self.peers().and_then(|_| self.inner.nodes.place_of(id)) {
            Some(node) => Err(Refusal::Elsewhere(node)),
            None => Ok(()),
        }
    }

    /// Sees to it that an active session of the store's is at this node. The caller holds the session's lane.
    ///
    /// # Errors
    /// If it is at another, or the store cannot say.
    pub(in crate::tracker) async fn own(
        &self,
        session: &mut Session,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if !self.has_owners() || (session.owner.is_some() && !self.is_of_another(session)) {
            return Ok(());
        }
        let (id, key) = (session.id, self.inner.settings.key());
        if let Some(owner) =
            session.owner.clone().filter(|owner| self.inner.nodes.is_present(owner))
        {
            return Err(self.elsewhere(id.as_uuid(), owner));
        }
        let unavailable = |()| Refusal::StoreUnavailable;
        let claimed =
            self.look_up(self.inner.store.claim(id, key, now)).await.map_err(unavailable)?;
        if !claimed {
            // Its node is one that this one does not know yet.
            let _ = self.others(Timestamp::now()).await;
            let row = self.look_up(self.inner.store.session(id)).await.map_err(unavailable)?;
            let owner = row.filter(|row| row.end.is_none()).and_then(|row| row.owner);
            return Err(owner
                .map_or(Refusal::StoreUnavailable, |owner| self.elsewhere(id.as_uuid(), owner)));
        }
        tracing::info!(session_id = %id, before = session.owner.as_deref(), "session {id} was taken over");
        session.owner = Some(key.into());
        self.inner.nodes.forget_place(id.as_uuid());
        self.settle_calls_of(id).await.map_err(|_| Refusal::StoreUnavailable)
    }

    /// Remembers that what was asked for is where this refusal says.
    pub(in crate::tracker) fn remember_place(&self, id: Uuid, refusal: &Refusal) {
        if let Refusal::Elsewhere(owner) = refusal {
            self.inner.nodes.is_at(id, owner);
        }
    }

    fn elsewhere(&self, id: Uuid, owner: Arc<str>) -> Refusal {
        self.inner.nodes.is_at(id, &owner);
        Refusal::Elsewhere(owner)
    }

    /// Sends on what is at no node to the one that decides about it. Of requests that were sent on, this is that node.
    pub(in crate::tracker) fn at_home(&self, key: &[u8], caller: &Caller) -> Result<(), Refusal> {
        if caller.is_forwarded || self.peers().is_none() {
            return Ok(());
        }
        match self.inner.nodes.home(key) {
            Some(home) if *home != *self.inner.settings.key() => Err(Refusal::Elsewhere(home)),
            Some(_) | None => Ok(()),
        }
    }

    /// Asks the others for an id that the store does not know: one of them may have begun it and not have written it yet.
    ///
    /// # Errors
    /// If one has it, or one does not say.
    pub(in crate::tracker) async fn ask_others(
        &self,
        id: Uuid,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        if !self.has_owners() || caller.is_forwarded {
            return Ok(());
        }
        // One that this node has not heard of yet may have it.
        let others = self.look_up(self.others(Timestamp::now())).await;
        others.map_err(|()| Refusal::StoreUnavailable)?;
        let Some(peers) = self.peers() else { return Ok(()) };
        let mut is_certain = true;
        for name in self.other_nodes() {
            let Some(address) = self.inner.nodes.address_of(&name) else { continue };
            match peers.ask(&address, Question::Knows(id)).await {
                Some(true) => return Err(self.elsewhere(id, name)),
                Some(false) => {}
                None => is_certain = false,
            }
        }
        if is_certain { Ok(()) } else { Err(Refusal::StoreUnavailable) }
    }

    /// Brings a session here that is at another node, for a client that has shown that it may have it.
    pub(in crate::tracker) async fn fetch(&self, id: SessionId) -> Result<(), Refusal> {
        let Some(peers) = self.peers() else { return Ok(()) };
        let row = self.look_up(self.inner.store.session(id)).await;
        let row = row.map_err(|()| Refusal::StoreUnavailable)?;
        let Some(owner) = row.filter(|row| self.is_of_another(row)).and_then(|row| row.owner)
        else {
            return Ok(());
        };
        let Some(address) = self.inner.nodes.address_of(&owner) else { return Ok(()) };
        if !self.inner.nodes.is_present(&owner) {
            return Ok(());
        }
        let to = self.inner.settings.key().into();
        match peers.ask(&address, Question::Give { session: id, to }).await {
            Some(true) => {
                self.inner.nodes.forget_place(id.as_uuid());
                Ok(())
            }
            Some(false) | None => Err(Refusal::StoreUnavailable),
        }
    }

    /// Sends a handshake on whose client has a session at another node.
    ///
    /// # Errors
    /// If that is so, or the store cannot say.
    pub(crate) async fn meet(
        &self,
        presented: &Presented,
        initialize: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if self.peers().is_none() {
            return Ok(());
        }
        self.may_serve().await?;
        self.admit_by_handle(presented, caller, now).await?;
        match self.key_of(presented) {
            Some(key) => {
                let client = ClientInfo::from_initialize(initialize);
                self.admit_by_key(key, &client, caller, now).await.map(drop)
            }
            None => Ok(()),
        }
    }

    /// Returns the names of the nodes that are there, without this one's.
    pub(in crate::tracker) fn other_nodes(&self) -> impl Iterator<Item = Arc<str>> {
        let own = self.inner.settings.key();
        self.inner.nodes.names().into_iter().filter(move |name| **name != *own)
    }

    /// Makes itself known to the other nodes, before the first client comes. Those that do not answer are named in the log.
    pub async fn greet(&self) {
        let Some(peers) = self.peers() else { return };
        for name in self.other_nodes() {
            let address = self.inner.nodes.address_of(&name);
            let answered = match &address {
                Some(address) => peers.ask(address, Question::Knows(Uuid::nil())).await,
                None => None,
            };
            if answered.is_none() {
                let address = address.as_deref().unwrap_or("no address");
                tracing::warn!(
                    node = &*name,
                    address,
                    "node {name} cannot be reached at {address}: its sessions cannot be served from here; set \
                     node.address (--node-address) of each node to where the others reach it"
                );
            }
        }
    }

    /// Answers a question of another node's.
    pub async fn answer(&self, question: Question) -> bool {
        if self.inner.nodes.is_alone() || question == Question::Knows(Uuid::nil()) {
            // Whoever asks has just come.
            let _ = self.others(Timestamp::now()).await;
        }
        match question {
            Question::Knows(id) => {
                let session = self.inner.memory.session(SessionId::from_uuid(id));
                let connection = self.inner.memory.connection(McpSessionId::from_uuid(id));
                session.is_some() || connection.is_some_and(|connection| !connection.has_ended())
            }
            Question::Give { session, to } => self.give(session, &to).await,
        }
    }

    /// Gives a session to another node. What is in flight here is answered from here.
    async fn give(&self, id: SessionId, to: &Arc<str>) -> bool {
        let _lane = self.session_lane(id).await;
        let presence = self.presence(id);
        if presence.is_some() {
            // What it has been until now is in the store before another reads it.
            self.inner.writer.barrier().wait().await;
        }
        let own = self.inner.settings.key();
        let given = self.look_up(self.inner.store.give(id, own, to)).await == Ok(true);
        if let Some(presence) = presence.filter(|_| given) {
            self.release(&presence);
            self.inner.nodes.is_at(id.as_uuid(), to);
        }
        given
    }

    /// Lets go of a session that is another node's now.
    pub(in crate::tracker) fn release(&self, presence: &Arc<Presence>) {
        for connection in self.inner.memory.connections_of(presence) {
            self.inner.nodes.forget_place(connection.handle().as_uuid());
            self.forget_logs(&connection);
        }
        self.inner.memory.release(presence);
    }

    /// Has a request answered at another node, for as long as that one is there.
    pub(crate) async fn forward(
        &self,
        node: &Arc<str>,
        request: Request<Bytes>,
    ) -> Result<Response<PeerBody>, Unreached> {
        let address = self.inner.nodes.address_of(node);
        let (Some(peers), Some(address)) = (self.peers(), address) else {
            return Err(Unreached::NotSent);
        };
        let gone = self.inner.nodes.gone(node);
        let forwarded = gone.run_until_cancelled(peers.forward(&address, request)).await;
        let response = forwarded.unwrap_or(Err(Unreached::Lost))?;
        Ok(response.map(|body| while_there(body, gone)))
    }

    /// What was sent on to a node is not there.
    pub(crate) fn forget_places(&self, ids: impl IntoIterator<Item = Uuid>) {
        ids.into_iter().for_each(|id| self.inner.nodes.forget_place(id));
    }

    /// Waits until a node that could not be reached is gone or is heard of again.
    pub(crate) async fn until_gone(&self, node: &str, limit: Duration) {
        let began = Instant::now();
        let first = self.inner.nodes.address_of(node);
        while began.elapsed() < limit && self.inner.nodes.is_present(node) {
            tokio::time::sleep(LOOK_EVERY).await;
            if self.inner.nodes.address_of(node) != first {
                return;
            }
        }
    }

    /// Looks in the store for the active session of a client that shows no handle: another node may have begun it, and be
    /// gone.
    pub(in crate::tracker) async fn stored_of_kin(
        &self,
        kin: &Kin,
        of: &Session,
    ) -> Option<SessionId> {
        self.peers()?;
        let found = self.inner.store.active_of(&of.principal, of.fingerprint);
        let found = self.look_up(found).await.ok()?;
        found.into_iter().find(|one| Kin::of_session(one).as_ref() == Some(kin)).map(|one| one.id)
    }
}

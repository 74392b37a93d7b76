//! Which session a request belongs to: the first of what is presented that is valid, else a new one.
//!
//! `docs/decisions/0001-what-identifies-a-client.md` argues the order.

mod adopt;
mod find;
mod owner;
mod proofs;
mod rates;
mod reconnect;
mod resume;

pub use find::NotActive;
pub(super) use rates::AddressLimiter;
pub use rates::{AddressRate, KeyedRate, Permit};
pub(super) use reconnect::ReconnectLimiter;
pub use reconnect::{Holder, ReconnectRate, ReconnectRefusal, ReconnectSettings, Reconnected};
pub(super) use resume::Turns;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;

use super::memory::{Affinity, ConnectionSetup, Kin, LiveConnection, Presence, Proof};
use super::{Durable, Tracker};
use crate::protocol::{Envelope, Handle, Presented};
use crate::session::{
    ClientInfo, Connection, DisconnectReason, Era, Fingerprint, FingerprintKey, McpSessionId,
    Principal, Session, SessionId, Timestamp, User, idle_timeout,
};

/// Who sends a request, as far as the network and authentication tell.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Who authenticated.
    pub principal: Principal,
    /// Who that is to people.
    pub user: Option<Arc<User>>,
    /// The peer's address, if it is known.
    pub peer: Option<IpAddr>,
    /// Its `User-Agent`.
    pub user_agent: Option<HeaderValue>,
    /// Whether another node has sent its request on to this one.
    pub is_forwarded: bool,
}

/// A request's place.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The session it belongs to.
    pub presence: Arc<Presence>,
    /// How that was found.
    pub proof: Proof,
    /// The legacy connection it came on.
    pub connection: Option<Arc<LiveConnection>>,
    /// What to wait for before answering, if something must be durable first.
    pub durable: Option<Durable>,
}

impl Admission {
    /// Returns true where a guess may be right because a new client's first requests cross: its first one is not answered
    /// yet, so it cannot have a handle. Asked before the request's own call begins.
    pub fn may_cross(&self) -> bool {
        let is_new = self.presence.is_calling() || self.presence.is_orphaned();
        self.proof == Proof::Fingerprint && is_new
    }
}

/// Why a request has no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A legacy request that is no `initialize` and shows no handle: 400.
    #[error("no session; send initialize first, then its Mcp-Session-Id with each request")]
    NoHandle,
    /// A handle that never was, or has ended: 404.
    #[error("session not found; call initialize to start a new one")]
    UnknownHandle,
    /// The store cannot say whether the handle is known: 503.
    #[error("the session cannot be looked up right now; try again")]
    StoreUnavailable,
    /// It is at the node of this name: to be sent on, or, if it was, 421.
    #[error("the session is at another node")]
    Elsewhere(Arc<str>),
    /// The node that has it cannot be reached: 503.
    #[error("the gateway that has this session cannot be reached right now; try again")]
    Unreachable,
    /// As many sessions as this server may hold: 503.
    #[error("session limit reached; try again later")]
    TooManySessions,
    /// As many new sessions as this address may begin for now: 429.
    #[error("too many new sessions from this address")]
    TooManyNew,
}

/// A legacy handshake that the inner service answered.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// That the session which it may need was let in.
    pub permit: Permit,
    /// Where.
    pub upstream: Arc<str>,
    /// The `params` of `initialize` as JSON text.
    pub initialize: Arc<str>,
    /// The version in the answer.
    pub protocol_version: String,
    /// The inner service's own `Mcp-Session-Id`.
    pub link: Option<HeaderValue>,
    /// What it is told again on that link.
    pub affinity: Affinity,
}

impl Tracker {
    /// Finds the session and connection of a legacy request.
    ///
    /// # Errors
    /// If it shows no handle, or one that means nothing: see [`Refusal`].
    pub async fn admit_legacy(
        &self,
        presented: &Presented,
        upstream: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Admission, Refusal> {
        let admitted = self.find_legacy(presented, upstream, caller, now).await;
        if let Err(refusal) = &admitted
            && !matches!(refusal, Refusal::Elsewhere(_))
        {
            let handle = presented.connection.sent().map(tracing::field::display);
            tracing::warn!(handle, upstream, "session invalid: {refusal}");
        }
        admitted
    }

    async fn find_legacy(
        &self,
        presented: &Presented,
        upstream: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Admission, Refusal> {
        self.may_serve().await?;
        let connection = match presented.connection {
            Handle::Sent(handle) => self.known_connection(handle, upstream, caller),
            Handle::Malformed => return Err(Refusal::UnknownHandle),
            Handle::Absent => self.connection_of_session(presented, upstream, caller),
        };
        let (connection, durable) = match (connection, presented.connection) {
            (Some(connection), _) if connection.has_ended() => return Err(Refusal::UnknownHandle),
            (Some(connection), _) if !connection.presence().has_ended() => (connection, None),
            (Some(connection), _) => {
                self.resume_connection(connection.handle(), upstream, caller, now).await?
            }
            (None, Handle::Sent(handle)) => {
                self.resume_connection(handle, upstream, caller, now).await?
            }
            (None, _) => {
                let session = self.proven(presented, caller).ok_or(Refusal::NoHandle)?;
                let handle = self.latest_handle(session, upstream, caller).await;
                let handle = handle.ok_or(Refusal::NoHandle)?;
                self.resume_connection(handle, upstream, caller, now).await?
            }
        };
        // (1) before (2): a session named by the client counts, where it is valid.
        let bound = connection.presence();
        let named = presented.session.sent().filter(|id| *id != bound.id());
        let (presence, proof) = match named.and_then(|id| self.own_presence(id, caller)) {
            Some(presence) if !Arc::ptr_eq(&presence, &bound) => {
                let is_proven = self.is_proven(presence.id(), caller);
                (presence, if is_proven { Proof::Header } else { Proof::Name })
            }
            Some(_) => (bound, connection.proof()),
            None => {
                if let Some(id) = named.filter(|id| !bound.continues(*id)) {
                    tracing::warn!(session_id = %id, "session {id} invalid: unknown, ended or not the caller's");
                } else if presented.session == Handle::Malformed {
                    tracing::warn!("session invalid: the id sent is none of ours");
                }
                let proof = connection.proof();
                (bound, proof)
            }
        };
        self.found(&presence, proof, now);
        Ok(Admission { presence, proof, connection: Some(connection), durable })
    }

    /// Finds the session of a modern request, or creates it.
    ///
    /// # Errors
    /// If a new session would be one too many, of all or of its address.
    pub async fn admit_modern(
        &self,
        presented: &Presented,
        envelope: &Envelope,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Admission, Refusal> {
        let client = || {
            let (info, capabilities) =
                (&envelope.meta.client_info, &envelope.meta.client_capabilities);
            ClientInfo::read(info.as_deref(), capabilities.as_deref())
        };
        self.may_serve().await?;
        if let Some(admission) = self.admit_by_handle(presented, caller, now).await? {
            return Ok(admission);
        }
        let client = client();
        let client_key = self.key_of(presented);
        if let Some(key) = client_key
            && let Some(admission) = self.admit_by_key(key, &client, caller, now).await?
        {
            return Ok(admission);
        }
        // Who keeps cookies needs no guess, and has a session of its own from the first one that it shows.
        let ticket = self.ticket(presented, caller).await;
        if ticket.is_none()
            && let Some(admission) = self.admit_by_name(presented, caller, now).await?
        {
            return Ok(admission);
        }
        let is_guessable = client_key.is_none() && ticket.is_none();
        let fingerprint = fingerprint(&self.inner.fingerprint_key, caller, &client);
        let fingerprint = fingerprint.filter(|_| is_guessable);
        let version = envelope.meta.protocol_version.as_deref().unwrap_or_default();
        let timeout = self.idle_timeout(presented, &client, caller);
        let session = Session::new(
            client,
            caller.principal.clone(),
            Era::Modern,
            version.chars().take(32).collect::<String>(),
            timeout,
            now,
        );
        let session = Session { fingerprint, client_key, user: caller.user.clone(), ..session };
        if let Some(ticket) = ticket {
            let permit = self.let_in(caller)?;
            return self.redeem(ticket, session, permit, caller, now).await;
        }
        let kin = Kin::of_session(&session);
        let known = kin.as_ref().and_then(|kin| self.inner.memory.session_of_kin(kin));
        if let (Some(presence), Some(kin)) = (known, &kin) {
            self.found(&presence, kin.proof(), now);
            return Ok(Admission { presence, proof: kin.proof(), connection: None, durable: None });
        }
        if let Some(kin) = &kin {
            self.at_home(&kin.key(), caller)?;
            if let Some(id) = self.stored_of_kin(kin, &session).await
                && let Some((presence, durable)) = self.resume_session(id, caller, now).await?
            {
                let proof = kin.proof();
                self.found(&presence, proof, now);
                return Ok(Admission { presence, proof, connection: None, durable });
            }
        }
        let permit = self.let_in(caller)?;
        self.create(session, kin, permit)
    }

    /// Returns the session of a modern request only if there is one already: what `server/discover`
    /// does not create.
    pub fn peek_modern(
        &self,
        presented: &Presented,
        caller: &Caller,
    ) -> Option<(Arc<Presence>, Proof)> {
        let cookie = self.genuine_cookie(presented, caller).map(|cookie| cookie.session);
        let name = presented.session.sent();
        let proof = if name.is_none_or(|id| self.is_proven(id, caller)) {
            Proof::Header
        } else {
            Proof::Name
        };
        let of_cookie = cookie.filter(|id| name.is_none_or(|name| self.is_same(name, *id, caller)));
        let shown = [(of_cookie, Proof::Cookie), (name, proof), (cookie, Proof::Cookie)];
        let found = shown.into_iter().filter_map(|(id, proof)| Some((id?, proof)));
        found.into_iter().find_map(|(id, proof)| Some((self.own_presence(id, caller)?, proof)))
    }

    /// Opens a connection for a handshake that was answered: in the session the client presents by
    /// header or cookie, else in a new one.
    ///
    /// # Errors
    /// If a new session would be one too many.
    pub async fn open(
        &self,
        presented: &Presented,
        handshake: Handshake,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Admission, Refusal> {
        let admission = match self.admit_by_handle(presented, caller, now).await? {
            Some(admission) => admission,
            None => {
                let client = ClientInfo::from_initialize(&handshake.initialize);
                let client_key = self.key_of(presented);
                if let Some(key) = client_key
                    && let Some(admission) = self.admit_by_key(key, &client, caller, now).await?
                {
                    let handle = McpSessionId::random();
                    return Ok(self.connect(admission, handle, handshake, caller, now));
                }
                // What is only named gets one more connection for as long as there is room: none of its own goes.
                let named = self.admit_by_name(presented, caller, now).await?;
                if let Some(admission) = named.filter(|admission| admission.presence.has_room()) {
                    let handle = McpSessionId::random();
                    return Ok(self.connect(admission, handle, handshake, caller, now));
                }
                let fingerprint = fingerprint(&self.inner.fingerprint_key, caller, &client);
                let fingerprint = fingerprint.filter(|_| client_key.is_none());
                let timeout = self.idle_timeout(presented, &client, caller);
                let session = Session::new(
                    client,
                    caller.principal.clone(),
                    Era::Legacy,
                    handshake.protocol_version.clone(),
                    timeout,
                    now,
                );
                match fingerprint.and_then(|digest| self.inner.memory.take_orphan(digest, now)) {
                    Some(presence) => {
                        self.found(&presence, Proof::Fingerprint, now);
                        let (proof, durable) = (Proof::Fingerprint, None);
                        Admission { presence, proof, connection: None, durable }
                    }
                    None => {
                        let user = caller.user.clone();
                        let session = Session { fingerprint, client_key, user, ..session };
                        let kin = Kin::of_session(&session).filter(|_| client_key.is_some());
                        self.create(session, kin, handshake.permit)?
                    }
                }
            }
        };
        Ok(self.connect(admission, McpSessionId::random(), handshake, caller, now))
    }

    /// Binds a new connection to the session that was found for it, and puts it on the way to the store.
    pub(in crate::tracker) fn connect(
        &self,
        admission: Admission,
        handle: McpSessionId,
        handshake: Handshake,
        caller: &Caller,
        now: Timestamp,
    ) -> Admission {
        let is_named = admission.proof == Proof::Name;
        let record = Connection {
            handle,
            session: admission.presence.id(),
            upstream: handshake.upstream,
            principal: caller.principal.clone(),
            protocol_version: handshake.protocol_version.into(),
            initialize: handshake.initialize,
            link: handshake.link.and_then(|link| link.to_str().ok().map(Box::from)),
            setup: ConnectionSetup::to_stored(None, Some(&handshake.affinity), is_named),
            opened_at: now,
            ended_at: None,
        };
        let connection = self.remember(record.clone(), admission.presence.clone(), now);
        let durable = self.inner.writer.durably(|batch| batch.connections.push(record));
        Admission { connection: Some(connection), durable: Some(durable), ..admission }
    }

    /// Returns how long a new session of this client may be silent.
    fn idle_timeout(
        &self,
        presented: &Presented,
        client: &ClientInfo,
        caller: &Caller,
    ) -> Duration {
        let settings = &self.inner.settings;
        let asked = presented.idle_timeout.map(|asked| asked.min(settings.idle_timeout_max));
        let (rules, standard) = (&settings.timeout_rules, settings.idle_timeout);
        idle_timeout(rules, standard, asked, client, &caller.principal, caller.user.as_deref())
    }

    /// Ends a connection at its client's word, and its session if it was the last one. One that came to a session
    /// without connections by nothing but its name leaves it as it is.
    pub fn close(&self, admission: &Admission, now: Timestamp) -> Option<Durable> {
        let connection = admission.connection.as_ref()?;
        let presence = connection.presence();
        let record = connection.end(now)?;
        self.forget_logs(connection);
        let was_last = presence.remove_connection(connection.handle());
        let stored = self.inner.writer.durably(|batch| batch.connections.push(record));
        if !was_last || (connection.is_named() && presence.era() == Era::Modern) {
            return Some(stored);
        }
        self.end(&presence, DisconnectReason::ClientDisconnect, now).or(Some(stored))
    }

    /// Writes down that the upstream knows this connection by another id now.
    pub fn relink(
        &self,
        connection: &LiveConnection,
        link: Option<HeaderValue>,
        affinity: Affinity,
    ) -> Durable {
        let record = connection.set_link(link, affinity);
        self.inner.writer.durably(|batch| batch.connections.push(record))
    }

    /// Writes down a connection's affinity, if that has changed and is due.
    pub fn keep_affinity(&self, connection: &LiveConnection) {
        if let Some(record) = connection.changed_affinity(Instant::now()) {
            self.inner.writer.durably(|batch| batch.connections.push(record));
        }
    }

    /// Writes down what a request of the client's sets up on its connection, if it is such a request.
    pub fn note_setup(&self, connection: &LiveConnection, envelope: &Envelope) {
        if ConnectionSetup::is_of(&envelope.method) {
            let record = connection.note_setup(envelope);
            self.inner.writer.durably(|batch| batch.connections.push(record));
        }
    }

    /// Finds the session of a handle that proves something: an id of the principal's own, or a cookie. Where a name is
    /// shown as well, the cookie must be of the same session.
    async fn admit_by_handle(
        &self,
        presented: &Presented,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Option<Admission>, Refusal> {
        let name = self.name(presented, caller);
        let header = if name.is_none() { presented.session } else { Handle::Absent };
        let cookie = match (name, self.cookie_handle(presented, caller)) {
            (Some(name), Handle::Sent(id)) if !self.is_same(name, id, caller) => Handle::Absent,
            (_, cookie) => cookie,
        };
        self.admit_by([(header, Proof::Header), (cookie, Proof::Cookie)], caller, now).await
    }

    /// Finds the session that is named without a proof; without one, that of a cookie which came with the name.
    async fn admit_by_name(
        &self,
        presented: &Presented,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Option<Admission>, Refusal> {
        let Some(name) = self.name(presented, caller) else { return Ok(None) };
        let cookie = self.cookie_handle(presented, caller);
        let shown = [(Handle::Sent(name), Proof::Name), (cookie, Proof::Cookie)];
        self.admit_by(shown, caller, now).await
    }

    async fn admit_by(
        &self,
        shown: [(Handle<SessionId>, Proof); 2],
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Option<Admission>, Refusal> {
        for (handle, proof) in shown {
            let id = match handle {
                Handle::Absent => continue,
                Handle::Sent(id) => id,
                Handle::Malformed => {
                    tracing::warn!("session invalid: the {proof:?} sent is none of ours");
                    continue;
                }
            };
            if let Some(presence) = self.own_presence(id, caller) {
                self.found(&presence, proof, now);
                return Ok(Some(Admission { presence, proof, connection: None, durable: None }));
            }
            let turn = self.turn(caller).await;
            let resumed = self.resume_session(id, caller, now).await?;
            drop(turn);
            if let Some((presence, durable)) = resumed {
                self.found(&presence, proof, now);
                return Ok(Some(Admission { presence, proof, connection: None, durable }));
            }
            tracing::warn!(session_id = %id, "session {id} invalid: unknown, ended or not the caller's");
        }
        Ok(None)
    }

    /// Returns the active session of this id, or the one that continues it, if it is the caller's.
    pub(in crate::tracker) fn own_presence(
        &self,
        id: SessionId,
        caller: &Caller,
    ) -> Option<Arc<Presence>> {
        self.inner.memory.session_of(id, &caller.principal)
    }

    fn known_connection(
        &self,
        handle: McpSessionId,
        upstream: &str,
        caller: &Caller,
    ) -> Option<Arc<LiveConnection>> {
        let known = self.inner.memory.connection(handle);
        known.filter(|connection| connection.is_for(upstream, &caller.principal))
    }

    /// A legacy request may name only its session: then it goes on with the latest connection of
    /// that session at this upstream.
    fn connection_of_session(
        &self,
        presented: &Presented,
        upstream: &str,
        caller: &Caller,
    ) -> Option<Arc<LiveConnection>> {
        let presence = self.own_presence(self.proven(presented, caller)?, caller)?;
        let handles = presence.connections();
        handles
            .into_iter()
            .rev()
            .filter_map(|handle| self.known_connection(handle, upstream, caller))
            .find(|connection| !connection.has_ended())
    }

    /// Notes that a session was found, and says so in the log the first time it is found that way.
    pub(in crate::tracker) fn found(&self, presence: &Arc<Presence>, proof: Proof, now: Timestamp) {
        presence.touch(now);
        // A client that holds a handle needs no guess, and nobody else may be guessed to be it.
        if proof != Proof::Fingerprint && presence.strike(self.inner.settings.guess_grace, now) {
            self.inner.memory.forget_guess(presence);
            let id = presence.id();
            self.inner.writer.durably(|batch| batch.unguessed.push(id));
        }
        if presence.is_first_by(proof) {
            let id = presence.id();
            tracing::info!(session_id = %id, ?proof, "Reusing valid session: {id}, by {proof:?}");
        }
    }
}

/// Returns what a caller without a handle can be guessed by; `None` for one who authenticated and needs no
/// guess.
fn fingerprint(key: &FingerprintKey, caller: &Caller, client: &ClientInfo) -> Option<Fingerprint> {
    if caller.principal.is_authenticated() {
        return None;
    }
    let peer = caller.peer.map(|peer| peer.to_string()).unwrap_or_default();
    let agent = caller.user_agent.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
    let text = |text: &'_ Option<Box<str>>| text.as_deref().unwrap_or_default().to_owned();
    let (name, version) = (text(&client.name), text(&client.version));
    Some(key.digest([peer.as_bytes(), agent, name.as_bytes(), version.as_bytes()]))
}

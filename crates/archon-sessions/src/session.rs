//! A session: our durable record of one client's presence. Start reading here.
//!
//! Everything in this module is pure: no I/O, and the time is always passed in.

mod client;
mod client_key;
mod connection;
mod cookie;
mod era;
mod fingerprint;
mod id;
mod identity;
mod lifecycle;
mod network;
mod principal;
mod printable;
mod time;
mod timeouts;
mod token;

pub use client::{ClientInfo, client_type, is_product};
pub use client_key::{ClientKey, KeyDigest, NoClientKey};
pub use connection::Connection;
pub use cookie::{Cookie, NoCookie};
pub use era::Era;
pub use fingerprint::{Fingerprint, FingerprintKey};
pub use id::{McpSessionId, SessionId};
pub use identity::{Identity, User};
pub use lifecycle::{DisconnectReason, End, Resumption, Status};
pub use network::Network;
pub use principal::Principal;
pub use printable::{is_printable, printable};
pub use time::Timestamp;
pub use timeouts::{Pattern, TimeoutRule, idle_timeout};
pub use token::{IssuedToken, ReconnectToken, TOKEN_LIFETIME, TokenFault, TokenHash, TokenKey};

use std::sync::Arc;
use std::time::Duration;

/// How long a session may be silent before the reaper ends its presence.
///
/// Agents think for minutes between calls; five of them keep "who is connected" honest without
/// ending a presence in the middle of a thought.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// How long after an idle timeout a client's handle still works.
///
/// A laptop closed in the evening and opened in the morning goes on with what it had.
pub const RESUME_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// One client's presence, as a row of `archon_mcp_sessions`.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The public id, sent as `X-Archon-Session-Id`.
    pub id: SessionId,
    /// Who the client says it is.
    pub client: ClientInfo,
    /// Who authenticated.
    pub principal: Principal,
    /// Who that was to people when the session was created.
    pub user: Option<Arc<User>>,
    /// How the client spoke when the session was created.
    pub era: Era,
    /// The protocol version in force, `2025-11-25` for example.
    pub protocol_version: String,
    /// When the session was created.
    pub connected_at: Timestamp,
    /// The latest sign of life.
    pub last_activity: Timestamp,
    /// How long it may be silent.
    pub idle_timeout: Duration,
    /// Set once the session has ended.
    pub end: Option<End>,
    /// Where its client called from and what it said of itself, as a keyed digest; `None` once the client
    /// has shown a handle, for then no guess is needed.
    pub fingerprint: Option<Fingerprint>,
    /// What is kept of the key that its client sends; requests with that key belong to it.
    pub client_key: Option<KeyDigest>,
    /// The session this one goes on from, after that one's idle timeout.
    pub continues: Option<SessionId>,
    /// The node that serves it, where several share a store and each session is at one of them.
    pub owner: Option<Arc<str>>,
    /// How often its client took it back with a reconnect token.
    pub reconnect_count: i64,
    /// Counts changes of what it is: reconnects and the end, not touches. A timeout that was decided on an older
    /// revision is refused by the store; whatever ends a session on purpose ends it at any revision.
    pub revision: i64,
}

impl Session {
    /// Returns a new active session, not yet stored.
    pub fn new(
        client: ClientInfo,
        principal: Principal,
        era: Era,
        protocol_version: impl Into<String>,
        idle_timeout: Duration,
        now: Timestamp,
    ) -> Self {
        Self {
            id: SessionId::random(),
            client,
            principal,
            user: None,
            era,
            protocol_version: protocol_version.into(),
            connected_at: now,
            last_activity: now,
            idle_timeout,
            end: None,
            fingerprint: None,
            client_key: None,
            continues: None,
            owner: None,
            reconnect_count: 0,
            revision: 0,
        }
    }
}

//! What the layer tells the service behind it about a request, in the request's extensions.

use std::sync::Arc;

use http::Extensions;

use crate::protocol::Message;
use crate::session::{Era, Principal};
use crate::tracker::{Admission, LiveConnection, Presence, Proof};

/// A request's place, decided once. `presence` is absent only for a `server/discover` of a client
/// that has no session yet, and for the handshake itself.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The era the client speaks.
    pub era: Era,
    /// What it sent; absent for GET and DELETE.
    pub message: Option<Arc<Message>>,
    /// Its session.
    pub presence: Option<Arc<Presence>>,
    /// What showed that it belongs to that session; a guess must not reach state at an upstream.
    pub proof: Option<Proof>,
    /// Its legacy connection.
    pub connection: Option<Arc<LiveConnection>>,
    /// Who authenticated.
    pub principal: Principal,
}

/// What the inner service puts into an answer's extensions where the call may be sent again if the rest of
/// the answer is lost: the tool only reads or is idempotent, and whoever runs the server trusts that.
#[derive(Clone, Copy, Debug)]
pub struct Repeatable;

/// What the inner service puts into an answer's extensions where the client has taken another session back by this
/// request: the answer says that it has that one.
#[derive(Clone, Debug)]
pub struct Rebound(pub Arc<Presence>);

impl Rebound {
    /// Returns the place that the answer's client has now.
    pub(super) fn apply(extensions: &mut Extensions, admission: Admission) -> Admission {
        match extensions.remove::<Self>() {
            Some(Self(presence)) => Admission { presence, proof: Proof::Header, ..admission },
            None => admission,
        }
    }
}

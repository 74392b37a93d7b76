//! The session of the request at hand, as the service behind the layer sees it.

use std::fmt;
use std::sync::Arc;

use crate::session::{self, ClientInfo, Era, Principal, SessionId, Timestamp, User};
use crate::tracker::{Annotations, Call, Presence, Tracker};

/// The session of the request at hand: the layer puts it into the extensions of each request that has one. That
/// is each request but a handshake (`initialize`, or a modern client's first `server/discover`), after which it
/// begins.
///
/// In an axum handler it is an argument, `Extension<CurrentSession>`, or `Option<Extension<CurrentSession>>` where handshakes
/// come by. In a tool of an rmcp server it is an argument as well, with this crate's feature `rmcp`. It is cheap
/// to clone, and may be kept for longer than the request.
///
/// ```
/// use archon_sessions::CurrentSession;
/// use axum::Extension;
///
/// async fn answer(Extension(session): Extension<CurrentSession>) -> String {
///     session.annotate().tokens(1200, 340).cost(0.0087).user("ada");
///     format!("hello, {}", session.client().kind())
/// }
/// # let _: axum::Router = axum::Router::new().route("/mcp", axum::routing::post(answer));
/// ```
///
/// The record of the session is [`session::Session`]: [`CurrentSession::record`] returns it.
#[derive(Clone)]
pub struct CurrentSession {
    tracker: Tracker,
    presence: Arc<Presence>,
    annotations: Annotations,
}

impl CurrentSession {
    /// Calls that came together in a batch share one request, so none of them can be meant by it.
    pub(super) fn of(tracker: &Tracker, presence: &Arc<Presence>, calls: &[Call]) -> Self {
        let annotations = match calls {
            [call] => call.annotations(),
            _ => Annotations::default(),
        };
        Self { tracker: tracker.clone(), presence: presence.clone(), annotations }
    }

    /// Returns the session's id: its client knows it as `X-Archon-Session-Id`.
    pub fn id(&self) -> SessionId {
        self.presence.id()
    }

    /// Returns who the client says it is: name, version and capabilities.
    pub fn client(&self) -> &ClientInfo {
        self.presence.client()
    }

    /// Returns how the client spoke when the session began.
    pub fn era(&self) -> Era {
        self.presence.era()
    }

    /// Returns the protocol version in force, `2025-11-25` for example.
    pub fn protocol_version(&self) -> &str {
        self.presence.protocol_version()
    }

    /// Returns who authenticated. The session belongs to it, and to nobody else.
    pub fn principal(&self) -> &Principal {
        self.presence.principal()
    }

    /// Returns who that is to people, as far as it is known.
    pub fn user(&self) -> Option<Arc<User>> {
        self.presence.user()
    }

    /// Returns when the session began.
    pub fn connected_at(&self) -> Timestamp {
        self.presence.connected_at()
    }

    /// Returns true once the session has ended: its client's next request belongs to another one.
    pub fn has_ended(&self) -> bool {
        self.presence.has_ended()
    }

    /// Returns the whole record as it is now.
    pub fn record(&self) -> session::Session {
        self.presence.session()
    }

    /// Notes that its calls run without the upstream state of those before, since its client shows no proof that it is
    /// the same; returns true the first time. It is told to who watches ([`Observer::state_lost`]) and to who asks
    /// ([`Presence::loses_state`]).
    ///
    /// [`Observer::state_lost`]: crate::tracker::Observer::state_lost
    pub fn loses_state(&self, upstream: &str) -> bool {
        self.tracker.lost_state(&self.presence, upstream)
    }

    /// Begins to say what is known of this request.
    pub fn annotate(&self) -> Annotate<'_> {
        Annotate(self)
    }
}

impl fmt::Debug for CurrentSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CurrentSession").field(&self.id()).finish()
    }
}

/// What a service says of the request at hand: it goes to the request's row, in place of what would be estimated.
///
/// Nothing here can fail a call or wait for anything. Say it before you answer: what comes later may find the
/// row written, and is dropped then, with a debug line. So is what is said of a message without a row: of a
/// notification, of a GET, of one of several calls in a batch. Said again, the last word counts.
#[derive(Clone, Copy, Debug)]
pub struct Annotate<'a>(&'a CurrentSession);

impl Annotate<'_> {
    /// Says how many tokens the call took: `prompt_tokens` and `completion_tokens` of its row. Numbers that a
    /// column cannot hold count as `i32::MAX`.
    pub fn tokens(self, prompt: u64, completion: u64) -> Self {
        self.0.annotations.tokens(prompt, completion);
        self
    }

    /// Says what the call cost in dollars: `estimated_cost` of its row, to a millionth of a dollar. Without it the
    /// cost is that of the tokens by the table of prices. What is no amount (negative, not finite) is dropped.
    pub fn cost(self, dollars: f64) -> Self {
        self.0.annotations.cost(dollars);
        self
    }

    /// Says which model was used: `model` of its row. Where no cost is given it is by this model's price, and
    /// nothing if the table has none. At most 128 characters are kept.
    pub fn model(self, name: &str) -> Self {
        self.0.annotations.model(name);
        self
    }

    /// Says who the client is to people: the columns `user_*` of its session's row, for this request and all
    /// that follow. At most 256 characters of each text are kept. It changes nobody's rights: a session belongs to
    /// its [`CurrentSession::principal`].
    pub fn user(self, user: impl Into<User>) -> Self {
        self.0.tracker.set_user(&self.0.presence, user.into());
        self
    }
}

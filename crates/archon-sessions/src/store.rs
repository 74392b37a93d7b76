//! Where sessions are kept. A store keeps and finds; it decides nothing.

#[cfg(test)]
#[macro_use]
mod databases;
pub mod memory;
mod nodes;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod readable;
mod reconnects;
mod refusals;
#[cfg_attr(not(all(feature = "sqlite", feature = "postgres")), allow(dead_code, unused_imports))]
pub mod reports;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod steps;
#[cfg(any(test, feature = "testing"))]
pub mod suite;
#[cfg_attr(not(all(feature = "sqlite", feature = "postgres")), allow(dead_code, unused_imports))]
pub mod transfer;
mod unfinished;
#[cfg_attr(not(all(feature = "sqlite", feature = "postgres")), allow(dead_code, unused_imports))]
mod usage;

pub(crate) use nodes::name_of;
pub use nodes::{NodeRow, Pruning};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use readable::{each_readable, say_unreadable};
pub use reconnects::{ReconnectAttempt, StoredToken, TokenUse, TokenUsed};
pub use refusals::RefusedRequests;
pub use reports::Reports;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use steps::SchemaStep;
pub use unfinished::{CallId, OpenCall, StoredEvent};

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::protocol::event_id::StreamId;
use crate::session::{
    Connection, Fingerprint, FingerprintKey, KeyDigest, McpSessionId, Principal, Session,
    SessionId, Timestamp, User,
};

/// Sessions that [`SessionStore::active_of`] returns.
const ACTIVE_OF_MAX: usize = 8;

/// What a database said.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a store could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or written now; later it may.
    #[error("the session store is unavailable")]
    Unavailable(#[source] Cause),
    /// The schema is not one this version knows how to use.
    #[error("could not use the database's schema: {advice}")]
    Schema {
        /// What is wrong with it, and what to do.
        advice: String,
        /// What the migration said.
        #[source]
        source: Cause,
    },
    /// The file is no database any more, or a part of it is not.
    #[error(
        "the database {path} is damaged; stop what uses it, then move it away together with \
         {path}-wal and {path}-shm to begin a new one, or first save what can be read: \
         sqlite3 {path} \".recover\" | sqlite3 saved.db"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What SQLite said.
        #[source]
        source: Cause,
    },
    /// The file was removed or replaced while it was open. The store has begun a new one, or taken what is
    /// in its place: whoever knows of sessions writes them again.
    #[error("the database file was removed or replaced while it was open")]
    Lost(LostHistory),
    /// A stored value is not one we write.
    #[error("the stored {what} is not readable")]
    Corrupt {
        /// Which value.
        what: &'static str,
    },
}

/// What a lost file held, where that could still be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostHistory {
    /// Sessions of all times.
    pub sessions: Option<u64>,
    /// Tracked requests.
    pub requests: Option<u64>,
}

/// Keeps sessions, connections and requests. Only the tracker writes to it.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Writes a batch in one transaction: all of it is durable when this returns, or none.
    ///
    /// Applying the same batch again changes nothing more, except that requests are added again; so a
    /// batch whose outcome is unknown may be applied again without its requests.
    ///
    /// # Errors
    /// If the store is not available; [`StoreError::Lost`] once after it lost all it held. The batch was not
    /// applied then.
    async fn apply(&self, batch: &Batch) -> Result<(), StoreError>;

    /// Returns a session.
    ///
    /// # Errors
    /// If the store is not available or the row is not readable.
    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// Returns the latest session that continues this one.
    ///
    /// # Errors
    /// If the store is not available or the row is not readable.
    async fn continued_by(&self, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// Returns the latest sessions whose client sent this key, ended ones as well, so many at most.
    ///
    /// # Errors
    /// If the store is not available.
    async fn sessions_of_key(&self, key: KeyDigest, max: u32) -> Result<Vec<Session>, StoreError>;

    /// Returns a connection.
    ///
    /// # Errors
    /// If the store is not available or the row is not readable.
    async fn connection(&self, handle: McpSessionId) -> Result<Option<Connection>, StoreError>;

    /// Returns the connections of a session that have not ended.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn connections_of(&self, session: SessionId) -> Result<Vec<Connection>, StoreError>;

    /// Returns all active sessions, and the connections bound to them that have not ended.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn active(&self) -> Result<(Vec<Session>, Vec<Connection>), StoreError>;

    /// Returns the calls in flight, of all processes.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn open_calls(&self) -> Result<Vec<OpenCall>, StoreError>;

    /// Returns the stored events of a stream, in order.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn events_of(&self, stream: StreamId) -> Result<Vec<StoredEvent>, StoreError>;

    /// Returns since when the store's sessions have cookies that nobody can make: this moment, if it is asked for the first
    /// time.
    ///
    /// # Errors
    /// If the store is not available.
    async fn sealed_since(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        Ok(now)
    }

    /// Returns the key of the sessions' fingerprints, made when it was asked for first.
    ///
    /// # Errors
    /// If the store is not available.
    async fn fingerprint_key(&self) -> Result<FingerprintKey, StoreError>;

    /// Returns the secret of the reconnect tokens, made when it was asked for first.
    ///
    /// # Errors
    /// If the store is not available.
    async fn token_secret(&self) -> Result<String, StoreError>;

    /// Replaces a session's token by the next one and counts that, if the session is active and the presented
    /// token is the one it has, and good. `None` if not: of any number of tries at once, one does it.
    ///
    /// # Errors
    /// If the store is not available.
    async fn use_token(&self, using: &TokenUse) -> Result<Option<TokenUsed>, StoreError>;

    /// Returns those of these sessions that there are, in no order.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn sessions_by_id(&self, ids: &[SessionId]) -> Result<Vec<Session>, StoreError>;

    /// Returns at most `max` active sessions that have been silent for longer than they may be, with no call in
    /// the ledger.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn silent(&self, now: Timestamp, max: u32) -> Result<Vec<Session>, StoreError>;

    /// Returns at most `max` sessions of which this node is to be told that another has ended them. They are returned
    /// until they are in [`Batch::heeded`].
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn notices(&self, node: &str, max: u32) -> Result<Vec<SessionId>, StoreError>;

    /// Writes down that a process is there for this long from now: by the store's own clock, if it has one. Then the
    /// process follows that clock.
    ///
    /// # Errors
    /// If the store is not available.
    async fn renew(&self, node: &NodeRow, lease: Duration) -> Result<(), StoreError> {
        let heard = NodeRow { expected_until: node.heard_at.plus(lease), ..node.clone() };
        self.apply(&Batch { heard: vec![heard], ..Batch::default() }).await
    }

    /// Makes this node the owner of an active session that has none, or one of which nothing is heard any more. Returns true
    /// if it is the owner now: of any number of nodes at once, one is.
    ///
    /// # Errors
    /// If the store is not available.
    async fn claim(
        &self,
        session: SessionId,
        node: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Makes another node the owner of an active session of this one's. Returns false if it was not this one's.
    ///
    /// # Errors
    /// If the store is not available.
    async fn give(&self, session: SessionId, from: &str, to: &str) -> Result<bool, StoreError>;

    /// Makes this node the owner of all active sessions that could be [claimed](Self::claim). Returns how many they were.
    ///
    /// # Errors
    /// If the store is not available.
    async fn claim_all(&self, node: &str, now: Timestamp) -> Result<u64, StoreError>;

    /// Returns at most eight active sessions of this principal's, those heard of last first; with a fingerprint, of those
    /// only the ones that have it.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn active_of(
        &self,
        principal: &Principal,
        fingerprint: Option<Fingerprint>,
    ) -> Result<Vec<Session>, StoreError>;

    /// Returns the processes that have said that they use this store.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError>;

    /// Deletes some of what may be deleted. Returns how many rows; there may be more as long as there were any.
    ///
    /// # Errors
    /// If the store is not available; what was deleted by then stays deleted.
    async fn prune(&self, pruning: &Pruning) -> Result<u64, StoreError>;

    /// Returns the price of a model: the one in effect now.
    ///
    /// # Errors
    /// If the store is not available.
    async fn price(&self, model: &str, now: Timestamp) -> Result<Option<Price>, StoreError>;

    /// Returns how many rows that others wrote cannot be read, as [`check`](Self::check) counted them last. They are left
    /// out of all that is read.
    fn unreadable(&self) -> u64 {
        0
    }

    /// Does the least that shows the store is there.
    ///
    /// # Errors
    /// If it is not.
    async fn check(&self) -> Result<(), StoreError>;
}

/// What is written together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// New sessions. One that exists already is left as it is.
    pub created: Vec<Session>,
    /// Connections, new or changed: the last write wins, except that one that has ended stays ended.
    pub connections: Vec<Connection>,
    /// Sessions that ended. One that has ended already is left as it is: the first end wins. So is one that timed
    /// out, if there is a sign of life or a revision in the store which the one who ended it did not know.
    pub ended: Vec<Session>,
    /// Signs of life, one a session at most. An earlier one than the stored changes nothing.
    pub touched: Vec<(SessionId, Timestamp)>,
    /// Tracked requests. One whose session is not stored is dropped.
    pub requests: Vec<RequestRow>,
    /// Sessions whose clients have shown a handle: nobody is guessed to be them any more.
    pub unguessed: Vec<SessionId>,
    /// Tokens of active sessions, in place of those that they had.
    pub tokens: Vec<StoredToken>,
    /// Attempts to use one.
    pub attempts: Vec<ReconnectAttempt>,
    /// Requests that were turned away: their counts are added to those of the same minute, cause, upstream and address.
    pub refusals: Vec<RefusedRequests>,
    /// Who clients of sessions are to people, in place of what was known; one a session at most.
    pub users: Vec<(SessionId, Arc<User>)>,
    /// Processes that say they are there.
    pub heard: Vec<NodeRow>,
    /// Processes that have gone, and are expected no more.
    pub gone: Vec<Arc<str>>,
    /// Nodes that are to be told of sessions that another has ended.
    pub notices: Vec<(Arc<str>, SessionId)>,
    /// Notices that their node has read.
    pub heeded: Vec<(Arc<str>, SessionId)>,
    /// Calls that are in flight. One that is stored already is left as it is.
    pub opened: Vec<OpenCall>,
    /// Calls that have ended: they leave the ledger.
    pub closed: Vec<CallId>,
    /// Events that their clients may not have yet. One that is stored already is left as it is.
    pub events: Vec<StoredEvent>,
    /// Streams whose events are no longer needed.
    pub forgotten: Vec<StreamId>,
    /// Events sent before this moment are no longer needed.
    pub forget_before: Option<Timestamp>,
}

impl Batch {
    /// Returns true if there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.created.is_empty()
            && self.connections.is_empty()
            && self.ended.is_empty()
            && self.touched.is_empty()
            && self.requests.is_empty()
            && self.unguessed.is_empty()
            && self.opened.is_empty()
            && self.closed.is_empty()
            && self.events.is_empty()
            && self.forgotten.is_empty()
            && self.forget_before.is_none()
            && !self.has_rare()
    }

    /// Returns true if there is something to write that most batches do not have.
    fn has_rare(&self) -> bool {
        !(self.tokens.is_empty()
            && self.attempts.is_empty()
            && self.refusals.is_empty()
            && self.users.is_empty()
            && self.heard.is_empty()
            && self.gone.is_empty()
            && self.notices.is_empty()
            && self.heeded.is_empty())
    }
}

/// How a tracked request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Answered with a result.
    Success,
    /// Answered with an error, or a tool result with `isError`, or not answered for a known reason.
    Error,
    /// Not answered in time.
    Timeout,
}

impl Outcome {
    /// Returns the stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Timeout => "timeout",
        }
    }

    /// Reads the stored word.
    pub fn from_stored(word: &str) -> Option<Self> {
        match word {
            "success" => Some(Self::Success),
            "error" => Some(Self::Error),
            "timeout" => Some(Self::Timeout),
            _ => None,
        }
    }
}

/// A row of `archon_mcp_requests`.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestRow {
    /// Its call, if that was in the ledger. Where processes share a database, one that was taken for gone may end a call that
    /// another has settled: its row is left out if the call has left the ledger.
    pub call: Option<CallId>,
    /// Whose request.
    pub session: SessionId,
    /// The JSON-RPC method.
    pub method: Box<str>,
    /// The tool, where one was called.
    pub tool: Option<Box<str>>,
    /// The upstream it went to.
    pub upstream: Arc<str>,
    /// When it arrived.
    pub started: Timestamp,
    /// How long its answer took, in microseconds.
    pub duration_us: i64,
    /// How it ended.
    pub outcome: Outcome,
    /// What went wrong, in at most 500 characters.
    pub error: Option<Box<str>>,
    /// Size of the request's body.
    pub request_bytes: i64,
    /// Size of what was sent in answer, up to and including the answer itself.
    pub response_bytes: i64,
    /// Estimated tokens of the request.
    pub prompt_tokens: i64,
    /// Estimated tokens of the answer.
    pub completion_tokens: i64,
    /// Estimated cost in millionths of a dollar.
    pub cost_micros: i64,
    /// The model whose price was used; `None` if it has none.
    pub model: Option<Arc<str>>,
}

/// What a model costs, in dollars per thousand tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// Per thousand tokens that the model reads.
    pub input_per_1k: f64,
    /// Per thousand tokens that the model writes.
    pub output_per_1k: f64,
}

impl Price {
    /// Returns what a client's model costs, in millionths of a dollar, for a request that it wrote and an answer that
    /// it reads: the request at the output price, the answer at the input price.
    pub fn cost_of_call_micros(&self, request_tokens: i64, answer_tokens: i64) -> i64 {
        self.cost_of_model_micros(answer_tokens, request_tokens)
    }

    /// Returns what a model costs, in millionths of a dollar, that reads a prompt and writes a completion.
    pub fn cost_of_model_micros(&self, prompt_tokens: i64, completion_tokens: i64) -> i64 {
        let dollars = prompt_tokens as f64 * self.input_per_1k / 1000.0
            + completion_tokens as f64 * self.output_per_1k / 1000.0;
        (dollars * 1e6).round() as i64
    }
}

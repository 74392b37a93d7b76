//! The other nodes, as a server reaches them.

mod nodes;
mod passed;

pub(in crate::tracker) use nodes::Nodes;
pub(in crate::tracker) use passed::while_there;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use uuid::Uuid;

use crate::session::SessionId;

/// What a body of another node's may fail with.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer that another node gives.
pub type PeerBody = UnsyncBoxBody<Bytes, BoxError>;

/// Why a node gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// Nothing was sent: it is not there, or cannot be reached from here.
    NotSent,
    /// It may have had the request.
    Lost,
}

/// What a node is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether it has a session or a connection of this id that may not be stored yet.
    Knows(Uuid),
    /// To give a session to the node that asks.
    Give {
        /// Which.
        session: SessionId,
        /// The name of the node that asks.
        to: Arc<str>,
    },
}

/// How other nodes are reached. With it each session is at one node, and requests are sent on to that one; without it
/// any process serves any session.
#[async_trait]
pub trait Peers: fmt::Debug + Send + Sync {
    /// Has a request answered at the node of this address: one hop, for there it is not sent on. It has the path and the
    /// headers that its client sent.
    ///
    /// # Errors
    /// If there is no answer.
    async fn forward(
        &self,
        address: &str,
        request: Request<Bytes>,
    ) -> Result<Response<PeerBody>, Unreached>;

    /// Asks the node of this address; `None` if it does not say.
    async fn ask(&self, address: &str, question: Question) -> Option<bool>;
}

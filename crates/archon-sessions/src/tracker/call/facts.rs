//! What is known of a call from its beginning, and whether it is in the ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use bytes::Bytes;
use parking_lot::Mutex;

use super::Carried;
use super::annotations::Notepad;
use super::cancellation::Cancellation;
use super::ledger::digest;
use crate::protocol::Text;
use crate::session::{McpSessionId, SessionId, Timestamp};
use crate::store::{CallId, OpenCall};

const IN_FLIGHT: u8 = 0;
const IN_LEDGER: u8 = 1;
const ENDED: u8 = 2;

/// What is known of a call when it begins.
#[derive(Debug)]
pub struct CallFacts {
    pub(in crate::tracker) id: CallId,
    pub(in crate::tracker) session: SessionId,
    pub(in crate::tracker) handle: Option<McpSessionId>,
    /// The JSON-RPC id as JSON text.
    pub(in crate::tracker) request: Text,
    pub(in crate::tracker) method: Text,
    pub(in crate::tracker) tool: Option<Text>,
    pub(in crate::tracker) upstream: Arc<str>,
    pub(in crate::tracker) protocol_version: Text,
    /// Only if somebody traces requests.
    pub(in crate::tracker) carried: Option<Box<Carried>>,
    pub(in crate::tracker) started: Timestamp,
    pub(in crate::tracker) request_bytes: i64,
    /// `params`, or the beginning of them; let go where too much of such text waits.
    pub(in crate::tracker) params: Mutex<Bytes>,
    pub(in crate::tracker) place: AtomicU8,
    /// What the service that answers it says of it.
    pub(in crate::tracker) notes: Notepad,
    pub(in crate::tracker) cancellation: Cancellation,
    /// Whether it has texts of its own, instead of parts of the request's body.
    pub(in crate::tracker) is_detached: bool,
}

impl CallFacts {
    /// Enters the ledger, unless the call has ended; returns the row.
    pub(in crate::tracker) fn enter(&self, node: &Arc<str>) -> Option<OpenCall> {
        self.place.compare_exchange(IN_FLIGHT, IN_LEDGER, Relaxed, Relaxed).ok()?;
        Some(OpenCall {
            id: self.id,
            session: self.session,
            handle: self.handle,
            request: (&*self.request).into(),
            digest: digest(&self.params()),
            method: (&*self.method).into(),
            tool: self.tool.as_deref().map(Into::into),
            upstream: self.upstream.clone(),
            started: self.started,
            request_bytes: self.request_bytes,
            node: node.clone(),
        })
    }

    /// Returns `params`, or the beginning of them.
    pub(in crate::tracker) fn params(&self) -> Bytes {
        self.params.lock().clone()
    }

    /// Returns the size of the body that it shares, if it shares one.
    pub(in crate::tracker) fn body_bytes(&self) -> usize {
        if self.is_detached { 0 } else { usize::try_from(self.request_bytes).unwrap_or(0) }
    }

    /// Returns the same without `params`, and with copies of what else is a part of the body: even a short
    /// part keeps all of it.
    pub(in crate::tracker) fn without_body(&self) -> Self {
        let copied = |text: &Text| Text::from(String::from(&**text));
        Self {
            request: copied(&self.request),
            method: copied(&self.method),
            tool: self.tool.as_ref().map(copied),
            upstream: self.upstream.clone(),
            protocol_version: copied(&self.protocol_version),
            carried: self.carried.clone(),
            params: Mutex::default(),
            place: AtomicU8::new(self.place.load(Relaxed)),
            notes: self.notes.moved(),
            cancellation: Cancellation::default(),
            is_detached: true,
            ..*self
        }
    }

    /// Ends the call; returns true if it has to leave the ledger.
    pub(in crate::tracker) fn leave(&self) -> bool {
        self.place.swap(ENDED, Relaxed) == IN_LEDGER
    }
}

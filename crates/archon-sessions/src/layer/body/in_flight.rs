//! The id under which a call is with the inner service: its own, or one of ours while another call on its connection
//! has the same.

use std::sync::Arc;

use bytes::Bytes;

use crate::protocol::Message;
use crate::protocol::renamed::Renamed;
use crate::tracker::{IdInUse, LiveConnection};

/// See the module. The id is free again when this is dropped.
#[derive(Debug, Default)]
pub struct InFlight {
    _own: Option<IdInUse>,
    renamed: Option<Renamed>,
}

impl InFlight {
    /// Enters the request of a message, if it holds one; returns the body and the message to go on with.
    pub fn enter(
        connection: Option<&Arc<LiveConnection>>,
        message: Arc<Message>,
        body: Bytes,
    ) -> (Self, Arc<Message>, Bytes) {
        let as_it_is = (Self::default(), message.clone(), body.clone());
        let (Some(connection), Message::Single(envelope)) = (connection, &*message) else {
            return as_it_is;
        };
        let Some(id) = envelope.request_id() else { return as_it_is };
        if let Some(own) = LiveConnection::use_id(connection, id) {
            return (Self { _own: Some(own), renamed: None }, message, body);
        }
        let renamed = Renamed::rename(&body, id);
        let read = renamed.and_then(|(body, it)| Some((Message::parse(&body).ok()?, body, it)));
        let Some((message, body, renamed)) = read else { return as_it_is };
        (Self { _own: None, renamed: Some(renamed) }, Arc::new(message), body)
    }

    /// Returns true if answers are changed, in length too.
    pub fn is_renamed(&self) -> bool {
        self.renamed.is_some()
    }

    /// Returns what was answered, with the call's own id.
    pub fn restore(&mut self, bytes: Bytes) -> Bytes {
        match &mut self.renamed {
            Some(renamed) => renamed.restore(&bytes),
            None => bytes,
        }
    }

    /// The answer begins again.
    pub fn begin_again(&mut self) {
        if let Some(renamed) = &mut self.renamed {
            renamed.begin_again();
        }
    }
}

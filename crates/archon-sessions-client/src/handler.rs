//! What a client does with what servers say or ask by themselves.

use futures_util::future::BoxFuture;
use rmcp::model::{ClientCapabilities, ErrorCode, ErrorData, ProgressNotificationParam};
use serde_json::Value;

use crate::session::SessionChange;

/// Hears what a server says beside its answers, and by itself, and answers what it asks: sampling, elicitation, roots.
///
/// A method of it runs beside calls; what takes long belongs into a task of your own.
pub trait Handler: Send + Sync + 'static {
    /// Returns what this client can do for servers; nothing unless you say so.
    fn capabilities(&self) -> ClientCapabilities {
        ClientCapabilities::default()
    }

    /// Answers a question of the server: `sampling/createMessage`, `elicitation/create`, `roots/list`. In both eras:
    /// a modern `input_required` result is taken apart into these, and the call made again with the answers.
    ///
    /// # Errors
    /// A JSON-RPC error for the server. Unless you say otherwise that is -32601, as for anything that is not known.
    fn request(&self, method: &str, params: Value) -> BoxFuture<'static, Result<Value, ErrorData>> {
        let _ = params;
        let message = format!("this client does not answer {method}");
        Box::pin(async { Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, message, None)) })
    }

    /// Hears how far a call is, of a tool by this name.
    fn progress(&self, tool: &str, progress: ProgressNotificationParam) {
        let _ = (tool, progress);
    }

    /// Hears any other notification: log messages, lists that have changed.
    fn notification(&self, method: &str, params: Value) {
        let _ = (method, params);
    }

    /// Hears that the client is in another session now.
    fn session_changed(&self, change: &SessionChange) {
        let _ = change;
    }
}

/// Who answers nothing.
pub(crate) struct NoHandler;

impl Handler for NoHandler {}

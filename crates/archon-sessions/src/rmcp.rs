//! For servers on rmcp, with the feature `rmcp`: the session of a request as an argument of a tool, and our tables
//! behind rmcp's own `SessionStore` and `EventStore`.
//!
//! # A server behind the layer
//!
//! A tool or prompt of a server behind a [`SessionLayer`](crate::layer::SessionLayer) takes a
//! [`CurrentSession`] as an argument:
//!
//! ```
//! use archon_sessions::CurrentSession;
//! use rmcp::{tool, tool_router};
//!
//! struct Greeter;
//!
//! #[tool_router(server_handler)]
//! impl Greeter {
//!     #[tool(description = "Greets whoever calls.")]
//!     async fn greet(&self, session: CurrentSession) -> String {
//!         session.annotate().tokens(12, 7);
//!         format!("hello, {}", session.client().kind())
//!     }
//! }
//! ```
//!
//! # A server without it
//!
//! [`RmcpStore`] lets rmcp keep its sessions and events in our tables, so that they outlive the server's process.
//! That is less than the layer does; its page says how much.

mod events;
mod kept;
mod store;
#[cfg(test)]
mod tests;

pub use store::RmcpStore;

use ::rmcp::ErrorData;
use ::rmcp::handler::server::common::{AsRequestContext, FromContextPart};
use http::request::Parts;

use crate::layer::CurrentSession;

impl<C: AsRequestContext> FromContextPart<C> for CurrentSession {
    /// Returns the session of the request that a tool or prompt answers.
    ///
    /// # Errors
    /// If the request did not come through the layer.
    fn from_context_part(context: &mut C) -> Result<Self, ErrorData> {
        let parts = context.as_request_context().extensions.get::<Parts>();
        let session = parts.and_then(|parts| parts.extensions.get::<Self>()).cloned();
        session.ok_or_else(|| {
            let advice = "this request has no session; put a SessionLayer around the server";
            ErrorData::internal_error(advice, None)
        })
    }
}

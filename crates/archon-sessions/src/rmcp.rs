//! For servers on rmcp: the session of a request as an argument of a tool or prompt, and our store behind rmcp's
//! own `SessionStore` and `EventStore`. With the feature `rmcp`.

use ::rmcp::ErrorData;
use ::rmcp::handler::server::common::{AsRequestContext, FromContextPart};
use http::request::Parts;

use crate::layer::Session;

/// A tool or prompt of a server behind a [`SessionLayer`](crate::layer::SessionLayer) takes its session as an
/// argument.
impl<C: AsRequestContext> FromContextPart<C> for Session {
    fn from_context_part(context: &mut C) -> Result<Self, ErrorData> {
        let parts = context.as_request_context().extensions.get::<Parts>();
        let session = parts.and_then(|parts| parts.extensions.get::<Self>()).cloned();
        session.ok_or_else(|| {
            let advice = "this request has no session; put a SessionLayer around the server";
            ErrorData::internal_error(advice, None)
        })
    }
}

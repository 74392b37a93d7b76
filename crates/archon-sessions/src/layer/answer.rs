//! What is said on an answer, whichever way it came about.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode};

use super::body::SessionBody;
use super::failure::CallFailed;
use crate::protocol::names::{MCP_SESSION_ID, X_ACCEL_BUFFERING, X_ARCHON_SESSION_ID};
use crate::protocol::sse::is_event_stream;
use crate::tracker::{Admission, Call, Ending};

/// Says on an answer whose it is.
pub(super) fn label<B>(
    mut response: Response<SessionBody<B>>,
    admission: &Admission,
) -> Response<SessionBody<B>> {
    let headers = response.headers_mut();
    headers.insert(X_ARCHON_SESSION_ID, admission.presence.header().clone());
    if let Some(connection) = &admission.connection {
        headers.insert(MCP_SESSION_ID, connection.header().clone());
    }
    response
}

/// Returns true if an answer with these is a stream of events, and no refusal in that form.
pub(super) fn opens_stream(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::OK && is_event_stream(headers)
}

/// Returns a stream of events.
pub(super) fn stream_head<B>(body: SessionBody<B>) -> Response<SessionBody<B>> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// Ends calls that the inner service did not answer, and waits until that is durable where it has to be.
pub(super) async fn end_all(calls: Vec<Call>, failed: &CallFailed) {
    for call in calls {
        let ending = Ending::without_answer(failed.outcome, failed.message.as_str());
        let ending = Ending { code: Some(failed.code), ..ending };
        if let Some(durable) = call.end(ending) {
            durable.wait().await;
        }
    }
}

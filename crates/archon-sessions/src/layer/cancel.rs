//! Calls that a legacy client takes back (MCP 2025-11-25, Cancellation): they are over at once, whatever the server
//! makes of it. A modern client closes the stream instead: see `body`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};

use super::accept::Accepts;
use super::answer::stream_head;
use super::body::{CANCELLED, SessionBody};
use super::failure::CallFailed;
use super::flow::{Flow, InnerRequest, InnerService};
use super::restore::Answered;
use crate::store::Outcome;
use crate::tracker::{Call, Ending, LiveConnection};

/// The server is told first, while what is between us still knows the call; but no longer than this.
const TELL_TIME_MAX: Duration = Duration::from_secs(1);

impl<S: InnerService> Flow<S> {
    /// Passes on that the calls of these ids (JSON text) are taken back, and ends them.
    pub(super) async fn take_back(
        &mut self,
        ids: &[String],
        request: &InnerRequest,
        connection: &Arc<LiveConnection>,
    ) -> Result<Answered<S::Answer>, CallFailed> {
        let tracker = self.shared.tracker.clone();
        ids.iter().for_each(|id| tracker.begin_cancel(connection, id));
        let mut told = pin!(self.call_repeatably(request, Some(connection)));
        let in_time = tokio::time::timeout(TELL_TIME_MAX, told.as_mut()).await;
        for id in ids {
            tracker.cancel(connection, id);
        }
        match in_time {
            Ok(answered) => answered,
            Err(_) => told.await,
        }
    }
}

/// Returns when all of these calls were taken back; never, if there are none.
pub(super) async fn taken_back(calls: &[Call]) {
    std::future::poll_fn(|context| {
        let is_over = |call: &Call| call.poll_cancelled(context).is_ready();
        let are_over =
            !calls.is_empty() && calls.iter().map(is_over).fold(true, |all, one| all & one);
        if are_over { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Ends calls that were taken back before the head of their answer. "Not send a response": what is sent has none.
pub(super) fn no_answer<B>(calls: Vec<Call>, accepts: Accepts) -> Response<SessionBody<B>> {
    for call in calls {
        // Nobody is answered, so nobody waits.
        let _ = call.end(Ending::without_answer(Outcome::Error, CANCELLED));
    }
    if accepts == Accepts::Streams {
        return stream_head(SessionBody::default());
    }
    let mut response = Response::new(SessionBody::default());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

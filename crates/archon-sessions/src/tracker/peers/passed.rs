//! The body of an answer that another node gives, for as long as that node is there: one that hangs or was cut off closes
//! no connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{BoxError, PeerBody};

/// Returns the body, which breaks off when its node is gone.
pub(in crate::tracker) fn while_there(body: PeerBody, gone: CancellationToken) -> PeerBody {
    Passed { body, gone: Box::pin(gone.cancelled_owned()) }.boxed_unsync()
}

struct Passed {
    body: PeerBody,
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Body for Passed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        match self.gone.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err("the node that answers is gone".into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

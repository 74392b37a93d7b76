//! The body of an upstream's answer, wherever it comes from.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use archon_sessions::layer::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::{BoxBody, UnsyncBoxBody};

use crate::gateway::pool::PooledBody;

/// What looks at bytes as they pass.
pub type Look = Box<dyn FnMut(&[u8]) + Send>;

/// See the module.
pub struct GatewayBody {
    /// What was read of the source already, or what we wrote in its place.
    ahead: VecDeque<Bytes>,
    source: Source,
}

enum Source {
    None,
    Http(PooledBody, Option<Look>),
    Demo(BoxBody<Bytes, Infallible>),
    Stream(UnsyncBoxBody<Bytes, BoxError>),
}

impl GatewayBody {
    /// Returns a body that we wrote.
    pub fn ours(bytes: Bytes) -> Self {
        Self { ahead: VecDeque::from([bytes]), source: Source::None }
    }

    /// Returns the body of an HTTP upstream's answer; `look` is shown its bytes as they pass.
    pub fn http(body: PooledBody, look: Option<Look>) -> Self {
        Self { ahead: VecDeque::new(), source: Source::Http(body, look) }
    }

    /// Returns the body of the demo server's answer.
    pub fn demo(body: BoxBody<Bytes, Infallible>) -> Self {
        Self { ahead: VecDeque::new(), source: Source::Demo(body) }
    }

    /// Returns a body that is made as it is read.
    pub fn stream(body: UnsyncBoxBody<Bytes, BoxError>) -> Self {
        Self { ahead: VecDeque::new(), source: Source::Stream(body) }
    }

    /// Puts bytes before the rest.
    pub fn with_ahead(mut self, bytes: Bytes) -> Self {
        self.ahead.push_front(bytes);
        self
    }
}

impl Body for GatewayBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(bytes) = self.ahead.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match &mut self.source {
            Source::None => Poll::Ready(None),
            Source::Http(body, look) => {
                let frame = std::task::ready!(Pin::new(body).poll_frame(context));
                let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
                if let (Some(data), Some(look)) = (data, look) {
                    look(data);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Source::Stream(body) => Pin::new(body).poll_frame(context),
            Source::Demo(body) => Pin::new(body)
                .poll_frame(context)
                .map(|frame| frame.map(|f| f.map_err(|never| match never {}))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty()
            && match &self.source {
                Source::None => true,
                Source::Http(body, _) => body.is_end_stream(),
                Source::Demo(body) => body.is_end_stream(),
                Source::Stream(body) => body.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match &self.source {
            Source::None => Some(0),
            Source::Http(body, _) => body.size_hint().exact(),
            Source::Demo(body) => body.size_hint().exact(),
            Source::Stream(body) => body.size_hint().exact(),
        };
        let ahead: u64 = self.ahead.iter().map(|bytes| bytes.len() as u64).sum();
        rest.map_or_else(SizeHint::default, |rest| SizeHint::with_exact(ahead + rest))
    }
}

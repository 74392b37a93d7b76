//! Requests that are answered before they were read: a client that writes its whole request before it reads must
//! be able to write it, or it sees a broken connection in place of the answer.
//!
//! A body that is short is read before the answer is sent, so that the connection can carry the client's next
//! request: it gets a token, and tries again. Before a longer one the answer goes first, says that the connection
//! ends with it, and the body is read on for a bounded while (nginx: `lingering_close`).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::future::BoxFuture;
use http::header::{CONNECTION, EXPECT, HeaderValue};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::time::timeout;
use tower::Service;

/// A body is read before the answer up to this length: more than most messages.
const SHORT_BYTES_MAX: u64 = 64 * 1024;
/// And for this long: bodies come right after their heads.
const SHORT_TIME_MAX: Duration = Duration::from_secs(2);
/// After the answer a body is read on for this long, as by nginx's default, ...
const LINGER_TIME_MAX: Duration = Duration::from_secs(30);
/// ... until its client has been silent for this long, ...
const LINGER_SILENCE_MAX: Duration = Duration::from_secs(5);
/// ... and up to this length: what a client uploads in that time over a fast line.
const LINGER_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Stands before a service that may answer before it has read a request; see the module.
#[derive(Clone, Debug)]
pub struct ReadsOn<S>(pub S);

impl<S, A, B> Service<Request<A>> for ReadsOn<S>
where
    S: Service<Request<Lent<A>>, Response = Response<B>, Error = Infallible>,
    A: Body<Data = Bytes> + Send + Unpin + 'static,
    A::Error: Send,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Answering<S::Future, A, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        // A client that waits to be asked for its body keeps it (RFC 9110, 10.1.1).
        let is_asked_for = request.headers().contains_key(EXPECT);
        let left = Left::default();
        let owner = (!request.body().is_end_stream()).then(|| left.clone());
        let request = request.map(|body| Lent { body: Some(body), was_polled: false, owner });
        Answering::Answer { answer: self.0.call(request), left, is_asked_for }
    }
}

/// Where a body is put that its reader let go of before its end.
type Shelf<A> = Arc<Mutex<Option<Unread<A>>>>;

struct Left<A>(Shelf<A>);

impl<A> Default for Left<A> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<A> Clone for Left<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A body that was not read to its end.
struct Unread<A> {
    body: A,
    was_polled: bool,
}

/// A request's body, which comes back to its owner if it is not read to its end.
pub struct Lent<A> {
    body: Option<A>,
    was_polled: bool,
    /// `None` once it has ended.
    owner: Option<Left<A>>,
}

impl<A: Body<Data = Bytes> + Unpin> Body for Lent<A> {
    type Data = Bytes;
    type Error = A::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, A::Error>>> {
        self.was_polled = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.owner = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl<A> Drop for Lent<A> {
    fn drop(&mut self) {
        if let (Some(body), Some(Left(shelf))) = (self.body.take(), self.owner.take()) {
            let unread = Unread { body, was_polled: self.was_polled };
            *shelf.lock() = Some(unread);
        }
    }
}

pin_project! {
    /// An answer, and the end of its request where that was not read.
    #[project = AnsweringProjection]
    pub enum Answering<F, A, B> {
        Answer {
            #[pin]
            answer: F,
            left: Left<A>,
            is_asked_for: bool,
        },
        Settling { settled: BoxFuture<'static, Response<B>> },
    }
}

impl<F, A, B> Future for Answering<F, A, B>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    A: Body<Data = Bytes> + Send + Unpin + 'static,
    A::Error: Send,
    B: Send + 'static,
{
    type Output = Result<Response<B>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let settled = match self.as_mut().project() {
            AnsweringProjection::Settling { settled } => {
                return settled.as_mut().poll(context).map(Ok);
            }
            AnsweringProjection::Answer { answer, left, is_asked_for } => {
                let Ok(answer) = ready!(answer.poll(context));
                let unread = left.0.lock().take();
                match unread.filter(|unread| !unread.body.is_end_stream()) {
                    Some(unread) => settle(unread, answer, *is_asked_for),
                    None => return Poll::Ready(Ok(answer)),
                }
            }
        };
        self.set(Self::Settling { settled: Box::pin(settled) });
        self.poll(context)
    }
}

/// Returns the answer when it may be sent.
async fn settle<A, B>(
    Unread { mut body, was_polled }: Unread<A>,
    mut answer: Response<B>,
    is_asked_for: bool,
) -> Response<B>
where
    A: Body<Data = Bytes> + Send + Unpin + 'static,
    A::Error: Send,
{
    if is_asked_for && !was_polled {
        close_after(&mut answer);
        return answer;
    }
    let is_short = body.size_hint().lower() <= SHORT_BYTES_MAX;
    if is_short {
        let read = read_up_to(&mut body, SHORT_BYTES_MAX, SHORT_TIME_MAX);
        if timeout(SHORT_TIME_MAX, read).await.unwrap_or(false) {
            return answer;
        }
    }
    close_after(&mut answer);
    // It ends with its connection, whose owner waits for that.
    tokio::spawn(timeout(LINGER_TIME_MAX, async move {
        read_up_to(&mut body, LINGER_BYTES_MAX, LINGER_SILENCE_MAX).await
    }));
    answer
}

/// Reads a body and forgets it; returns true if it ended in an orderly way within the bounds.
async fn read_up_to<A>(body: &mut A, bytes_max: u64, silence_max: Duration) -> bool
where
    A: Body<Data = Bytes> + Unpin,
{
    let mut bytes = 0;
    loop {
        match timeout(silence_max, body.frame()).await {
            Ok(None) => return true,
            Ok(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, Buf::remaining) as u64,
            Ok(Some(Err(_))) | Err(_) => return false,
        }
        if bytes > bytes_max {
            return false;
        }
    }
}

/// Without this a client could send its next request on a connection that ends, and not know whether that has run.
fn close_after<B>(answer: &mut Response<B>) {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};

    use super::*;
    use http::StatusCode;
    use http_body_util::{Empty, Full, StreamBody};
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper_util::rt::TokioIo;
    use hyper_util::service::TowerToHyperService;
    use tower::{ServiceExt, service_fn};

    async fn refuses<A>(request: Request<Lent<A>>) -> Result<Response<Full<Bytes>>, Infallible> {
        drop(request);
        let mut answer = Response::new(Full::from("refused"));
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
        Ok(answer)
    }

    async fn closes<A>(body: A, expect: bool) -> bool
    where
        A: Body<Data = Bytes> + Send + Unpin + 'static,
        A::Error: Send,
    {
        let mut request = Request::new(body);
        if expect {
            request.headers_mut().insert(EXPECT, HeaderValue::from_static("100-continue"));
        }
        let answer = ReadsOn(service_fn(refuses)).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        answer.headers().contains_key(CONNECTION)
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_goes_on_where_the_body_was_read() {
        let small = Full::new(Bytes::from_static(b"{}"));
        assert!(!closes(small.clone(), false).await);
        assert!(!closes(Empty::new(), false).await);
        assert!(closes(small, true).await, "a client that waits to be asked keeps its body");
        let large = Full::new(Bytes::from(vec![b' '; SHORT_BYTES_MAX as usize + 1]));
        assert!(closes(large, false).await);
        let never = StreamBody::new(futures_util::stream::pending::<
            Result<Frame<Bytes>, std::io::Error>,
        >());
        assert!(closes(never, false).await);
    }

    /// Serves one connection, which refuses all that comes on it.
    async fn refusing() -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(ReadsOn(service_fn(refuses::<Incoming>)));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        address
    }

    /// Writes all of these before it reads the answer.
    async fn answer_to(parts: Vec<Vec<u8>>) -> String {
        let address = refusing().await;
        let client = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address)?;
            for part in parts {
                stream.write_all(&part)?;
            }
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        });
        client.await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_client_that_writes_before_it_reads_gets_its_answer() {
        const LENGTH: usize = 24 * 1024 * 1024;
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n");
        let answer = answer_to(vec![head.into_bytes(), vec![b' '; LENGTH]]).await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.ends_with("refused"), "{answer}");
        let mut parts =
            vec![b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()];
        let chunk = [b"100000\r\n".to_vec(), vec![b' '; 0x10_0000], b"\r\n".to_vec()].concat();
        parts.extend(vec![chunk; 24]);
        parts.push(b"0\r\n\r\n".to_vec());
        let answer = answer_to(parts).await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.ends_with("refused"), "{answer}");
    }
}

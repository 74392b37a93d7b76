//! A refusal before the request was read to its end.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{HeaderMap, Response};
use http_body::Body;
use http_body_util::{BodyExt, Limited};

/// Of what a refused client sends, so much is read: more than a first message needs, not enough to be a burden.
const BYTES_MAX: usize = 64 * 1024;
/// And for so long: bodies come right after their heads.
const TIME_MAX: Duration = Duration::from_secs(2);

/// Returns the refusal once the body is out of the way, so that its client can go on on the same connection: get
/// a token, and try again. Where the body is too much, the client is told that the connection ends.
///
/// Without this the connection would be closed without a word, and a client that sends its next request on it
/// could not know whether that has run.
pub async fn refuse_after<A, B>(body: A, mut refusal: Response<B>) -> Response<B>
where
    A: Body<Data = Bytes>,
    A::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if !tokio::time::timeout(TIME_MAX, is_read(body)).await.unwrap_or(false) {
        close_after(refusal.headers_mut());
    }
    refusal
}

async fn is_read<A>(body: A) -> bool
where
    A: Body<Data = Bytes>,
    A::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = pin!(Limited::new(body, BYTES_MAX));
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return false;
        }
    }
    true
}

fn close_after(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Empty, Full, StreamBody};

    fn closes(response: &Response<()>) -> bool {
        response.headers().contains_key(CONNECTION)
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_goes_on_where_the_body_was_read() {
        let small = Full::new(Bytes::from_static(b"{}"));
        assert!(!closes(&refuse_after(small, Response::new(())).await));
        assert!(!closes(&refuse_after(Empty::new(), Response::new(())).await));
        let large = Full::new(Bytes::from(vec![b' '; BYTES_MAX + 1]));
        assert!(closes(&refuse_after(large, Response::new(())).await));
        let never = StreamBody::new(futures_util::stream::pending::<
            Result<http_body::Frame<Bytes>, std::io::Error>,
        >());
        assert!(closes(&refuse_after(never, Response::new(())).await));
    }
}

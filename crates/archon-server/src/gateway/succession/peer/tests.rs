//! Two processes that ask each other.

use super::*;
use crate::gateway::wire::answer;

/// Answers what it is asked by the name of the upstream, and keeps what it is given.
#[derive(Default)]
struct Answering {
    taken: Mutex<Vec<(String, usize)>>,
    /// Cancelled when the stream that never ends is dropped.
    left: CancellationToken,
}

impl Household for Answering {
    fn answer(&self, from: Origin, upstream: String, asked: Asked, body: Bytes) -> Served {
        let left = self.left.clone().drop_guard();
        if upstream == "endless" {
            self.taken.lock().unwrap().push((upstream.clone(), 0));
        }
        Box::pin(async move {
            assert_eq!((from, asked.is_modern), (Origin::Successor, true));
            match &*upstream {
                "whole" => Ok(Some(answer::json(StatusCode::BAD_REQUEST, body))),
                "stream" => {
                    let bytes = Bytes::from(vec![b'x'; PART_BYTES_MAX + 1]);
                    let parts = [bytes, Bytes::from_static(b"end")];
                    let frames = parts.map(|part| Ok::<_, BoxError>(BodyFrame::data(part)));
                    let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
                    left.disarm();
                    Ok(Some(answer::event_stream(GatewayBody::stream(body.boxed_unsync()))))
                }
                "endless" => {
                    let stream = futures_util::stream::poll_fn(move |_| {
                        let _held = &left;
                        Poll::<Option<Result<BodyFrame<Bytes>, BoxError>>>::Pending
                    });
                    let body = http_body_util::StreamBody::new(stream);
                    Ok(Some(answer::event_stream(GatewayBody::stream(body.boxed_unsync()))))
                }
                "failing" => Err(CallFailed::unreachable("failing")),
                _ => Ok(None),
            }
        })
    }

    fn take(&self, _: Origin, said: Said, frame: Frame) {
        if let Said::Link { upstream, .. } | Said::Eras { upstream, .. } = said {
            self.taken.lock().unwrap().push((upstream, frame.files.len()));
        }
    }
}

/// Returns the successor's peer, and what the predecessor is.
fn both(predecessor: Arc<Answering>) -> (Arc<Peer>, Arc<Peer>, Arc<Answering>) {
    let (old, new) = UnixStream::pair().unwrap();
    let eras = |name: &str| Said::Eras {
        upstream: name.to_owned(),
        is_modern: true,
        versions: Vec::new(),
    };
    let first = move |peer: &Arc<Peer>| peer.say(&eras("first"));
    let successor = Arc::<Answering>::default();
    let of_old = Peer::start(old, Origin::Successor, predecessor, first);
    let of_new = Peer::start(new, Origin::Predecessor, successor.clone(), |_| {});
    (of_new, of_old, successor)
}

async fn relay(peer: &Arc<Peer>, upstream: &str) -> Option<Result<Answer, CallFailed>> {
    let asked = Asked { is_modern: true, ..Asked::default() };
    peer.relay(upstream, &asked, &Bytes::from_static(b"{}")).await
}

#[tokio::test]
async fn requests_are_answered_from_the_other_process() {
    let (peer, _old, successor) = both(Arc::default());
    let whole = relay(&peer, "whole").await.unwrap().unwrap();
    assert_eq!(whole.status(), StatusCode::BAD_REQUEST);
    assert_eq!(whole.headers()["content-type"], "application/json");
    assert_eq!(whole.body().size_hint().exact(), Some(2));
    let stream = relay(&peer, "stream").await.unwrap().unwrap();
    assert!(is_event_stream(stream.headers()));
    let bytes = stream.into_body().collect().await.unwrap().to_bytes();
    assert_eq!((bytes.len(), bytes.ends_with(b"xend")), (PART_BYTES_MAX + 4, true));
    let failed = relay(&peer, "failing").await.unwrap().err().unwrap();
    assert_eq!(failed.code, CallFailed::unreachable("failing").code);
    assert!(relay(&peer, "elsewhere").await.is_none());
    // What was said before the hello was taken before it.
    assert_eq!(*successor.taken.lock().unwrap(), [("first".to_owned(), 0)]);
    assert!(peer.asked().is_empty());
}

#[tokio::test]
async fn a_stream_that_nobody_reads_is_dropped_there() {
    let predecessor = Arc::<Answering>::default();
    let (peer, _old, _) = both(predecessor.clone());
    let stream = relay(&peer, "endless").await.unwrap().unwrap();
    assert!(!predecessor.left.is_cancelled());
    drop(stream);
    predecessor.left.cancelled().await;
}

#[tokio::test]
async fn what_was_asked_of_a_process_that_dies_may_have_run() {
    let (old, new) = UnixStream::pair().unwrap();
    let peer = Peer::start(new, Origin::Predecessor, Arc::<Answering>::default(), |_| {});
    let asking = tokio::spawn({
        let peer = peer.clone();
        async move { relay(&peer, "whole").await }
    });
    let mut reader = Reader::new(Arc::new(old));
    let hello = reader.next().await.unwrap().unwrap();
    assert!(matches!(Said::read(&hello.head), Some(Said::Hello { version: VERSION })));
    drop(reader);
    // It had not said a word: nothing can have run there.
    assert!(asking.await.unwrap().is_none());

    let predecessor = Arc::<Answering>::default();
    let (peer, of_old, _) = both(predecessor);
    let stream = relay(&peer, "endless").await.unwrap().unwrap();
    of_old.close();
    // Its writer ends, and with it the socket once its reader is told.
    peer.close();
    let broken = stream.into_body().collect().await.is_err();
    assert!(broken);
    assert!(relay(&peer, "whole").await.is_none());
}

#[tokio::test]
async fn another_version_is_left_alone() {
    let (old, new) = UnixStream::pair().unwrap();
    let peer = Peer::start(new, Origin::Predecessor, Arc::<Answering>::default(), |_| {});
    let hello = Said::Hello { version: VERSION + 1 };
    let frame = Frame { head: hello.head(), ..Frame::default() };
    channel::write(&old, &frame).await.unwrap();
    assert!(!peer.is_open().await);
    assert!(relay(&peer, "whole").await.is_none());
}

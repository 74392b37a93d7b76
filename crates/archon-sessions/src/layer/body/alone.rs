//! What becomes of an answer whose client has left.
//!
//! To a modern server that is cancellation: the stream is closed and that is all. To a legacy one it is
//! not: the stream is read on, into the log, for its client to come back to.

use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use tokio::time::Instant;

use super::theirs::{Next, Theirs};
use crate::layer::failure::BoxError;

/// A stream on which the server speaks by itself is read on for so long, for a client that lost its
/// network; clients come back within seconds.
const LINGER: Duration = Duration::from_secs(30);
/// How often it is looked whether anybody still wants it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Lets go of an answer without its client.
pub fn abandon<B>(mut theirs: Box<Theirs<B>>)
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let Some(watch) = &mut theirs.watch else { return };
    watch.place = None;
    if let Some(reader) = theirs.reader.take() {
        reader.log().sent_all();
    }
    match watch.outlives_client() {
        Some(tracker) => tracker.clone().outlive(async move {
            // Streams on which nothing is asked for end with the server.
            tokio::select! {
                () = tracker.closing().cancelled(), if theirs.is_standing() => {}
                () = go_on(&mut theirs) => {}
            }
        }),
        None => {
            if let Some(watch) = theirs.watch.take() {
                watch.cancelled();
            }
        }
    }
}

async fn go_on<B>(theirs: &mut Theirs<B>)
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let mut left = Instant::now();
    while theirs.is_wanted() {
        if theirs.is_standing() {
            if theirs.is_read_again() {
                left = Instant::now();
            } else if left.elapsed() >= LINGER {
                return;
            }
        }
        let next = std::future::poll_fn(|context| theirs.poll_alone(context));
        match tokio::time::timeout(LOOK_EVERY, next).await {
            Err(_) | Ok(Next::Frame(_) | Next::GoOnAlone) => {}
            Ok(Next::End | Next::Error(_)) => return,
        }
    }
}

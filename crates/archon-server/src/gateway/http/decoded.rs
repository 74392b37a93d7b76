//! Answers that come coded although we ask for none that do: read here, since nobody could track them otherwise.
//!
//! An event stream that is coded is decoded event by event, as far as its server flushes each.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use archon_sessions::layer::BoxError;
use async_compression::tokio::bufread::{DeflateDecoder, GzipDecoder, ZlibDecoder};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::{Body, Frame};
use http_body_util::{BodyDataStream, BodyExt, StreamBody};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, BufReader};
use tokio_util::io::{ReaderStream, StreamReader};

use crate::gateway::wire::{GatewayBody, Look};

/// Codings on top of each other.
const CODINGS_MAX: usize = 2;
/// Bytes decoded at a time.
const CHUNK_BYTES: usize = 16 * 1024;
/// A body that decodes to more than so many bytes...
const FREE_BYTES: u64 = 16 * 1024 * 1024;
/// ... may be so many times what came over the wire; JSON stays far below it.
const RATIO_MAX: u64 = 200;

/// A coding that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950; some servers mean RFC 1951 by the same word.
    Deflate,
}

/// Returns the codings of an answer, the outermost last.
///
/// # Errors
/// With the name of one that we do not read.
pub fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, String> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        for name in value.split(',').map(str::trim) {
            match name {
                "" | "identity" => {}
                "gzip" | "x-gzip" => codings.push(Coding::Gzip),
                "deflate" => codings.push(Coding::Deflate),
                other => return Err(other.to_owned()),
            }
        }
    }
    if codings.len() > CODINGS_MAX {
        return Err("several at once".to_owned());
    }
    Ok(codings)
}

/// Returns the body as it was before it was coded; its headers say so. `look` is shown its bytes as they pass.
pub fn decode<B>(
    headers: &mut HeaderMap,
    codings: &[Coding],
    body: B,
    mut look: Option<Look>,
) -> GatewayBody
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    if body.is_end_stream() {
        return GatewayBody::ours(Bytes::new());
    }
    let coded_bytes = Arc::new(AtomicU64::new(0));
    let counted = coded_bytes.clone();
    let coded = BodyDataStream::new(body).map_err(std::io::Error::other).inspect_ok(move |data| {
        counted.fetch_add(data.len() as u64, Relaxed);
    });
    let codings = codings.to_vec();
    let decoded = futures_util::stream::once(async move {
        let mut reader: Pin<Box<dyn AsyncBufRead + Send>> = Box::pin(StreamReader::new(coded));
        for coding in codings.iter().rev() {
            let decoder = decoder(*coding, reader).await?;
            reader = Box::pin(BufReader::with_capacity(CHUNK_BYTES, decoder));
        }
        Ok::<_, std::io::Error>(ReaderStream::with_capacity(reader, CHUNK_BYTES))
    });
    let mut decoded_bytes = 0;
    let frames = decoded.try_flatten().map(move |data| {
        let data = data?;
        decoded_bytes += data.len() as u64;
        let allowed = (coded_bytes.load(Relaxed) * RATIO_MAX).max(FREE_BYTES);
        if decoded_bytes > allowed {
            return Err("the upstream's answer decodes to too many bytes".into());
        }
        if let Some(look) = &mut look {
            look(&data);
        }
        Ok::<_, BoxError>(Frame::data(data))
    });
    GatewayBody::stream(StreamBody::new(frames.boxed()).boxed_unsync())
}

type Coded = Pin<Box<dyn AsyncBufRead + Send>>;

async fn decoder(
    coding: Coding,
    mut coded: Coded,
) -> std::io::Result<Pin<Box<dyn AsyncRead + Send>>> {
    match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(coded);
            // Some servers write a member an event.
            decoder.multiple_members(true);
            Ok(Box::pin(decoder))
        }
        Coding::Deflate => {
            // RFC 1950: its first byte ends in 8, which no sensible RFC 1951 begins with.
            let first = coded.fill_buf().await?.first().copied().unwrap_or(0x78);
            Ok(if first & 0x0f == 8 {
                Box::pin(ZlibDecoder::new(coded))
            } else {
                Box::pin(DeflateDecoder::new(coded))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;
    use http_body_util::Full;
    use tokio::sync::mpsc;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn headers(coding: &'static str) -> HeaderMap {
        let length = (CONTENT_LENGTH, HeaderValue::from_static("7"));
        [(CONTENT_ENCODING, HeaderValue::from_static(coding)), length].into_iter().collect()
    }

    async fn text(coding: &'static str, coded: Vec<u8>) -> Result<String, String> {
        let mut headers = headers(coding);
        let codings = codings(&headers)?;
        let body = decode(&mut headers, &codings, Full::new(Bytes::from(coded)), None);
        assert!(headers.is_empty());
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok(String::from_utf8(body.to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn what_is_coded_is_read() {
        let json = br#"{"jsonrpc":"2.0"}"#;
        let expected = Ok(String::from_utf8(json.to_vec()).unwrap());
        assert_eq!(text("gzip", gzip(json)).await, expected);
        assert_eq!(text("X-GZIP, identity", gzip(json)).await, expected);
        assert_eq!(text("gzip, gzip", gzip(&gzip(json))).await, expected);
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(json).unwrap();
        assert_eq!(text("deflate", zlib.finish().unwrap()).await, expected);
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(json).unwrap();
        assert_eq!(text("deflate", raw.finish().unwrap()).await, expected);
        assert_eq!(text("gzip", Vec::new()).await, Ok(String::new()));
    }

    #[tokio::test]
    async fn what_is_not_is_refused_by_name() {
        assert_eq!(text("br", Vec::new()).await, Err("br".to_owned()));
        assert_eq!(text("gzip, gzip, gzip", Vec::new()).await, Err("several at once".to_owned()));
        let mut cut = gzip(b"something");
        cut.truncate(12);
        assert!(text("gzip", cut).await.is_err());
        assert!(text("gzip", b"<html>".to_vec()).await.is_err());
    }

    #[tokio::test]
    async fn a_bomb_does_not_go_off() {
        let bomb = gzip(&gzip(&vec![b' '; 64 * 1024 * 1024]));
        let error = text("gzip, gzip", bomb).await.unwrap_err();
        assert!(error.contains("too many bytes"), "{error}");
        let large = vec![b' '; 8 * 1024 * 1024];
        assert_eq!(text("gzip", gzip(&large)).await.map(|text| text.len()), Ok(large.len()));
    }

    #[tokio::test]
    async fn events_come_as_they_are_flushed() {
        let (sender, mut receiver) = mpsc::channel::<Bytes>(4);
        let frames = futures_util::stream::poll_fn(move |context| {
            receiver
                .poll_recv(context)
                .map(|data| data.map(|data| Ok::<_, BoxError>(Frame::data(data))))
        });
        let mut headers = headers("gzip");
        let mut body = decode(&mut headers, &[Coding::Gzip], StreamBody::new(frames), None);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        for event in ["data: 1\n\n", "data: 2\n\n"] {
            encoder.write_all(event.as_bytes()).unwrap();
            encoder.flush().unwrap();
            sender.send(std::mem::take(encoder.get_mut()).into()).await.unwrap();
            let mut came = Vec::new();
            while came.len() < event.len() {
                came.extend_from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap());
            }
            assert_eq!(came, event.as_bytes());
        }
        drop((sender, encoder));
    }
}

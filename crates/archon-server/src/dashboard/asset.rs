//! One built file: its bytes, what it is, and a compressed copy once somebody asked for one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::sync::LazyLock;

use axum::http::HeaderValue;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::{Embed, EmbeddedFile};
use tokio::sync::OnceCell;

/// What `scripts/dashboard` built.
#[derive(Embed)]
#[folder = "../../dashboard/dist"]
struct Built;

/// All of them by path. Their number is that of the built files.
static ASSETS: LazyLock<HashMap<String, Asset>> = LazyLock::new(|| {
    let named = Built::iter().filter_map(|path| Some((path.to_string(), Built::get(&path)?)));
    named.map(|(path, file)| (path.clone(), Asset::new(&path, file))).collect()
});

/// A smaller file fits into the packets that its headers need anyway.
const COMPRESSED_FROM_BYTES: usize = 1024;

/// A built file.
pub struct Asset {
    /// Its content.
    pub bytes: Bytes,
    /// Its media type.
    pub kind: &'static str,
    /// What its content is told by.
    pub tag: HeaderValue,
    gzipped: OnceCell<Bytes>,
}

/// Returns the file at a path.
pub fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.get(path)
}

impl Asset {
    fn new(path: &str, file: EmbeddedFile) -> Self {
        let hash = file.metadata.sha256_hash();
        let tag: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let bytes = match file.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        Self {
            bytes,
            kind: kind(path),
            // Weak: the compressed copy has the same.
            tag: HeaderValue::from_str(&format!("W/\"{tag}\""))
                .expect("hexadecimal digits in quotes"),
            gzipped: OnceCell::new(),
        }
    }

    /// Returns a compressed copy, made when it is first asked for: a gateway nobody looks at pays nothing.
    pub async fn gzipped(&self) -> Option<Bytes> {
        if self.bytes.len() < COMPRESSED_FROM_BYTES {
            return None;
        }
        let bytes = self.bytes.clone();
        // Some milliseconds of work, which calls should not wait for.
        let make = || async { tokio::task::spawn_blocking(move || gzip(&bytes)).await };
        self.gzipped.get_or_try_init(make).await.ok().cloned()
    }
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .expect("memory takes what is written")
        .into()
}

/// The kinds of files that a build makes.
fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

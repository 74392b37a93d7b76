//! The dashboard on the API's port: files that were built before, and are part of the binary.
//!
//! It is a client of the API without privileges. Its files are public; what they show is not, and the API decides that.

mod asset;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use asset::Asset;

/// Paths that lead to a page of the dashboard. Each is answered with the same document, which shows the right page;
/// everything else stays with the API, which says what is not there.
const PAGES: [&str; 12] = [
    "/",
    "/mcp",
    "/login",
    "/sessions",
    "/sessions/{id}",
    "/tools",
    "/analytics",
    "/logs",
    "/errors",
    "/costs",
    "/connect",
    "/index.html",
];

/// Files whose names stay when their content changes.
const FIXED: [&str; 2] = ["theme.js", "mark.svg"];

/// Nothing from elsewhere, and neither script nor style inside the document.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The name of an asset holds a hash of its content.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// A browser asks whether it still has the latest, and is told so in a few bytes.
const ASK_EACH_TIME: &str = "no-cache";

/// Returns the routes of the dashboard.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut router = Router::new().route("/assets/{*path}", get(hashed));
    for path in PAGES {
        router = router.route(path, get(page));
    }
    for name in FIXED {
        router = router
            .route(&format!("/{name}"), get(move |headers| file(name, ASK_EACH_TIME, headers)));
    }
    router
}

async fn page(headers: HeaderMap) -> Response {
    file("index.html", ASK_EACH_TIME, headers).await
}

async fn hashed(Path(path): Path<String>, headers: HeaderMap) -> Response {
    file(&format!("assets/{path}"), FOREVER, headers).await
}

async fn file(name: &str, caching: &'static str, asked: HeaderMap) -> Response {
    let Some(asset) = asset::find(name) else {
        // After an upgrade, an open page may ask for a part of the version before; it must not be kept as missing.
        return (StatusCode::NOT_FOUND, [(CACHE_CONTROL, "no-store")]).into_response();
    };
    let common = [
        (CACHE_CONTROL, HeaderValue::from_static(caching)),
        (ETAG, asset.tag.clone()),
        (VARY, HeaderValue::from_name(ACCEPT_ENCODING)),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ),
    ];
    if is_current(asset, &asked) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let kind = [(CONTENT_TYPE, HeaderValue::from_static(asset.kind))];
    if accepts_gzip(&asked)
        && let Some(gzipped) = asset.gzipped().await
    {
        let encoding = [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
        return (common, kind, encoding, gzipped).into_response();
    }
    (common, kind, asset.bytes.clone()).into_response()
}

fn is_current(asset: &Asset, asked: &HeaderMap) -> bool {
    let tags = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = tags.flat_map(|list| list.split(','));
    tags.any(|tag| tag.trim().as_bytes() == asset.tag.as_bytes())
}

fn accepts_gzip(asked: &HeaderMap) -> bool {
    let lists = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test that cannot ask has failed.
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    async fn ask(path: &str, headers: &[(HeaderName, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let answer = router::<()>().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        (parts.status, parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
    }

    /// The script that the document starts with.
    async fn entry() -> String {
        let (_, _, document) = ask("/", &[]).await;
        let document = String::from_utf8(document).unwrap();
        let start = document.find("/assets/").unwrap();
        document[start..].split('"').next().unwrap().to_owned()
    }

    #[tokio::test]
    async fn each_page_is_the_same_document_under_a_strict_policy() {
        let (_, _, document) = ask("/", &[]).await;
        for path in ["/mcp", "/sessions?status=active", "/sessions/7e67a8b5", "/connect"] {
            let (status, headers, body) = ask(path, &[]).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            assert_eq!(body, document, "{path}");
            assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
            assert_eq!(headers[CACHE_CONTROL], ASK_EACH_TIME);
            let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(!policy.contains("unsafe"), "{policy}");
        }
    }

    #[tokio::test]
    async fn what_is_no_page_is_left_to_the_api() {
        for path in ["/api/mcp/nothing", "/nothing", "/sessions/a/b", "/assets/nothing.js"] {
            assert_eq!(ask(path, &[]).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[tokio::test]
    async fn a_hashed_file_is_kept_forever_and_the_document_is_asked_for() {
        let entry = entry().await;
        let (status, headers, _) = ask(&entry, &[]).await;
        assert_eq!((status, &headers[CACHE_CONTROL]), (StatusCode::OK, &FOREVER.parse().unwrap()));

        let (_, headers, _) = ask("/", &[]).await;
        let tag = headers[ETAG].to_str().unwrap();
        let (status, _, body) = ask("/", &[(IF_NONE_MATCH, tag)]).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
    }

    #[tokio::test]
    async fn a_script_is_compressed_for_those_who_can_read_that() {
        let entry = entry().await;
        let (_, _, plain) = ask(&entry, &[]).await;
        let (_, headers, short) = ask(&entry, &[(ACCEPT_ENCODING, "br, gzip;q=0.8")]).await;
        assert_eq!(headers[CONTENT_ENCODING], "gzip");
        assert!(short.len() < plain.len() / 2);
        let mut read = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&short[..]), &mut read)
            .unwrap();
        assert_eq!(read, plain);
        let (_, headers, _) = ask(&entry, &[(ACCEPT_ENCODING, "gzip;q=0")]).await;
        assert!(!headers.contains_key(CONTENT_ENCODING));
    }
}

//! `GET /ws/sessions`: what happens to sessions, as it happens.
//!
//! The handshake is ours as the frames are: see [`frame`].

mod deflate;
mod encode;
mod feed;
mod filter;
mod frame;
mod listener;
mod log;
mod snapshot;

pub use feed::Feed;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::params::Query;
use super::problem::ApiError;
use feed::Seat;
use filter::Wish;
use listener::Listener;

/// When a client that was turned away comes back.
const RETRY_SECONDS: u64 = 1;
/// The only version there is (RFC 6455, section 4.1).
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// Returns the routes.
pub fn routes<S: Clone + Send + Sync + 'static>(feed: Arc<Feed>) -> Router<S> {
    Router::new()
        .route("/ws/sessions", get(listen))
        .route("/api/mcp/ws/sessions", get(listen))
        .with_state(feed)
}

async fn listen(
    State(feed): State<Arc<Feed>>,
    Query(query): Query<Vec<(String, String)>>,
    mut request: Request,
) -> Response {
    let Some(key) = key_of(&request) else { return no_websocket() };
    let wish = match Wish::read(&query) {
        Ok(wish) => wish,
        Err(complaint) => return ApiError::parameter(&complaint).into_response(),
    };
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return no_websocket();
    };
    if feed.is_closing() {
        return try_again("leaving", "this process is leaving");
    }
    let Some(seat) = feed.join() else {
        return try_again("too_many_listeners", "there are as many listeners as there may be");
    };
    let is_deflated = offers(request.headers());
    feed.spawn(serve(upgrade, seat, wish, is_deflated));
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, key),
    ];
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response();
    if is_deflated {
        let accepted = HeaderValue::from_static(deflate::ACCEPTED);
        response.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, accepted);
    }
    response
}

/// Returns true if compressed frames can be sent.
fn offers(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter();
    offers.filter_map(|offer| offer.to_str().ok()).any(deflate::is_offered)
}

async fn serve(upgrade: OnUpgrade, seat: Seat, wish: Wish, is_deflated: bool) {
    // A client that leaves between the request and its answer is its own business.
    let Ok(upgraded) = upgrade.await else { return };
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(Parts { io, read_buf, .. }) => {
            Listener::new(seat, wish, is_deflated, io.into_inner()).run(read_buf).await;
        }
        Err(_) => {
            tracing::error!("a WebSocket came on a connection that is none of our listener's")
        }
    }
}

/// Returns the answer to a handshake's key; `None` if the request is no good handshake (RFC 6455, section 4.2.1).
fn key_of(request: &Request) -> Option<HeaderValue> {
    let headers = request.headers();
    let is_handshake = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has_word(headers, header::CONNECTION, "upgrade")
        && has_word(headers, header::UPGRADE, "websocket")
        && headers.get(header::SEC_WEBSOCKET_VERSION) == Some(&VERSION);
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| is_handshake)?;
    derive_accept_key(key.as_bytes()).try_into().ok()
}

fn has_word(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
}

fn no_websocket() -> Response {
    let mut response = ApiError::new(
        StatusCode::UPGRADE_REQUIRED,
        "upgrade_required",
        "this is a WebSocket",
        "connect with a WebSocket client, version 13: ws://",
    )
    .into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, VERSION);
    response
}

fn try_again(code: &'static str, detail: &'static str) -> Response {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, detail, "connect again in a moment")
        .retry_after(RETRY_SECONDS)
        .into_response()
}

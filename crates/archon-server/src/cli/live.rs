//! A listener of a running gateway's WebSocket.

use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use archon_sessions_api::frames::Frame;
use futures_util::StreamExt;
use reqwest::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use reqwest::{Method, StatusCode, Upgraded};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::api::ApiClient;

/// How long a handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long the gateway may be silent: it pings every 20 s.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Bytes of a frame; a snapshot's sessions are bounded.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Frames, as they come.
pub struct Live {
    socket: WebSocketStream<Upgraded>,
}

impl Live {
    /// Connects, over whatever the API is reached by.
    ///
    /// # Errors
    /// With what the gateway says, or why it cannot be reached.
    pub async fn connect(
        client: &ApiClient,
        parameters: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let key = generate_key();
        let request = client
            .request(Method::GET, "ws/sessions", parameters)
            .header(CONNECTION, "upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key);
        let shaking = async {
            let answer = client.send(request).await?;
            ensure!(
                answer.status() == StatusCode::SWITCHING_PROTOCOLS,
                "the gateway answered {} instead of a WebSocket",
                answer.status()
            );
            let accept = answer.headers().get(SEC_WEBSOCKET_ACCEPT);
            let is_meant =
                accept.is_some_and(|accept| *accept == derive_accept_key(key.as_bytes()));
            ensure!(is_meant, "something answered that is no WebSocket server");
            answer.upgrade().await.context("could not open the WebSocket")
        };
        let late = || anyhow!("the WebSocket did not open within {} s", HANDSHAKE_LIMIT.as_secs());
        let upgraded =
            tokio::time::timeout(HANDSHAKE_LIMIT, shaking).await.map_err(|_| late())??;
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
        Ok(Self { socket })
    }

    /// Returns the next frame and its text. Frames of newer gateways that mean nothing to us are passed over.
    /// Cancelled, it loses nothing.
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn next(&mut self) -> anyhow::Result<(Frame, String)> {
        loop {
            let next = tokio::time::timeout(SILENCE_MAX, self.socket.next());
            let Ok(next) = next.await else {
                bail!("nothing was heard of the gateway for a minute")
            };
            match next {
                Some(Ok(Message::Text(text))) => {
                    if let Ok(frame) = serde_json::from_str(&text) {
                        return Ok((frame, text.to_string()));
                    }
                }
                Some(Ok(Message::Close(_))) | None => bail!("the gateway closed the connection"),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(anyhow!(error).context("the connection broke")),
            }
        }
    }
}

//! What happens to sessions, as it happens: frames of `/ws/sessions`, over as many connections as it takes.

use std::time::Duration;

use archon_sessions_api::frames::{Frame, FrameData};
use futures_util::StreamExt;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, StatusCode};
use reqwest::Upgraded;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use uuid::Uuid;

use crate::api::{Api, ApiError, unreachable};
use crate::retry::RetryPolicy;

/// How long a handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long the gateway may be silent: it pings every 20 s.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Bytes of a frame; a snapshot's sessions are bounded.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest first wait between tries to connect again; it doubles.
const WAIT_FIRST: Duration = Duration::from_millis(400);
/// No wait is longer: people look at this. A try costs the gateway one refused handshake.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// What to listen to. Snapshots come in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventsQuery {
    /// Only this session.
    pub session_id: Option<Uuid>,
    /// Only frames of these types: `request`, `session_created`, … All where this is empty.
    pub types: Vec<String>,
    /// Go on after this event of this epoch, instead of with a snapshot.
    pub after: Option<EventPlace>,
}

/// Which event was heard last, to go on after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EventPlace {
    /// Its number.
    pub seq: u64,
    /// Which process numbers it, where a snapshot has said so.
    pub epoch: Option<u64>,
}

/// What there is to tell.
#[derive(Debug)]
pub enum Notice {
    /// A frame. After a [`resync`](FrameData::Resync) one begins again from what it says.
    Frame {
        /// What it says.
        frame: Box<Frame>,
        /// Its text, with fields that this version does not know.
        text: String,
    },
    /// The connection was lost, or could not be made again for a reason that waiting may not mend. It is tried again
    /// as long as [`Events::next`] is called.
    Lost(ApiError),
    /// The connection is back, after the event that was heard last.
    Back,
}

/// Listens.
#[derive(Debug)]
pub struct Events {
    api: Api,
    query: EventsQuery,
    socket: Option<WebSocketStream<Upgraded>>,
    waits: RetryPolicy,
    tries: u32,
    /// When it may be tried again.
    due: Instant,
}

impl Api {
    /// Listens to what happens.
    ///
    /// # Errors
    /// If the gateway cannot be reached now, or refuses.
    pub async fn events(&self, query: EventsQuery) -> Result<Events, ApiError> {
        let waits = RetryPolicy::new().base_delay(WAIT_FIRST).max_delay(WAIT_MAX);
        let socket = Some(open(self, &query).await?);
        Ok(Events { api: self.clone(), query, socket, waits, tries: 0, due: Instant::now() })
    }
}

impl Events {
    /// Returns where it is, to go on from there in another process.
    pub fn place(&self) -> Option<EventPlace> {
        self.query.after
    }

    /// Returns what comes next. Cancelled, it loses no frame; a connection that was being made is made anew.
    pub async fn next(&mut self) -> Notice {
        loop {
            let Some(socket) = &mut self.socket else {
                match self.reconnect().await {
                    Some(notice) => return notice,
                    None => continue,
                }
            };
            match hear(socket, &self.api).await {
                Ok((frame, text)) => {
                    self.note(&frame);
                    return Notice::Frame { frame: Box::new(frame), text };
                }
                Err(error) => {
                    self.socket = None;
                    self.tries = 0;
                    self.postpone();
                    return Notice::Lost(error);
                }
            }
        }
    }

    fn note(&mut self, frame: &Frame) {
        let epoch = match &frame.what {
            FrameData::Snapshot(snapshot) | FrameData::Resync(snapshot) => Some(snapshot.epoch),
            _ => self.query.after.and_then(|place| place.epoch),
        };
        self.query.after = Some(EventPlace { seq: frame.seq, epoch });
    }

    fn postpone(&mut self) {
        self.due = Instant::now() + self.waits.delay(self.tries, fastrand::f64());
        self.tries = self.tries.saturating_add(1);
    }

    async fn reconnect(&mut self) -> Option<Notice> {
        sleep_until(self.due).await;
        match open(&self.api, &self.query).await {
            Ok(socket) => {
                self.socket = Some(socket);
                Some(Notice::Back)
            }
            Err(error) => {
                self.postpone();
                let may_pass = match &error {
                    ApiError::Unreachable { .. } => true,
                    ApiError::Refused { status, .. } | ApiError::NotUnderstood { status, .. } => {
                        status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
                    }
                    ApiError::Unusable(_) => false,
                };
                tracing::debug!("events cannot be listened to: {error}");
                (!may_pass).then_some(Notice::Lost(error))
            }
        }
    }
}

/// Opens a WebSocket, over whatever the API is reached by.
async fn open(api: &Api, query: &EventsQuery) -> Result<WebSocketStream<Upgraded>, ApiError> {
    let key = generate_key();
    let mut parameters = Vec::new();
    parameters.extend(query.session_id.map(|id| ("session_id", id.to_string())));
    parameters.extend((!query.types.is_empty()).then(|| ("types", query.types.join(","))));
    if let Some(EventPlace { seq, epoch }) = query.after {
        parameters.push(("since", seq.to_string()));
        parameters.extend(epoch.map(|epoch| ("epoch", epoch.to_string())));
    }
    let request = api
        .request(Method::GET, "ws/sessions")
        .query(&parameters)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key);
    let shaking = async {
        let answer = api.send(request).await?;
        let status = answer.status();
        let accept = answer.headers().get(SEC_WEBSOCKET_ACCEPT);
        let is_meant = accept.is_some_and(|accept| *accept == derive_accept_key(key.as_bytes()));
        if status != StatusCode::SWITCHING_PROTOCOLS || !is_meant {
            return Err(ApiError::NotUnderstood { url: api.base().clone(), status, source: None });
        }
        answer.upgrade().await.map_err(|error| unreachable(api.base(), error.without_url()))
    };
    let upgraded = timeout(HANDSHAKE_LIMIT, shaking)
        .await
        .map_err(|_| unreachable(api.base(), "the WebSocket did not open in time"))??;
    let config = WebSocketConfig::default()
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
}

/// Returns the next frame. Frames of newer gateways that mean nothing to us are passed over.
async fn hear(
    socket: &mut WebSocketStream<Upgraded>,
    api: &Api,
) -> Result<(Frame, String), ApiError> {
    let over = |why: &str| unreachable(api.base(), why);
    loop {
        let next = timeout(SILENCE_MAX, socket.next()).await;
        match next.map_err(|_| over("nothing was heard of the gateway for a minute"))? {
            Some(Ok(Message::Text(text))) => {
                if let Ok(frame) = serde_json::from_str(&text) {
                    return Ok((frame, text.to_string()));
                }
            }
            Some(Ok(Message::Close(_))) | None => {
                return Err(over("the gateway closed the connection"));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(unreachable(api.base(), error)),
        }
    }
}

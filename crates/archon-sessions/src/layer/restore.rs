//! Redoes the handshake when the inner service has forgotten a connection that we still honour.
//!
//! Its client keeps its handle and learns nothing of it. The refused request is sent again, which is safe:
//! a server that does not know the session did not run the call. What counts as such a refusal is decided in
//! [`crate::protocol::forgotten`]; where that leaves a doubt, a `ping` on the same link settles it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::HeaderValue;
use http::{Method, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;

use super::exchange::{Exchange, Repeatable};
use super::failure::{BoxError, CallFailed};
use super::flow::{Flow, InnerRequest, InnerService};
use super::request::ours;
use crate::protocol::answer::Verdict;
use crate::protocol::codes;
use crate::protocol::forgotten::{Asked, LinkState, REFUSAL_BYTES_MAX, is_refusal};
use crate::protocol::names::{LAST_EVENT_ID, MCP_SESSION_ID};
use crate::protocol::sse::is_event_stream;
use crate::protocol::{Envelope, legacy};
use crate::tracker::{Affinity, LiveConnection};

/// A connection is opened again so often for one request: a server that forgets at once again may be restarting.
const RESTORES_MAX: usize = 3;
/// A refusal is read for so long; it is looked at as far as it came.
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(5);
/// A server that takes longer to answer a `ping` is not asked about its sessions: nothing is redone then.
const PING_TIME_MAX: Duration = Duration::from_secs(5);
const PING_ID: &str = "\"archon-ping\"";
const PING: &str = r#"{"jsonrpc":"2.0","id":"archon-ping","method":"ping"}"#;

/// An answer of the inner service, and what has been read of its body.
pub(super) struct Answered<B> {
    pub(super) response: Response<B>,
    pub(super) read_ahead: VecDeque<Bytes>,
}

impl<B> From<Response<B>> for Answered<B> {
    fn from(response: Response<B>) -> Self {
        Self { response, read_ahead: VecDeque::new() }
    }
}

impl<B> Answered<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// Reads a refusal.
    async fn read_refusal(&mut self) {
        let Self { response, read_ahead } = self;
        let read = async {
            let mut bytes = 0;
            while bytes <= REFUSAL_BYTES_MAX {
                let Some(Ok(frame)) = response.body_mut().frame().await else { return };
                let Ok(data) = frame.into_data() else { continue };
                bytes += data.len();
                read_ahead.push_back(data);
            }
        };
        // What came in time is kept.
        let _ = tokio::time::timeout(REFUSAL_TIME_MAX, read).await;
    }

    /// Reads the first bytes of an answer: of JSON, which is of no use to a client without them, or of a stream
    /// where they are there already. Returns false if it broke off before them.
    async fn peek(&mut self, limit: Duration) -> bool {
        let is_stream = is_event_stream(self.response.headers());
        // What broke is told by its being so: an error need not be `Send`.
        let first = self.response.body_mut().frame();
        let mut first = first.map(|frame| frame.map(|frame| frame.map_err(drop)));
        let frame = match (&mut first).now_or_never() {
            Some(frame) => frame,
            None if is_stream => return true,
            None => tokio::time::timeout(limit, first).await.unwrap_or(None),
        };
        match frame {
            Some(Err(())) => return false,
            Some(Ok(frame)) => self.read_ahead.extend(frame.into_data()),
            None => {}
        }
        true
    }

    fn beginning(&self) -> Vec<u8> {
        self.read_ahead.iter().flatten().copied().take(REFUSAL_BYTES_MAX).collect()
    }
}

impl<S: InnerService> Flow<S> {
    /// Calls the inner service on the connection's link. Where the link is forgotten there, opens the connection
    /// again and sends the request once more.
    pub(super) async fn call_connected(
        &mut self,
        request: &InnerRequest,
        connection: Option<&Arc<LiveConnection>>,
    ) -> Result<Answered<S::Answer>, CallFailed> {
        let Some(connection) = connection else {
            return self.call_inner(request.clone()).await.map(Answered::from);
        };
        let Some(mut link) = connection.link() else {
            return self.call_linked(request, connection, None).await.map(Answered::from);
        };
        let first = self.call_linked(request, connection, Some(&link)).await?;
        let mut answered = Answered::from(first);
        for _ in 0..RESTORES_MAX {
            if !self.is_forgotten(&mut answered, request, connection, &link).await? {
                return Ok(answered);
            }
            match self.restore(request, connection, &link).await {
                Ok(()) => {}
                // Whoever is not let in learns that, not that a session is gone.
                Err(_) if is_for_client(answered.response.status()) => return Ok(answered),
                Err(failed) => return Err(failed),
            }
            let mut again = request.clone();
            // The new link knows no event of the old one.
            again.headers_mut().remove(LAST_EVENT_ID);
            again.headers_mut().remove(MCP_SESSION_ID);
            let renewed = connection.link();
            let response = self.call_linked(&again, connection, renewed.as_ref()).await?;
            let Some(renewed) = renewed else { return Ok(response.into()) };
            link = renewed;
            answered = response.into();
        }
        if self.is_forgotten(&mut answered, request, connection, &link).await?
            && answered.response.status() == StatusCode::NOT_FOUND
        {
            // A handle that we honour is never answered with 404, whatever the upstream says to its link.
            return Err(CallFailed::unreachable(&self.shared.upstream));
        }
        Ok(answered)
    }

    /// Calls the inner service in the name of a link, if the connection has one, and with what goes with that.
    async fn call_linked(
        &mut self,
        request: &InnerRequest,
        connection: &Arc<LiveConnection>,
        link: Option<&HeaderValue>,
    ) -> Result<Response<S::Answer>, CallFailed> {
        let mut request = request.clone();
        if let Some(link) = link {
            request.headers_mut().insert(MCP_SESSION_ID, link.clone());
        }
        request.extensions_mut().insert(connection.affinity());
        let answered = self.call_inner(request).await;
        self.shared.tracker.keep_affinity(connection);
        answered
    }

    /// Returns true if the answer means that the link is forgotten. Reads as much of it as that takes.
    async fn is_forgotten(
        &mut self,
        answered: &mut Answered<S::Answer>,
        request: &InnerRequest,
        connection: &LiveConnection,
        link: &HeaderValue,
    ) -> Result<bool, CallFailed> {
        let status = answered.response.status();
        let message =
            request.extensions().get::<Exchange>().and_then(|exchange| exchange.message.as_ref());
        let envelopes = message.map(|message| message.envelopes()).unwrap_or_default();
        let ids: Vec<&str> =
            envelopes.iter().filter_map(Envelope::request_id).map(|id| &**id).collect();
        if status == StatusCode::OK && !ids.is_empty() {
            if !answered.peek(self.shared.call_timeout()).await {
                let lost = CallFailed::lost(&self.shared.upstream);
                let is_repeatable = answered.response.extensions().get::<Repeatable>().is_some();
                return Err(CallFailed { is_repeatable, ..lost });
            }
        } else if is_refusal(status) {
            answered.read_refusal().await;
        } else {
            return Ok(false);
        }
        let asked = match *request.method() {
            Method::GET => Asked::Stream,
            _ => Asked::Messages(&ids),
        };
        Ok(match LinkState::after(asked, status, &answered.beginning()) {
            LinkState::Known => false,
            LinkState::Doubtful => !self.is_known(request, connection, link).await,
            LinkState::Forgotten => true,
        })
    }

    /// Asks the inner service whether it knows a link. Where it does not say, it does.
    async fn is_known(
        &mut self,
        like: &InnerRequest,
        connection: &LiveConnection,
        link: &HeaderValue,
    ) -> bool {
        let version = HeaderValue::from_str(connection.protocol_version()).ok();
        let mut ping = ours(like, PING.to_owned(), Some(link.clone()), version);
        ping.extensions_mut().insert(connection.affinity());
        let asked = async {
            let response = self.call_inner(ping.clone()).await?;
            let opened = self.read_answer(response, &ping).await?;
            Ok::<_, CallFailed>(match opened.answer {
                Some((Verdict::Success, _)) => true,
                Some((Verdict::Error, json)) => {
                    LinkState::is_known(PING_ID, opened.parts.status, &json)
                }
                None => false,
            })
        };
        !matches!(tokio::time::timeout(PING_TIME_MAX, asked).await, Ok(Ok(false)))
    }

    /// Opens the connection again, unless somebody has by now.
    async fn restore(
        &mut self,
        request: &InnerRequest,
        connection: &Arc<LiveConnection>,
        link: &HeaderValue,
    ) -> Result<(), CallFailed> {
        let upstream = self.shared.upstream.clone();
        let _turn = connection.reopening.lock().await;
        if connection.link().as_ref() != Some(link) {
            return Ok(());
        }
        let affinity = Affinity::default();
        let link = match self.open_again(request, connection, &affinity).await {
            Ok(link) => link,
            // That an answer is too large is not over by the next try.
            Err(failed) if failed.code == codes::REFUSED => return Err(failed),
            // Whatever became of our own handshake, the request that waits for it did not run.
            Err(_) => return Err(CallFailed::unreachable(&upstream)),
        };
        self.shared.tracker.relink(connection, link, affinity);
        let id = connection.presence().id();
        tracing::info!(session_id = %id, "session {id} opened again at {upstream}");
        Ok(())
    }

    /// Sends `initialize` and `notifications/initialized` as the client did, and sets up again what it had
    /// set up since; returns the new link, with what goes with it in `affinity`.
    async fn open_again(
        &mut self,
        like: &InnerRequest,
        connection: &LiveConnection,
        affinity: &Affinity,
    ) -> Result<Option<HeaderValue>, CallFailed> {
        let upstream = self.shared.upstream.clone();
        let post = |body, link, version| {
            let mut request = ours(like, body, link, version);
            request.extensions_mut().insert(affinity.clone());
            request
        };
        let params = connection.initialize();
        let initialize = format!(
            r#"{{"jsonrpc":"2.0","id":"archon-restore","method":"initialize","params":{params}}}"#
        );
        let initialize = post(initialize, None, None);
        let response = self.call_inner(initialize.clone()).await?;
        let opened = self.read_answer(response, &initialize).await?;
        let version = opened.result().and_then(legacy::negotiated_version);
        let Some(version) = version else { return Err(CallFailed::unreachable(&upstream)) };
        let link = opened.parts.headers.get(MCP_SESSION_ID).cloned();
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned();
        let version = HeaderValue::try_from(version).ok();
        self.call_inner(post(initialized, link.clone(), version.clone())).await?;
        for (method, params) in connection.setup().requests() {
            let again = format!(
                r#"{{"jsonrpc":"2.0","id":"archon-restore","method":"{method}","params":{params}}}"#
            );
            let again = post(again, link.clone(), version.clone());
            let response = self.call_inner(again.clone()).await?;
            // What the upstream does not take again is lost; the call at hand is not.
            let _ = self.read_answer(response, &again).await;
        }
        Ok(link)
    }
}

/// Returns true if an answer of this status tells the client something that it can act on itself.
fn is_for_client(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

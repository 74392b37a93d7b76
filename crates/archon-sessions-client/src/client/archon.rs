//! What the gateway's own tools do for a client; without a gateway, what is left of that.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::Inner;
use super::call::{Outgoing, Place, read_result};
use crate::error::{Error, SessionError, SessionReason, ToolError};
use crate::session::{ChangeCause, Era, Session};
use crate::state::{SavedState, Secret};

/// How a server is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// `healthy`, or what else the gateway says: `degraded`, if it cannot write down what happens.
    pub status: String,
    /// Who says so; `None` where there is no gateway, and the server merely answered.
    #[serde(default)]
    pub service: Option<String>,
    /// For how long the gateway has run.
    #[serde(default)]
    pub uptime_seconds: Option<u64>,
    /// When it was asked, by its clock: RFC 3339 in UTC.
    #[serde(default)]
    pub timestamp: Option<String>,
    /// The session that it was asked in.
    #[serde(default)]
    pub session_id: Option<Uuid>,
}

impl Inner {
    fn deadline(&self) -> Instant {
        Instant::now() + self.settings.timeout
    }

    /// Calls one of the gateway's tools, and returns its content; `None` if there is no such tool.
    async fn call_ours(
        self: &Arc<Self>,
        plain_name: &str,
        arguments: Value,
        place: Place<'_>,
        deadline: Instant,
    ) -> Result<Option<Value>, Error> {
        let tools = match self.known_tools() {
            Some(tools) => tools,
            None => {
                self.list_on(place, deadline).await?;
                self.known_tools().unwrap_or_default()
            }
        };
        let Some(name) = tools.ours(plain_name) else { return Ok(None) };
        let params = Map::from_iter([
            ("name".to_owned(), Value::from(name)),
            ("arguments".to_owned(), arguments),
        ]);
        let mut call = Outgoing::new("tools/call", params);
        // All of them do the same when they are called twice, but this one: a token works once.
        call.is_repeatable = plain_name != "reconnect_session";
        let result = read_result(self.run(&call, place, deadline).await?.result)?;
        Ok(Some(result.structured_content.unwrap_or_default()))
    }

    pub(super) async fn health_check(self: &Arc<Self>) -> Result<Health, Error> {
        let deadline = self.deadline();
        if let Some(content) =
            self.call_ours("health_check", json!({}), Place::Current, deadline).await?
        {
            return serde_json::from_value(content).map_err(not_understood);
        }
        let method = match self.link()?.era {
            Era::Legacy => "ping",
            Era::Modern => "server/discover",
        };
        let ping = Outgoing::new(method, Map::new());
        self.run(&ping, Place::Current, deadline).await?;
        Ok(Health {
            status: "healthy".to_owned(),
            service: None,
            uptime_seconds: None,
            timestamp: None,
            session_id: self.known().session_id,
        })
    }

    pub(super) async fn heartbeat(self: &Arc<Self>) -> Result<Option<Duration>, Error> {
        self.beat(Place::Current).await
    }

    /// Says that we are alive, and returns how long a session may be silent.
    pub(super) async fn beat(
        self: &Arc<Self>,
        place: Place<'_>,
    ) -> Result<Option<Duration>, Error> {
        #[derive(Deserialize)]
        struct Beat {
            last_activity: Timestamp,
            expires_at: Timestamp,
        }
        let content = self.call_ours("heartbeat", json!({}), place, self.deadline()).await?;
        let Some(content) = content else { return Ok(None) };
        let beat: Beat = serde_json::from_value(content).map_err(not_understood)?;
        Ok(beat.expires_at.duration_since(beat.last_activity).try_into().ok())
    }

    pub(super) async fn reconnect(self: &Arc<Self>) -> Result<Session, Error> {
        let deadline = self.deadline();
        let kept = self.known().token.clone();
        let (id, token) = match kept {
            Some(kept) => kept,
            None => self.get_token(deadline).await?.ok_or_else(not_tracked)?,
        };
        self.take_back(id, &token, deadline).await?;
        Ok(self.session())
    }

    /// Asks for a reconnect token of the session that we are in; `None` if there is no gateway.
    async fn get_token(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Result<Option<(Uuid, Secret)>, Error> {
        #[derive(Deserialize)]
        struct Given {
            session_id: Uuid,
            reconnect_token: Secret,
        }
        let content =
            self.call_ours("get_reconnect_token", json!({}), Place::Current, deadline).await?;
        let Some(content) = content else { return Ok(None) };
        let given: Given = serde_json::from_value(content).map_err(not_understood)?;
        let token = (given.session_id, given.reconnect_token);
        self.known().token = Some(token.clone());
        Ok(Some(token))
    }

    /// Shows a token, so that we are in that session from now on. The token is used up, whatever comes of it.
    pub(super) async fn take_back(
        self: &Arc<Self>,
        id: Uuid,
        token: &Secret,
        deadline: Instant,
    ) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Given {
            reconnect_count: u64,
            reconnect_token: Secret,
        }
        let arguments = json!({ "session_id": id, "reconnect_token": token.reveal() });
        let shown = self.call_ours("reconnect_session", arguments, Place::Current, deadline).await;
        let content = match shown {
            Ok(content) => content.ok_or_else(not_tracked)?,
            Err(Error::Tool(refused)) => {
                self.known().token.take_if(|(_, kept)| kept == token);
                return Err(not_reconnected(*refused).into());
            }
            Err(error) => return Err(error),
        };
        let given: Given = serde_json::from_value(content).map_err(not_understood)?;
        self.known().retired.retain(|retired| *retired != id);
        self.learn_session(id, ChangeCause::Reconnected);
        let mut known = self.known();
        known.reconnect_count = given.reconnect_count;
        known.token = Some((id, given.reconnect_token));
        Ok(())
    }

    pub(super) async fn save(self: &Arc<Self>) -> Result<SavedState, Error> {
        let link = self.link()?;
        if self.known().session_id.is_some()
            && let Err(error) = self.get_token(self.deadline()).await
        {
            // The handle alone is good for longer than a token.
            tracing::debug!("saved without a fresh reconnect token: {error}");
        }
        let known = self.known();
        let link = known.link.as_ref().unwrap_or(&link);
        let token = known.token.as_ref().filter(|(id, _)| known.session_id == Some(*id));
        Ok(SavedState {
            era: link.era,
            protocol_version: link.version.clone(),
            session_id: known.session_id,
            mcp_session_id: link.handle.clone(),
            cookies: self.http.cookies(),
            reconnect_token: token.map(|(_, token)| token.clone()),
            reconnect_count: known.reconnect_count,
        })
    }
}

fn not_understood(error: serde_json::Error) -> Error {
    ToolError::new(format!("the gateway's answer cannot be understood: {error}")).into()
}

fn not_tracked() -> Error {
    let message = "the server keeps no sessions that can be reconnected";
    SessionError::new(SessionReason::NotTracked, message).into()
}

/// Returns what the gateway said. Its text does not repeat the token.
fn not_reconnected(refused: ToolError) -> SessionError {
    let content = refused.result.and_then(|result| result.structured_content).unwrap_or_default();
    let text = |key: &str| content.get(key).and_then(Value::as_str).map(str::to_owned);
    let reason = text("reason").unwrap_or_else(|| "refused".to_owned());
    let message = text("message").unwrap_or_else(|| format!("reconnection failed: {reason}"));
    SessionError::new(SessionReason::NotReconnected(reason), message)
}

//! The tools themselves: names, definitions, answers.

use std::borrow::Cow;
use std::time::Instant;

use archon_sessions::layer::{Exchange, InnerRequest, Rebound};
use archon_sessions::session::{Era, Timestamp};
use archon_sessions::tracker::Tracker;
use serde_json::{Value, json};

use super::reconnect;

/// One of our tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Whether the gateway is well.
    HealthCheck,
    /// A client's sign of life.
    Heartbeat,
    /// What the gateway knows of the client's session.
    SessionInfo,
    /// A proof to have the session back with.
    GetReconnectToken,
    /// Shows that proof.
    ReconnectSession,
}

/// What a tool has to say.
pub struct Outcome {
    /// The result, as structured content.
    pub content: Value,
    /// Whether it is an error of the tool.
    pub is_error: bool,
    /// The session that its client has taken back by it.
    pub rebound: Option<Rebound>,
}

impl Outcome {
    /// Returns a good result.
    pub fn success(content: Value) -> Self {
        Self { content, is_error: false, rebound: None }
    }

    /// Returns an error of the tool.
    pub fn failure(content: Value) -> Self {
        Self { content, is_error: true, rebound: None }
    }
}

impl Tool {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 5] = [
        Self::HealthCheck,
        Self::Heartbeat,
        Self::SessionInfo,
        Self::GetReconnectToken,
        Self::ReconnectSession,
    ];

    /// Returns the tool that is meant by a name, with or without our prefix.
    pub fn named(name: &str) -> Option<Self> {
        let bare = name.strip_prefix("archon_").unwrap_or(name);
        Self::ALL.into_iter().find(|tool| tool.plain_name() == bare)
    }

    /// Returns those whose names an upstream uses itself.
    pub fn taken_by(is_taken: impl Fn(&str) -> bool) -> Vec<Self> {
        Self::ALL.into_iter().filter(|tool| is_taken(tool.plain_name())).collect()
    }

    fn plain_name(self) -> &'static str {
        match self {
            Self::HealthCheck => "health_check",
            Self::Heartbeat => "heartbeat",
            Self::SessionInfo => "session_info",
            Self::GetReconnectToken => "get_reconnect_token",
            Self::ReconnectSession => "reconnect_session",
        }
    }

    /// Returns the name it goes by where the upstream takes these.
    pub fn name(self, taken: &[Self]) -> Cow<'static, str> {
        let name = self.plain_name();
        if taken.contains(&self) { format!("archon_{name}").into() } else { name.into() }
    }

    /// Returns its entry in `tools/list`, as JSON text.
    pub fn definition(self, taken: &[Self]) -> String {
        let (title, description, hints) = match self {
            Self::HealthCheck => (
                "Gateway health",
                "Says whether the session gateway is well, and for how long it has run.",
                Hints { is_read_only: true, is_idempotent: true },
            ),
            Self::Heartbeat => (
                "Heartbeat",
                "Keeps your session active. Any other call does so too.",
                Hints { is_read_only: false, is_idempotent: true },
            ),
            Self::SessionInfo => (
                "Session info",
                "Returns your session: its id, client, age and when it would end.",
                Hints { is_read_only: true, is_idempotent: true },
            ),
            Self::GetReconnectToken => (
                "Get reconnect token",
                "Returns a token with which you can have this session back later, once, from another \
                 connection. It replaces the token that you had. Keep it secret.",
                Hints { is_read_only: false, is_idempotent: true },
            ),
            Self::ReconnectSession => (
                "Reconnect session",
                "Gives you back a session that is still active: show its id and its latest token. This \
                 connection then belongs to it, and the answer holds the next token.",
                Hints { is_read_only: false, is_idempotent: false },
            ),
        };
        let input = match self {
            Self::HealthCheck | Self::Heartbeat | Self::SessionInfo | Self::GetReconnectToken => {
                json!({ "type": "object", "properties": {}, "additionalProperties": false })
            }
            Self::ReconnectSession => json!({
                "type": "object",
                "properties": {
                    "session_id": { "type": "string", "description": "The session's id, a UUID" },
                    "reconnect_token": {
                        "type": "string", "description": "What get_reconnect_token gave for it",
                    },
                },
                "required": ["session_id", "reconnect_token"],
                "additionalProperties": false,
            }),
        };
        json!({
            "name": self.name(taken),
            "title": title,
            "description": description,
            "inputSchema": input,
            "annotations": {
                "readOnlyHint": hints.is_read_only, "destructiveHint": false,
                "idempotentHint": hints.is_idempotent, "openWorldHint": false,
            },
            // A client that looks for ours must not call an upstream's of the same name.
            "_meta": { "dev.archon-sessions/tool": self.plain_name() },
        })
        .to_string()
    }

    /// Does what a call of it asks for.
    pub async fn run(
        self,
        request: &InnerRequest,
        exchange: &Exchange,
        (tracker, started): (&Tracker, Instant),
    ) -> Outcome {
        let now = Timestamp::now();
        match self {
            Self::HealthCheck => Outcome::success(health_check(exchange, tracker, started, now)),
            Self::Heartbeat => Outcome::success(heartbeat(exchange, tracker, now)),
            Self::SessionInfo => Outcome::success(session_info(exchange)),
            Self::GetReconnectToken => reconnect::get_token(request, exchange, tracker, now).await,
            Self::ReconnectSession => reconnect::reconnect(request, exchange, tracker, now).await,
        }
    }
}

/// What a client may think of a tool.
struct Hints {
    is_read_only: bool,
    is_idempotent: bool,
}

impl Outcome {
    /// Returns the answer to the call as a JSON-RPC message; `id` is JSON text.
    pub fn message(&self, id: &str, era: Era) -> String {
        let mut result = json!({
            "content": [{ "type": "text", "text": self.content.to_string() }],
            "structuredContent": self.content,
            "isError": self.is_error,
        });
        if era == Era::Modern {
            result["resultType"] = "complete".into();
        }
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
    }
}

fn health_check(exchange: &Exchange, tracker: &Tracker, started: Instant, now: Timestamp) -> Value {
    let is_well = tracker.writer_health().is_writing;
    json!({
        "status": if is_well { "healthy" } else { "degraded" },
        "service": "archon-mcp",
        "uptime_seconds": started.elapsed().as_secs(),
        "timestamp": now.to_string(),
        "session_id": exchange.presence.as_ref().map(|presence| presence.id().to_string()),
    })
}

fn heartbeat(exchange: &Exchange, tracker: &Tracker, now: Timestamp) -> Value {
    let Some(presence) = &exchange.presence else { return json!({ "success": false }) };
    tracker.heartbeat(presence, now);
    json!({
        "success": true,
        "session_id": presence.id().to_string(),
        "last_activity": presence.last_activity().to_string(),
        "expires_at": presence.expires_at().to_string(),
    })
}

fn session_info(exchange: &Exchange) -> Value {
    let Some(presence) = &exchange.presence else { return json!({ "success": false }) };
    let session = presence.session();
    json!({
        "session_id": session.id.to_string(),
        "client_type": session.client.kind(),
        "client_name": session.client.name,
        "client_version": session.client.version,
        "status": session.status().as_str(),
        "era": session.era.as_str(),
        "protocol_version": session.protocol_version,
        "connected_at": session.connected_at.to_string(),
        "last_activity": session.last_activity.to_string(),
        "expires_at": presence.expires_at().to_string(),
        "idle_timeout_seconds": session.idle_timeout.as_secs(),
        "reconnect_count": session.reconnect_count,
        "continues": session.continues.map(|id| id.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_gets_our_prefix() {
        let taken = Tool::taken_by(|name| ["echo", "heartbeat"].contains(&name));
        assert_eq!(taken, [Tool::Heartbeat]);
        assert_eq!(Tool::Heartbeat.name(&taken), "archon_heartbeat");
        assert_eq!(Tool::HealthCheck.name(&taken), "health_check");
        assert_eq!(Tool::named("archon_heartbeat"), Some(Tool::Heartbeat));
        assert_eq!(Tool::named("echo"), None);
    }
}

//! The tools themselves: names, definitions, answers.

use std::borrow::Cow;

use archon_sessions::layer::Exchange;
use archon_sessions::session::{Era, Timestamp};
use serde_json::{Value, json};

use crate::server::Overview;

/// One of our tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Whether the gateway is well.
    HealthCheck,
    /// A client's sign of life.
    Heartbeat,
    /// What the gateway knows of the client's session.
    SessionInfo,
}

impl Tool {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 3] = [Self::HealthCheck, Self::Heartbeat, Self::SessionInfo];

    /// Returns the tool that is meant by a name, with or without our prefix.
    pub fn named(name: &str) -> Option<Self> {
        let bare = name.strip_prefix("archon_").unwrap_or(name);
        Self::ALL.into_iter().find(|tool| tool.plain_name() == bare)
    }

    /// Returns those whose names are among an upstream's.
    pub fn taken_by<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<Self> {
        let is_taken = |tool: &Self| names.clone().any(|name| name == tool.plain_name());
        Self::ALL.into_iter().filter(is_taken).collect()
    }

    fn plain_name(self) -> &'static str {
        match self {
            Self::HealthCheck => "health_check",
            Self::Heartbeat => "heartbeat",
            Self::SessionInfo => "session_info",
        }
    }

    /// Returns the name it goes by where the upstream takes these.
    pub fn name(self, taken: &[Self]) -> Cow<'static, str> {
        let name = self.plain_name();
        if taken.contains(&self) { format!("archon_{name}").into() } else { name.into() }
    }

    /// Returns its entry in `tools/list`, as JSON text.
    pub fn definition(self, taken: &[Self]) -> String {
        let (title, description, is_read_only) = match self {
            Self::HealthCheck => (
                "Gateway health",
                "Says whether the session gateway is well, and for how long it has run.",
                true,
            ),
            Self::Heartbeat => {
                ("Heartbeat", "Keeps your session active. Any other call does so too.", false)
            }
            Self::SessionInfo => (
                "Session info",
                "Returns your session: its id, client, age and when it would end.",
                true,
            ),
        };
        json!({
            "name": self.name(taken),
            "title": title,
            "description": description,
            "inputSchema": { "type": "object", "properties": {}, "additionalProperties": false },
            "annotations": {
                "readOnlyHint": is_read_only, "destructiveHint": false,
                "idempotentHint": true, "openWorldHint": false,
            },
        })
        .to_string()
    }

    /// Returns the answer to a call as a JSON-RPC message; `id` is JSON text.
    pub fn answer(self, id: &str, exchange: &Exchange, overview: &Overview) -> String {
        let now = Timestamp::now();
        let content = match self {
            Self::HealthCheck => health_check(exchange, overview, now),
            Self::Heartbeat => heartbeat(exchange, overview, now),
            Self::SessionInfo => session_info(exchange),
        };
        let mut result = json!({
            "content": [{ "type": "text", "text": content.to_string() }],
            "structuredContent": content,
            "isError": false,
        });
        if exchange.era == Era::Modern {
            result["resultType"] = "complete".into();
        }
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
    }
}

fn health_check(exchange: &Exchange, overview: &Overview, now: Timestamp) -> Value {
    let is_well = overview.tracker.writer_health().is_writing;
    json!({
        "status": if is_well { "healthy" } else { "degraded" },
        "service": "archon-mcp",
        "uptime_seconds": overview.started.elapsed().as_secs(),
        "timestamp": now.to_string(),
        "session_id": exchange.presence.as_ref().map(|presence| presence.id().to_string()),
    })
}

fn heartbeat(exchange: &Exchange, overview: &Overview, now: Timestamp) -> Value {
    let Some(presence) = &exchange.presence else { return json!({ "success": false }) };
    overview.tracker.touch(presence, now);
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
        "continues": session.continues.map(|id| id.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_gets_our_prefix() {
        let taken = Tool::taken_by(["echo", "heartbeat"].into_iter());
        assert_eq!(taken, [Tool::Heartbeat]);
        assert_eq!(Tool::Heartbeat.name(&taken), "archon_heartbeat");
        assert_eq!(Tool::HealthCheck.name(&taken), "health_check");
        assert_eq!(Tool::named("archon_heartbeat"), Some(Tool::Heartbeat));
        assert_eq!(Tool::named("echo"), None);
    }
}

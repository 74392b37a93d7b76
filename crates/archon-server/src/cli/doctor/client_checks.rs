//! What a client meets.

use serde_json::{Value, json};

use super::Patient;
use super::mcp::Connection;
use super::report::{Complaint, Report};

const LOG: &str = "the gateway's log says what happened; `archon serve` shows it";
const REACH: &str = "start it with `archon serve`, or name its endpoint with --url or ARCHON_URL";
const UPSTREAM: &str = "see whether the upstream runs: /health lists upstreams; if the endpoint requires a token, \
                        name one with ARCHON_MCP_TOKEN";

impl Patient {
    pub(super) async fn mcp_is_well(&self, report: &mut Report) -> bool {
        let found = match self.mcp.health().await {
            Ok(health) if health["health"]["store"]["status"] == "healthy" => {
                let up = health["uptime_seconds"].as_u64().unwrap_or(0);
                Ok(format!("{} has been up for {up} s", self.mcp.url()))
            }
            Ok(health) => {
                let reason =
                    health["health"]["store"]["reason"].as_str().unwrap_or("no reason given");
                let why = format!("it is {}: {reason}", health["status"]);
                Err(Complaint::new(
                    why,
                    "calls go on; see to the database, docs/database.md says how",
                ))
            }
            Err(error) => Err(Complaint::of(&error, REACH)),
        };
        // A gateway whose store is away still relays calls.
        let is_there = !matches!(&found, Err(complaint) if complaint.fix == REACH);
        report.add("MCP endpoint", found);
        is_there
    }

    /// Asks each upstream, through the gateway, for what makes no session.
    pub(super) async fn upstreams_answer(&self, report: &mut Report) {
        let health = self.mcp.health().await.unwrap_or_default();
        let upstreams = health["health"]["upstreams"].as_object().cloned().unwrap_or_default();
        for name in upstreams.keys() {
            let asked = self.mcp.at_upstream(name).is_answered().await;
            let found = asked.map(|()| format!("{name} answers"));
            let found = found.map_err(|error| {
                Complaint::of(&error.context(format!("upstream {name}")), UPSTREAM)
            });
            report.add("upstream", found);
        }
    }

    pub(super) async fn legacy_session(&self, report: &mut Report) -> Option<Connection> {
        let connection = match self.mcp.connect(None).await {
            Ok(connection) => connection,
            Err(error) => {
                report.add("legacy client", Err(Complaint::of(&error, UPSTREAM)));
                return None;
            }
        };
        let listed = self.mcp.legacy(&connection, "tools/list", json!({})).await;
        let is_good = report.add(
            "legacy client",
            match listed {
                Ok(answer) => Ok(format!(
                    "session {} lists {} tools",
                    connection.session,
                    count(&answer.result)
                )),
                Err(error) => Err(Complaint::of(&error, UPSTREAM)),
            },
        );
        is_good.then_some(connection)
    }

    pub(super) async fn modern_session(&self, report: &mut Report) -> Option<String> {
        let listed = self.mcp.modern("tools/list").await;
        let mut session = None;
        report.add(
            "modern client",
            match listed {
                Ok(answer) => match answer.session {
                    Some(id) => {
                        let found = format!("session {id} lists {} tools", count(&answer.result));
                        session = Some(id);
                        Ok(found)
                    }
                    None => Err(Complaint::new("the answer names no X-Archon-Session-Id", LOG)),
                },
                Err(error) => Err(Complaint::of(&error, UPSTREAM)),
            },
        );
        session
    }

    pub(super) async fn is_reused(&self, report: &mut Report, connection: &Connection) {
        let again = self.mcp.legacy(connection, "tools/list", json!({})).await;
        report.add("session is reused", same(connection, again.map(|answer| answer.session)));
    }

    pub(super) async fn id_is_accepted(&self, report: &mut Report, connection: &Connection) {
        let again = self.mcp.connect(Some(&connection.session)).await;
        let name = "X-Archon-Session-Id";
        if let Ok(again) = &again {
            // Else it would keep the session alive. What comes of it shows at the goodbye.
            let _ = self.mcp.end(again).await;
        }
        report.add(name, same(connection, again.map(|again| Some(again.session))));
    }

    /// Takes the session back with a token, by the tools if they are there.
    pub(super) async fn comes_back(&self, report: &mut Report, connection: &Connection) {
        let name = "reconnect token";
        let listed = self.mcp.legacy(connection, "tools/list", json!({})).await;
        let tools = listed.map(|answer| answer.result).unwrap_or_default();
        let Some([get, show]) = tool_named(&tools, "get_reconnect_token")
            .zip(tool_named(&tools, "reconnect_session"))
            .map(|(get, show)| [get, show])
        else {
            report.skip(name, "this endpoint does not list the gateway's own tools");
            return;
        };
        let found = async {
            let token = self.call(connection, &get, json!({})).await?;
            let token = token["reconnect_token"].as_str().unwrap_or_default().to_owned();
            let shown = json!({ "session_id": connection.session, "reconnect_token": token });
            self.call(connection, &show, shown).await
        };
        report.add(
            name,
            match found.await {
                Ok(result) if result["success"] == true => Ok(format!(
                    "the session was reconnected, {} times so far",
                    result["reconnect_count"]
                )),
                Ok(result) => {
                    let why = format!(
                        "refused: {}",
                        result["reason"].as_str().unwrap_or("no reason given")
                    );
                    Err(Complaint::new(
                        why,
                        "MCP_SESSION_SECRET must be the same on all gateways of a database",
                    ))
                }
                Err(error) => Err(Complaint::of(&error, LOG)),
            },
        );
    }

    async fn call(
        &self,
        connection: &Connection,
        tool: &str,
        arguments: Value,
    ) -> anyhow::Result<Value> {
        let params = json!({ "name": tool, "arguments": arguments });
        let answer = self.mcp.legacy(connection, "tools/call", params).await?;
        Ok(answer.result["structuredContent"].clone())
    }
}

fn same(
    connection: &Connection,
    found: anyhow::Result<Option<String>>,
) -> Result<String, Complaint> {
    match found {
        Ok(Some(id)) if id == connection.session => Ok("the same session answered".to_owned()),
        Ok(id) => {
            let id = id.unwrap_or_else(|| "none".to_owned());
            Err(Complaint::new(
                format!("session {id} answered instead of {}", connection.session),
                LOG,
            ))
        }
        Err(error) => Err(Complaint::of(&error, LOG)),
    }
}

fn count(result: &Value) -> usize {
    result["tools"].as_array().map_or(0, Vec::len)
}

/// Returns the name that one of our tools goes by: the upstream may have one of the same.
fn tool_named(listed: &Value, name: &str) -> Option<String> {
    let tools = listed["tools"].as_array()?;
    let names: Vec<_> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
    let prefixed = format!("archon_{name}");
    let ours = names.iter().find(|found| **found == prefixed);
    ours.or_else(|| names.iter().find(|found| **found == name)).map(|found| (*found).to_owned())
}

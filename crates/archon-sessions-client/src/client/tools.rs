//! What the server's tools are: their schemas, their marks, and which are the gateway's own.

use std::sync::{Arc, PoisonError};

use rmcp::model::Tool;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::Inner;
use super::call::{Outgoing, Place};
use crate::error::{Error, ToolError};

/// A list of more pages is an error: a server that never ends its list does not keep us.
const PAGES_MAX: usize = 100;
/// Where the gateway marks a tool as its own, and says which it is, whatever its name.
const OURS: &str = "dev.archon-sessions/tool";

/// The server's tools.
#[derive(Debug, Default)]
pub(super) struct Tools {
    all: Vec<Tool>,
}

impl Tools {
    pub fn all(&self) -> &[Tool] {
        &self.all
    }

    pub fn find(&self, name: &str) -> Option<&Tool> {
        self.all.iter().find(|tool| tool.name == name)
    }

    /// Adds tools; of several with one name the first counts.
    fn add(&mut self, tools: impl Iterator<Item = Tool>) {
        for tool in tools {
            if self.find(&tool.name).is_none() {
                self.all.push(tool);
            }
        }
    }

    /// Returns the name of one of the gateway's own tools, which may be `archon_…`.
    pub fn ours(&self, plain_name: &str) -> Option<&str> {
        let is_it = |tool: &&Tool| {
            let mark = tool.meta.as_ref().and_then(|meta| meta.get(OURS));
            mark.and_then(Value::as_str) == Some(plain_name)
        };
        self.all.iter().find(is_it).map(|tool| &*tool.name)
    }
}

impl Inner {
    /// Returns the tools as they were last listed.
    pub(super) fn known_tools(&self) -> Option<Arc<Tools>> {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn forget_tools(&self) {
        *self.tools.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns the tools, listed now if nobody has.
    pub(super) async fn tools(self: &Arc<Self>, deadline: Instant) -> Result<Arc<Tools>, Error> {
        match self.known_tools() {
            Some(tools) => Ok(tools),
            None => self.refresh_tools(deadline).await,
        }
    }

    /// Lists the tools.
    pub(super) async fn refresh_tools(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Result<Arc<Tools>, Error> {
        self.list_on(Place::Current, deadline).await?;
        Ok(self.known_tools().unwrap_or_default())
    }

    pub(super) async fn list_on(
        self: &Arc<Self>,
        place: Place<'_>,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mut tools = Tools::default();
        let mut params = Map::new();
        let mut asked: Vec<Value> = Vec::new();
        loop {
            let listing = Outgoing::new("tools/list", params);
            let mut page = self.run(&listing, place, deadline).await?.result;
            if let Some(Value::Array(listed)) = page.get_mut("tools").map(Value::take) {
                tools.add(listed.into_iter().filter_map(read_tool));
            }
            let cursor = page.get_mut("nextCursor").map(Value::take).unwrap_or_default();
            let is_cursor = matches!(&cursor, Value::Number(_))
                || cursor.as_str().is_some_and(|cursor| !cursor.is_empty());
            if !is_cursor {
                break;
            }
            // From there on the pages are those that were read.
            if asked.contains(&cursor) {
                tracing::warn!("the list of tools begins again and was ended there");
                break;
            }
            if asked.len() + 1 >= PAGES_MAX {
                let message = format!("the list of tools has more than {PAGES_MAX} pages");
                return Err(ToolError::new(message).into());
            }
            asked.push(cursor.clone());
            params = Map::from_iter([("cursor".to_owned(), cursor)]);
        }
        *self.tools.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(tools));
        Ok(())
    }

    /// Returns whether the server marks a tool as one that may run twice. What cannot be found out is not.
    pub(super) async fn is_marked(self: &Arc<Self>, name: &str, deadline: Instant) -> bool {
        let Ok(tools) = self.tools(deadline).await else { return false };
        let marks = tools.find(name).and_then(|tool| tool.annotations.as_ref());
        let is = |hint: fn(&rmcp::model::ToolAnnotations) -> Option<bool>| {
            marks.and_then(hint) == Some(true)
        };
        is(|marks| marks.read_only_hint) || is(|marks| marks.idempotent_hint)
    }
}

/// Reads a tool. One that is odd does not hide the others.
fn read_tool(value: Value) -> Option<Tool> {
    serde_json::from_value(value)
        .inspect_err(|error| tracing::warn!("a tool of the server cannot be understood: {error}"))
        .ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_gateways_tools_are_known_by_their_marks_and_not_by_their_names() {
        let all = [
            json!({ "name": "heartbeat", "inputSchema": {} }),
            json!({ "name": "archon_heartbeat", "inputSchema": {}, "_meta": { OURS: "heartbeat" } }),
            json!({ "name": "odd" }),
        ];
        let tools = Tools { all: all.into_iter().filter_map(read_tool).collect() };
        assert_eq!(tools.all().len(), 2);
        assert_eq!(tools.ours("heartbeat"), Some("archon_heartbeat"));
        assert_eq!(tools.ours("health_check"), None);
    }
}

//! The way of a request: attempts, until there is an answer or no safe way to another attempt.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{CallToolResult, DEFAULT_MRTR_MAX_ROUNDS, JsonObject, ProgressNotificationParam};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::fault::{Allowed, Next, Tries};
use super::{Inner, Link};
use crate::error::{Error, SessionError, ToolError};
use crate::state::Secret;

/// Methods that only read, whatever the server: losing an answer of theirs does no harm.
const READS: [&str; 11] = [
    "completion/complete",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "server/discover",
    "tasks/get",
    "tasks/list",
    "tools/list",
];

/// Hears how far a call is.
pub(super) type OnProgress = Arc<dyn Fn(ProgressNotificationParam) + Send + Sync>;

/// How one call differs from others.
#[derive(Clone, Default)]
#[must_use]
pub struct CallOptions {
    pub(super) timeout: Option<Duration>,
    pub(super) is_idempotent: Option<bool>,
    pub(super) on_progress: Option<OnProgress>,
}

impl CallOptions {
    /// Returns options that change nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says how long this call may take, retries and all.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Says that it does no harm if this call runs twice (or that it does), whatever the server says of its tool.
    pub fn idempotent(self, is_idempotent: bool) -> Self {
        Self { is_idempotent: Some(is_idempotent), ..self }
    }

    /// Hears how far the call is. Where it is sent again, that begins anew.
    pub fn on_progress(
        self,
        hear: impl Fn(ProgressNotificationParam) + Send + Sync + 'static,
    ) -> Self {
        Self { on_progress: Some(Arc::new(hear)), ..self }
    }
}

impl fmt::Debug for CallOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallOptions")
            .field("timeout", &self.timeout)
            .field("is_idempotent", &self.is_idempotent)
            .finish_non_exhaustive()
    }
}

/// A request on its way.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub method: String,
    pub params: Map<String, Value>,
    pub is_repeatable: bool,
    pub on_progress: Option<OnProgress>,
}

impl Outgoing {
    /// Returns a request; only what reads may be sent again where it may have been run.
    pub fn new(method: &str, params: Map<String, Value>) -> Self {
        let is_repeatable = READS.contains(&method);
        Self { method: method.to_owned(), params, is_repeatable, on_progress: None }
    }

    /// Returns the tool that it calls.
    pub fn tool(&self) -> Option<&str> {
        let name = self.params.get("name").filter(|_| self.method == "tools/call");
        name.and_then(Value::as_str)
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub result: Value,
    /// The legacy handle that came with it.
    pub handle: Option<Secret>,
}

/// Which link a request goes out on.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// The one in force. If the server does not know it any more, another is made.
    Current,
    /// This one, and no other.
    On(&'a Arc<Link>),
}

impl Inner {
    /// Sends a request until there is an answer, or no safe way to another attempt.
    pub(super) async fn run(
        self: &Arc<Self>,
        outgoing: &Outgoing,
        place: Place<'_>,
        deadline: Instant,
    ) -> Result<Answered, Error> {
        self.budget.earn();
        let mut tries = Tries::default();
        let allowed = Allowed {
            policy: &self.settings.retry,
            is_repeatable: outgoing.is_repeatable,
            can_reopen: matches!(place, Place::Current),
            can_relist: outgoing.tool().is_some(),
        };
        loop {
            let link = match place {
                Place::Current => self.link()?,
                Place::On(link) => link.clone(),
            };
            let fault = match self.attempt(&link, outgoing, deadline).await {
                Ok(answered) => return Ok(answered),
                Err(fault) => fault,
            };
            tracing::debug!(method = outgoing.method, ?fault, "an attempt failed");
            match tries.next(fault, allowed, fastrand::f64(), || self.budget.spend()) {
                Next::Again(wait, error) => {
                    if Instant::now() + wait >= deadline {
                        return Err(error);
                    }
                    tracing::debug!(method = outgoing.method, ?wait, "sending it again: {error}");
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        // It was to be sent again, and is not: it did not run.
                        () = self.stop.cancelled() => return Err(SessionError::closed().into()),
                    }
                }
                // Boxed, for a handshake is a request, too.
                Next::Reopen => Box::pin(self.reopen(&link, deadline)).await?,
                Next::Relist => {
                    Box::pin(self.refresh_tools(deadline)).await?;
                }
                Next::GiveUp(error) => return Err(error),
            }
        }
    }

    pub(super) async fn request(
        self: &Arc<Self>,
        method: &str,
        params: JsonObject,
    ) -> Result<Value, Error> {
        let deadline = Instant::now() + self.settings.timeout;
        let outgoing = Outgoing::new(method, params);
        self.run_rounds(outgoing, deadline).await
    }

    pub(super) async fn call_tool(
        self: &Arc<Self>,
        name: &str,
        arguments: Value,
        options: CallOptions,
    ) -> Result<CallToolResult, Error> {
        let deadline = Instant::now() + options.timeout.unwrap_or(self.settings.timeout);
        let mut params = Map::from_iter([("name".to_owned(), Value::from(name))]);
        match arguments {
            Value::Null => {}
            Value::Object(_) => {
                params.insert("arguments".to_owned(), arguments);
            }
            _ => return Err(ToolError::new("a tool's arguments are an object").into()),
        }
        let mut outgoing = Outgoing::new("tools/call", params);
        outgoing.is_repeatable = match options.is_idempotent {
            Some(is_idempotent) => is_idempotent,
            None => self.settings.retry.trust_annotations && self.is_marked(name, deadline).await,
        };
        outgoing.on_progress = options.on_progress;
        let result = self.run_rounds(outgoing, deadline).await?;
        read_result(result)
    }

    /// Sends a request, and answers what the server needs to know first (MCP 2026-07-28, multi round-trip requests).
    /// A round is no retry: the server has answered, and asks for the next one.
    async fn run_rounds(
        self: &Arc<Self>,
        mut outgoing: Outgoing,
        deadline: Instant,
    ) -> Result<Value, Error> {
        for _ in 0..DEFAULT_MRTR_MAX_ROUNDS {
            let result = self.run(&outgoing, Place::Current, deadline).await?.result;
            if result.get("resultType").and_then(Value::as_str) != Some("input_required") {
                return Ok(result);
            }
            let responses = self.answer_inputs(&result).await?;
            let params = &mut outgoing.params;
            params.insert("inputResponses".to_owned(), responses);
            match result.get("requestState") {
                Some(state) => params.insert("requestState".to_owned(), state.clone()),
                None => params.remove("requestState"),
            };
        }
        Err(ToolError::new(format!(
            "the server asked {DEFAULT_MRTR_MAX_ROUNDS} times and did not answer"
        ))
        .into())
    }

    async fn answer_inputs(&self, result: &Value) -> Result<Value, Error> {
        let mut responses = Map::new();
        let empty = Map::new();
        let requests = result.get("inputRequests").and_then(Value::as_object).unwrap_or(&empty);
        for (key, request) in requests {
            let method = request.get("method").and_then(Value::as_str).unwrap_or_default();
            let params = request.get("params").cloned().unwrap_or_else(|| json!({}));
            match self.settings.handler.request(method, params).await {
                Ok(response) => responses.insert(key.clone(), response),
                Err(error) => {
                    let message = format!("the server needs to know more first: {}", error.message);
                    let input_required = Some(result.clone());
                    return Err(ToolError { input_required, ..ToolError::new(message) }.into());
                }
            };
        }
        Ok(Value::Object(responses))
    }
}

/// Returns a tool's result, or its error.
pub(super) fn read_result(result: Value) -> Result<CallToolResult, Error> {
    // A tool that returns nothing returns no content.
    let mut result = if result.is_null() { json!({}) } else { result };
    if let Some(members) =
        result.as_object_mut().filter(|members| members.get("content").is_none_or(Value::is_null))
    {
        members.insert("content".to_owned(), json!([]));
    }
    let result: CallToolResult = serde_json::from_value(result).map_err(|error| {
        ToolError::new(format!("the tool has run, and its result cannot be understood: {error}"))
    })?;
    if result.is_error != Some(true) {
        return Ok(result);
    }
    let text =
        result.content.iter().find_map(|block| block.as_text()).map(|text| text.text.clone());
    let message = text.unwrap_or_else(|| "the tool failed and does not say why".to_owned());
    Err(ToolError { result: Some(result), ..ToolError::new(message) }.into())
}

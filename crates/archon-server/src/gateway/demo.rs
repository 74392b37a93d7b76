//! The built-in demo server: projects and tasks in SQLite, so that the first minute works.
//!
//! It is an ordinary MCP server in the same process. The gateway relays to it as to any other
//! upstream, over [`DemoServer::service`] instead of a socket, and rmcp speaks both eras.

mod refusal;
mod store;
mod tools;

#[cfg(test)]
mod http_tests;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, Implementation,
    InitializeRequestParams, InitializeResult, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::refusal::{Refusal, shown};
pub use self::store::Store;

/// How long a legacy session lives without a message. It holds nothing that a client would miss:
/// the gateway does the handshake again when it is needed. Not a whole number of minutes, because
/// clients ping at those, and rmcp 3.9 may leave a request unanswered that arrives in the very
/// moment of the expiry.
const SESSION_IDLE: Duration = Duration::from_secs(400);

/// Most legacy sessions at a time. rmcp needs 70 kB for one (measured), so this is 280 MB at worst.
const SESSIONS_MAX: usize = 4_000;

/// Largest request body. The largest useful one is a description of 10,000 characters, each of
/// which takes up to 12 bytes as escaped JSON.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// How long a modern client may keep the list of tools. It changes only with the program.
const TOOLS_TTL_MS: u64 = 60_000;

const INSTRUCTIONS: &str = "A small project and task tracker that comes with the Archon gateway, \
    to try it out before a server of your own stands behind it. Start with find_projects or \
    find_tasks without arguments. Search with query, for example find_tasks with query \
    \"authentication\". Create, update and delete with manage_project and manage_task. Everybody \
    who uses this gateway sees and changes the same projects and tasks.";

/// The demo server, as one legacy session or one modern request sees it.
#[derive(Debug)]
pub struct DemoServer {
    store: Store,
    tools: Arc<[Tool]>,
    session_slots: Arc<Semaphore>,
    /// Held while a legacy session lives; rmcp drops the server with the session.
    session_slot: OnceLock<OwnedSemaphorePermit>,
}

impl DemoServer {
    /// Opens the demo server on a database, and creates its tables and samples if need be.
    ///
    /// # Errors
    /// If the database cannot be used.
    pub async fn open(store: Store) -> Result<DemoServer, sqlx::Error> {
        store.open(Timestamp::now()).await?;
        Ok(DemoServer {
            store,
            tools: tools::definitions().into(),
            session_slots: Arc::new(Semaphore::new(SESSIONS_MAX)),
            session_slot: OnceLock::new(),
        })
    }

    /// Returns the server as a tower service. Cancelling its `config.cancellation_token` ends all
    /// sessions and streams.
    ///
    /// It checks neither `Host` nor `Origin`, which is the work of the gateway in front of it.
    pub fn service(self) -> StreamableHttpService<DemoServer, LocalSessionManager> {
        self.service_with(SESSION_IDLE)
    }

    fn service_with(
        self,
        idle: Duration,
    ) -> StreamableHttpService<DemoServer, LocalSessionManager> {
        let mut sessions = LocalSessionManager::default();
        sessions.session_config.keep_alive = Some(idle);
        // No priming events, here and below: the gateway numbers the events that clients see.
        sessions.session_config.sse_retry = None;
        let config = StreamableHttpServerConfig::default()
            .disable_allowed_hosts()
            .disable_allowed_origins()
            .with_sse_retry(None)
            .with_max_request_body_bytes(BODY_BYTES_MAX)
            // No tool sends anything before its result, so a modern answer needs no stream.
            .with_json_response(true);
        StreamableHttpService::new(move || Ok(self.another()), Arc::new(sessions), config)
    }

    /// Returns a server for one more session, on the same store.
    fn another(&self) -> DemoServer {
        DemoServer {
            store: self.store.clone(),
            tools: self.tools.clone(),
            session_slots: self.session_slots.clone(),
            session_slot: OnceLock::new(),
        }
    }

    fn take_session_slot(&self) -> Result<(), ErrorData> {
        if self.session_slot.get().is_some() {
            return Ok(());
        }
        let Ok(slot) = self.session_slots.clone().try_acquire_owned() else {
            let message = "the demo server has too many sessions; try again in a few minutes";
            return Err(ErrorData::internal_error(message, None));
        };
        // If another `initialize` of this session was faster, its slot stays and ours is returned.
        let _ = self.session_slot.set(slot);
        Ok(())
    }
}

impl ServerHandler for DemoServer {
    fn get_info(&self) -> ServerConfig {
        let implementation = Implementation::new("archon-demo", env!("CARGO_PKG_VERSION"))
            .with_title("Archon demo: projects and tasks");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(implementation)
            .with_instructions(INSTRUCTIONS)
    }

    /// Answers the handshake, which modern clients do not do: so a session begins here.
    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        self.take_session_slot()?;
        context.peer.set_peer_info(request.clone());
        self.negotiate_initialize(&request)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut result = ListToolsResult::with_all_items(self.tools.to_vec());
        // Revision 2026-07-28, caching hints; a legacy client does not know these fields.
        if context
            .protocol_version()
            .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
        {
            result.ttl_ms = Some(TOOLS_TTL_MS);
            result.cache_scope = Some(CacheScope::Public);
        }
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let now = Timestamp::now();
        let Some(tool) = self.tools.iter().find(|tool| tool.name == request.name) else {
            let message = format!("unknown tool \"{}\"; see tools/list", shown(&request.name));
            return Err(ErrorData::invalid_params(message, None));
        };
        let result = match tools::call(&self.store, tool, arguments, now).await {
            Ok(answer) => CallToolResult::structured(answer),
            Err(refusal) => {
                log_cause(&tool.name, &refusal);
                CallToolResult::structured_error(refusal.to_json())
            }
        };
        Ok(result.into())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|tool| tool.name == name).cloned()
    }
}

/// Logs what the client is not told. Most refusals are the client's doing and have no cause.
fn log_cause(tool: &str, refusal: &Refusal) {
    if let Some(cause) = &refusal.cause {
        let error: &dyn std::error::Error = cause;
        tracing::error!(error, tool, "demo tool {tool} could not use its database");
    }
}

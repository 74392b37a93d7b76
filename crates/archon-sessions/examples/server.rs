//! An MCP server in whose tools each client has a durable, tracked session:
//!
//! ```sh
//! cargo run -p archon-sessions --example server
//! ```
//!
//! It listens at http://127.0.0.1:8000/mcp and keeps its record in `greeter.db`. Stop it and start it again: its
//! clients go on. What they did is in the tables `archon_mcp_sessions` and `archon_mcp_requests`.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use archon_sessions::{CurrentSession, SessionLayer, Settings, SqliteStore, Tracker};
use axum::Router;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::JsonSchema;
use rmcp::serde::Deserialize;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::{tool, tool_router};
use tower::Layer;

/// What shouting costs, in dollars a word.
const DOLLARS_A_WORD: f64 = 0.001;

/// The server.
pub struct Greeter;

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "rmcp::serde")]
#[schemars(crate = "rmcp::schemars")]
struct Shout {
    /// What to shout.
    text: String,
    /// In whose name.
    name: String,
}

#[tool_router(server_handler)]
impl Greeter {
    #[tool(description = "Says who is calling, and since when.")]
    async fn who_am_i(&self, session: CurrentSession) -> String {
        let user = session.user().and_then(|user| user.id.clone());
        let user = user.as_deref().unwrap_or("somebody");
        let (client, since) = (session.client().kind(), session.connected_at());
        format!("{user} with {client}, here since {since}, session {}", session.id())
    }

    #[tool(description = "Shouts a text, for a tenth of a cent a word.")]
    async fn shout(&self, session: CurrentSession, Parameters(shout): Parameters<Shout>) -> String {
        let words = shout.text.split_whitespace().count();
        session
            .annotate()
            .tokens(words as u64, words as u64)
            .cost(words as f64 * DOLLARS_A_WORD)
            .model("voice-1")
            .user(&*shout.name);
        shout.text.to_uppercase()
    }
}

/// The whole of embedding: the layer around the server.
pub fn app(tracker: &Tracker) -> Router {
    let sessions = Arc::new(LocalSessionManager::default());
    let mcp = StreamableHttpService::new(|| Ok(Greeter), sessions, Default::default());
    let mcp = SessionLayer::new(tracker.clone(), "greeter").layer(mcp);
    Router::new().route_service("/mcp", mcp)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open("greeter.db").await?;
    let tracker = Tracker::start(Arc::new(store), Settings::default()).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    println!("listening at http://{}/mcp", listener.local_addr()?);
    let stopping = tracker.clone();
    let stop = async move {
        let _ = tokio::signal::ctrl_c().await;
        // A stream on which nothing is asked for would keep the server from ending.
        stopping.close_streams();
    };
    axum::serve(listener, app(&tracker)).with_graceful_shutdown(stop).await?;
    // Writes what is queued; sessions stay active, for their clients come back.
    tracker.shutdown(Duration::from_secs(10)).await;
    Ok(())
}

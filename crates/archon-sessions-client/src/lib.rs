//! A client for MCP servers behind Archon Sessions: it keeps its session through failures, and never runs a tool twice
//! by mistake.
//!
//! ```no_run
//! use archon_sessions_client::{Client, Error};
//! use serde_json::json;
//!
//! # async fn example() -> Result<(), Error> {
//! let client = Client::builder("http://127.0.0.1:8051/mcp").client_info("my-agent", "1.0").connect().await?;
//! let result = client.call_tool("find_projects", json!({ "query": "billing" })).await?;
//! println!("{:?} in session {:?}", result.content, client.session().id);
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it keeps
//!
//! Both eras of the protocol are spoken, the modern one where the server does. The gateway's session id, the legacy
//! handle and the server's cookies go with each request. A client that is silent says that it is alive
//! ([`Heartbeat`]). A server that has forgotten the handle gets a new handshake, once for all calls that notice, and
//! those calls are sent again: they did not run. [`Client::session`] then says another id, and a [`Handler`] hears why.
//!
//! # What it sends again, and what it does not
//!
//! | what happened | what a call does |
//! |---|---|
//! | no connection, so nothing was sent | is sent again after a while, up to [`RetryPolicy::max_retries`] |
//! | 429, or 503 with `Retry-After`; the gateway says that it did not run | is sent again when that time is over |
//! | the server has forgotten the session: 404, or an error that says so | is sent again after a new handshake, once |
//! | the connection broke after it was sent | a legacy stream is resumed; else [`Error::OutcomeUnknown`] |
//! | no answer in time | is cancelled at the server: [`Error::OutcomeUnknown`] |
//! | an error came as an answer | [`Error::Tool`] |
//!
//! What may have run is sent again only if that does no harm: where you say so ([`CallOptions::idempotent`]), or where
//! the server marks the tool and you believe it ([`RetryPolicy::trust_annotations`]). Waits double and are random, and
//! all retries of a client share a budget, so that a server that comes back is not met by a storm.
//!
//! ```no_run
//! # use archon_sessions_client::{Client, Error};
//! # async fn example(client: Client) {
//! match client.call_tool("charge", serde_json::json!({ "cents": 995 })).await {
//!     Ok(result) => println!("done: {result:?}"),
//!     Err(Error::Tool(error)) => println!("it said no: {error}"),
//!     Err(Error::OutcomeUnknown(error)) => println!("look before you try again: {error}"),
//!     Err(Error::Connection(error)) => println!("it did not run, try later: {error}"),
//!     Err(Error::Session(error)) => println!("it did not run, and there is no session: {error}"),
//! }
//! # }
//! ```
//!
//! # Another process
//!
//! ```no_run
//! # use archon_sessions_client::{Client, Error, SavedState};
//! # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
//! let saved = serde_json::to_string(&client.save().await?)?; // as secret as a password
//! drop(client); // not close(), which ends the session
//!
//! let state: SavedState = serde_json::from_str(&saved)?;
//! let client = Client::builder("http://127.0.0.1:8051/mcp").state(state).connect().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # The gateway's API
//!
//! [`Api`] asks it who is connected and what they do; [`Api::events`] listens to what happens, over as many connections
//! as it takes. Its types are those of `archon-sessions-api`, here as [`wire_types`].
//!
//! # What it does not do
//!
//! A modern server is heard while a call is under way, on the stream of its answer; `subscriptions/listen` is not
//! opened, so ask [`Client::list_tools`] again where tools come and go. A legacy server's own stream is held open where
//! there is a [`Handler`], so that it can ask and notify at any time.
//! [`Client::close`] ends a legacy session; the modern era has no goodbye, and the gateway ends such a session when it
//! has been silent for its time.
//!
//! Without a gateway of ours in front, all this is a plain MCP client: there is no session id, nobody asks for
//! heartbeats, and [`Client::reconnect`] says that there is nothing to take back.

mod api;
mod client;
mod error;
mod events;
mod handler;
mod retry;
mod session;
mod state;
mod wire;

pub use archon_sessions_api as wire_types;
/// The protocol's types.
pub use rmcp::model;

pub use api::{
    AnalyticsQuery, Api, ApiError, ClientFilter, ClientsQuery, Direction, DisconnectedQuery,
    ErrorsQuery, LogsQuery, PageQuery, SessionFilter, SessionOrder, SessionsQuery, Severity,
    UsageQuery,
};
pub use client::{CallOptions, Client, ClientBuilder, Health, Heartbeat};
pub use error::{
    ConnectionError, ConnectionReason, Error, OutcomeUnknown, SessionError, SessionReason, Source,
    ToolError, UnknownReason,
};
pub use events::{EventPlace, Events, EventsQuery, Notice};
pub use handler::Handler;
pub use retry::RetryPolicy;
pub use session::{ChangeCause, Era, EraChoice, Session, SessionChange};
pub use state::{SavedState, Secret};

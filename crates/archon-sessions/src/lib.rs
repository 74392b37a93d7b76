//! Durable, tracked sessions for MCP servers, as a [tower] layer.
//!
//! Put a [`SessionLayer`] around an MCP server on axum, rmcp or anything else that is a tower service, and each of
//! its clients has a session that outlives the server's process: a client of the legacy era (a handshake, then
//! `Mcp-Session-Id`) goes on with its handle after a restart, one of the modern era (2026-07-28 and later, without
//! sessions of the protocol's own) is known again by a header or a cookie. Sessions and requests are rows in SQLite
//! or PostgreSQL: who was connected, what they called, how long it took, how it ended, what it cost.
//!
//! # Ten lines
//!
//! A server on rmcp, with the feature `rmcp`:
//!
//! ```no_run
//! # #[cfg(all(feature = "rmcp", feature = "sqlite"))] {
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use archon_sessions::{CurrentSession, SessionLayer, Settings, SqliteStore, Tracker};
//! use axum::Router;
//! use rmcp::transport::streamable_http_server::StreamableHttpService;
//! use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
//! use rmcp::{tool, tool_router};
//! use tower::Layer;
//!
//! struct Greeter;
//!
//! #[tool_router(server_handler)]
//! impl Greeter {
//!     #[tool(description = "Greets whoever calls.")]
//!     async fn greet(&self, session: CurrentSession) -> String {
//!         session.annotate().tokens(12, 7).cost(0.0002);
//!         format!("hello, {}", session.client().kind())
//!     }
//! }
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let store = SqliteStore::open("greeter.db").await?;
//! let tracker = Tracker::start(Arc::new(store), Settings::default()).await?;
//! let sessions = Arc::new(LocalSessionManager::default());
//! let mcp = StreamableHttpService::new(|| Ok(Greeter), sessions, Default::default());
//! let mcp = SessionLayer::new(tracker.clone(), "greeter").layer(mcp);
//! let app = Router::new().route_service("/mcp", mcp);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
//! axum::serve(listener, app).await?;
//! tracker.shutdown(Duration::from_secs(10)).await;
//! # Ok(())
//! # }
//! # }
//! ```
//!
//! `examples/server.rs` is a whole one. What is behind the layer cannot tell it from a gateway, and needs to know
//! nothing of it.
//!
//! # What a handler knows
//!
//! The layer puts a [`CurrentSession`] into the extensions of each request that has one: a handler of axum takes it as
//! `Extension<CurrentSession>`, a tool of rmcp as an argument. Through it a handler reads whose request it answers, and says
//! what it knows of it better than we can see: [`CurrentSession::annotate`].
//!
//! # What the layer should know
//!
//! Whoever stands in front of the layer puts what it knows into a request's extensions, all of it if it can:
//!
//! - [`session::Identity`]: who authenticated. Sessions and handles are bound to it; without one a
//!   client is anonymous.
//! - [`layer::PeerAddress`]: where the request comes from. Without it all clients that say the same of themselves and
//!   show no handle count as one, and handshakes are not limited by address.
//!
//! ```
//! use std::net::SocketAddr;
//!
//! use archon_sessions::layer::PeerAddress;
//! use axum::extract::{ConnectInfo, Request};
//! use axum::middleware::{Next, from_fn};
//! use axum::response::Response;
//!
//! async fn say_from_where(
//!     ConnectInfo(peer): ConnectInfo<SocketAddr>,
//!     mut request: Request,
//!     next: Next,
//! ) -> Response {
//!     request.extensions_mut().insert(PeerAddress(peer));
//!     next.run(request).await
//! }
//!
//! # let app = axum::Router::<()>::new();
//! // Around the layer; `into_make_service_with_connect_info` gives it the addresses.
//! let app = app.layer(from_fn(say_from_where));
//! # let _ = app.into_make_service_with_connect_info::<SocketAddr>();
//! ```
//!
//! Only requests for this machine's own names are let in, until [`layer::Limits::hosts`] names others; rmcp has such
//! a list of its own.
//!
//! # When the server stops
//!
//! Sessions stay active: their clients come back. [`Tracker::close_streams`] ends the streams on which nothing is
//! asked for, so that a graceful shutdown does not wait for them, and [`Tracker::shutdown`] writes what is queued.
//! A process that is killed instead loses rows of at most a quarter of a second, and no session; with
//! [`tracker::Durability::Strict`] it loses no row.
//!
//! # The record
//!
//! A store is a [`SqliteStore`], a [`PostgresStore`] or, without a record, a [`MemoryStore`]. Its tables are for
//! everybody's SQL: `archon_mcp_sessions`, `archon_mcp_requests` and `archon_llm_pricing` keep their names and columns.
//! [`store::reports`] has what a dashboard asks of them, [`Tracker::events`] tells what happens as it happens:
//!
//! ```
//! use std::sync::Arc;
//!
//! use archon_sessions::events::Heard;
//! use archon_sessions::{MemoryStore, Settings, Tracker};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tracker = Tracker::start(Arc::new(MemoryStore::new()), Settings::default()).await?;
//! let mut happening = tracker.events().subscribe(None)?;
//! tokio::spawn(async move {
//!     loop {
//!         match happening.next().await {
//!             Heard::Events(events) => println!("{:?}", events.last()),
//!             Heard::Lost => println!("some of what happened was missed"),
//!         }
//!     }
//! });
//! # tracker.shutdown(std::time::Duration::from_secs(1)).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! Each uses only those before it: [`session`] (what a session is), [`protocol`] (what a request says),
//! [`store`] (where sessions are kept), [`events`] (what happens to them, as it happens), [`tracker`] (which
//! session a request belongs to), [`layer`] (all of it around a tower service), and `rmcp`.
//!
//! # Features
//!
//! - `sqlite`, on by default: [`SqliteStore`]. Without it and `postgres` there is no database in your program, and
//!   [`MemoryStore`] or a store of your own keeps sessions: a [`store::SessionStore`].
//! - `postgres`: [`PostgresStore`], with a library for TLS.
//! - `tokenizer`: tokens are counted by a real tokenizer (`o200k_base`, some megabytes of program); without it they are
//!   estimated.
//! - `testing`: `store::suite`, what every store must show, for whoever writes one.
//! - `rmcp`: a [`CurrentSession`] as an argument of rmcp's tools, and `rmcp::RmcpStore`, our tables behind rmcp's own
//!   `SessionStore` and `EventStore`.

#![warn(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod events;
pub mod layer;
pub mod protocol;
#[cfg(feature = "rmcp")]
pub mod rmcp;
pub mod session;
pub mod store;
pub mod tracker;

pub use layer::{CurrentSession, SessionLayer};
pub use store::memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use store::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use store::sqlite::SqliteStore;
pub use tracker::{Settings, Tracker};

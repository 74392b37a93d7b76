//! Durable, tracked MCP sessions as a tower layer.
//!
//! Read in this order: [`session`] (what a session is), [`protocol`] (what a request says),
//! [`store`] (where sessions are kept), [`events`] (what happens to them, as it happens), [`tracker`] (which
//! session a request belongs to), [`layer`] (all of it around a tower service).

pub mod events;
pub mod layer;
pub mod protocol;
#[cfg(feature = "rmcp")]
pub mod rmcp;
pub mod session;
pub mod store;
pub mod tracker;

pub use layer::{Session, SessionLayer};
pub use store::memory::MemoryStore;
pub use store::postgres::PostgresStore;
pub use store::sqlite::SqliteStore;
pub use tracker::{Settings, Tracker};

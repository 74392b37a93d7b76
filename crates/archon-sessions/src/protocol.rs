//! What a request says: its era, its messages, and how its client presents itself.
//!
//! Pure, like [`crate::session`]: bytes and headers in, types out. Message bytes are never rebuilt
//! from these types; they only say what the bytes mean. What is no JSON-RPC 2.0 as it stands, and can only mean one
//! thing, is written as JSON-RPC writes it.

pub mod answer;
pub mod codes;
mod depth;
pub mod envelope;
pub mod event_id;
mod failure;
pub mod forgotten;
pub mod legacy;
mod lenient;
pub mod modern;
pub mod names;
mod object;
mod presented;
pub mod renamed;
pub mod sse;
mod text;
pub mod trace_context;

pub use crate::session::Era;
pub use envelope::{Envelope, Kind, Message};
pub use failure::Found;
pub use presented::{Handle, Presented};
pub use text::Text;

//! What a request says: its era, its messages, and how its client presents itself.
//!
//! Pure, like [`crate::session`]: bytes and headers in, types out. Message bytes are never rebuilt
//! from these types; they only say what the bytes mean.

pub mod answer;
mod depth;
pub mod envelope;
pub mod event_id;
mod failure;
pub mod forgotten;
pub mod legacy;
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

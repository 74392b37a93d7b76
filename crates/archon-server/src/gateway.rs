//! The gateway: upstreams as tower services, and our own tools beside theirs.

mod batch;
mod bridge;
mod builtin;
mod catalog;
mod condition;
mod demo;
mod eras;
mod http;
mod looks;
mod plain;
mod pool;
mod repeats;
mod stdio;
mod succession;
mod upstream;
mod wire;

pub use batch::{FromBatch, Unbatched};
pub use builtin::Builtin;
pub use looks::Looks;
pub use pool::{Failed, Pool, Way};
pub use repeats::Repeats;
pub use succession::Succession;
pub use upstream::Upstream;
pub use wire::GatewayBody;

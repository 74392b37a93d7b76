//! What the API says on the wire: one module a resource, and nothing but types.
//!
//! Names and forms are a public contract: fields may be added, none is renamed, retyped or dropped. Times are RFC 3339
//! texts in UTC with `Z`. A server fills in every field, so each is present even where it is `null`; a client reads
//! answers of older and newer servers alike.

pub mod access;
pub mod analytics;
pub mod errors;
pub mod frames;
pub mod health;
pub mod logs;
pub mod pricing;
pub mod problem;
pub mod reconnect;
pub mod refusals;
pub mod requests;
pub mod sessions;
pub mod status;
pub mod transfer;
pub mod usage;

/// A moment: RFC 3339 in UTC with `Z`, `2026-01-11T00:20:45.123456Z`.
pub type Time = String;

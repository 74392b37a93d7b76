//! What is kept of reconnect tokens: the digest of each session's latest one, and every attempt to use one.

use std::net::IpAddr;

use crate::session::{Principal, SessionId, Timestamp, TokenHash};

/// The digest of a session's latest token: only that one is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredToken {
    /// Whose.
    pub session: SessionId,
    /// Its digest.
    pub hash: TokenHash,
    /// It is good until then.
    pub expires_at: Timestamp,
}

/// Reduces the tokens of each session to the last, as if they were written in turn.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) fn latest(all: &[StoredToken]) -> Vec<&StoredToken> {
    let mut latest: Vec<&StoredToken> = all.iter().rev().collect();
    // Stable, so of equals the last one stays. Sorted, so that two processes lock rows in the same order.
    latest.sort_by_key(|token| token.session);
    latest.dedup_by_key(|token| token.session);
    latest
}

/// The use of a token: it is replaced by the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUse {
    /// Digest of the token that is used.
    pub presented: TokenHash,
    /// What replaces it, and whose both are.
    pub next: StoredToken,
    /// When.
    pub at: Timestamp,
}

/// What became of a session whose token was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenUsed {
    /// How often its client took it back, this time included.
    pub reconnect_count: i64,
    /// See [`Session::revision`](crate::session::Session::revision).
    pub revision: i64,
}

/// An attempt to take a session back: a row of `archon_mcp_reconnect_attempts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconnectAttempt {
    /// When.
    pub at: Timestamp,
    /// Which session was asked for, whether or not there is one.
    pub session: SessionId,
    /// From where.
    pub peer: Option<IpAddr>,
    /// Who asked.
    pub principal: Principal,
    /// How it ended: `reconnected`, or the word for the refusal.
    pub result: &'static str,
}

//! The feed of live events.

use std::time::Duration;

use super::file;
use super::time::Time;

/// Where the feed draws its lines.
#[derive(Clone, Copy, Debug)]
pub struct FeedLimits {
    /// Listeners at a time.
    pub listeners_max: usize,
    /// Bytes of frames that a listener may be behind by; what is compressed of them is kept beside them.
    pub backlog_bytes: usize,
    /// How often a listener is asked whether it is there. One that was asked twice and says nothing is gone.
    pub ping_every: Duration,
}

impl file::WebSocket {
    pub(super) fn feed(&self) -> FeedLimits {
        FeedLimits {
            // Twice what a busy day has: people with a dashboard open.
            listeners_max: self.listeners_max.unwrap_or(2000),
            // Some seconds of five thousand events a second.
            backlog_bytes: self.backlog_bytes.unwrap_or(16 * 1024 * 1024),
            // Proxies close what is silent for a minute.
            ping_every: Time::or(self.ping_seconds, Duration::from_secs(20)),
        }
    }
}

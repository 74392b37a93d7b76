//! Limits wrong tokens, and bounds what is logged about them.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use archon_sessions::session::Network;
use archon_sessions::tracker::KeyedRate;
use axum::http::StatusCode;
use parking_lot::Mutex;

/// Wrong tokens of one address a minute: a person mistypes a few times.
const FAILURES_MAX: u32 = 20;
/// The time for which lines are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Lines about refusals in one window; the rest is counted.
const LINES_MAX: u32 = 60;

/// See the module.
#[derive(Debug)]
pub struct Throttle {
    /// By address. Programs of this machine are limited too: they are told that they fail, and lose nothing by it.
    failures: KeyedRate<Option<Network>>,
    /// Held for single operations, never across an await.
    lines: Mutex<Lines>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { failures: KeyedRate::per_minute(FAILURES_MAX), lines: Mutex::default() }
    }
}

#[derive(Debug, Default)]
struct Lines {
    since: Option<Instant>,
    written: u32,
    withheld: u64,
}

impl Throttle {
    /// Notes a wrong token.
    ///
    /// # Errors
    /// If this address has sent too many, with how long it should wait.
    pub fn fail(&self, peer: Option<IpAddr>) -> Result<(), Duration> {
        self.failures.take(&peer.map(Network::of))
    }

    /// Writes a line about a request that was turned away, unless there were many already.
    pub fn log_refusal(&self, peer: Option<IpAddr>, status: StatusCode, code: &str) {
        let withheld = {
            let mut lines = self.lines.lock();
            if lines.since.is_none_or(|since| since.elapsed() >= WINDOW) {
                let withheld = lines.withheld;
                *lines = Lines { since: Some(Instant::now()), written: 0, withheld: 0 };
                lines.written = 1;
                withheld
            } else if lines.written < LINES_MAX {
                lines.written += 1;
                0
            } else {
                lines.withheld += 1;
                return;
            }
        };
        if withheld > 0 {
            tracing::warn!(withheld, "{withheld} more requests to the API were turned away");
        }
        let peer = peer.map_or_else(|| "an unknown address".to_owned(), |peer| peer.to_string());
        let status = status.as_u16();
        tracing::warn!(
            peer,
            status,
            code,
            "a request to the API from {peer} was turned away: {code}"
        );
    }
}

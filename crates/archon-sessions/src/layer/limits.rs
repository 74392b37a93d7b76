//! How often one address may begin a handshake: `initialize` is what a stranger can make us remember.

use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota};

/// Addresses remembered before those that are quiet again are forgotten.
const ADDRESSES_MAX: usize = 10_000;

/// A rate of `initialize` per address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitializeRate {
    /// Lasting rate; 0 switches the limit off.
    pub per_second: u32,
    /// How many at once.
    pub burst: u32,
    /// Whether addresses of this machine are limited as well. Not by default: behind them are the
    /// user's own programs, and one local proxy would stand for all its clients.
    pub limits_loopback: bool,
}

impl Default for InitializeRate {
    fn default() -> Self {
        Self { per_second: 20, burst: 100, limits_loopback: false }
    }
}

pub(super) struct InitializeLimiter {
    rate: InitializeRate,
    limiter: Option<DefaultKeyedRateLimiter<IpAddr>>,
}

impl InitializeLimiter {
    pub(super) fn new(rate: InitializeRate) -> Self {
        let quota = NonZeroU32::new(rate.per_second).map(|per_second| {
            Quota::per_second(per_second)
                .allow_burst(NonZeroU32::new(rate.burst).unwrap_or(per_second))
        });
        Self { rate, limiter: quota.map(DefaultKeyedRateLimiter::keyed) }
    }

    /// Returns true if this address may send `initialize` now.
    pub(super) fn lets_in(&self, peer: Option<IpAddr>) -> bool {
        let (Some(limiter), Some(peer)) = (&self.limiter, peer) else { return true };
        if peer.to_canonical().is_loopback() && !self.rate.limits_loopback {
            return true;
        }
        if limiter.len() > ADDRESSES_MAX {
            limiter.retain_recent();
        }
        limiter.check_key(&peer).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_limited_each_for_itself() {
        let rate = InitializeRate { per_second: 1, burst: 2, limits_loopback: false };
        let limiter = InitializeLimiter::new(rate);
        let [a, b, local]: [IpAddr; 3] =
            ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|text| text.parse().unwrap());
        assert!(limiter.lets_in(Some(a)) && limiter.lets_in(Some(a)));
        assert!(!limiter.lets_in(Some(a)));
        assert!(limiter.lets_in(Some(b)));
        assert!((0..10).all(|_| limiter.lets_in(Some(local))));
    }
}

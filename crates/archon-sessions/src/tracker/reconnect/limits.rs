//! How often a reconnect may be tried: a token cannot be guessed, but each try asks the store.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::session::SessionId;

/// Sessions or addresses remembered before those that are quiet again are forgotten.
const KEYS_MAX: usize = 10_000;

/// How often a reconnect may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconnectRate {
    /// For one session, a minute and at once; its client needs one. 0 switches the limit off.
    pub per_session: u32,
    /// From one address, a minute and at once: all clients of a machine may restart together.
    pub per_address: u32,
    /// Whether addresses of this machine are limited as well. Not by default: one local proxy would stand for all
    /// its clients.
    pub limits_loopback: bool,
}

impl Default for ReconnectRate {
    fn default() -> Self {
        Self { per_session: 10, per_address: 60, limits_loopback: false }
    }
}

/// See the module.
pub struct ReconnectLimiter {
    sessions: Option<DefaultKeyedRateLimiter<SessionId>>,
    addresses: Option<DefaultKeyedRateLimiter<IpAddr>>,
    limits_loopback: bool,
}

impl ReconnectLimiter {
    pub fn new(rate: ReconnectRate) -> Self {
        let quota = |per_minute| NonZeroU32::new(per_minute).map(Quota::per_minute);
        Self {
            sessions: quota(rate.per_session).map(DefaultKeyedRateLimiter::keyed),
            addresses: quota(rate.per_address).map(DefaultKeyedRateLimiter::keyed),
            limits_loopback: rate.limits_loopback,
        }
    }

    /// Counts an attempt from this address; an error says when to try again.
    pub fn try_address(&self, peer: Option<IpAddr>) -> Result<(), Duration> {
        let Some(peer) = peer else { return Ok(()) };
        if peer.to_canonical().is_loopback() && !self.limits_loopback {
            return Ok(());
        }
        check(self.addresses.as_ref(), &peer.to_canonical())
    }

    /// Counts an attempt for this session; an error says when to try again.
    pub fn try_session(&self, id: SessionId) -> Result<(), Duration> {
        check(self.sessions.as_ref(), &id)
    }
}

fn check<K: Hash + Eq + Clone>(
    limiter: Option<&DefaultKeyedRateLimiter<K>>,
    key: &K,
) -> Result<(), Duration> {
    let Some(limiter) = limiter else { return Ok(()) };
    if limiter.len() > KEYS_MAX {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|until| until.wait_time_from(DefaultClock::default().now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_and_each_address_is_limited_for_itself() {
        let rate = ReconnectRate { per_session: 2, per_address: 3, limits_loopback: false };
        let limiter = ReconnectLimiter::new(rate);
        let [a, b, local]: [IpAddr; 3] =
            ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|text| text.parse().unwrap());
        assert!((0..3).all(|_| limiter.try_address(Some(a)).is_ok()));
        let wait = limiter.try_address(Some(a)).unwrap_err();
        assert!(wait > Duration::from_secs(15) && wait <= Duration::from_secs(20), "{wait:?}");
        assert!(limiter.try_address(Some(b)).is_ok());
        assert!((0..9).all(|_| limiter.try_address(Some(local)).is_ok()));
        assert!((0..9).all(|_| limiter.try_address(None).is_ok()));
        let (one, other) = (SessionId::random(), SessionId::random());
        assert!((0..2).all(|_| limiter.try_session(one).is_ok()));
        assert!(limiter.try_session(one).is_err() && limiter.try_session(other).is_ok());
        let off = ReconnectRate { per_session: 0, per_address: 0, limits_loopback: true };
        let limiter = ReconnectLimiter::new(off);
        assert!(
            (0..99)
                .all(|_| limiter.try_address(Some(a)).is_ok() && limiter.try_session(one).is_ok())
        );
    }
}

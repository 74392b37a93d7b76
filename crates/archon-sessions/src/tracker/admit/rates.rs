//! How often one peer may do what costs something: the limits that strangers meet.

use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use parking_lot::{Mutex, MutexGuard};

use crate::session::Network;
use crate::tracker::{Caller, Refusal, Tracker};

/// Keys that one limit remembers. Beyond it those that are quiet again are forgotten; where that makes little room, all.
const KEYS_MAX: usize = 10_000;
/// Look-ups of one address a second for handles that memory does not know, before they take turns.
const LOOKUPS_PER_SECOND: u32 = 10;
/// And at once: what a machine's clients show after a pause.
const LOOKUPS_BURST: u32 = 200;

/// How often one address may begin a session, in either era. For IPv6 an address is its first 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRate {
    /// Lasting rate; 0 switches the limit off.
    pub per_second: u32,
    /// How many at once.
    pub burst: u32,
    /// Whether addresses of this machine are limited as well. Not by default: behind them are the
    /// user's own programs, and one local proxy would stand for all its clients.
    pub limits_loopback: bool,
}

impl Default for AddressRate {
    fn default() -> Self {
        Self { per_second: 20, burst: 100, limits_loopback: false }
    }
}

/// Shows that a new session was let in: see [`Tracker::let_in`].
#[derive(Clone, Copy, Debug)]
pub struct Permit(());

impl Tracker {
    /// Lets one new session of this caller in. Every new session needs it, whatever its era; a legacy handshake needs
    /// it before it is sent on.
    ///
    /// # Errors
    /// If the caller's address has begun too many.
    pub fn let_in(&self, caller: &Caller) -> Result<Permit, Refusal> {
        let taken = self.inner.newcomers.take(caller.peer);
        taken.map(|()| Permit(())).map_err(|_| Refusal::TooManyNew)
    }
}

/// A limit for each address.
#[derive(Debug)]
pub struct AddressLimiter {
    rate: KeyedRate<Network>,
    limits_loopback: bool,
}

impl AddressLimiter {
    pub(in crate::tracker) fn of_sessions(rate: AddressRate) -> Self {
        let limits_loopback = rate.limits_loopback;
        Self { rate: KeyedRate::per_second(rate.per_second, rate.burst), limits_loopback }
    }

    pub(in crate::tracker) fn of_lookups(limits_loopback: bool) -> Self {
        Self { rate: KeyedRate::per_second(LOOKUPS_PER_SECOND, LOOKUPS_BURST), limits_loopback }
    }

    /// Returns a limit of so many a minute, and at once.
    pub(in crate::tracker) fn per_minute(count: u32, limits_loopback: bool) -> Self {
        Self { rate: KeyedRate::per_minute(count), limits_loopback }
    }

    /// Counts one; an address that is not known is not limited.
    ///
    /// # Errors
    /// With the time until the next.
    pub fn take(&self, peer: Option<IpAddr>) -> Result<(), Duration> {
        let Some(network) = peer.map(Network::of) else { return Ok(()) };
        if network.is_loopback() && !self.limits_loopback {
            return Ok(());
        }
        self.rate.take(&network)
    }
}

/// A rate for each key, of which at most [`KEYS_MAX`] are remembered.
pub struct KeyedRate<K: Hash + Eq + Clone> {
    /// `None` where the limit is switched off.
    quota: Option<Quota>,
    /// Held for single operations, never across an await.
    limiter: Mutex<Option<Arc<DefaultKeyedRateLimiter<K>>>>,
}

impl<K: Hash + Eq + Clone> KeyedRate<K> {
    /// Returns a lasting rate with so many at once; 0 switches it off.
    pub fn per_second(count: u32, burst: u32) -> Self {
        let quota = NonZeroU32::new(count).map(|count| {
            Quota::per_second(count).allow_burst(NonZeroU32::new(burst).unwrap_or(count))
        });
        Self::of(quota)
    }

    /// Returns a rate of so many a minute, and at once; 0 switches it off.
    pub fn per_minute(count: u32) -> Self {
        Self::of(NonZeroU32::new(count).map(Quota::per_minute))
    }

    fn of(quota: Option<Quota>) -> Self {
        Self { quota, limiter: Mutex::default() }
    }

    /// Counts one for this key.
    ///
    /// # Errors
    /// With the time until the next.
    pub fn take(&self, key: &K) -> Result<(), Duration> {
        let Some(quota) = self.quota else { return Ok(()) };
        let limiter = {
            let mut current = self.current();
            let has_room = current.as_ref().is_some_and(|current| has_room(current));
            match current.as_ref().filter(|_| has_room) {
                Some(limiter) => limiter.clone(),
                None => current.insert(Arc::new(DefaultKeyedRateLimiter::keyed(quota))).clone(),
            }
        };
        let taken = limiter.check_key(key);
        taken.map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<DefaultKeyedRateLimiter<K>>>> {
        self.limiter.lock()
    }
}

/// Forgets keys that are quiet again where there are too many. Looking for them takes a while, so that it must make
/// room for many: else whoever has that many keys would have it done each time.
fn has_room<K: Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>) -> bool {
    if limiter.len() < KEYS_MAX {
        return true;
    }
    limiter.retain_recent();
    limiter.len() < KEYS_MAX / 2
}

impl<K: Hash + Eq + Clone> fmt::Debug for KeyedRate<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedRate").field("quota", &self.quota).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "192.0.2.1";
    const B: &str = "192.0.2.2";

    fn peer(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn strangers_are_limited_each_for_itself() {
        let rate = AddressRate { per_second: 1, burst: 2, limits_loopback: false };
        let limiter = AddressLimiter::of_sessions(rate);
        assert!((0..2).all(|_| limiter.take(peer(A)).is_ok()));
        assert!(limiter.take(peer(A)).is_err_and(|wait| wait <= Duration::from_secs(1)));
        assert!(limiter.take(peer(B)).is_ok());
        assert!((0..10).all(|_| limiter.take(peer("127.0.0.1")).is_ok()));
        assert!((0..10).all(|_| limiter.take(None).is_ok()));
        let all = AddressLimiter::of_sessions(AddressRate { limits_loopback: true, ..rate });
        assert_eq!((0..10).filter(|_| all.take(peer("127.0.0.1")).is_ok()).count(), 2);
        let off = AddressLimiter::of_sessions(AddressRate { per_second: 0, ..rate });
        assert!((0..1000).all(|_| off.take(peer(A)).is_ok()));
    }

    #[test]
    fn an_address_of_ipv6_is_its_network() {
        let limiter = AddressLimiter::per_minute(3, false);
        let from = |number: u32| peer(&format!("2001:db8::{number:x}"));
        assert_eq!((0..50).filter(|number| limiter.take(from(*number)).is_ok()).count(), 3);
    }

    #[test]
    fn keys_are_bounded_though_none_is_quiet() {
        let rate: KeyedRate<usize> = KeyedRate::per_minute(1);
        const KEYS: usize = 3 * KEYS_MAX - 1;
        for key in 0..KEYS {
            assert!(rate.take(&key).is_ok());
            assert!(rate.current().as_ref().unwrap().len() <= KEYS_MAX);
        }
        assert!(rate.take(&(KEYS - 1)).is_err(), "the latest is remembered");
    }
}

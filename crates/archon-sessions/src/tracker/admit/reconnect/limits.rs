//! How often a reconnect may fail. A token cannot be guessed, but to tell why one is refused the store is asked.

use std::net::IpAddr;
use std::time::Duration;

use crate::session::TokenHash;
use crate::tracker::admit::rates::{AddressLimiter, KeyedRate};

/// How often a reconnect may fail. A good token is not limited, whoever else tries: nothing is counted by session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconnectRate {
    /// Tries with one token, a minute and at once; its client needs one. 0 switches the limit off.
    pub per_token: u32,
    /// Failed tries from one address, a minute and at once: all clients of a machine may restart together.
    pub per_address: u32,
    /// Whether addresses of this machine are limited as well. Not by default: one local proxy would stand for all
    /// its clients.
    pub limits_loopback: bool,
}

impl Default for ReconnectRate {
    fn default() -> Self {
        Self { per_token: 10, per_address: 60, limits_loopback: false }
    }
}

/// See the module.
pub struct ReconnectLimiter {
    tokens: KeyedRate<TokenHash>,
    addresses: AddressLimiter,
}

impl ReconnectLimiter {
    pub fn new(rate: ReconnectRate) -> Self {
        Self {
            tokens: KeyedRate::per_minute(rate.per_token),
            addresses: AddressLimiter::per_minute(rate.per_address, rate.limits_loopback),
        }
    }

    /// Counts a try with a token that we signed for this session: it may have been used before. An error says when to
    /// try again.
    pub fn try_token(&self, token: &TokenHash) -> Result<(), Duration> {
        self.tokens.take(token)
    }

    /// Counts a try that fails whatever the store says; an error says when to try again.
    pub fn fail(&self, token: &TokenHash, peer: Option<IpAddr>) -> Result<(), Duration> {
        self.tokens.take(token)?;
        self.addresses.take(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_and_each_address_is_limited_for_itself() {
        let rate = ReconnectRate { per_token: 2, per_address: 3, limits_loopback: false };
        let limiter = ReconnectLimiter::new(rate);
        let [a, b, local]: [IpAddr; 3] =
            ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|text| text.parse().unwrap());
        let token = |number: usize| TokenHash::of(&number.to_string());
        assert!((0..3).all(|number| limiter.fail(&token(number), Some(a)).is_ok()));
        let wait = limiter.fail(&token(3), Some(a)).unwrap_err();
        assert!(wait > Duration::from_secs(15) && wait <= Duration::from_secs(20), "{wait:?}");
        assert!(limiter.fail(&token(4), Some(b)).is_ok());
        assert!((10..19).all(|number| limiter.fail(&token(number), Some(local)).is_ok()));
        assert!((20..29).all(|number| limiter.fail(&token(number), None).is_ok()));
        let good = token(99);
        assert!((0..2).all(|_| limiter.try_token(&good).is_ok()), "whatever else has failed");
        assert!(limiter.try_token(&good).is_err() && limiter.fail(&good, None).is_err());
        let off = ReconnectRate { per_token: 0, per_address: 0, limits_loopback: true };
        let limiter = ReconnectLimiter::new(off);
        assert!((0..99).all(|_| limiter.fail(&good, Some(a)).is_ok()));
    }
}

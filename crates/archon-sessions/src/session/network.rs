//! The part of an address that stands for one peer, for limits by address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Bits of an IPv6 address that a network gives to one subscriber; the others are the subscriber's own choice.
const SUBSCRIBER_BITS: u32 = 64;

/// A peer: an IPv4 address, or the first 64 bits of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// Returns the network of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                let bits = address.to_bits() >> SUBSCRIBER_BITS << SUBSCRIBER_BITS;
                Self(IpAddr::V6(Ipv6Addr::from_bits(bits)))
            }
            canonical => Self(canonical),
        }
    }

    /// Returns true if the address is one of this machine.
    pub fn is_loopback(self) -> bool {
        self.0.is_loopback()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V6(address) if !address.is_loopback() => {
                write!(f, "{address}/{SUBSCRIBER_BITS}")
            }
            address => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_chooses_the_last_bits_is_one_peer() {
        let of = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
        assert_eq!([of("192.0.2.1"), of("::1")].map(|of| of.to_string()), ["192.0.2.1", "::1"]);
        for (address, is_loopback) in
            [("::1", true), ("127.0.0.9", true), ("::ffff:127.0.0.1", true), ("::2", false)]
        {
            assert_eq!(of(address).is_loopback(), is_loopback, "{address}");
        }
    }
}

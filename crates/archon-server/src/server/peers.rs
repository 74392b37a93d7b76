//! How many connections each address has open, so that none takes all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use archon_sessions::session::Network;
use parking_lot::Mutex;

/// Counts connections by address. It has at most as many entries as there are connections.
#[derive(Debug)]
pub struct Peers {
    max: usize,
    limits_loopback: bool,
    /// Held for single operations, never across an await.
    open: Mutex<HashMap<Network, usize>>,
}

/// A connection that is counted, until it is dropped.
#[derive(Debug)]
pub struct Counted {
    peers: Arc<Peers>,
    network: Network,
}

impl Peers {
    /// Returns a count of nothing; of each address it lets in so many.
    pub fn new(max: usize, limits_loopback: bool) -> Arc<Self> {
        Arc::new(Self { max, limits_loopback, open: Mutex::default() })
    }

    /// Counts a connection; `None` if its address has as many as it may.
    pub fn count(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let network = Network::of(address);
        let is_limited = self.limits_loopback || !network.is_loopback();
        let mut open = self.open.lock();
        let count = open.entry(network).or_default();
        // An entry that was just made is below the limit, which is positive.
        if is_limited && *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Counted { peers: self.clone(), network })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.peers.open.lock();
        if let Some(count) = open.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_share() {
        let peers = Peers::new(2, false);
        let count = |text: &str| peers.count(text.parse().unwrap());
        let held: Vec<_> = (0..2).map(|_| count("192.0.2.1").unwrap()).collect();
        assert!(count("192.0.2.1").is_none() && count("::ffff:192.0.2.1").is_none());
        let other = count("192.0.2.2").unwrap();
        let local: Vec<_> = (0..9).map(|_| count("127.0.0.1").unwrap()).collect();
        drop(held);
        assert!(count("192.0.2.1").is_some());
        drop((other, local));
        assert!(peers.open.lock().is_empty(), "nothing is kept of who left");
        let all = Peers::new(2, true);
        let local: Vec<_> = (0..9).filter_map(|_| all.count("::1".parse().unwrap())).collect();
        assert_eq!(local.len(), 2);
    }
}

//! How many sessions are active, by client type: kept up as they come and go, so that asking costs the same with
//! a million of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use parking_lot::{Mutex, MutexGuard};

use crate::session::is_product;

/// Client types that are told apart beside the known products: clients choose their names themselves, and each
/// name costs a place for as long as the process runs.
const NAMES_MAX: usize = 100;
/// What all others count as.
const OTHER: &str = "other";

/// Counts active sessions.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// Taken once a session, when it begins. Held for single operations, never across an await.
    places: Mutex<HashMap<Box<str>, Arc<Place>>>,
    all: Arc<AtomicI64>,
}

/// Where sessions of one client type are counted.
#[derive(Debug)]
pub(in crate::tracker) struct Place {
    name: Box<str>,
    active: AtomicI64,
    all: Arc<AtomicI64>,
}

impl Census {
    pub(super) fn place(&self, client_type: &str) -> Arc<Place> {
        let mut places = self.places();
        if let Some(place) = places.get(client_type) {
            return place.clone();
        }
        let has_room = places.len() < NAMES_MAX || is_product(client_type);
        let name = if has_room { client_type } else { OTHER };
        let new = || {
            let (name, active, all) = (name.into(), AtomicI64::new(0), self.all.clone());
            Arc::new(Place { name, active, all })
        };
        places.entry(name.into()).or_insert_with(new).clone()
    }

    pub(super) fn all(&self) -> usize {
        usize::try_from(self.all.load(Relaxed)).unwrap_or(0)
    }

    pub(super) fn by_client_type(&self) -> Vec<(Box<str>, usize)> {
        let count = |place: &Arc<Place>| usize::try_from(place.active.load(Relaxed)).unwrap_or(0);
        self.places().values().map(|place| (place.name.clone(), count(place))).collect()
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Place>>> {
        self.places.lock()
    }
}

impl Place {
    /// Returns the client type, or `other` for one that came when there was no room.
    pub(in crate::tracker) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn enter(&self) {
        self.active.fetch_add(1, Relaxed);
        self.all.fetch_add(1, Relaxed);
    }

    pub(super) fn leave(&self) {
        self.active.fetch_sub(1, Relaxed);
        self.all.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_names_share_a_place_and_products_keep_theirs() {
        let census = Census::default();
        for number in 0..500 {
            census.place(&format!("agent-{number}")).enter();
        }
        census.place("Cursor").enter();
        let counts = census.by_client_type();
        let count = |name: &str| counts.iter().find(|(of, _)| **of == *name).map(|(_, n)| *n);
        assert_eq!(counts.len(), NAMES_MAX + 2);
        assert_eq!(
            (count("agent-7"), count(OTHER), count("Cursor")),
            (Some(1), Some(400), Some(1))
        );
        assert_eq!(census.all(), 501);
        census.place("agent-499").leave();
        assert_eq!(census.all(), 500);
    }
}

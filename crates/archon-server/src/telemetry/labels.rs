//! Names that clients choose, as values of labels: a bounded number of them, since each costs memory here and in
//! whatever keeps the metrics.

use std::collections::HashMap;

/// A client can invent names without end. Those that were never answered with success may take this share of
/// the places, so that inventing some does not take the places of names that mean something.
const UNPROVEN_SHARE: usize = 4;

/// The names of one label that are told apart.
#[derive(Debug)]
pub struct Labels {
    known: HashMap<Box<str>, Known>,
    /// By index; the first stands for all that have no place.
    names: Vec<Box<str>>,
    max: usize,
    unproven: usize,
    unproven_max: usize,
}

#[derive(Debug)]
struct Known {
    index: u16,
    is_proven: bool,
}

/// Whether a name was seen to mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// An upstream answered with success.
    Success,
    /// It may be invented.
    None,
}

impl Labels {
    /// Returns an empty set of names that are all worth the same.
    pub fn up_to(max: u16, rest: &str) -> Self {
        let max = usize::from(max);
        let names = vec![rest.into()];
        Self { known: HashMap::new(), names, max, unproven: 0, unproven_max: max }
    }

    /// Returns an empty set of names that have to prove themselves.
    pub fn proven_up_to(max: u16, rest: &str) -> Self {
        let labels = Self::up_to(max, rest);
        Self { unproven_max: labels.max / UNPROVEN_SHARE, ..labels }
    }

    /// Returns the index of a name: 0 if there is no place for it.
    pub fn index(&mut self, name: &str, proof: Proof) -> u16 {
        let is_proof = proof == Proof::Success;
        if let Some(known) = self.known.get_mut(name) {
            if is_proof && !known.is_proven {
                known.is_proven = true;
                self.unproven -= 1;
            }
            return known.index;
        }
        let has_room =
            self.names.len() <= self.max && (is_proof || self.unproven < self.unproven_max);
        let Some(index) = u16::try_from(self.names.len()).ok().filter(|_| has_room) else {
            return 0;
        };
        self.unproven += usize::from(!is_proof);
        self.known.insert(name.into(), Known { index, is_proven: is_proof });
        self.names.push(name.into());
        index
    }

    /// Returns the name of an index.
    pub fn name(&self, index: u16) -> &str {
        self.names.get(usize::from(index)).map_or("", |name| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_names_take_only_their_share() {
        let mut labels = Labels::proven_up_to(40, "other");
        for number in 0..1000 {
            labels.index(&format!("invented-{number}"), Proof::None);
        }
        let real = labels.index("echo", Proof::Success);
        assert_eq!(labels.name(real), "echo");
        let invented = labels.index("invented-500", Proof::None);
        assert_eq!(labels.name(invented), "other");
        let early = labels.index("invented-3", Proof::None);
        assert_eq!(labels.name(early), "invented-3");
        assert_eq!(labels.names.len(), 1 + 10 + 1);
    }

    #[test]
    fn a_name_that_proves_itself_makes_room_for_another() {
        let mut labels = Labels::proven_up_to(4, "other");
        let first = labels.index("a", Proof::None);
        assert_eq!(labels.index("b", Proof::None), 0);
        assert_eq!(labels.index("a", Proof::Success), first);
        assert_ne!(labels.index("b", Proof::None), 0);
    }

    #[test]
    fn there_are_never_more_than_the_bound() {
        let mut labels = Labels::up_to(3, "other");
        let found: Vec<u16> = "abcde"
            .split("")
            .skip(1)
            .take(5)
            .map(|name| labels.index(name, Proof::Success))
            .collect();
        assert_eq!(found, [1, 2, 3, 0, 0]);
    }
}

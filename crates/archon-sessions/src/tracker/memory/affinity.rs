//! What the service behind the layer is told again with each request on a connection: the cookies of a balancer in
//! front of it, for one. The text is that service's own; it is kept with the connection and never read here.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

/// Bytes of the text; a change that exceeds them is not made.
const BYTES_MAX: usize = 8 * 1024;
/// How often a text that keeps changing is stored: some balancers say a new value with each answer, of which each
/// is good for longer than this.
const STORED_EVERY: Duration = Duration::from_secs(10);

/// See the module. Clones are one. The layer puts that of a request's connection, or a new one for a handshake, into
/// the request's extensions; the service behind it reads and changes it.
#[derive(Clone, Default)]
pub struct Affinity {
    /// Held for single operations, never across an await.
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    text: Arc<str>,
    /// Whether it changed since it was given to the store.
    is_new: bool,
    /// When it was given to the store last.
    stored_at: Option<Instant>,
}

impl Affinity {
    /// Returns what was stored.
    pub(in crate::tracker) fn from_stored(text: &str) -> Self {
        let state = State { text: text.into(), is_new: false, stored_at: None };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Returns the text; empty if there is none.
    pub fn text(&self) -> Arc<str> {
        self.state().text.clone()
    }

    /// Changes the text to what `change` makes of it, if anything: requests of one connection may do so at once.
    pub fn change(&self, change: impl FnOnce(&str) -> Option<String>) {
        let mut state = self.state();
        let changed = change(&state.text).filter(|text| text.len() <= BYTES_MAX);
        if let Some(text) = changed.filter(|text| **text != *state.text) {
            state.text = text.into();
            state.is_new = true;
        }
    }

    /// Returns true if the text is to be stored now; the caller does so.
    pub(in crate::tracker) fn is_due(&self, now: Instant) -> bool {
        let mut state = self.state();
        let was_just_stored = state.stored_at.is_some_and(|at| now - at < STORED_EVERY);
        if !state.is_new || was_just_stored {
            return false;
        }
        (state.is_new, state.stored_at) = (false, Some(now));
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// The text may be a secret.
impl fmt::Debug for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Affinity")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(text: &str) -> impl FnOnce(&str) -> Option<String> {
        move |_| Some(text.to_owned())
    }

    #[test]
    fn a_text_that_keeps_changing_is_stored_now_and_then() {
        let (affinity, began) = (Affinity::default(), Instant::now());
        assert!(!affinity.is_due(began), "there is none");
        affinity.change(to("a"));
        assert!(affinity.is_due(began));
        assert!(!affinity.is_due(began + STORED_EVERY), "it has not changed");
        affinity.change(to("b"));
        affinity.change(|before| Some(format!("{before}c")));
        assert!(!affinity.is_due(began + STORED_EVERY / 2));
        assert!(affinity.is_due(began + STORED_EVERY));
        assert_eq!(&*affinity.text(), "bc");
    }

    #[test]
    fn what_is_too_long_or_no_change_is_not_taken() {
        let affinity = Affinity::from_stored("a");
        affinity.change(to(&"x".repeat(BYTES_MAX + 1)));
        affinity.change(|_| None);
        affinity.change(to("a"));
        assert_eq!((&*affinity.text(), affinity.is_due(Instant::now())), ("a", false));
    }
}

//! What the service that answers a call knows of it better than we can see in its messages.

use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};

use super::CallFacts;
use crate::session::{User, is_printable};
use crate::tracker::{Presence, Tracker};

/// A model's name is kept up to so many characters; the longest that providers use have a few dozen.
const MODEL_CHARS_MAX: usize = 128;
/// What a row's columns hold in PostgreSQL: `INTEGER`.
const TOKENS_MAX: u64 = i32::MAX as u64;
/// What a row's columns hold in PostgreSQL: `NUMERIC(10, 6)`.
const DOLLARS_MAX: f64 = 9_999.999_999;

/// Where it is said; cheap to clone. It keeps nothing of its call in memory: what comes when the call's row is
/// written, or where there is no call, is dropped, and a debug line says so.
#[derive(Clone, Debug, Default)]
pub struct Annotations(Weak<CallFacts>);

impl Annotations {
    pub(in crate::tracker) fn of(facts: &Arc<CallFacts>) -> Self {
        Self(Arc::downgrade(facts))
    }

    /// Says how many tokens the call took; they replace the estimate. What exceeds `i32::MAX` counts as that.
    pub fn tokens(&self, prompt: u64, completion: u64) {
        let bounded = |tokens: u64| i64::try_from(tokens.min(TOKENS_MAX)).unwrap_or(0);
        self.note("tokens", |notes| notes.tokens = Some((bounded(prompt), bounded(completion))));
    }

    /// Says what the call cost in dollars; that replaces what its tokens cost at the model's price. What is no
    /// amount (negative, not finite) is dropped, and what exceeds 9,999.999999 counts as that.
    pub fn cost(&self, dollars: f64) {
        if !(dollars.is_finite() && dollars >= 0.0) {
            tracing::debug!(dollars, "an annotated cost is no amount of money, and was dropped");
            return;
        }
        let micros = (dollars.min(DOLLARS_MAX) * 1e6).round() as i64;
        self.note("cost", |notes| notes.cost_micros = Some(micros));
    }

    /// Says which model the call's tokens are of: its price, from the table of prices, is the one that counts.
    /// At most 128 characters are kept.
    pub fn model(&self, name: &str) {
        let name = name.chars().filter(|c| is_printable(*c)).take(MODEL_CHARS_MAX);
        let name: Arc<str> = name.collect::<String>().trim().into();
        if !name.is_empty() {
            self.note("model", |notes| notes.model = Some(name));
        }
    }

    fn note(&self, what: &'static str, write: impl FnOnce(&mut Notes)) {
        let is_noted = self.0.upgrade().is_some_and(|facts| facts.notes.write(write));
        if !is_noted {
            tracing::debug!(what, "an annotation found no call in flight, and was dropped");
        }
    }
}

/// What was said.
#[derive(Clone, Debug, Default)]
pub(in crate::tracker) struct Notes {
    /// Prompt and completion.
    pub(in crate::tracker) tokens: Option<(i64, i64)>,
    pub(in crate::tracker) cost_micros: Option<i64>,
    pub(in crate::tracker) model: Option<Arc<str>>,
}

/// A call's notes: a few words of memory for the many calls that have none.
#[derive(Debug, Default)]
pub(in crate::tracker) struct Notepad(Mutex<Page>);

#[derive(Debug, Default)]
enum Page {
    #[default]
    Empty,
    Written(Box<Notes>),
    /// Its call's row was written: nobody reads it any more.
    Closed,
}

impl Notepad {
    /// Returns false if nobody would read it.
    fn write(&self, write: impl FnOnce(&mut Notes)) -> bool {
        let mut page = self.page();
        match &mut *page {
            Page::Empty => {
                let mut notes = Box::<Notes>::default();
                write(&mut notes);
                *page = Page::Written(notes);
                true
            }
            Page::Written(notes) => {
                write(notes);
                true
            }
            Page::Closed => false,
        }
    }

    /// Returns the model that the call's tokens are to be priced by, unless what it cost is said as well.
    pub(in crate::tracker) fn model_to_price(&self) -> Option<Arc<str>> {
        match &*self.page() {
            Page::Written(notes) if notes.cost_micros.is_none() => notes.model.clone(),
            Page::Empty | Page::Written(_) | Page::Closed => None,
        }
    }

    /// Takes what was said; nothing more can be.
    pub(in crate::tracker) fn close(&self) -> Notes {
        match std::mem::replace(&mut *self.page(), Page::Closed) {
            Page::Written(notes) => *notes,
            Page::Empty | Page::Closed => Notes::default(),
        }
    }

    /// Takes what was said to another notepad.
    pub(in crate::tracker) fn moved(&self) -> Self {
        Self(Mutex::new(std::mem::replace(&mut *self.page(), Page::Closed)))
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.0.lock()
    }
}

impl Tracker {
    /// Writes down who a session's client is to people, in place of what was known. Nothing is bound to it: the
    /// session's principal stays who authenticated.
    pub fn set_user(&self, presence: &Presence, user: User) {
        let Some(user) = user.bounded() else { return };
        if presence.set_user(&user) {
            self.inner.writer.user(presence.id(), user);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU8;

    use super::*;
    use crate::protocol::Text;
    use crate::session::{SessionId, Timestamp};
    use crate::store::CallId;

    fn call() -> Arc<CallFacts> {
        Arc::new(CallFacts {
            id: CallId(1),
            session: SessionId::random(),
            handle: None,
            request: Text::default(),
            method: Text::default(),
            tool: None,
            upstream: "demo".into(),
            protocol_version: Text::default(),
            carried: None,
            started: Timestamp::from_micros(0),
            request_bytes: 0,
            params: Mutex::default(),
            place: AtomicU8::default(),
            notes: Notepad::default(),
            cancellation: crate::tracker::call::Cancellation::default(),
            is_detached: false,
        })
    }

    fn said(say: impl FnOnce(&Annotations)) -> Notes {
        let facts = call();
        say(&Annotations::of(&facts));
        facts.notes.close()
    }

    #[test]
    fn what_is_said_is_bounded_by_what_rows_hold() {
        let notes = said(|annotations| {
            annotations.tokens(u64::MAX, 7);
            annotations.cost(1e12);
            annotations.model(&"m\u{0}".repeat(1000));
        });
        assert_eq!(notes.tokens, Some((i64::from(i32::MAX), 7)));
        assert_eq!(notes.cost_micros, Some(9_999_999_999));
        assert_eq!(notes.model.as_deref(), Some(&*"m".repeat(MODEL_CHARS_MAX)));
    }

    #[test]
    fn what_is_no_amount_of_money_is_not_noted() {
        let notes = said(|annotations| {
            annotations.cost(0.25);
            [f64::NAN, f64::INFINITY, -1.0].iter().for_each(|amount| annotations.cost(*amount));
            annotations.model(" \n");
        });
        assert_eq!((notes.cost_micros, notes.model), (Some(250_000), None));
    }

    #[test]
    fn what_is_said_too_late_is_dropped() {
        let facts = call();
        let annotations = Annotations::of(&facts);
        annotations.tokens(1, 2);
        assert_eq!(facts.notes.close().tokens, Some((1, 2)));
        annotations.tokens(3, 4);
        assert_eq!(facts.notes.close().tokens, None);
        drop(facts);
        annotations.tokens(5, 6);
        Annotations::default().model("m");
    }
}

//! One limit for all lines that somebody outside can cause: refused requests, unknown handles, nonsense from a child.
//!
//! Each place in the program that warns may write so many lines in a while; what is more is counted, and the count is
//! told. What the operator is told of once, and what is `info`, is never held back.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::latest::message_of;

/// Lines of one place within [`WINDOW`]: enough to see what goes on.
const LINES_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// Of a line that stands for others, so much is repeated.
const EXAMPLE_CHARS_MAX: usize = 200;
/// What this module says itself is never held back.
const OWN: &str = module_path!();

/// Held for single operations, never across an await. As many entries as the program has places that warn.
static PLACES: Mutex<Option<HashMap<Identifier, Place>>> = Mutex::new(None);

/// One place in the program.
#[derive(Debug)]
struct Place {
    began: Instant,
    lines: u32,
    withheld: u64,
    /// The first line that was held back.
    example: String,
}

impl Place {
    fn new(now: Instant) -> Self {
        Self { began: now, lines: 0, withheld: 0, example: String::new() }
    }

    /// Returns true if a line may be written now.
    fn admit(&mut self, now: Instant) -> bool {
        // What was held back before is told first, by whoever looks every while.
        if self.withheld == 0 && now.duration_since(self.began) >= WINDOW {
            (self.began, self.lines) = (now, 0);
        }
        if self.lines < LINES_MAX {
            self.lines += 1;
            return true;
        }
        self.withheld += 1;
        false
    }

    /// Returns how many lines were held back, and one of them, and begins again.
    fn take_withheld(&mut self, now: Instant) -> Option<(u64, String)> {
        let withheld = Some(std::mem::take(&mut self.withheld)).filter(|withheld| *withheld > 0)?;
        (self.began, self.lines) = (now, 0);
        Some((withheld, std::mem::take(&mut self.example)))
    }
}

/// Stands before all that writes lines.
pub struct Limiter;

impl<S: Subscriber> Layer<S> for Limiter {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || metadata.target() == OWN {
            return true;
        }
        let now = Instant::now();
        let mut places = PLACES.lock();
        let places = places.get_or_insert_default();
        let place = places.entry(metadata.callsite()).or_insert_with(|| Place::new(now));
        let is_written = place.admit(now);
        if place.withheld == 1 {
            place.example = message_of(event, EXAMPLE_CHARS_MAX);
        }
        is_written
    }
}

/// Tells from time to time what was held back. Runs until it is dropped.
pub async fn tell_withheld() {
    loop {
        tokio::time::sleep(WINDOW).await;
        let now = Instant::now();
        let told: Vec<(u64, String)> = {
            let mut places = PLACES.lock();
            let places = places.iter_mut().flat_map(HashMap::values_mut);
            places.filter_map(|place| place.take_withheld(now)).collect()
        };
        for (withheld, example) in told {
            tracing::warn!(withheld, "{withheld} more lines were left out like: {example}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;
    use tracing_subscriber::prelude::*;

    #[test]
    fn a_place_writes_so_many_lines_in_a_while_and_the_rest_is_counted() {
        let start = Instant::now();
        let mut place = Place::new(start);
        let written = (0..1000).filter(|_| place.admit(start)).count();
        assert_eq!(written, LINES_MAX as usize);
        assert!(!place.admit(start + WINDOW), "the count is told first");
        let (withheld, _) = place.take_withheld(start + WINDOW).unwrap();
        assert_eq!(withheld, 1000 - u64::from(LINES_MAX) + 1);
        assert!(place.take_withheld(start + WINDOW).is_none());
        assert!(place.admit(start + WINDOW));
    }

    #[test]
    fn a_place_that_is_quiet_for_a_while_begins_again() {
        let start = Instant::now();
        let mut place = Place::new(start);
        for round in 0..3 {
            let now = start + WINDOW * round;
            assert!((0..LINES_MAX).all(|_| place.admit(now)), "{round}");
        }
    }

    #[test]
    fn lines_are_left_out_before_anything_writes_them() {
        struct Count(Arc<AtomicUsize>);
        impl<S: Subscriber> Layer<S> for Count {
            fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
                self.0.fetch_add(1, Relaxed);
            }
        }
        let written = Arc::new(AtomicUsize::new(0));
        let subscriber = tracing_subscriber::registry().with(Limiter).with(Count(written.clone()));
        tracing::subscriber::with_default(subscriber, || {
            (0..100).for_each(|n| tracing::warn!("nonsense {n}"));
            assert_eq!(written.swap(0, Relaxed), LINES_MAX as usize);
            (0..100).for_each(|n| tracing::info!("news {n}"));
            assert_eq!(written.load(Relaxed), 100, "what is no warning is written");
        });
        let places = PLACES.lock();
        let mut places = places.as_ref().unwrap().values();
        assert!(places.any(|place| place.example == format!("nonsense {LINES_MAX}")));
    }
}

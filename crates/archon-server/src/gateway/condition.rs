//! What an upstream's answers, and the lack of them, say of it; and what of that the log tells: each change once, and
//! what it said when it refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use archon_sessions::session::printable;
use http::StatusCode;
use parking_lot::{Mutex, MutexGuard};

/// Characters of an upstream's text that are told.
const TOLD_CHARS_MAX: usize = 200;
/// A refusal with the same status is told again after so long, with how many came meanwhile: their texts may differ in
/// an id.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// Kinds of refusals that are told apart; the oldest gives way.
const KINDS_MAX: usize = 16;

/// See the module.
#[derive(Debug)]
pub struct Condition {
    upstream: Arc<str>,
    /// Held for single operations, never across an await.
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    state: State,
    /// When it answered last.
    answered: Option<Instant>,
    /// Why it is down.
    cause: String,
    /// Those that were told, the latest last.
    refusals: Vec<Refusal>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unknown,
    Up,
    Down {
        since: Instant,
        failed_calls: u64,
    },
}

/// A refusal that was told.
#[derive(Debug)]
struct Refusal {
    /// Of which request, and with which status.
    kind: (String, StatusCode),
    at: Instant,
    /// How often it came since.
    again: u64,
}

impl Condition {
    /// Returns that of an upstream of which nothing is known.
    pub fn of(upstream: &str) -> Self {
        Self { upstream: upstream.into(), seen: Mutex::default() }
    }

    /// Returns it in a word.
    pub fn word(&self) -> &'static str {
        match self.seen().state {
            State::Unknown => "unknown",
            State::Up => "up",
            State::Down { .. } => "down",
        }
    }

    /// Returns whether it answered within this time.
    pub fn has_answered_within(&self, time: Duration, now: Instant) -> bool {
        let answered = self.seen().answered;
        answered.is_some_and(|at| now.saturating_duration_since(at) < time)
    }

    /// Returns why it is down, if it is.
    pub fn why_down(&self) -> Option<String> {
        let seen = self.seen();
        matches!(seen.state, State::Down { .. }).then(|| seen.cause.clone())
    }

    /// Notes an answer.
    pub fn answered(&self) {
        let upstream = &*self.upstream;
        let told = self.seen().answered(Instant::now());
        if let Some(told) = told {
            tracing::info!(upstream, "upstream {upstream} {told}");
        }
    }

    /// Notes that it does not answer, for this reason.
    pub fn failed(&self, cause: &str) {
        let upstream = &*self.upstream;
        let told = self.seen().failed(cause, Instant::now());
        if let Some(told) = told {
            tracing::warn!(upstream, "upstream {upstream} {told}");
        }
    }

    /// Notes that a call failed, for as long as it is down.
    pub fn count_failed_call(&self) {
        if let State::Down { failed_calls, .. } = &mut self.seen().state {
            *failed_calls += 1;
        }
    }

    /// Notes that it refused a request with this status and text.
    pub fn refused(&self, method: &str, status: StatusCode, said: &[u8]) {
        let upstream = &*self.upstream;
        let told = self.seen().refused(method, status, said, Instant::now());
        let Some(told) = told else { return };
        if matches!(status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND) {
            // It may have forgotten a session, which is opened again then.
            tracing::info!(upstream, "upstream {upstream} {told}");
        } else {
            tracing::warn!(upstream, "upstream {upstream} {told}");
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock()
    }
}

/// Each returns what the log tells of it, if anything.
impl Seen {
    fn answered(&mut self, now: Instant) -> Option<String> {
        self.answered = Some(now);
        let before = std::mem::replace(&mut self.state, State::Up);
        let State::Down { since, failed_calls } = before else { return None };
        let seconds = now.saturating_duration_since(since).as_secs();
        let calls = match failed_calls {
            0 => String::new(),
            1 => ", 1 call failed".to_owned(),
            more => format!(", {more} calls failed"),
        };
        Some(format!("is up again after {seconds} s{calls}"))
    }

    fn failed(&mut self, cause: &str, now: Instant) -> Option<String> {
        self.answered = None;
        if matches!(self.state, State::Down { .. }) {
            return None;
        }
        self.state = State::Down { since: now, failed_calls: 0 };
        self.cause = cause.to_owned();
        Some(format!("is down: {cause}"))
    }

    fn refused(
        &mut self,
        method: &str,
        status: StatusCode,
        said: &[u8],
        now: Instant,
    ) -> Option<String> {
        let kind = (method.to_owned(), status);
        let place = self.refusals.iter().position(|before| before.kind == kind);
        let mut again = String::new();
        if let Some(place) = place {
            let before = &mut self.refusals[place];
            if now.saturating_duration_since(before.at) < TOLD_EVERY {
                before.again += 1;
                return None;
            }
            again = format!(" (and {} times since the last such line)", before.again);
            self.refusals.remove(place);
        } else if self.refusals.len() >= KINDS_MAX {
            self.refusals.remove(0);
        }
        self.refusals.push(Refusal { kind, at: now, again: 0 });
        let said = &said[..said.len().min(TOLD_CHARS_MAX * 4)];
        let said = printable(&String::from_utf8_lossy(said), TOLD_CHARS_MAX);
        let said = if said.is_empty() { "no text".to_owned() } else { format!("{said:?}") };
        Some(format!("refused {method} with HTTP {}: {said}{again}", status.as_u16()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once() {
        let (condition, began) = (Condition::of("x"), Instant::now());
        let failed = || condition.seen().failed("refused", began);
        assert_eq!(condition.word(), "unknown");
        assert_eq!(condition.seen().answered(began), None);
        assert_eq!(condition.word(), "up");
        assert!(condition.has_answered_within(Duration::from_secs(1), began));
        condition.count_failed_call();
        assert_eq!(failed().as_deref(), Some("is down: refused"));
        assert!(!condition.has_answered_within(Duration::from_secs(1), began));
        for _ in 0..31 {
            assert_eq!(failed(), None);
            condition.count_failed_call();
        }
        assert_eq!((condition.word(), condition.why_down()), ("down", Some("refused".into())));
        let after = began + Duration::from_secs(46);
        let answered = || condition.seen().answered(after);
        assert_eq!(answered().as_deref(), Some("is up again after 46 s, 31 calls failed"));
        assert_eq!((condition.word(), answered()), ("up", None));
        assert!(condition.seen().failed("refused", after).is_some());
        assert_eq!(answered().as_deref(), Some("is up again after 0 s"));
    }

    #[test]
    fn the_same_refusal_is_not_told_each_time() {
        let (mut seen, began) = (Seen::default(), Instant::now());
        let mut refused = |method, status, said: &[u8], after| {
            seen.refused(method, status, said, began + Duration::from_secs(after))
        };
        let forbidden = StatusCode::FORBIDDEN;
        let told = refused("POST", forbidden, b"no", 0);
        assert_eq!(told.as_deref(), Some("refused POST with HTTP 403: \"no\""));
        assert_eq!(refused("POST", forbidden, b"no", 1), None);
        assert_eq!(refused("POST", forbidden, b"no", 59), None);
        let told = refused("POST", forbidden, b"no", 60).unwrap();
        assert!(told.ends_with("(and 2 times since the last such line)"));
        assert_eq!(refused("POST", forbidden, b"another", 61), None);
        let other = refused("GET", StatusCode::CONFLICT, b"", 0);
        assert_eq!(other.as_deref(), Some("refused GET with HTTP 409: no text"));
    }

    #[test]
    fn what_is_told_is_one_short_harmless_line() {
        let said = format!("a\n\t\u{1b}[31mred \u{202e}\0\u{feff} {}\u{e9}", "x".repeat(1000));
        let mut seen = Seen::default();
        let told = seen.refused("POST", StatusCode::FORBIDDEN, said.as_bytes(), Instant::now());
        let told = told.unwrap();
        assert!(told.contains("\"a [31mred xxx") && told.ends_with("x…\""), "{told}");
        assert!(told.chars().count() < TOLD_CHARS_MAX + 50, "{told}");
    }
}

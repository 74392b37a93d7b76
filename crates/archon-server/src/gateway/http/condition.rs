//! What an upstream's answers, and the lack of them, say of it; and what of that the log tells: each change once, and
//! what it said when it refused.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;

/// Characters of an upstream's text that are told.
const TOLD_CHARS_MAX: usize = 200;
/// A refusal with the same status is told again after so long, with how many came meanwhile: their texts may differ in
/// an id.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// Kinds of refusals that are told apart; the oldest gives way.
const KINDS_MAX: usize = 16;

/// See the module.
#[derive(Default)]
pub struct Condition {
    /// Held for single operations, never across an await.
    seen: Mutex<Seen>,
}

#[derive(Default)]
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
struct Refusal {
    /// Of which request, and with which status.
    kind: (String, StatusCode),
    at: Instant,
    /// How often it came since.
    again: u64,
}

impl Condition {
    /// Returns it in a word.
    pub fn word(&self) -> &'static str {
        match self.seen().state {
            State::Unknown => "unknown",
            State::Up => "up",
            State::Down { .. } => "down",
        }
    }

    /// Notes an answer; returns what the log tells of it.
    pub fn answered(&self, now: Instant) -> Option<String> {
        let mut seen = self.seen();
        seen.answered = Some(now);
        let before = std::mem::replace(&mut seen.state, State::Up);
        let State::Down { since, failed_calls } = before else { return None };
        let seconds = now.saturating_duration_since(since).as_secs();
        let calls = match failed_calls {
            0 => String::new(),
            1 => ", 1 call failed".to_owned(),
            more => format!(", {more} calls failed"),
        };
        Some(format!("is up again after {seconds} s{calls}"))
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

    /// Notes that a call failed, for as long as it is down.
    pub fn count_failed_call(&self) {
        if let State::Down { failed_calls, .. } = &mut self.seen().state {
            *failed_calls += 1;
        }
    }

    /// Notes that there was no answer; returns what the log tells of it.
    pub fn failed(&self, cause: &str, now: Instant) -> Option<String> {
        let mut seen = self.seen();
        seen.answered = None;
        if matches!(seen.state, State::Down { .. }) {
            return None;
        }
        seen.state = State::Down { since: now, failed_calls: 0 };
        seen.cause = cause.to_owned();
        Some(format!("failed: {cause}"))
    }

    /// Notes that a request was refused with this status and text; returns what the log tells of it.
    pub fn refused(
        &self,
        method: &str,
        status: StatusCode,
        said: &[u8],
        now: Instant,
    ) -> Option<String> {
        let kind = (method.to_owned(), status);
        let mut seen = self.seen();
        let place = seen.refusals.iter().position(|before| before.kind == kind);
        let mut again = String::new();
        if let Some(place) = place {
            let before = &mut seen.refusals[place];
            if now.saturating_duration_since(before.at) < TOLD_EVERY {
                before.again += 1;
                return None;
            }
            again = format!(" (and {} times since the last such line)", before.again);
            seen.refusals.remove(place);
        } else if seen.refusals.len() >= KINDS_MAX {
            seen.refusals.remove(0);
        }
        seen.refusals.push(Refusal { kind, at: now, again: 0 });
        let said = printable(said);
        let said = if said.is_empty() { "no text".to_owned() } else { format!("{said:?}") };
        Some(format!("refused {method} with HTTP {}: {said}{again}", status.as_u16()))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the beginning of a text on one line, without what could move a terminal's cursor or turn its direction.
fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(TOLD_CHARS_MAX * 4)]).into_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    let words = words.join(" ");
    let is_plain = |c: &char| {
        !c.is_control()
            && !matches!(u32::from(*c), 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff)
    };
    let mut told: String = words.chars().filter(is_plain).take(TOLD_CHARS_MAX).collect();
    if words.chars().count() > TOLD_CHARS_MAX {
        told.push('…');
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once() {
        let (condition, began) = (Condition::default(), Instant::now());
        assert_eq!(condition.word(), "unknown");
        assert_eq!(condition.answered(began), None);
        assert_eq!(condition.word(), "up");
        assert!(condition.has_answered_within(Duration::from_secs(1), began));
        assert_eq!(condition.failed("refused", began).as_deref(), Some("failed: refused"));
        assert!(!condition.has_answered_within(Duration::from_secs(1), began));
        for _ in 0..31 {
            assert_eq!(condition.failed("refused", began), None);
            condition.count_failed_call();
        }
        assert_eq!((condition.word(), condition.why_down()), ("down", Some("refused".into())));
        let after = began + Duration::from_secs(46);
        assert_eq!(
            condition.answered(after).as_deref(),
            Some("is up again after 46 s, 31 calls failed")
        );
        condition.count_failed_call();
        assert_eq!(condition.answered(after), None);
        assert!(condition.failed("refused", after).is_some());
        assert_eq!(condition.answered(after).as_deref(), Some("is up again after 0 s"));
    }

    #[test]
    fn the_same_refusal_is_not_told_each_time() {
        let (condition, began) = (Condition::default(), Instant::now());
        let refused = |said: &[u8], after| {
            condition.refused(
                "POST",
                StatusCode::FORBIDDEN,
                said,
                began + Duration::from_secs(after),
            )
        };
        assert_eq!(refused(b"no", 0).as_deref(), Some("refused POST with HTTP 403: \"no\""));
        assert_eq!(refused(b"no", 1), None);
        assert_eq!(refused(b"no", 59), None);
        assert!(refused(b"no", 60).unwrap().ends_with("(and 2 times since the last such line)"));
        assert_eq!(refused(b"another", 61), None);
        let other = condition.refused("GET", StatusCode::CONFLICT, b"", began);
        assert_eq!(other.as_deref(), Some("refused GET with HTTP 409: no text"));
    }

    #[test]
    fn what_is_told_is_one_short_harmless_line() {
        let said = format!("a\n\t\u{1b}[31mred \u{202e}\0\u{feff} {}", "x".repeat(1000));
        let told = printable(said.as_bytes());
        assert!(told.starts_with("a [31mred xxx") && told.ends_with("x…"), "{told}");
        assert_eq!(told.chars().count(), TOLD_CHARS_MAX + 1);
        assert_eq!(printable(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }
}

//! Estimates how many tokens a text is for a language model, off the request's path.
//!
//! Texts are counted with a real tokenizer (`o200k_base`) as long as that takes a small share of one
//! core; what exceeds the share is estimated from its classes of characters. Texts that come again are
//! counted once.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What counting may take of each batch's time; a batch is written every 100 ms or so, so this is
/// about 5 % of one core.
const SHARE: Duration = Duration::from_millis(5);
/// Texts whose counts are remembered.
const REMEMBERED_MAX: usize = 4096;

/// Counts tokens.
pub(in crate::tracker) struct Estimator {
    /// Whether the tokenizer is there: it takes a while to load, and nobody waits for it.
    is_exact: Arc<AtomicBool>,
    spent: Duration,
    remembered: HashMap<u64, i64>,
    hasher: RandomState,
}

impl Estimator {
    /// Returns an estimator; with `is_exact` it loads the tokenizer on a thread of its own.
    pub(in crate::tracker) fn new(is_exact: bool) -> Self {
        let (remembered, hasher) = (HashMap::new(), RandomState::new());
        let loaded = Arc::new(AtomicBool::new(false));
        if is_exact && cfg!(feature = "tokenizer") {
            let loaded = loaded.clone();
            // Without the thread there is no tokenizer, and estimates are by character classes.
            let _ = std::thread::Builder::new().name("archon-tokenizer".into()).spawn(move || {
                loaded.store(tokenizer::load(), Relaxed);
            });
        }
        Self { is_exact: loaded, spent: Duration::ZERO, remembered, hasher }
    }

    /// Starts a new share.
    pub(in crate::tracker) fn begin_batch(&mut self) {
        self.spent = Duration::ZERO;
    }

    /// Returns the tokens of a text of `whole` bytes, of which `kept` is the beginning.
    pub(in crate::tracker) fn tokens(&mut self, kept: &[u8], whole: i64) -> i64 {
        if kept.is_empty() {
            return 0;
        }
        let counted = self.count(kept);
        let kept_bytes = i64::try_from(kept.len()).unwrap_or(i64::MAX);
        // The sizes count what surrounds the text as well; only a text that was cut is scaled up.
        if whole > kept_bytes.saturating_mul(2) {
            counted.saturating_mul(whole) / kept_bytes
        } else {
            counted
        }
    }

    fn count(&mut self, bytes: &[u8]) -> i64 {
        let text = String::from_utf8_lossy(bytes);
        if !self.is_exact.load(Relaxed) {
            return by_classes(&text);
        }
        let key = self.hasher.hash_one(bytes);
        if let Some(count) = self.remembered.get(&key) {
            return *count;
        }
        if self.spent >= SHARE {
            return by_classes(&text);
        }
        let began = Instant::now();
        let count = tokenizer::count(&text);
        self.spent += began.elapsed();
        if self.remembered.len() >= REMEMBERED_MAX {
            self.remembered.clear();
        }
        self.remembered.insert(key, count);
        count
    }
}

#[cfg(feature = "tokenizer")]
mod tokenizer {
    /// Loads it; returns true if it is there then.
    pub(super) fn load() -> bool {
        tiktoken_rs::o200k_base_singleton();
        true
    }

    pub(super) fn count(text: &str) -> i64 {
        let count = tiktoken_rs::o200k_base_singleton().count_ordinary(text);
        i64::try_from(count).unwrap_or(i64::MAX)
    }
}

/// Nothing is loaded, so nothing is asked.
#[cfg(not(feature = "tokenizer"))]
mod tokenizer {
    pub(super) use super::by_classes as count;

    pub(super) fn load() -> bool {
        false
    }
}

/// Estimates tokens by what the text is made of: a word of letters is a token per five of them,
/// digits come in threes, marks mostly alone, and other scripts about one character each.
fn by_classes(text: &str) -> i64 {
    let (mut letters, mut digits, mut marks, mut others) = (0_i64, 0_i64, 0_i64, 0_i64);
    for c in text.chars() {
        match c {
            'a'..='z' | 'A'..='Z' => letters += 1,
            '0'..='9' => digits += 1,
            c if c.is_ascii_whitespace() => {}
            c if c.is_ascii() => marks += 1,
            _ => others += 1,
        }
    }
    (letters * 2 / 9) + digits.div_euclid(3) + (marks * 11 / 20) + (others * 7 / 10) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_near_the_count() {
        let texts = [
            r#"{"name":"find_projects","arguments":{"query":"authentication","page":1,"per_page":20}}"#,
            r#"{"jsonrpc":"2.0","id":17,"result":{"content":[{"type":"text","text":"The quick brown fox jumps over the lazy dog, again and again."}],"isError":false}}"#,
            "Every queue, body, buffer, retry and map has a bound; no input from a socket ever panics.",
            "Der schnelle braune Fuchs springt über den faulen Hund und läuft danach weiter.",
        ];
        let mut exact = Estimator::new(false);
        exact.is_exact.store(true, Relaxed);
        for text in texts {
            let counted = exact.count(text.as_bytes());
            let estimated = by_classes(text);
            let ratio = estimated as f64 / counted as f64;
            assert!((0.6..1.6).contains(&ratio), "{estimated} for {counted}: {text}");
        }
    }

    #[test]
    fn a_text_that_was_cut_counts_as_a_whole() {
        let mut estimator = Estimator::new(false);
        let part = "word ".repeat(100);
        let counted = estimator.tokens(part.as_bytes(), part.len() as i64);
        assert_eq!(estimator.tokens(part.as_bytes(), part.len() as i64 * 10), counted * 10);
        assert_eq!(estimator.tokens(b"", 1_000), 0);
    }
}

//! When a request may be sent again, and how long to wait before: pure, but for the dice.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// How often, and how fast, requests are sent again that are safe to send again.
///
/// Safe is what did not run: nothing was sent, or the server refused it. What may have run is never sent again, with
/// one exception: see [`trust_annotations`](Self::trust_annotations).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often one request is sent again; 0 sends each once. 3 unless said.
    pub max_retries: u32,
    /// The longest wait before the first of them; it doubles with each. A wait is between nothing and this, at random,
    /// so that clients that failed together do not come back together. One second unless said.
    pub base_delay: Duration,
    /// No wait is longer, unless the server asks for it. 30 s unless said.
    pub max_delay: Duration,
    /// Longer than this a server's `Retry-After` is not waited for: its caller is told instead. 30 s unless said.
    pub retry_after_max: Duration,
    /// Of a hundred requests so many may be sent again in the long run; 20 unless said. Ten are free. Where nothing
    /// gets through, retries by all clients then add a fifth to the load, and not three times it.
    pub budget_percent: u32,
    /// Whether tools that are marked `readOnlyHint` or `idempotentHint` may run twice: what the server says of its
    /// tools is believed then, and their calls are sent again also where they may have run. Off unless said.
    pub trust_annotations: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_retries: 3,
            base_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(30),
            budget_percent: 20,
            trust_annotations: false,
        }
    }
}

impl RetryPolicy {
    /// Returns the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a policy that sends everything once.
    pub fn never() -> Self {
        Self { max_retries: 0, ..Self::default() }
    }

    /// Says how often one request is sent again.
    pub fn max_retries(self, max_retries: u32) -> Self {
        Self { max_retries, ..self }
    }

    /// Says how long the first wait may be.
    pub fn base_delay(self, base_delay: Duration) -> Self {
        Self { base_delay, ..self }
    }

    /// Says how long any wait may be.
    pub fn max_delay(self, max_delay: Duration) -> Self {
        Self { max_delay, ..self }
    }

    /// Says how long a server's `Retry-After` may be.
    pub fn retry_after_max(self, retry_after_max: Duration) -> Self {
        Self { retry_after_max, ..self }
    }

    /// Says how many of a hundred requests may be sent again.
    pub fn budget_percent(self, budget_percent: u32) -> Self {
        Self { budget_percent, ..self }
    }

    /// Says whether the server's marks on its tools are to be believed.
    pub fn trust_annotations(self, trust_annotations: bool) -> Self {
        Self { trust_annotations, ..self }
    }

    /// Returns how long to wait before a retry, the first of which is number 0; `dice` is from 0 to 1.
    pub(crate) fn delay(&self, retry: u32, dice: f64) -> Duration {
        let longest =
            self.base_delay.saturating_mul(2_u32.saturating_pow(retry)).min(self.max_delay);
        longest.mul_f64(dice.clamp(0.0, 1.0))
    }
}

/// What is left to send again, in hundredths of a request.
#[derive(Debug)]
pub(crate) struct Budget {
    // Held for an addition only.
    left: Mutex<u32>,
    percent: u32,
}

/// A request, in the budget's unit.
const ONE: u32 = 100;
/// More is never saved up: a client that was well for a day does not make a storm afterwards.
const SAVED_MAX: u32 = 10 * ONE;

impl Budget {
    pub fn new(policy: &RetryPolicy) -> Self {
        Self { left: Mutex::new(SAVED_MAX), percent: policy.budget_percent.min(ONE) }
    }

    /// Counts a request that is sent for the first time.
    pub fn earn(&self) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = (*left + self.percent).min(SAVED_MAX);
    }

    /// Takes what one retry costs, if it is there.
    pub fn spend(&self) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = left.checked_sub(ONE);
        *left = rest.unwrap_or(*left);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_are_anything_below() {
        let policy =
            RetryPolicy::new().base_delay(Duration::from_secs(1)).max_delay(Duration::from_secs(5));
        let longest: Vec<u64> = (0..5).map(|retry| policy.delay(retry, 1.0).as_secs()).collect();
        assert_eq!(longest, [1, 2, 4, 5, 5]);
        assert_eq!(policy.delay(200, 1.0), Duration::from_secs(5));
        assert_eq!(policy.delay(2, 0.25), Duration::from_secs(1));
        assert_eq!(policy.delay(2, 0.0), Duration::ZERO);
    }

    #[test]
    fn a_fifth_of_the_requests_may_be_sent_again_and_ten_more() {
        let budget = Budget::new(&RetryPolicy::default());
        let mut retries = 0;
        for _ in 0..100 {
            budget.earn();
            retries += u32::from(budget.spend()) + u32::from(budget.spend());
        }
        // The first found the budget full, and 29.8 are 29.
        assert_eq!(retries, 29);
    }

    #[test]
    fn what_is_not_used_is_not_saved_up() {
        let budget = Budget::new(&RetryPolicy::default());
        (0..1000).for_each(|_| budget.earn());
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
    }
}
